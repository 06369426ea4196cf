"""The way through pipelines and meta-estimators to the detector inside."""

import numpy as np
from sklearn.pipeline import Pipeline

from skae._meta.delegation import inner_of, split_pipeline


def error_name(estimator):
    """Return the axis label for the errors (minus the scores) of a fitted detector."""
    _, detector = split_pipeline(estimator)
    if not hasattr(detector, "reconstruction_error"):
        return f"error (minus the score of {type(detector).__name__})"
    measure = getattr(detector, "error_", getattr(detector, "error", None))
    if measure == "combined":
        return "combined error"
    return (
        f"reconstruction error ({measure})" if isinstance(measure, str) else "reconstruction error"
    )


def kept_errors(estimator):
    """Return the `calibration_errors_` that a fitted detector keeps of its fit, or None."""
    while estimator is not None:
        # Its own: a meta-estimator of other scores offers those of the detector inside, too.
        if "calibration_errors_" in vars(estimator):
            return estimator.calibration_errors_
        is_pipeline = isinstance(estimator, Pipeline)
        estimator = estimator.steps[-1][1] if is_pipeline else inner_of(estimator)
    return None


def fitted_offset(estimator):
    """Return the `offset_` that decides in a fitted detector, or None where there is none."""
    while estimator is not None:
        if hasattr(estimator, "offset_"):
            return float(np.ravel(estimator.offset_)[0])  # OneClassSVM has an array
        is_pipeline = isinstance(estimator, Pipeline)
        estimator = estimator.steps[-1][1] if is_pipeline else inner_of(estimator)
    return None


def scores_and_labels(estimator, X):
    """Return what `score_samples` and `predict` return, in one pass where an offset decides."""
    scores = np.asarray(estimator.score_samples(X), dtype=np.float64)
    offset = fitted_offset(estimator)
    if offset is None:
        return scores, np.asarray(estimator.predict(X), dtype=np.int64)
    return scores, np.where(scores < offset, -1, 1)
