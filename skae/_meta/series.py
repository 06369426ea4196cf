"""A series as it comes: its values, the stretches between gaps, and the clock of its index."""

from datetime import timedelta
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

# By default, a step of so many usual ones is a gap.
_USUAL_STEPS = 3


class Clock(NamedTuple):
    """What an index counts in, and its usual step.

    Parameters
    ----------
    kind : {"none", "number", "time"}
        Times are counted in nanoseconds.
    step : float
        The usual step; NaN if there is none.
    """

    kind: str = "none"
    step: float = np.nan


class Series(NamedTuple):
    """A checked series.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        Step after step, in one piece of memory.
    stretches : ndarray of shape (n_stretches, 2)
        Starts and ends (exclusive) of what has no gap in it.
    times : ndarray of shape (n_steps,) or None
        When each step was, by the clock.
    clock : Clock
        Of the index.
    index : pandas.Index or None
        If it tells the time.
    """

    values: np.ndarray
    stretches: np.ndarray
    times: Any
    clock: Clock
    index: Any

    def long_stretches(self, width):
        """Return the stretches that hold a window."""
        return self.stretches[self.stretches[:, 1] - self.stretches[:, 0] >= width]


def clock_of(pair: Any) -> Clock:
    """Return a clock that was kept as a plain tuple."""
    return Clock(*pair)


def series_of(values, X, groups, max_gap, clock=None):
    """Return a series: checked values, and the gaps that groups or the index of X tell of.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        The checked values of X.
    X : array-like of shape (n_steps, n_features)
        As it came.
    groups : array-like of shape (n_steps,) or None
        Where the value changes, there is a gap.
    max_gap : object
        As the parameter of the detector.
    clock : Clock or None
        That of the series in `fit`, whose usual step counts. None in `fit` itself.
    """
    kind, times, index = _times_of(X)
    is_gap = _changes(values, groups)
    if times is None:
        _check_no_duration(max_gap)
        return Series(values, _stretches(is_gap), None, Clock(), None)
    steps = np.diff(times)
    _check_order(steps, is_gap, index)
    if clock is None or clock.kind != kind:
        inside = steps[~is_gap]
        clock = Clock(kind, float(np.median(inside)) if len(inside) else np.nan)
    limit = _limit(max_gap, clock)
    return Series(values, _stretches(is_gap | (steps > limit)), times, clock, index)


def is_gap_before(series, time, label, is_other, max_gap, clock):
    """Tell whether there is a gap before a series that goes on after an earlier step.

    Parameters
    ----------
    series : Series
        What follows.
    time, label : object
        When the earlier step was, and what the index called it; None without an index.
    is_other : bool
        Whether that was in another group.
    max_gap, clock : object
        As for :func:`series_of`.
    """
    if is_other or series.times is None:
        return is_other
    step = series.times[0] - time
    labels = [label, series.index[0]]
    _check_order(np.array([step]), np.array([False]), labels)
    return bool(step > _limit(max_gap, clock))


def _times_of(X):
    """Return the kind, the times and the index of a frame whose index tells the time."""
    index = getattr(X, "index", None) if hasattr(X, "iloc") else None
    if index is None or getattr(index, "nlevels", 1) > 1:
        return "none", None, None
    if hasattr(index, "to_timestamp"):  # periods
        return "time", index.to_timestamp().as_unit("ns").asi8, index
    kind = index.dtype.kind
    if kind not in "mMiuf":
        return "none", None, None
    missing = np.flatnonzero(np.asarray(index.isna()))
    if len(missing):
        raise ValueError(
            f"The index of X has no time at step {missing[0]} ({len(missing)} are missing): fill "
            "it, leave those steps out, or give X.reset_index(drop=True)."
        )
    if kind in "mM":
        return "time", index.as_unit("ns").asi8, index
    return "number", np.asarray(index, dtype=np.int64 if kind in "iu" else np.float64), index


def _changes(values, groups):
    """Tell between which steps the group changes."""
    if groups is None:
        return np.zeros(max(len(values) - 1, 0), dtype=bool)
    groups = column_or_1d(groups)
    check_consistent_length(values, groups)
    if (groups != groups).any():
        raise ValueError("groups must name the stretch of each time step, but some are missing.")
    return np.asarray(groups[1:] != groups[:-1])


def _stretches(is_gap):
    edges = np.concatenate([[0], 1 + np.flatnonzero(is_gap), [len(is_gap) + 1]])
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _check_order(steps, is_gap, index):
    unfit = np.flatnonzero((steps <= 0) & ~is_gap)
    if not len(unfit):
        return
    step = unfit[0] + 1
    what = "repeats" if steps[unfit[0]] == 0 else "runs backwards"
    raise ValueError(
        f"The index of X {what} at step {step}: {index[step]} comes after {index[step - 1]}. Steps "
        "must be given in order: sort them by X.sort_index(), tell several series apart by groups, "
        "or, if the index is no time, give X.reset_index(drop=True)."
    )


def _limit(max_gap, clock):
    """Return the longest step that is no gap, in the units of the clock."""
    if max_gap is None:
        return np.inf
    if isinstance(max_gap, str) and max_gap == "auto":
        # Without a usual step there is one step in each stretch, and nothing to split.
        return _USUAL_STEPS * clock.step if clock.step == clock.step else np.inf
    if clock.kind == "number":
        _check_no_duration(max_gap)
        return float(max_gap)
    if isinstance(max_gap, Real):
        raise ValueError(
            f"max_gap={max_gap!r} is a number, but the index of X is made of times: give a "
            "duration, such as max_gap='10min' or datetime.timedelta(minutes=10)."
        )
    return _duration(max_gap)


def check_max_gap(max_gap: Any):
    """Refuse what is neither a number above zero nor a duration."""
    if max_gap is None or (isinstance(max_gap, str) and max_gap == "auto"):
        return
    if isinstance(max_gap, Real) and not isinstance(max_gap, bool):
        is_fit = float(max_gap) > 0
    elif isinstance(max_gap, (str, timedelta, np.timedelta64)):
        is_fit = _duration(max_gap) > 0
    else:
        is_fit = False
    if not is_fit:
        raise ValueError(
            "The 'max_gap' parameter must be 'auto', None, a number above 0 for an index of "
            "numbers, or a duration above 0 for one of times, such as '10min'; got "
            f"{max_gap!r}."
        )


def _duration(max_gap):
    """Return a duration in nanoseconds."""
    import pandas as pd

    try:
        return pd.Timedelta(max_gap).as_unit("ns").value
    except ValueError as error:
        raise ValueError(
            f"The 'max_gap' parameter must be 'auto', None, a number or a duration such as "
            f"'10min'; got {max_gap!r}: {error}."
        ) from None


def _check_no_duration(max_gap):
    if max_gap is None or isinstance(max_gap, Real) or max_gap == "auto":
        return
    raise ValueError(
        f"max_gap={max_gap!r} is a duration, but X has no index of times: give a DataFrame with a "
        "DatetimeIndex, a number for an index of numbers, or name the stretches by groups."
    )
