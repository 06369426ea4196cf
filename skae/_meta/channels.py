"""What each channel of a window adds to its error, where the detector of windows tells."""

import numpy as np

from skae._meta.delegation import split_pipeline
from skae._meta.sources import is_feature_wise
from skae._meta.steps import is_invertible, original_units, transformed

# Windows whose features decide whether the steps before a detector keep them apart.
_N_SAMPLE = 4


def tells_channels(estimator):
    """Tell whether the detector inside, fitted or not, has errors of single features."""
    detector = split_pipeline(estimator)[1]
    return hasattr(detector, "feature_errors") and hasattr(detector, "reconstruct")


def keeps_features(estimator, windows):
    """Tell whether each value of a window stays one on its way to the detector of windows."""
    transforms, _ = split_pipeline(estimator)
    rows = windows[:_N_SAMPLE]
    for transform in transforms:
        if not is_feature_wise(transform, rows):
            return False
        rows = np.asarray(transform.transform(rows))
    return is_invertible(transforms, rows)


def check_keeps_features(estimator, windows):
    """Refuse a detector of windows behind steps that mix the values of a window."""
    if not keeps_features(estimator, windows):
        raise ValueError(
            f"The steps before {type(split_pipeline(estimator)[1]).__name__} combine the values of "
            "a window or cannot be inverted, so that no channel can be told from the others: use "
            "steps that treat each value alone, such as scalers."
        )


def channel_errors(estimator, windows, n_channels):
    """Return the error of each channel of windows; their mean is the error of the window.

    Parameters
    ----------
    estimator : estimator
        A fitted detector of windows, or a pipeline that ends in one.
    windows : ndarray of shape (n_windows, width * n_channels)
        The windows, step after step.
    n_channels : int
        Features of a step.

    Returns
    -------
    errors : ndarray of shape (n_windows, n_channels), float64
    """
    transforms, detector = split_pipeline(estimator)
    errors = np.asarray(detector.feature_errors(transformed(transforms, windows)))
    return errors.reshape(len(windows), -1, n_channels).mean(axis=1)


def reconstructed(estimator, windows):
    """Return the reconstructions of windows, in their units."""
    transforms, detector = split_pipeline(estimator)
    inputs = transformed(transforms, windows)
    return original_units(transforms, inputs, detector.reconstruct(inputs))[1]
