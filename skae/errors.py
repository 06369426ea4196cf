"""Reconstruction errors: of each feature of a row, and of a row."""

import numpy as np

from skae._keras import load_keras

# Keras clips at its epsilon before it takes logarithms; the score follows the loss.
_MSLE_FLOOR = 1e-7


# Each is called with NumPy, or with keras.ops inside a graph, as the first argument.
def _squared(ops, X, reconstruction):
    return ops.square(X - reconstruction)


def _absolute(ops, X, reconstruction):
    return ops.abs(X - reconstruction)


def _squared_logarithmic(ops, X, reconstruction):
    X, reconstruction = (
        ops.log1p(ops.maximum(values, _MSLE_FLOOR)) for values in (X, reconstruction)
    )
    return ops.square(X - reconstruction)


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
    if isinstance(error, str):
        return NAMED_ERRORS[error](np, X.astype(np.float64), reconstruction.astype(np.float64))
    errors = np.asarray(error(X, reconstruction), dtype=np.float64)
    if errors.shape != X.shape:
        raise ValueError(
            f"error={error!r} must return an array of the shape of X, {X.shape}: one error for "
            f"each feature of each row; got shape {errors.shape}."
        )
    return errors


def row_errors(error, X, reconstruction):
    """Return the error of each row: the mean of the errors of its features."""
    return feature_errors(error, X, reconstruction).mean(axis=1)


def mean_feature_errors(errors):
    """Return the mean over rows of the errors of each feature; infinity where none is finite."""
    is_finite = np.isfinite(errors)
    counts = is_finite.sum(axis=0)
    sums = np.sum(errors, axis=0, where=is_finite)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def row_errors_in_graph(error, X, reconstruction):
    """Return the error of each row as a float64 tensor, by the name of the measure."""
    ops = load_keras().ops
    X, reconstruction = (ops.cast(values, "float64") for values in (X, reconstruction))
    return ops.mean(NAMED_ERRORS[error](ops, X, reconstruction), axis=-1)
