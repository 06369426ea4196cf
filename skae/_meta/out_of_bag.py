"""The errors of an ensemble's rows by those members that were trained without them."""

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skae._detectors.ensemble import AutoencoderEnsembleOutlierDetector, leaves_out_rows
from skae._meta.delegation import InnerDetectorMixin, split_pipeline
from skae._meta.steps import transformed
from skae.thresholds import FalsePositiveRate


def check_out_of_bag(estimator, n_samples):
    """Refuse, before training, what will have no out-of-bag errors, as far as can be told."""
    detector, is_frozen = _last_inside(estimator)
    if not isinstance(detector, AutoencoderEnsembleOutlierDetector):
        raise ValueError(
            "calibration='oob' needs an AutoencoderEnsembleOutlierDetector, whose members leave "
            "out some of the rows, or a pipeline that ends in one; got "
            f"{type(detector).__name__}: give such an ensemble, or calibration='split'."
        )
    # What is trained already may have been so with other parameters, and on other rows.
    if not is_frozen and not leaves_out_rows(detector, n_samples):
        raise _no_row_left_out(detector, n_samples)


def leaving_out_all(estimator, n_samples):
    """Return a clone of an estimator whose ensemble is to leave out each row by some member."""
    estimator = clone(estimator)
    detector, is_frozen = _last_inside(estimator)
    if not is_frozen:
        # For its default threshold it would spare few of many rows. So small a rate needs all.
        detector.set_params(threshold=FalsePositiveRate(1 / (n_samples + 1), confidence=None))
    return estimator


def out_of_bag_errors(estimator, n_samples):
    """Return the out-of-bag errors of a fitted ensemble, by who left the rows out.

    Parameters
    ----------
    estimator : estimator
        The ensemble, or something fitted that contains it.
    n_samples : int
        How many rows it was given.

    Returns
    -------
    groups : list of tuple (members, errors)
        The positions of the members that left out a row, and the errors of all rows that these
        members left out, the smallest first.
    """
    _, detector = split_pipeline(estimator)
    if not hasattr(detector, "oob_score_samples_"):
        raise _no_row_left_out(detector, n_samples)
    errors = -detector.oob_score_samples_
    left_out = np.ones((len(errors), len(detector.estimators_samples_)), dtype=bool)
    for member, rows in enumerate(detector.estimators_samples_):
        left_out[rows, member] = False
    has_error = left_out.any(axis=1)
    left_out, errors = left_out[has_error], errors[has_error]
    masks, group_of_row = np.unique(left_out, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(mask), np.sort(errors[group_of_row.ravel() == group]))
        for group, mask in enumerate(masks)
    ]


def errors_by_members(estimator, X, groups):
    """Return the mean errors of new rows by the members of each group, one column per group."""
    transforms, detector = split_pipeline(estimator)
    errors = -detector.member_scores(transformed(transforms, X))
    return np.stack([errors[:, members].mean(axis=1) for members, _ in groups], axis=1)


def _last_inside(estimator):
    """Return the detector inside what need not be fitted, and whether it is frozen."""
    is_frozen = False
    while True:
        is_frozen = is_frozen or isinstance(estimator, FrozenEstimator)
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, (InnerDetectorMixin, FrozenEstimator)):
            estimator = estimator.estimator
        else:
            return estimator, is_frozen


def _no_row_left_out(detector, n_samples):
    names = ("n_estimators", "threshold", "contamination", "validation_fraction")
    actual = ", ".join(f"{name}={getattr(detector, name)!r}" for name in names)
    return ValueError(
        "calibration='oob' needs an ensemble whose members leave out some of the rows: with "
        "n_estimators=3 or more, threshold='auto' or 'fpr', contamination='auto', "
        "validation_fraction=0, and 20 rows or more (with a weight), which take up at most 64 MiB "
        f"in float32; got {actual} and n_samples={n_samples}. Change what differs, or give "
        "calibration='split'."
    )
