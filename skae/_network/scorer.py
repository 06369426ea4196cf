"""Rows in, errors out: the one place that decides what the error of a row is."""

from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np
from sklearn.utils import gen_batches

from skae._errors import (
    feature_errors,
    fitted_error,
    mean_feature_errors,
    needs_draws,
    row_errors,
)

# Rows reconstructed at once, and by how many threads, unless the model says otherwise.
_DEFAULT_BATCHING = (8192, 1)
# Rows enough to represent the errors of all.
_MAX_SAMPLE = 4096


class Scorer:
    """A model that reconstructs rows, and the error by which its reconstructions are judged.

    Parameters
    ----------
    model : Network or other object
        Has the `dtype` in which it takes rows, and `forward`, whose `reconstruct(X)` returns rows,
        or for each row those of several members in the second axis. `forward.batching` says how
        many rows to give at once, in how many threads; `forward.draws(X)` is there where the error
        needs it.
    error : str or callable
        As the parameter of the detectors.

    Attributes
    ----------
    member_weights : ndarray of shape (n_members,)
        Factors that bring the members' errors to a common scale, on which each has the same mean
        error over the rows given to `fit`. A single model has the factor one.
    mean_feature_errors : ndarray of shape (n_features,)
        Mean error of each feature over the rows given to `fit`.
    """

    def __init__(self, model, error):
        self.model = model
        self.error = error

    def fit(self, X):
        """Learn from rows what is usual, and return the errors of all rows of X.

        Learned are residuals, and the errors of members and features, from 4,096 rows or fewer.
        """
        sample = self._rows(evenly_spaced(X))
        members = self._reconstructions(sample)
        self._errors = [fitted_error(self.error, sample, member) for member in members]
        errors = np.stack(
            [
                feature_errors(error, sample, member)
                for error, member in zip(self._errors, members, strict=True)
            ]
        )
        means = np.stack([mean_feature_errors(each) for each in errors])
        self.member_weights = _common_scale(means.mean(axis=1))
        self.mean_feature_errors = (means * self.member_weights[:, None]).mean(axis=0)
        if len(sample) < len(X):
            return self.row_errors(X)
        rows = np.add.reduce(errors, axis=2) / sample.shape[1]
        return _without_nan(_mean_of(list(self.member_weights[:, None] * rows)))

    def row_errors(self, X):
        """Return the error of each row, float64; infinity where it is NaN."""
        return self._in_batches(lambda rows: _mean_of(self._by_member(row_errors, rows)), X)

    def member_errors(self, X):
        """Return the error of each row by each member, of shape (n_samples, n_members)."""
        return self._in_batches(lambda rows: np.stack(self._by_member(row_errors, rows), axis=1), X)

    def feature_errors(self, X):
        """Return the error of each feature of each row; their mean is the error of the row."""
        return self._in_batches(lambda rows: _mean_of(self._by_member(feature_errors, rows)), X)

    def reconstruct(self, X):
        """Return the reconstruction of each row, the mean over members if there are several."""

        def mean(rows):
            found = self.model.forward.reconstruct(self._rows(rows))
            return found.mean(axis=1) if found.ndim == 3 else found

        return in_batches(mean, X, self.model.forward.batching)

    def errors_of(self, X, reconstruction):
        """Return the error that each row would have with another reconstruction."""
        X = self._rows(X)
        return _mean_of(
            [
                weight * row_errors(error, X, reconstruction)
                for weight, error in zip(self.member_weights, self._errors, strict=True)
            ]
        )

    def _in_batches(self, errors_of_rows, X):
        max_rows, n_threads = self.model.forward.batching
        # A function of the user's may not bear to be called by several threads at once.
        batching = (max_rows, 1 if callable(self.error) else n_threads)
        return _without_nan(in_batches(lambda rows: errors_of_rows(self._rows(rows)), X, batching))

    def _by_member(self, measure, X):
        """Return a measure of rows for each member, on the common scale."""
        return [
            weight * measure(error, X, member)
            for weight, error, member in zip(
                self.member_weights, self._errors, self._reconstructions(X), strict=True
            )
        ]

    def _reconstructions(self, X):
        """Return a list with the reconstructions by each member."""
        if needs_draws(self.error):
            return [self.model.forward.draws(X)]
        found = self.model.forward.reconstruct(X)
        if found.ndim == 2:
            return [found]
        return list(np.ascontiguousarray(np.moveaxis(found, 1, 0)))

    def _rows(self, X):
        return np.ascontiguousarray(X, dtype=self.model.dtype)


def in_batches(function, X, batching=_DEFAULT_BATCHING):
    """Return a function of the rows of X, called with as many as fit in memory.

    Parameters
    ----------
    function : callable
        From an array of rows to an array with as many.
    X : array or RowSubset
        The rows.
    batching : tuple of int
        How many rows to give at once, and how many threads may do so.
    """
    max_rows, n_threads = batching
    if len(X) <= max_rows:
        return function(X[:])
    # As many batches for one thread as for another, and all of about the same size.
    n_batches = n_threads * ceil(len(X) / max_rows / n_threads)
    batches = list(gen_batches(len(X), ceil(len(X) / n_batches)))
    if n_threads == 1:
        return np.concatenate([function(X[rows]) for rows in batches])
    with ThreadPoolExecutor(n_threads) as pool:
        return np.concatenate(list(pool.map(lambda rows: function(X[rows]), batches)))


def evenly_spaced(X):
    """Return enough rows of X, evenly spaced, to represent its errors."""
    return X[:: 1 + (len(X) - 1) // _MAX_SAMPLE]


def _common_scale(usual):
    """Return what brings errors of members with these means to a common scale."""
    scale = usual.mean()
    is_usable = np.isfinite(usual) & (usual > 0) & np.isfinite(scale)
    return np.divide(scale, usual, out=np.ones(len(usual)), where=is_usable)


def _without_nan(errors):
    # A row that comes out as NaN is as badly reconstructed as can be, and no inlier.
    errors[np.isnan(errors)] = np.inf
    return errors


def _mean_of(arrays):
    """Return the mean of arrays, member by member in their order."""
    return arrays[0] if len(arrays) == 1 else sum(arrays) / len(arrays)
