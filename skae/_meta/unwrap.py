"""The way through pipelines and meta-estimators to the detector inside."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skae._meta.delegation import InnerDetectorMixin


def split_pipeline(estimator):
    """Return the transformers before the detector inside, and that detector.

    Pipelines, skae's meta-estimators, searches and frozen estimators are opened, in any nesting.

    Parameters
    ----------
    estimator : estimator
        A fitted detector, or anything fitted that contains one.

    Returns
    -------
    transforms : list of transformer
        The fitted transformers before the detector, in the order in which X passes through them.
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
        inner = inner_of(estimator)
        if inner is None:
            return transforms, estimator
        estimator = inner


def inner_of(estimator):
    """Return the estimator directly inside a meta-estimator, or None where there is none."""
    if isinstance(estimator, InnerDetectorMixin):
        return estimator.estimator_
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)


def error_name(estimator):
    """Return the axis label for the errors (minus the scores) of a fitted detector."""
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
    """Return transformed values in the units before the transformers."""
    for transform in reversed(transforms):
        values = transform.inverse_transform(values)
    return values


def is_invertible(transforms, values):
    """Tell whether transformed rows can be converted back to their original units.

    Having `inverse_transform` is not enough: SimpleImputer's may raise, FunctionTransformer's may
    do nothing. A real inverse leads to rows that are transformed into the same values again, even
    if they are not the original rows (PCA, clipping scalers).
    """
    if not all(hasattr(transform, "inverse_transform") for transform in transforms):
        return False
    try:
        with warnings.catch_warnings():
            # Only a trial: the rows have lost their column names, and a wrong inverse may overflow.
            warnings.simplefilter("ignore")
            again = np.asarray(transformed(transforms, inverted(transforms, values)))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    tolerance = 1e-3 * (1e-6 + np.abs(values).max(initial=0))
    return again.shape == values.shape and bool(np.all(np.abs(again - values) <= tolerance))


def is_feature_wise(transforms, values):
    """Tell whether invertible transformers compute each feature from the one at its position.

    Scalers do; PCA does not.
    """
    some = np.asarray(values, dtype=np.float64)[:4]
    others = some + 0.1 * (1 + np.abs(some))
    columns = np.arange(some.shape[1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back, others_back = (np.asarray(inverted(transforms, v)) for v in (some, others))
            if back.shape != some.shape:
                return False
            # The numbers of any two features differ in a binary digit: each pair is separated once.
            for digit in range(len(columns).bit_length()):
                is_other = (columns >> digit) % 2 == 1
                mixed = np.asarray(inverted(transforms, np.where(is_other, others, some)))
                expected = np.where(is_other, others_back, back)
                if not np.allclose(mixed, expected, rtol=1e-9, atol=0, equal_nan=True):
                    return False
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    return True


def original_units(transforms, inputs, reconstruction, *, feature_by_feature=False):
    """Convert rows and reconstructions back to the units before the transformers, if possible.

    Parameters
    ----------
    transforms : list of transformer
        As :func:`split_pipeline` returns them.
    inputs, reconstruction : array-like of shape (n_samples, n_features)
        Rows as the detector sees them, and their reconstructions.
    feature_by_feature : bool, default=False
        Whether each feature must remain the same one, as it does with scalers.

    Returns
    -------
    rows, reconstruction : ndarray, float64
        Converted back, or unchanged.
    is_inverted : bool
        Which of the two.
    """
    inputs = np.asarray(inputs)
    is_inverted = is_invertible(transforms, inputs)
    if feature_by_feature:
        is_inverted = is_inverted and is_feature_wise(transforms, inputs)
    pair = inputs, reconstruction
    if is_inverted:
        pair = (inverted(transforms, values) for values in pair)
    return *(np.asarray(values, dtype=np.float64) for values in pair), is_inverted


def fitted_offset(estimator):
    """Return the `offset_` that decides in a fitted detector, or None where there is none."""
    while estimator is not None:
        if hasattr(estimator, "offset_"):
            return float(np.ravel(estimator.offset_)[0])  # OneClassSVM has an array
        is_pipeline = isinstance(estimator, Pipeline)
        estimator = estimator.steps[-1][1] if is_pipeline else inner_of(estimator)
    return None
