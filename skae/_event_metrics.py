"""How well alarms in a series find its events: an event counts once, however long it is."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d

from skae._labels import inlier_mask


def runs(flags, breaks=()):
    """Return the start and the end (exclusive) of each run of true values.

    Parameters
    ----------
    flags : ndarray of shape (n_steps,), dtype=bool
        One per step.
    breaks : sequence of int, default=()
        Steps that begin a new stretch, and so a new run.

    Returns
    -------
    runs : ndarray of shape (n_runs, 2)
    """
    is_new = np.zeros(len(flags) + 1, dtype=bool)
    is_new[list(breaks)] = True
    begins = flags & (is_new[:-1] | ~np.r_[False, flags[:-1]])
    ends = flags & (is_new[1:] | ~np.r_[flags[1:], False])
    return np.stack([np.flatnonzero(begins), 1 + np.flatnonzero(ends)], axis=1)


def event_recall(is_outlier, is_flagged, sample_weight=None, breaks=()):
    """Return the share of the events that an alarm touches."""
    _refuse_weights(sample_weight)
    events = runs(is_outlier, breaks)
    return float(np.mean(_touches(events, is_flagged))) if len(events) else 0.0


def event_precision(is_outlier, is_flagged, sample_weight=None, breaks=()):
    """Return the share of the alarms that touch an event; 0 if there is none."""
    _refuse_weights(sample_weight)
    alarms = runs(is_flagged, breaks)
    return float(np.mean(_touches(alarms, is_outlier))) if len(alarms) else 0.0


def event_recall_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
) -> float:
    """Return the share of the events in a series that are found: that an alarm touches.

    An event is a run of time steps labeled as outliers, an alarm a run of steps that are flagged.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,)
        The label of each time step.
    y_pred : array-like of shape (n_steps,)
        What a detector predicts: -1 for outliers, +1 for inliers.
    groups : array-like of shape (n_steps,), default=None
        The stretch each time step belongs to: no event reaches from one into another.
    inlier_label, outlier_label : scalar, default="auto"
        What `y_true` calls normal steps, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.

    Returns
    -------
    recall : float
        Within [0, 1].

    Raises
    ------
    ValueError
        If labels or predictions are invalid, or there is no event.

    See Also
    --------
    event_precision_score : The share of the alarms that are right.
    false_alarms_per_unit : How often there is a false alarm.

    Examples
    --------
    >>> from skae.metrics import event_recall_score
    >>> event_recall_score([1, -1, -1, -1, 1, 1, -1, -1], [1, 1, -1, 1, -1, 1, 1, 1])
    0.5
    """
    is_outlier, is_flagged, breaks = _checked(y_true, y_pred, groups, inlier_label, outlier_label)
    if not is_outlier.any():
        raise ValueError(
            f"y_true has no outlier among its {len(is_outlier)} time steps, so that there is no "
            "event to find: give labels with events, or use false_alarms_per_unit."
        )
    return event_recall(is_outlier, is_flagged, breaks=breaks)


def event_precision_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    tolerance: int = 0,
    groups: ArrayLike | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
) -> float:
    """Return the share of the alarms in a series that touch an event.

    An event is a run of time steps labeled as outliers, an alarm a run of steps that are flagged.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,)
        The label of each time step.
    y_pred : array-like of shape (n_steps,)
        What a detector predicts: -1 for outliers, +1 for inliers.
    tolerance : int, default=0
        An alarm up to so many steps away from an event still touches it; the width of the windows
        of :class:`skae.WindowedOutlierDetector` is a choice.
    groups : array-like of shape (n_steps,), default=None
        The stretch each time step belongs to: no event reaches from one into another.
    inlier_label, outlier_label : scalar, default="auto"
        What `y_true` calls normal steps, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.

    Returns
    -------
    precision : float
        Within [0, 1]; 0 if there is no alarm.

    Raises
    ------
    ValueError
        If labels, predictions or `tolerance` are invalid.

    See Also
    --------
    event_recall_score : The share of the events that are found.

    Examples
    --------
    >>> from skae.metrics import event_precision_score
    >>> y_true, y_pred = [1, -1, -1, 1, 1, 1, 1, 1], [1, 1, -1, -1, 1, 1, -1, 1]
    >>> event_precision_score(y_true, y_pred)
    0.5
    >>> event_precision_score(y_true, y_pred, tolerance=4)
    1.0
    """
    is_outlier, is_flagged, breaks = _checked(y_true, y_pred, groups, inlier_label, outlier_label)
    is_near = _widened(is_outlier, tolerance, breaks)
    return event_precision(is_near, is_flagged, breaks=breaks)


def false_alarms_per_unit(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    steps_per_unit: float,
    tolerance: int = 0,
    groups: ArrayLike | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
) -> float:
    """Return how many false alarms there are per unit of normal time, such as a day.

    A false alarm is a run of flagged steps that touches no event.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,)
        The label of each time step.
    y_pred : array-like of shape (n_steps,)
        What a detector predicts: -1 for outliers, +1 for inliers.
    steps_per_unit : float
        How many time steps make up the unit of time: for alarms a day, 1,440 if a step is a minute.
    tolerance : int, default=0
        An alarm up to so many steps away from an event still touches it; the width of the windows
        of :class:`skae.WindowedOutlierDetector` is a choice.
    groups : array-like of shape (n_steps,), default=None
        The stretch each time step belongs to: no event reaches from one into another.
    inlier_label, outlier_label : scalar, default="auto"
        What `y_true` calls normal steps, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.

    Returns
    -------
    rate : float
        False alarms, over the number of steps labeled normal, times `steps_per_unit`.

    Raises
    ------
    ValueError
        If labels, predictions, `tolerance` or `steps_per_unit` are invalid, or no step is labeled
        normal.

    See Also
    --------
    event_recall_score : The share of the events that are found.

    Examples
    --------
    >>> from skae.metrics import false_alarms_per_unit
    >>> y_true, y_pred = [1, -1, -1, 1, 1, 1, 1, 1], [1, 1, -1, -1, 1, 1, -1, 1]
    >>> false_alarms_per_unit(y_true, y_pred, steps_per_unit=60)
    10.0
    """
    if not (isinstance(steps_per_unit, Real) and 0 < steps_per_unit < np.inf):
        raise ValueError(f"steps_per_unit must be a number above 0; got {steps_per_unit!r}.")
    is_outlier, is_flagged, breaks = _checked(y_true, y_pred, groups, inlier_label, outlier_label)
    if is_outlier.all():
        raise ValueError("y_true labels no time step normal, so that there is no normal time.")
    alarms = runs(is_flagged, breaks)
    n_false = np.count_nonzero(~_touches(alarms, _widened(is_outlier, tolerance, breaks)))
    return float(n_false / np.count_nonzero(~is_outlier) * steps_per_unit)


def _checked(y_true, y_pred, groups, inlier_label, outlier_label):
    """Return which steps are outliers, which are flagged, and where stretches begin."""
    check_consistent_length(y_true, y_pred, groups)
    predicted = column_or_1d(y_pred)
    if not np.isin(predicted, (1, -1)).all():
        raise ValueError(
            "y_pred must be what an outlier detector predicts, +1 for inliers and -1 for outliers; "
            f"got {np.unique(predicted)[:10].tolist()}."
        )
    breaks = ()
    if groups is not None:
        groups = column_or_1d(groups)
        breaks = 1 + np.flatnonzero(groups[1:] != groups[:-1])
    return ~inlier_mask(y_true, inlier_label, outlier_label), predicted == -1, breaks


def _touches(spans, flags):
    """Tell which spans of steps contain a true value."""
    before = np.r_[0, np.cumsum(flags)]
    return before[spans[:, 1]] > before[spans[:, 0]]


def _widened(flags, tolerance, breaks):
    """Return runs of true values widened on both sides, within their stretches."""
    if not isinstance(tolerance, Integral) or isinstance(tolerance, bool) or int(tolerance) < 0:
        raise ValueError(f"tolerance must be a whole number of steps >= 0; got {tolerance!r}.")
    edges = np.r_[0, breaks, len(flags)].astype(np.int64)
    widened = flags.copy()
    for start, stop in runs(flags, breaks):
        stretch = np.searchsorted(edges, start, side="right")
        first = max(start - int(tolerance), edges[stretch - 1])
        widened[first : min(stop + int(tolerance), edges[stretch])] = True
    return widened


def _refuse_weights(sample_weight):
    if sample_weight is not None:
        raise ValueError("Events have no weights: leave sample_weight out of event-wise metrics.")
