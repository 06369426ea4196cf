"""The combined error: three ways in which a row may be unlike those that a network was trained on.

A network trained on rows with anomalies among them reconstructs these as well, by codes that lie
far from all others; and a network may reconstruct what it has never seen. So two more parts are
added to the error of the reconstruction: how unlike the row is to the known row with the nearest
code, and how far its code lies from the codes of the training rows.
"""

from typing import Any, NamedTuple

import numpy as np

from skae._errors import NAMED_ERRORS, feature_errors
from skae._products import matmul_by_rows

PARTS = ("reconstruction", "memory", "latent")
# Of training rows. On 18 sets, twice as many gain 0.001 in mean ROC-AUC on new data, and cost 0.011
# where there are anomalies among the training rows.
MAX_CODES = 128
# What the parts count, once each is relative to its mean over the training rows.
_WEIGHTS = np.array([1.0, 1.0, 0.5])
# What they count for a network trained without half of the rows: it has not seen the anomalies, so
# that it reconstructs them badly, while their codes may be anywhere.
_WEIGHTS_TRIMMED = np.array([1.0, 0.0, 0.0])
# Added to the variances of standardized codes, so that one that never varies does not dominate.
_RIDGE = 1e-3
# A mean error that is smaller, relative to the mean square of the rows, is rounding.
_ROUNDING = 1e-12


class View(NamedTuple):
    """What a model makes of rows.

    Parameters
    ----------
    reconstruction : ndarray of shape (n_samples, n_features)
    code : ndarray of shape (n_samples, n_codes) or None
        The latent codes, where the error needs them.
    """

    reconstruction: np.ndarray
    code: Any = None


class CombinedError:
    """The combined error of a row.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Training rows.
    view : View
        What the model makes of them.
    sample_weight : ndarray of shape (n_samples,)
        How much each counts in means and covariances.
    kept : ndarray of int
        The positions of the rows whose codes are kept.
    decode : callable
        From codes to rows.
    trim : float, default=0.0
        The share of rows, in [0, 0.5], that training has left out.

    Attributes
    ----------
    weights : ndarray of shape (3,)
        What each part counts.
    nominal : float
        Their sum: the mean error of the training rows.
    usual : ndarray of shape (3,)
        The mean of each part over the training rows, each without its own code.
    location, scale : ndarray of shape (n_codes,), float32
        Mean and standard deviation of the codes of the training rows, which standardize others.
    whitening : ndarray of shape (n_codes, n_codes), float32
        Turns standardized codes into ones whose squared length is their distance.
    kept_codes : ndarray of shape (n_codes, n_codes_kept), float32
        The codes that are kept, standardized.
    half_norms : ndarray of shape (n_codes_kept,), float32
        Half of their squared lengths.
    known_rows : ndarray of shape (n_codes_kept, n_features)
        What the model makes of the codes that are kept.
    """

    def __init__(self, X, view, sample_weight, kept, decode, trim=0.0):
        self.weights = (1 - 2 * trim) * _WEIGHTS + 2 * trim * _WEIGHTS_TRIMMED
        self.nominal = self.weights.sum()
        codes = view.code.astype(np.float64)
        location = np.average(codes, axis=0, weights=sample_weight)
        variances = np.average(np.square(codes - location), axis=0, weights=sample_weight)
        scale = np.where(variances > 0, np.sqrt(variances), 1.0)
        self.location, self.scale = location.astype(np.float32), scale.astype(np.float32)
        standardized = self._standardized(view.code)
        self.whitening = _whitening(standardized, sample_weight)
        self.kept_codes = np.ascontiguousarray(standardized[kept].T)
        self.half_norms = np.square(self.kept_codes).sum(axis=0) / 2
        *known, center = decode(np.vstack([view.code[kept], self.location]))
        self.known_rows, self._center = np.array(known), center
        parts = self._raw_parts(X, view, (kept, np.arange(len(kept))))
        usual = np.average(parts, axis=0, weights=sample_weight)
        floor = _ROUNDING * np.nanmean(np.square(X, dtype=np.float64))
        self.usual = np.where(usual > [floor, floor, 0], usual, 1.0)

    def parts(self, X, view, own=None):
        """Return the parts of the error of each row, whose sum is the error.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The rows.
        view : View
            What the model makes of them.
        own : tuple of two arrays of int, default=None
            Positions of rows, and of kept codes that these rows may not use, being their own.

        Returns
        -------
        parts : ndarray of shape (n_samples, 3), float64
        """
        return self._raw_parts(X, view, own) * (self.weights / self.usual)

    def row_errors(self, X, view, own=None):
        """Return the error of each row."""
        return np.add.reduce(self.parts(X, view, own), axis=1)

    def feature_errors(self, X, view, own=None):
        """Return the error of each feature of each row; their mean is the error of the row.

        The distance of the code is shared among the features as far as it moves them: by the
        square of what the reconstruction differs from that of the mean code.
        """
        squares, known, distances = self._raw_features(X, view, own)
        weights = self.weights / self.usual
        with _no_float_warnings():
            is_present = ~np.isnan(X)
            moved = NAMED_ERRORS["mse"](view.reconstruction, self._center) * is_present
            total = np.add.reduce(moved, axis=1)[:, None]
            even = is_present / is_present.sum(axis=1, keepdims=True)
            shares = np.divide(moved, total, out=even, where=np.isfinite(total) & (total > 0))
            latent = shares * (weights[2] * X.shape[1] * distances)[:, None]
            return weights[0] * squares + weights[1] * known + latent

    def nearest(self, code):
        """Return the known row with the code nearest to each code."""
        return self.known_rows[self._nearest(self._standardized(code), None)]

    def _raw_parts(self, X, view, own):
        squares, known, distances = self._raw_features(X, view, own)
        means = [np.add.reduce(each, axis=1) / X.shape[1] for each in (squares, known)]
        return np.stack([*means, distances], axis=1)

    def _raw_features(self, X, view, own):
        standardized = self._standardized(view.code)
        known = self.known_rows[self._nearest(standardized, own)]
        with _no_float_warnings():
            white = _by_rows(standardized, self.whitening)
            distances = np.add.reduce(np.square(white, dtype=np.float64), axis=1)
            squares = feature_errors("mse", X, view.reconstruction)
            return squares, feature_errors("mse", X, known), distances

    def _standardized(self, code):
        with _no_float_warnings():
            return (np.ascontiguousarray(code, dtype=np.float32) - self.location) / self.scale

    def _nearest(self, standardized, own):
        # The largest is where the distance, a sum of squares, is smallest.
        with _no_float_warnings():
            closeness = _by_rows(standardized, self.kept_codes) - self.half_norms
        if own is not None:
            closeness[own] = -np.inf
        return closeness.argmax(axis=1)


def _whitening(codes, sample_weight):
    """Return a matrix that turns codes into ones whose squared length is their distance."""
    covariance = np.atleast_2d(np.cov(codes, rowvar=False, bias=True, aweights=sample_weight))
    values, vectors = np.linalg.eigh(covariance + _RIDGE * np.eye(len(covariance)))
    return (vectors / np.sqrt(values)).astype(np.float32)


def _by_rows(values, matrix):
    return matmul_by_rows(values[:, None, :], matrix)[:, 0, :]


def _no_float_warnings():
    # Rows far from all others may come out as infinity or NaN.
    return np.errstate(all="ignore")
