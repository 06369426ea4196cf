"""Drawing helpers: matplotlib, imported on first use, and a few colors."""

from typing import TYPE_CHECKING

import numpy as np

from skae._presentation import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From the palette of Okabe and Ito, which color-blind readers can tell apart.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"


def import_pyplot(caller):
    """Return `matplotlib.pyplot`, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib to draw: pip install skae[plot]. "
            "Its numbers are available without it, from frame()."
        ) from error
    return plt


def figure_and_axes(ax, caller) -> "tuple[Figure, Axes]":
    """Return the figure and the one axes to draw on; without `ax`, new ones."""
    plt = import_pyplot(caller)
    if ax is None:
        return plt.subplots(layout="constrained")
    if not hasattr(ax, "plot"):
        raise TypeError(
            f"{caller} draws on one matplotlib axes: ax must be one, got {type(ax).__name__}."
        )
    return ax.figure, ax


def given_axes(ax, shape, caller):
    """Return the user's axes as an array, one line per row, or say how many are needed."""
    n_rows, n_columns = shape
    axes = np.array(ax, dtype=object)
    if axes.size != n_rows * n_columns or not all(hasattr(a, "plot") for a in axes.flat):
        raise ValueError(
            f"{caller} draws {n_rows} rows in {n_columns} panels each: ax must be "
            f"{n_rows * n_columns} matplotlib axes, got {axes.size}."
        )
    return axes.reshape(shape)


def text_color(ax):
    """Return the text color of the axes, which stands out from any background."""
    return ax.xaxis.label.get_color()


def draw_threshold(ax, threshold, remark=""):
    """Draw a threshold of the errors on the horizontal axis, unless it is None."""
    if threshold is None:
        return None
    label = f"threshold {number(threshold)}{remark}"
    return ax.axvline(threshold, color=text_color(ax), linestyle="--", label=label)


def line_style(style, kwargs):
    """Return the style of a line: the user's own takes precedence, under either name."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    # "c" and "color" are the same to the user, but matplotlib takes only one of them.
    return {**style, **normalize_kwargs(kwargs, Line2D)}


def scatter_style(kwargs):
    """Return the user's style for points, under matplotlib's canonical names."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.collections import PathCollection

    given = normalize_kwargs(kwargs, PathCollection)
    return {name: value for name, value in given.items() if value is not None}


def sets_color(user_style):
    """Tell whether the user sets a color for the points."""
    return not {"c", "color", "facecolor"}.isdisjoint(user_style)


def scatter(ax, points, rows, style, user_style):
    """Draw some rows of points; the user's style takes precedence, row by row where it has rows."""
    if "c" in user_style:  # which matplotlib does not accept together with "color"
        style = {name: value for name, value in style.items() if name != "color"}
    user_style = {name: _of_rows(value, rows, len(points)) for name, value in user_style.items()}
    return ax.scatter(*points[rows].T, **style | user_style)


def _of_rows(value, rows, n_rows):
    # A tuple is one color.
    if isinstance(value, (str, tuple)) or np.ndim(value) == 0 or len(value) != n_rows:
        return value
    return np.asarray(value)[rows]
