"""The way through pipelines and meta-estimators to the detector inside."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skae.meta._inner import InnerDetectorMixin


def split_pipeline(estimator):
    """Return what a row passes on its way to the detector inside, and that detector.

    Pipelines, skae's meta-estimators, searches and frozen estimators are opened, whichever is in
    whichever.

    Parameters
    ----------
    estimator : estimator
        A fitted detector, or anything fitted with one inside.

    Returns
    -------
    transforms : list of transformer
        The fitted transformers before the detector, in the order in which X passes them.
    detector : estimator
        The detector; `estimator` itself where it is none of the above.
    """
    transforms = []
    while True:
        if isinstance(estimator, Pipeline):
            steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
            if not steps:
                return transforms, estimator
            transforms += steps[:-1]
            estimator = steps[-1]
            continue
        inner = _inside(estimator)
        if inner is None:
            return transforms, estimator
        estimator = inner


def _inside(estimator):
    if isinstance(estimator, InnerDetectorMixin):
        return estimator.estimator_
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)


def error_name(estimator):
    """Return what the errors of a fitted detector (minus its scores) are called on an axis."""
    _, detector = split_pipeline(estimator)
    if not hasattr(detector, "reconstruction_error"):
        return f"error (minus score_samples of {type(detector).__name__})"
    measure = getattr(detector, "error", None)
    return (
        f"reconstruction error ({measure})" if isinstance(measure, str) else "reconstruction error"
    )


def transformed(transforms, X):
    """Return X as the detector behind the transformers sees it."""
    for transform in transforms:
        X = transform.transform(X)
    return X


def inverted(transforms, values):
    """Return values from behind the transformers in the units before them."""
    for transform in reversed(transforms):
        values = transform.inverse_transform(values)
    return values


def is_invertible(transforms, values):
    """Tell whether what the transformers made of rows can be taken back to the rows' units.

    Having `inverse_transform` is not enough: SimpleImputer's may raise, FunctionTransformer's may
    do nothing. One that deserves the name leads to rows that the transformers turn into the same
    values again, even where the rows are not the first ones (PCA, clipping scalers).
    """
    if not all(hasattr(transform, "inverse_transform") for transform in transforms):
        return False
    try:
        with warnings.catch_warnings():
            # Only a trial: the rows come back without column names, a wrong inverse may overflow.
            warnings.simplefilter("ignore")
            again = np.asarray(transformed(transforms, inverted(transforms, values)))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    tolerance = 1e-3 * (1e-6 + np.abs(values).max(initial=0))
    return again.shape == values.shape and bool(np.all(np.abs(again - values) <= tolerance))
