"""What a label means: the one place that interprets y."""

from numbers import Real

import numpy as np
from sklearn.utils import column_or_1d


def inlier_mask(y, inlier_label="auto", outlier_label="auto") -> np.ndarray:
    """Tell which rows are labeled normal.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels. Values within {+1, -1} are scikit-learn's coding: +1 is an inlier.
    inlier_label, outlier_label : scalar, default="auto"
        At most one of them names the label of inliers (all else is an outlier) or of outliers
        (all else is an inlier). Needed for every coding except scikit-learn's.

    Returns
    -------
    is_inlier : ndarray of shape (n_samples,), dtype=bool

    Raises
    ------
    ValueError
        If both labels are named, the named label does not occur, y has missing values, or no label
        is named and the coding is not scikit-learn's.
    """
    import pandas as pd

    labels = column_or_1d(y)
    if pd.isna(labels).any():
        raise ValueError("y has missing values: drop those rows, or give them a label.")
    # As Python objects: NumPy would take the string "1" for the number.
    distinct = list(dict.fromkeys(labels.tolist()))
    named_inlier, named_outlier = not is_auto(inlier_label), not is_auto(outlier_label)
    if named_inlier and named_outlier:
        raise ValueError(
            "Name one label, the other follows from it: got both "
            f"inlier_label={inlier_label!r} and outlier_label={outlier_label!r}."
        )
    if named_inlier:
        _check_occurs(inlier_label, distinct, "inlier_label")
        return _equal(labels, inlier_label)
    if named_outlier:
        # A clean training set has no outliers; but two other labels reveal a misspelled one.
        if len(distinct) > 1:
            _check_occurs(outlier_label, distinct, "outlier_label")
        return ~_equal(labels, outlier_label)
    if not all(_is_sklearn_label(label) for label in distinct):
        raise ValueError(
            f"y has the labels {_shown(distinct)}, which do not say what is normal: name one with "
            "inlier_label=... or outlier_label=... in whatever reads y (FitOnInliers, "
            "ThresholdedOutlierDetector, scorers, folds and displays each take them), or use "
            f"scikit-learn's coding, +1 for inliers and -1 for outliers.{_renaming(distinct)}"
        )
    return labels == 1


def is_auto(label):
    """Tell whether a label follows scikit-learn's coding."""
    return isinstance(label, str) and label == "auto"


def _is_sklearn_label(label):
    return isinstance(label, Real) and not isinstance(label, bool) and label in (1, -1)


def _check_occurs(label, distinct, parameter):
    if label not in distinct:
        raise ValueError(
            f"{parameter}={label!r} does not occur in y, which has the labels {_shown(distinct)}."
            f"{_renaming(distinct)}"
        )


def _renaming(distinct):
    """Return where labels of 0 and 1 may come from, or an empty string for other labels."""
    if not all(type(label) is int and label in (0, 1) for label in distinct):
        return ""
    return (
        " If your own y has other labels, scikit-learn has renamed them on the way: "
        "cross_val_predict (for all methods but predict), stacking and bagging of classifiers pass "
        "on 0 and 1. skae.model_selection.cross_val_scores scores rows out of fold with the labels "
        "as they are."
    )


def _equal(labels, label):
    # NumPy compares a string with numbers as one False, not as one for each row.
    return np.broadcast_to(np.asarray(labels == label, dtype=bool), labels.shape)


def _shown(distinct):
    shown = ", ".join(repr(label) for label in distinct[:10])
    return f"{{{shown}{', ...' if len(distinct) > 10 else ''}}}"
