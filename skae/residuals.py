"""Errors that know the residual: how far each feature, or all together, usually strays."""

import numpy as np

# Of a feature's share of the mean squared residual: one that never strays must not rule the rest.
_LEAST_SHARE = 1e-3


class StandardizedError:
    """Squared residuals over each feature's own mean squared residual.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network reconstructs as it should.
    """

    def __init__(self, residuals):
        squares = np.square(_two_or_more(residuals), dtype=np.float64).mean(axis=0)
        self._scale = _safe(squares + _LEAST_SHARE * squares.mean())

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row."""
        return np.square(_difference(X, reconstruction)) / self._scale


class MahalanobisError:
    """Squared residuals after whitening: their mean is the Mahalanobis distance over n_features.

    The covariance is shrunk as Ledoit and Wolf (2004) do, so that there are no more rows than
    features needed; whitening by the symmetric root (ZCA) leaves each feature its own part.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network reconstructs as it should.
    """

    def __init__(self, residuals):
        # Here, because it brings scikit-learn's linear models along.
        from sklearn.covariance import LedoitWolf

        residuals = np.asarray(_two_or_more(residuals), dtype=np.float64)
        self._location = residuals.mean(axis=0)
        values, vectors = np.linalg.eigh(LedoitWolf().fit(residuals).covariance_)
        values = _safe(np.maximum(values, 0) + _LEAST_SHARE * np.maximum(values, 0).mean())
        self._whitening = (vectors / np.sqrt(values)) @ vectors.T

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row."""
        with np.errstate(invalid="ignore"):  # infinities of both signs may meet
            return np.square((_difference(X, reconstruction) - self._location) @ self._whitening)


class ReconstructionProbability:
    """Squared residuals over each feature's usual one, averaged over codes drawn for a row.

    Up to constants it is minus the reconstruction probability of An and Cho (2015): the mean
    logarithm of the density of the row under what the decoder makes of the codes, a Gaussian with
    one variance a feature.

    Parameters
    ----------
    residuals : ndarray of shape (n_samples, n_features)
        Of rows that the network reconstructs as it should, each with several codes.
    """

    def __init__(self, residuals):
        self._error = StandardizedError(residuals)

    def __call__(self, X, reconstruction):
        """Return the error of each feature of each row, whose codes are the second axis, if any."""
        draws = np.moveaxis(reconstruction.reshape(len(X), -1, X.shape[1]), 1, 0)
        return sum(self._error(X, draw) for draw in draws) / len(draws)


RESIDUAL_ERRORS = {"mahalanobis": MahalanobisError, "standardized": StandardizedError}


def _two_or_more(residuals):
    """Return residuals, a lone row of them twice; zeros where there are none."""
    return residuals if len(residuals) > 1 else np.resize(residuals, (2, residuals.shape[1]))


def _difference(X, reconstruction):
    return np.subtract(X, reconstruction, dtype=np.float64)


def _safe(scale):
    """Return a scale to divide by: one where nothing strays at all."""
    return np.where(scale > 0, scale, 1.0)
