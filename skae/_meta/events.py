"""Events: alarms in a row, as a table."""

from numbers import Integral
from typing import Any

import numpy as np

from skae._event_metrics import runs


def check_event_params(merge_within, min_length):
    """Refuse what is no number of steps."""
    for name, value, least in (("merge_within", merge_within, 0), ("min_length", min_length, 1)):
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not (is_whole and int(value) >= least):
            raise ValueError(f"{name} must be a whole number of steps >= {least}; got {value!r}.")


def events_in(flags, stretches, merge_within, min_length):
    """Return the runs of flagged steps, those near each other merged, without short ones.

    Returns
    -------
    runs : ndarray of shape (n_events, 2)
        Starts and ends (exclusive).
    """
    found = runs(flags, stretches[:, 0])
    stretch = np.searchsorted(stretches[:, 0], found[:, 0], side="right")
    is_near = (found[1:, 0] - found[:-1, 1] <= merge_within) & (stretch[1:] == stretch[:-1])
    firsts = np.flatnonzero(np.r_[True, ~is_near][: len(found)])
    lasts = np.append(firsts[1:] - 1, len(found) - 1)[: len(firsts)]
    merged = np.stack([found[firsts, 0], found[lasts, 1]], axis=1)
    return merged[merged[:, 1] - merged[:, 0] >= min_length]


def peaks_of(errors, found):
    """Return the step with the largest error in each event, the middle one of equal ones.

    All steps of the worst window may have its error.
    """
    peaks = []
    for start, stop in found:
        own = errors[start:stop]
        largest = np.flatnonzero(own == own.max())
        peaks.append(start + largest[len(largest) // 2])
    return np.array(peaks, dtype=np.int64)


def event_table(series, found, peaks, errors, channel, share) -> Any:
    """Return one row per event.

    Parameters
    ----------
    series : Series
        With the index, if it has one.
    found : ndarray of shape (n_events, 2)
        Starts and ends (exclusive).
    peaks : ndarray of shape (n_events,)
        The worst step of each.
    errors : ndarray of shape (n_steps,)
        Of all steps.
    channel, share : sequence
        Of each event.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "start": labels_of(series, found[:, 0]),
            "end": _ends(series, found[:, 1]),
            "peak": labels_of(series, peaks),
            "score": -errors[peaks],
            "channel": channel,
            "share": share,
        }
    )


def labels_of(series, steps) -> Any:
    """Return what the index calls steps; their positions without an index."""
    return steps if series.index is None else series.index.take(steps)


def _ends(series, stops):
    """Return what is the end of events: the next step, or one usual step after the last one."""
    index = series.index
    if index is None:
        return stops
    last = index.take(stops - 1)
    later = last + _usual_step(series)
    is_followed = ~np.isin(stops, series.stretches[:, 1])
    following = index.take(np.minimum(stops, len(index) - 1))
    return following.where(is_followed, later)


def _usual_step(series) -> Any:
    import pandas as pd

    step, index = series.clock.step, series.index
    if hasattr(index, "to_timestamp"):
        return 1
    if series.clock.kind == "time":
        return pd.Timedelta(0 if step != step else round(step), "ns").as_unit(index.unit)
    if step != step:
        return 1
    return int(step) if index.dtype.kind in "iu" and step == int(step) else step
