"""Rows on their way through the transformers before a detector, and back."""

import warnings

import numpy as np


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
