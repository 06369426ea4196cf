"""What the displays draw with: matplotlib, imported when first needed, and a few colours."""

# From the palette of Okabe and Ito, which colour-blind readers can tell apart.
BLUE = "#0072B2"
VERMILION = "#D55E00"
BLACK = "#000000"


def import_pyplot(caller):
    """Return `matplotlib.pyplot`, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib to draw: pip install skae[plot]. "
            "Its numbers can be had without, by frame()."
        ) from error
    return plt


def figure_and_axes(ax, caller):
    """Return the figure and the one axes to draw on; without `ax`, new ones."""
    plt = import_pyplot(caller)
    if ax is None:
        return plt.subplots(layout="constrained")
    if not hasattr(ax, "plot"):
        raise TypeError(
            f"{caller} draws on one matplotlib axes: ax must be one, got {type(ax).__name__}."
        )
    return ax.figure, ax
