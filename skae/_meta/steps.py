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
            back = inverted(transforms, values)
            np.asarray(back, dtype=np.float64)  # text cannot be reconstructed
            again = np.asarray(transformed(transforms, back))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    if again.shape != values.shape:
        return False
    tolerance = 1e-3 * (1e-6 + np.nanmax(np.abs(values), initial=0))
    is_same = (np.abs(again - values) <= tolerance) | (np.isnan(again) & np.isnan(values))
    return bool(np.all(is_same))


def original_units(transforms, inputs, reconstruction):
    """Convert rows and reconstructions back to the units before the transformers, if possible.

    Parameters
    ----------
    transforms : list of transformer
        As :func:`split_pipeline` returns them.
    inputs, reconstruction : array-like of shape (n_samples, n_features)
        Rows as the detector sees them, and their reconstructions.

    Returns
    -------
    rows, reconstruction : ndarray, float64
        Converted back, or unchanged.
    is_inverted : bool
        Which of the two.
    """
    inputs = np.asarray(inputs)
    is_inverted = is_invertible(transforms, inputs)
    pair = inputs, reconstruction
    if is_inverted:
        pair = (inverted(transforms, values) for values in pair)
    return *(np.asarray(values, dtype=np.float64) for values in pair), is_inverted
