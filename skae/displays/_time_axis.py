"""The time axis of a series: dates, a time since the start in a fitting unit, or steps."""

import numpy as np

# A duration is counted in the largest unit of which it has at least three.
_UNITS = (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))
_MIN_UNITS = 3


def steps_and_label(times, n_steps):
    """Return where steps are on the horizontal axis, and its label with the unit.

    Parameters
    ----------
    times : pandas.Index or None
        Dates, durations or periods; None counts the steps.
    n_steps : int
        How many there are.
    """
    if times is None:
        return np.arange(n_steps), "step"
    times = times.to_timestamp() if hasattr(times, "to_timestamp") else times
    label = "time" if times.name is None else str(times.name)
    if not hasattr(times, "total_seconds"):
        return np.asarray(times), label
    seconds = np.asarray(times.total_seconds())
    unit, length = _unit(np.nanmax(seconds) - np.nanmin(seconds) if len(seconds) else 0)
    return seconds / length, f"{label} ({unit})"


def _unit(duration):
    for name, length in _UNITS:
        if duration >= _MIN_UNITS * length:
            return name, length
    return _UNITS[-1]


def date_ticks(ax):
    """Write only as much of each date as differs from the one before."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, AutoDateLocator):
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=locator.tz))
