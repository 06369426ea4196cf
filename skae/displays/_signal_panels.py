"""Panels that show a row as a signal with its reconstruction; they know only arrays and axes."""

from skae.displays._drawing import BLUE, GREEN, VERMILION, text_color

_INCHES_PER_ROW = 2.0
_NEAREST = "nearest known row"


def signal_panels(plt, shape):
    """Return a new figure and its axes: as many rows and columns, with shared scales."""
    n_rows, n_columns = shape
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        squeeze=False,
        sharex=True,
        figsize=(7.0 if n_columns == 1 else 10.0, 1.0 + _INCHES_PER_ROW * n_rows),
        layout="constrained",
    )
    # Equal scales let the eye compare errors; residuals, which are smaller, have their own.
    for panels in axes:
        for column, panel in enumerate(panels):
            first = axes[0, 2] if column == 2 else axes[0, 0]
            if panel is not first:
                panel.sharey(first)
    return figure, axes


def draw_shaded(panels, x, row, reconstruction, nearest, title):
    """Draw a row and its reconstruction into one panel, the area between them shaded.

    The nearest normal row, or None, is a third line.
    """
    (panel,) = panels
    panel.plot(x, row, color=BLUE, label="original")
    panel.plot(x, reconstruction, color=VERMILION, linestyle="--", label="reconstruction")
    panel.fill_between(
        x, row, reconstruction, color=VERMILION, alpha=0.3, linewidth=0, label="difference"
    )
    _draw_nearest(panel, x, nearest)
    panel.set_title(title, loc="left", fontsize="medium")
    panel.margins(x=0.01)


def draw_side_by_side(panels, x, row, reconstruction, nearest, title):
    """Draw a row, its reconstruction and the residual into three panels.

    The nearest normal row, or None, is a second line beside the reconstruction.
    """
    residual = row - reconstruction
    colors = (BLUE, VERMILION, text_color(panels[2]))
    for panel, values, color in zip(panels, (row, reconstruction, residual), colors, strict=True):
        panel.plot(x, values, color=color)
        panel.margins(x=0.01)
    panels[2].fill_between(x, residual, 0.0, color=VERMILION, alpha=0.3, linewidth=0)
    _draw_nearest(panels[1], x, nearest)
    dotted = "" if nearest is None else f"\n(dotted: {_NEAREST})"
    captions = (
        f"{title}\noriginal",
        f"reconstruction{dotted}",
        "residual (original - reconstruction)",
    )
    for panel, caption in zip(panels, captions, strict=True):
        panel.set_title(caption, loc="left", fontsize="medium")


def _draw_nearest(panel, x, nearest):
    if nearest is not None:
        panel.plot(x, nearest, color=GREEN, linestyle=":", label=_NEAREST)


def draw_legend(panel, *, beside_panels):
    """Explain the colors once: above the panels of our own figure, or in the panel."""
    if beside_panels:
        handles, labels = panel.get_legend_handles_labels()
        panel.figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    else:
        panel.legend()
