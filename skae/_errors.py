"""The error of a row: named measures, and those that learn the typical residuals."""

import numpy as np

from skae._products import matmul_by_rows

# Keras clips at its epsilon before taking logarithms; the score follows the loss.
MSLE_FLOOR = 1e-7
# Added, as a share of the mean squared residual, so that a constant feature does not dominate.
_MIN_SHARE = 1e-3


def _squared(X, reconstruction):
    return np.square(_difference(X, reconstruction))


def _absolute(X, reconstruction):
    return np.abs(_difference(X, reconstruction))


def _squared_logarithmic(X, reconstruction):
    logarithms = (
        np.log1p(np.maximum(values, MSLE_FLOOR, dtype=np.float64)) for values in (X, reconstruction)
    )
    return np.square(np.subtract(*logarithms))


NAMED_ERRORS = {"mae": _absolute, "mse": _squared, "msle": _squared_logarithmic}


class StandardizedError:
    """Squared residuals over each feature's own mean squared residual.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network should reconstruct well.

    Attributes
    ----------
    scale : ndarray of shape (n_features,)
        What the squares are divided by.
    """

    def __init__(self, residuals):
        squares = np.square(_two_or_more(residuals), dtype=np.float64).mean(axis=0)
        self.scale = _safe(squares + _MIN_SHARE * squares.mean())

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row."""
        return np.square(_difference(X, reconstruction)) / self.scale


class MahalanobisError:
    """Squared residuals after whitening: their mean is the Mahalanobis distance over n_features.

    The covariance is shrunk after Ledoit and Wolf (2004), so that fewer rows than features are
    enough; whitening by the symmetric root (ZCA) keeps a part of the error for each feature.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network should reconstruct well.

    Attributes
    ----------
    location : ndarray of shape (n_features,)
        The mean residuals.
    whitening : ndarray of shape (n_features, n_features)
        What residuals less their means are multiplied by.
    """

    def __init__(self, residuals):
        # Imported here, because it also imports scikit-learn's linear models.
        from sklearn.covariance import LedoitWolf

        residuals = np.asarray(_two_or_more(residuals), dtype=np.float64)
        self.location = residuals.mean(axis=0)
        values, vectors = np.linalg.eigh(LedoitWolf().fit(residuals).covariance_)
        values = _safe(np.maximum(values, 0) + _MIN_SHARE * np.maximum(values, 0).mean())
        self.whitening = (vectors / np.sqrt(values)) @ vectors.T

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row."""
        with np.errstate(invalid="ignore"):  # infinities of both signs may meet
            residuals = _difference(X, reconstruction) - self.location
            # Row by row, so that no bit of a row's error depends on the other rows.
            return np.square(matmul_by_rows(residuals[:, None, :], self.whitening)[:, 0, :])


