"""Reconstruction errors: of each feature of a row, and of a row."""

import numpy as np

# Keras clips at its epsilon before it takes logarithms; the score follows the loss.
_MSLE_FLOOR = 1e-7


def _squared(X, reconstruction):
    return np.square(np.subtract(X, reconstruction, dtype=np.float64))


def _absolute(X, reconstruction):
    return np.abs(np.subtract(X, reconstruction, dtype=np.float64))


def _squared_logarithmic(X, reconstruction):
    X, reconstruction = (
        np.log1p(np.maximum(values, _MSLE_FLOOR, dtype=np.float64))
        for values in (X, reconstruction)
    )
    return np.square(X - reconstruction)


NAMED_ERRORS = {"mae": _absolute, "mse": _squared, "msle": _squared_logarithmic}


def feature_errors(error, X, reconstruction):
    """Return the error of each feature of each row; their mean is the error of the row.

    Parameters
    ----------
    error : {"mae", "mse", "msle"} or callable
        A callable is called with `X` and `reconstruction` and returns an array of their shape.
    X, reconstruction : ndarray of shape (n_samples, n_features)
        The rows and what the network made of them.

    Returns
    -------
    errors : ndarray of shape (n_samples, n_features), float64

    Raises
    ------
    ValueError
        If a callable returns an array of another shape.
    """
    measure = NAMED_ERRORS.get(error, error) if isinstance(error, str) else error
    errors = np.asarray(measure(X, reconstruction), dtype=np.float64)
    if errors.shape != X.shape:
        raise ValueError(
            f"error={error!r} must return an array of the shape of X, {X.shape}: one error for "
            f"each feature of each row; got shape {errors.shape}."
        )
    return errors


def row_errors(error, X, reconstruction):
    """Return the error of each row: the mean of the errors of its features."""
    return feature_errors(error, X, reconstruction).mean(axis=1)
