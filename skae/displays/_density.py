"""Many points as a density: cells of the plane, where points would hide each other."""

import numpy as np

from skae.displays._drawing import text_color

MANY_POINTS = 2_000
_N_CELLS = 40
_PALE = "#DDDDDD"


def draw_counts(ax, points, color, *, yscale):
    """Draw how many points are in each cell, the more the darker."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("counts", [_PALE, color])
    # Few rows at the rim count as much for the eye as thousands in the middle.
    return _cells(ax, points, yscale=yscale, cmap=shades, bins=None, log=True)


def draw_medians(ax, points, values, *, log):
    """Draw the median of the values in each cell."""
    return _cells(ax, points, C=values, reduce_C_function=np.median, log=log)


def draw_on_top(ax, points, style):
    """Draw some points above the cells, with an edge that sets them off."""
    edge = {"edgecolor": text_color(ax), "linewidth": 0.4}
    return ax.scatter(*points.T, **{"s": 12} | edge | style)


def _cells(ax, points, *, log, **style):
    from matplotlib.colors import LogNorm

    # Not by its name, which hexbin does not take before matplotlib 3.9.
    norm = LogNorm() if log else None
    return ax.hexbin(*points.T, gridsize=_N_CELLS, mincnt=1, linewidths=0.1, norm=norm, **style)


def spread_sample(order, size, *, log):
    """Return positions among rows in order, at equal distances along a linear or a log axis."""
    ends = (1, len(order))
    at = np.geomspace(*ends, size) if log else np.linspace(*ends, size)
    return order[np.unique(np.round(at).astype(np.int64)) - 1]