class ReconstructionProbability:
    """Squared residuals over each feature's mean one, averaged over codes drawn for a row.

    Up to constants it is minus the reconstruction probability of An and Cho (2015): the mean
    logarithm of the density of the row given the decoded codes, a Gaussian with one variance per
    feature.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network should reconstruct well, each with several codes.

    Attributes
    ----------
    of_draw : StandardizedError
        The error by one code.
    """

    # It is called with reconstructions from drawn codes, not from the one code of a row.
    needs_draws = True

    def __init__(self, residuals):
        self.of_draw = StandardizedError(residuals)

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row, whose codes are the second axis, if any."""
        draws = np.moveaxis(reconstruction.reshape(len(X), -1, X.shape[1]), 1, 0)
        return sum(self.of_draw(X, draw) for draw in draws) / len(draws)


# Fitted to the residuals of some rows before they are called.
LEARNED_ERRORS = {
    "mahalanobis": MahalanobisError,
    "reconstruction_probability": ReconstructionProbability,
    "standardized": StandardizedError,
}
_LEARNED_TYPES = tuple(LEARNED_ERRORS.values())
# Offered by every detector; the others belong to an architecture.
COMMON_ERRORS = (*NAMED_ERRORS, "mahalanobis", "standardized")


def fitted_error(error, X, reconstruction):
    """Return `error` as `feature_errors` takes it: fitted to residuals if it learns from them.

    Parameters
    ----------
    error : str or callable
        A name of `NAMED_ERRORS` or `LEARNED_ERRORS`, or a function.
    X : ndarray of shape (n_samples, n_features)
        Rows that the network should reconstruct well.
    reconstruction : ndarray of shape (n_samples, n_features) or (n_samples, n_draws, n_features)
        Their reconstructions, one or several each.
    """
    if not isinstance(error, str) or error not in LEARNED_ERRORS:
        return error
    residuals = X[:, None] - reconstruction.reshape(len(X), -1, X.shape[1])
    residuals = _without_gaps(residuals.reshape(-1, X.shape[1]), np.isnan(X))
    return LEARNED_ERRORS[error](residuals[np.isfinite(residuals).all(axis=1)])


def needs_draws(error):
    """Tell whether an error, by its name or fitted, is called with several draws for each row."""
    learned = LEARNED_ERRORS.get(error, error) if isinstance(error, str) else error
    return getattr(learned, "needs_draws", False)


def _without_gaps(residuals, is_missing):
    """Return residuals with zero in missing cells, and the variances of those that are there."""
    if not is_missing.any():
        return residuals
    share = np.maximum(1 - is_missing.mean(axis=0), 1 / len(is_missing))
    n_draws = len(residuals) // len(is_missing)
    return np.where(is_missing.repeat(n_draws, axis=0), 0, residuals / np.sqrt(share))


def feature_errors(error, X, reconstruction):
    """Return the error of each feature of each row; their mean is the error of the row.

    That is the mean over the cells that are there: a missing one has no error, and the others of
    the row count more. The errors of a row without any are NaN.

    Parameters
    ----------
    error : str or callable
        A name of `NAMED_ERRORS`, what `fitted_error` returns, or a function of `X` and
        `reconstruction` that returns an array of their shape.
    X, reconstruction : ndarray of shape (n_samples, n_features)
        The rows and their reconstructions, both contiguous, so that the features of a row are
        summed in the same order regardless of the other rows.

    Returns
    -------
    errors : ndarray of shape (n_samples, n_features), float64

    Raises
    ------
    ValueError
        If a callable writes into the rows, or returns an array of another shape, NaN for finite
        rows, or negative or complex errors.
    """
    is_missing = np.isnan(X)
    if not is_missing.any():
        return _complete_feature_errors(error, X, reconstruction)
    stand_ins = reconstruction.reshape(len(X), -1, X.shape[1])[:, 0]
    filled = np.where(is_missing, stand_ins, X)
    return of_present(_complete_feature_errors(error, filled, reconstruction), is_missing)


def of_present(errors, is_missing):
    """Return errors of features without those of missing cells, with the means of the others."""
    with np.errstate(divide="ignore", invalid="ignore"):
        counts_more = errors.shape[1] / (~is_missing).sum(axis=1, keepdims=True)
        return np.where(is_missing, 0, errors) * counts_more


def _complete_feature_errors(error, X, reconstruction):
    if isinstance(error, str):
        return NAMED_ERRORS[error](X, reconstruction)
    if isinstance(error, _LEARNED_TYPES):
        return np.ascontiguousarray(error(X, reconstruction))
    errors = _checked(error, _returned(error, X, reconstruction), X.shape)
    unfit = np.isnan(errors) & np.isfinite(X) & np.isfinite(reconstruction)
    if unfit.any():
        raise ValueError(
            f"error={error!r} must return numbers; got NaN for {unfit.any(axis=1).sum()} of "
            f"{len(X)} rows that are finite, and whose reconstructions are: look for a division "
            "by zero, or a root or logarithm of negative numbers."
        )
    return errors


def _returned(error, X, reconstruction):
    """Return what a function of the user's returns, as an array; it cannot change the rows."""
    try:
        return np.asarray(error(_read_only(X), _read_only(reconstruction)))
    except Exception as caught:
        if isinstance(caught, ValueError) and "read-only" in str(caught):
            raise ValueError(
                f"error={error!r} wrote into the rows or their reconstructions, which are "
                f"read-only ({caught}): let it return a new array, or write into a copy, X.copy()."
            ) from caught
        caught.add_note(f"skae called error={error!r} with rows of shape {X.shape}.")
        raise


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def _checked(error, errors, shape):
    """Return what a function of the user's returned as errors, or refuse it."""
    if errors.shape != shape:
        raise ValueError(
            f"error={error!r} must return an array of the shape of X, {shape}: one error for "
            f"each feature of each row; got shape {errors.shape}."
        )
    if errors.dtype.kind not in "biufO":
        raise ValueError(
            f"error={error!r} must return real numbers, one error for each feature of each row; "
            f"got the dtype {errors.dtype}. Of complex numbers, take the absolute value."
        )
    errors = np.ascontiguousarray(errors, dtype=np.float64)
    if (errors < 0).any():
        raise ValueError(
            f"error={error!r} must return errors, which are zero or above and larger for worse "
            f"reconstructions; got {errors[errors < 0].min():.4g}. Return the absolute value or "
            "the square of the difference."
        )
    return errors


def row_errors(error, X, reconstruction):
    """Return the error of each row: the mean of the errors of its features."""
    # The mean, without the overhead of numpy.mean that counts for a single row.
    return np.add.reduce(feature_errors(error, X, reconstruction), axis=1) / X.shape[1]


def mean_feature_errors(errors, X=None):
    """Return the mean error of each feature over rows; infinity where none is finite.

    Where cells are missing in the rows X, only those that have the feature count.
    """
    is_finite = np.isfinite(errors)
    if X is not None:
        is_finite &= ~np.isnan(X)
    counts = is_finite.sum(axis=0)
    sums = np.sum(errors, axis=0, where=is_finite)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def _two_or_more(residuals):
    """Return residuals, a single row twice; zeros if there are none."""
    return residuals if len(residuals) > 1 else np.resize(residuals, (2, residuals.shape[1]))


def _difference(X, reconstruction):
    return np.subtract(X, reconstruction, dtype=np.float64)


def _safe(scale):
    """Return a scale to divide by: one where it is zero."""
    return np.where(scale > 0, scale, 1.0)
