"""Which rows a detector is trained on, and which ones set its threshold."""

from typing import Any, NamedTuple

import numpy as np

from skae._warnings import warn

# Below, no row can be spared.
MIN_ROWS = 20
# Below, training twice is cheaper than training on fewer rows.
_MIN_ROWS_TO_SPARE = 1000
_MAX_HELD_OUT = 4096
# Of an ensemble, so many rows are left out by a member each, if there are as many.
_MIN_LEFT_OUT = 100


class Calibration(NamedTuple):
    """Which rows a detector is trained on, and which ones set its threshold.

    Parameters
    ----------
    train_rows : ndarray of int
        The rows to train on, ascending.
    held_out : ndarray of int
        The rows whose errors set the threshold, ascending; none if the training rows do.
    refits : bool
        Whether what is trained on `train_rows` only sets the threshold, for a detector trained on
        all rows.
    left_out : ndarray of bool of shape (n_samples, n_members) or None
        Which rows a member is not trained on.
    """

    train_rows: np.ndarray
    held_out: np.ndarray
    refits: bool = False
    left_out: Any = None

    def is_like(self, other):
        """Tell whether another one spares as many rows of as many."""
        mine, others = (
            (len(each.train_rows), len(each.held_out), np.shape(each.left_out))
            for each in (self, other)
        )
        return mine == others


def all_rows(n_samples):
    """Return the calibration by the errors of the rows that a detector is trained on."""
    return Calibration(np.arange(n_samples), np.arange(0))


def unseen_rows(rule, n_samples, random, can_refit):
    """Return the calibration by a part of the rows, for a rule that needs such errors.

    Of few rows a fifth or more set the threshold, and all are trained on afterwards; of 1,000 rows
    or more a twentieth, at least 100, which are not trained on.

    Parameters
    ----------
    rule : ThresholdRule
        Says by `min_errors` how many errors it needs.
    n_samples : int
        How many rows there are.
    random : RandomState
        Draws the rows.
    can_refit : bool
        Whether training may be repeated.
    """
    if n_samples < MIN_ROWS:
        warn(
            f"Of {n_samples} rows none can be spared, so the threshold comes from the errors of "
            "rows trained on, which are smaller than those of new rows: expect more false alarms "
            f"than threshold={rule!r} promises. Give {MIN_ROWS} rows or more, or say with "
            "threshold= or contamination= where the threshold is to lie."
        )
        return all_rows(n_samples)
    is_small = n_samples < _MIN_ROWS_TO_SPARE
    share = n_samples // 5 if is_small else min(max(n_samples // 20, 100), _MAX_HELD_OUT)
    needed = getattr(rule, "min_errors", 0)
    # With no more than are needed, a single row decides, and the rate varies much.
    n_held_out = max(share, needed, min(2 * needed + 1, n_samples // 3))
    n_held_out = min(n_held_out, n_samples // 2)
    return drawn(n_held_out, n_samples, random)._replace(refits=is_small and can_refit)


def drawn(n_held_out, n_samples, random):
    """Return the calibration by so many rows, drawn at random."""
    order = random.permutation(n_samples)
    return Calibration(np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))


def left_out_by_members(rule, n_samples, n_members, random):
    """Return which rows each of several members is not trained on, for a rule that needs them.

    Of few rows each is left out by some members; of many, a twentieth are.

    Returns
    -------
    left_out : ndarray of bool, of shape (n_samples, n_members)
    """
    wanted = max(_MIN_LEFT_OUT, getattr(rule, "min_errors", 0), n_samples // 20)
    rows = random.permutation(n_samples)[: min(wanted, _MAX_HELD_OUT)]
    times = max(1, round(n_members / 4))
    members = (np.arange(len(rows))[:, None] + np.arange(times)) % n_members
    left_out = np.zeros((n_samples, n_members), dtype=bool)
    left_out[rows[:, None], members] = True
    return left_out
