"""Missing cells: what a network sees in their place, and what is usual beside them.

A missing cell is NaN. The network sees the mean of the column; in the loss and in the errors
nothing stands in for it, as both are means over the cells that are there.
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

_ROWS_AT_ONCE = 8192


class PresentCells:
    """Which cells of rows are there, and their means.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The rows, in memory or on disk.

    Attributes
    ----------
    counts : ndarray of shape (n_features,)
        How many values each column has.
    means : ndarray of shape (n_features,), float32
        Their means; zero for a column without any.
    has_gaps : ndarray of bool of shape (n_features,)
        Which columns lack values.
    n_empty_rows : int
        How many rows have no value at all.
    """

    def __init__(self, X):
        sums = np.zeros(X.shape[1])
        self.counts = np.full(X.shape[1], len(X))
        self.n_empty_rows = 0
        for batch in gen_batches(len(X), _ROWS_AT_ONCE):
            rows = np.asarray(X[batch])
            is_missing = np.isnan(rows)
            if is_missing.any():
                self.counts -= is_missing.sum(axis=0)
                self.n_empty_rows += np.count_nonzero(is_missing.all(axis=1))
                rows = np.where(is_missing, 0, rows)
            sums += rows.sum(axis=0, dtype=np.float64)
        self.means = (sums / np.maximum(self.counts, 1)).astype(np.float32)
        self.has_gaps = self.counts < len(X)


class KnownGaps(NamedTuple):
    """What a network is to know of missing cells, where it is not learned from the rows at hand.

    Parameters
    ----------
    means : ndarray of shape (n_features,), float32
        What it sees in their place.
    has_gaps : ndarray of bool of shape (n_features,)
        Which columns lacked values so far.
    """

    means: np.ndarray
    has_gaps: np.ndarray


class FillingForward:
    """The forward passes of an engine, given the means of columns in place of missing cells.

    Parameters
    ----------
    engine : Forward or KerasForward
        The forward passes, which need complete rows.
    means : ndarray of shape (n_features,), float32
        Of the columns.
    """

    def __init__(self, engine, means):
        self.engine = engine
        self._means = means
        self.decode = engine.decode

    @property
    def batching(self):
        """How many rows to give at once, and how many threads may do so."""
        return self.engine.batching

    def reconstruct(self, X):
        """Return the reconstruction of each row, by each member if there are several."""
        return self.engine.reconstruct(self._filled(X))

    def encode_and_reconstruct(self, X):
        """Return the latent code and the reconstruction of each row."""
        return self.engine.encode_and_reconstruct(self._filled(X))

    def encode(self, X):
        """Return the latent code of each row."""
        return self.engine.encode(self._filled(X))

    def draws(self, X):
        """Return the rows decoded from codes drawn for each row, the draws as second axis."""
        return self.engine.draws(self._filled(X))

    def _filled(self, X):
        is_missing = np.isnan(X)
        return np.where(is_missing, self._means, X) if is_missing.any() else X


def extremes(X, axis=None):
    """Return the smallest and the largest value; NaN where there is none."""
    return np.fmin.reduce(X, axis=axis), np.fmax.reduce(X, axis=axis)


def deviations(X):
    """Return the standard deviation of each column; zero where there is no value."""
    is_missing = np.isnan(X)
    if not is_missing.any():
        return X.std(axis=0, dtype=np.float64)
    return np.ma.masked_array(X, is_missing).std(axis=0, dtype=np.float64).filled(0.0)
