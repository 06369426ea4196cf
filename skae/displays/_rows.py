"""What several displays need of rows: errors, threshold, classes and labels."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skae._labels import inlier_mask
from skae._sklearn_compat import check_array, column_or_1d
from skae.displays._drawing import BLUE, VERMILION

# On a linear axis, errors with such a tail are a single lump: a few rows take up the rest.
_LONG_TAIL = 10.0
_MAX_ROWS = 25


def errors_of(estimator, X, caller):
    """Return the errors (minus the scores) that a fitted outlier detector finds in rows."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "score_samples"):
        raise TypeError(
            f"{type(estimator).__name__} has no `score_samples`: {caller} needs an "
            "outlier detector that scores new rows (LocalOutlierFactor does with novelty=True)."
        )
    return -column_or_1d(estimator.score_samples(X))


def threshold_of(estimator, X, errors):
    """Return minus the offset between `score_samples` and `decision_function`, or None."""
    if not hasattr(estimator, "decision_function"):
        return None
    decision = column_or_1d(estimator.decision_function(X))
    thresholds = errors + decision
    # Near the threshold the difference is exact, as `predict` computes it.
    threshold = thresholds[np.argmin(np.abs(decision))]
    rounding = 1e-5 * (np.abs(errors) + np.abs(threshold))
    return float(threshold) if np.all(np.abs(thresholds - threshold) <= rounding) else None


def checked_numbers(values, name) -> np.ndarray:
    """Return one finite number for each row, or raise."""
    return check_array(column_or_1d(values), dtype=np.float64, ensure_2d=False, input_name=name)


def checked_threshold(threshold):
    """Return a finite number or None."""
    if threshold is None:
        return None
    threshold = float(threshold)
    if not np.isfinite(threshold):
        raise ValueError(f"threshold must be a finite number or None, got {threshold}.")
    return threshold


def checked_labels(y, rows, inlier_label, outlier_label) -> Any:
    """Tell which rows are labeled normal; None without labels."""
    if y is None:
        return None
    check_consistent_length(rows, y)
    return inlier_mask(y, inlier_label, outlier_label)


def classes(is_inlier, n_rows):
    """Return label, rows and color of each class that has rows, outliers last."""
    if is_inlier is None:
        return [("rows", np.ones(n_rows, dtype=bool), BLUE)]
    both = ("inliers", is_inlier, BLUE), ("outliers", ~is_inlier, VERMILION)
    return [one for one in both if one[1].any()]


def label_column(is_inlier, index):
    """Return the labels as a column of `frame()`, missing values if there are none."""
    import pandas as pd

    label = None if is_inlier is None else np.where(is_inlier, "inlier", "outlier")
    return pd.Series(label, index=index, dtype="str")


def has_long_tail(errors):
    """Tell whether errors are better shown on a logarithmic axis."""
    return bool(errors.min() > 0 and errors.max() > _LONG_TAIL * np.median(errors))


def takes_log_axis(errors, threshold, log_x, advice=""):
    """Tell whether errors go on a logarithmic axis; raise if it cannot show them."""
    if log_x == "auto":
        return has_long_tail(errors) and (threshold is None or threshold > 0)
    if log_x and errors.min() <= 0:
        raise ValueError(
            "A logarithmic axis cannot show errors of zero or less, and "
            f"{np.count_nonzero(errors <= 0)} of {len(errors)} are: use log_x=False{advice}."
        )
    return bool(log_x)


def check_few_rows(X):
    """Raise if there are more rows than room for panels."""
    n_rows = (np.shape(X) or (0,))[0]
    if n_rows > _MAX_ROWS:
        raise ValueError(
            f"X has {n_rows} rows, and each gets a panel: give at most {_MAX_ROWS}, such as X[:3]."
        )
