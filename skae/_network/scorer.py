"""Rows in, errors out: the one place that decides what the error of a row is."""

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from skae._errors import (
    feature_errors,
    fitted_error,
    mean_feature_errors,
    needs_draws,
    row_errors,
)
from skae._network.combined import MAX_CODES, CombinedError, View

# Rows reconstructed at once, and by how many threads, unless the model says otherwise.
_DEFAULT_BATCHING = (8192, 1)
# Rows enough to represent the errors of all.
_MAX_SAMPLE = 4096
COMBINED = "combined"


class ReconstructionError:
    """The error of a row by its reconstruction alone.

    Parameters
    ----------
    error : str or callable
        As the parameter of the detectors.
    X : ndarray of shape (n_samples, n_features)
        Training rows, from whose residuals some errors learn.
    reconstruction : ndarray
        Of these rows.

    Attributes
    ----------
    nominal : float
        What the mean error of a member is to be, relative to those of others.
    measure : str, object or callable
        As `feature_errors` takes it.
    """

    nominal = 1.0

    def __init__(self, error, X, reconstruction):
        self.measure = fitted_error(error, X, reconstruction)

    def row_errors(self, X, view, own=None):
        """Return the error of each row."""
        return row_errors(self.measure, X, view.reconstruction)

    def feature_errors(self, X, view, own=None):
        """Return the error of each feature of each row; their mean is the error of the row."""
        return feature_errors(self.measure, X, view.reconstruction)


class Scorer:
    """A model that reconstructs rows, and the error by which they are judged.

    Parameters
    ----------
    model : Network or other object
        Has the `dtype` in which it takes rows, and `forward`, whose `reconstruct(X)` returns rows,
        or for each row those of several members in the second axis. `forward.batching` says how
        many rows to give at once, in how many threads; `draws`, `encode_and_reconstruct` and
        `decode` are there where the error needs them.
    error : str or callable
        As the parameter of the detectors, but not "auto".

    Attributes
    ----------
    member_weights : ndarray of shape (n_members,)
        Factors that bring the members' errors to a common scale, on which each has the same mean
        error over the rows that set the offset; of the combined error, in proportion to what its
        parts count. A single model has the factor one.
    mean_feature_errors : ndarray of shape (n_features,)
        Mean error of each feature over these rows.
    """

    def __init__(self, model, error):
        self.model = model
        self.error = error

    def fit(
        self,
        X,
        *,
        sample_weight=None,
        calibration=None,
        left_out=None,
        trim_fractions=None,
        random=None,
    ):
        """Learn from training rows what is usual, and return errors to set an offset by.

        What is learned comes from 4,096 rows or fewer, evenly spaced.

        Parameters
        ----------
        X : array or RowSubset
            The training rows.
        sample_weight : ndarray of shape (n_samples,), default=None
            How much each counts in what is learned of codes.
        calibration : array or RowSubset, default=None
            The rows whose errors are returned; the training rows by default, in whose errors no
            row is compared with its own code.
        left_out : ndarray of bool of shape (n_samples, n_members), default=None
            Which rows a member was not trained on. Returned are then the errors of the rows that
            some member left out, each the mean over these members.
        trim_fractions : tuple of float, default=None
            The share of rows, for each member, that it reconstructs worst, and whose codes are not
            kept. None keeps codes of any.
        random : RandomState
            Draws whose codes are kept.

        Returns
        -------
        errors : ndarray of shape (n_calibration_samples,), float64
        """
        every = slice(None, None, _step(X))
        sample = self._rows(X[every])
        weight = np.ones(len(sample)) if sample_weight is None else sample_weight[every]
        views = self._views(sample)
        uses = _uses(len(sample), len(views), None if left_out is None else left_out[every])
        name = "mse" if self.error == COMBINED else self.error
        self._plain = [
            ReconstructionError(name, sample[use], view.reconstruction[use])
            for view, use in zip(views, uses, strict=True)
        ]
        self._errors, kept = self._plain, [np.arange(0)] * len(views)
        if self.error == COMBINED:
            self._plain_weights = np.ones(len(views))
            kept = self._kept(sample, views, uses, trim_fractions, random)
            if all(map(len, kept)):  # else no code is finite, and no error
                self._errors = self._combined(sample, views, uses, weight, kept, trim_fractions)
                usual = np.array([error.usual[0] for error in self._errors])
                self._plain_weights = _common_scale(usual)
        if calibration is not None:
            rows = self._rows(evenly_spaced(calibration))
            self._set_scale(rows, self._views(rows))
            return self.row_errors(calibration)
        own = [(rows, np.arange(len(rows))) if len(rows) else None for rows in kept]
        unseen = None if left_out is None else left_out[every]
        self._set_scale(sample, views, own, unseen)
        return self._training_errors(X, sample, views, own, left_out)

    def _kept(self, X, views, uses, trim_fractions, random):
        """Return for each member the positions of the rows whose codes are kept."""
        found = []
        trims = trim_fractions or (0.0,) * len(views)
        for view, plain, use, trim in zip(views, self._plain, uses, trims, strict=True):
            positions = np.flatnonzero(use & np.isfinite(view.code).all(axis=1))
            errors = plain.row_errors(X[positions], View(view.reconstruction[positions]))
            best = np.argsort(errors, kind="stable")[: ceil((1 - trim) * len(positions))]
            found.append(random.permutation(positions[np.sort(best)])[:MAX_CODES])
        n_kept = min(len(positions) for positions in found)
        return [np.sort(positions[:n_kept]) for positions in found]

    def _combined(self, X, views, uses, weight, kept, trim_fractions):
        errors = []
        for member, (view, use, positions) in enumerate(zip(views, uses, kept, strict=True)):
            usable = use & np.isfinite(view.code).all(axis=1)
            position_among_used = np.cumsum(usable) - 1
            errors.append(
                CombinedError(
                    X[usable],
                    View(view.reconstruction[usable], view.code[usable]),
                    weight[usable],
                    position_among_used[positions],
                    lambda codes, member=member: self._decoded(codes, member),
                    trim_fractions[member] if trim_fractions else 0.0,
                )
            )
        return errors

    def _decoded(self, codes, member):
        """Return the rows that a member makes of codes."""
        n_members = self.model.n_members
        if n_members is None:
            return self.model.forward.decode(codes)
        # Each member decodes them, of which one is asked: they are few.
        return self.model.forward.decode(np.stack([codes] * n_members, axis=1))[:, member]

    def _set_scale(self, X, views, own=None, unseen=None):
        """Set the factors of the members and the mean errors of the features."""
        own = own or [None] * len(views)
        means = []
        for member, (error, view) in enumerate(zip(self._errors, views, strict=True)):
            errors = error.feature_errors(X, view, own[member])
            rows = slice(None) if unseen is None else unseen[:, member]
            means.append(mean_feature_errors(errors[rows], X[rows]))
        means = np.stack(means)
        nominal = [error.nominal for error in self._errors]
        self.member_weights = _common_scale(means.mean(axis=1), np.array(nominal))
        self.mean_feature_errors = (means * self.member_weights[:, None]).mean(axis=0)

    def _training_errors(self, X, sample, views, own, left_out):
        """Return the errors of training rows, none compared with its own code."""
        errors = self.member_errors(X)
        for member, codes in enumerate(own):
            if codes is not None:
                alone = self._errors[member].row_errors(sample, views[member], codes)
                rows = codes[0] * _step(X)
                errors[rows, member] = self.member_weights[member] * alone[codes[0]]
        errors = _without_nan(errors)
        if left_out is None:
            return _mean_of(list(errors.T))
        rows = left_out.any(axis=1)
        used = left_out[rows]
        return np.sum(errors[rows], axis=1, where=used) / used.sum(axis=1)

    @property
    def weighted_errors(self):
        """The error of each member, a ReconstructionError or CombinedError, with its weight."""
        return list(zip(self._errors, self.member_weights, strict=True))

    def row_errors(self, X):
        """Return the error of each row, float64; infinity where it is NaN."""
        return self._in_batches(lambda rows: _mean_of(self._by_member("row_errors", rows)), X)

    def member_errors(self, X):
        """Return the error of each row by each member, of shape (n_samples, n_members)."""
        return self._in_batches(
            lambda rows: np.stack(self._by_member("row_errors", rows), axis=1), X
        )

    def feature_errors(self, X):
        """Return the error of each feature of each row; their mean is the error of the row."""
        return self._in_batches(lambda rows: _mean_of(self._by_member("feature_errors", rows)), X)

    def parts(self, X):
        """Return the parts of the combined error of each row, of shape (n_samples, 3)."""
        return self._in_batches(lambda rows: _mean_of(self._by_member("parts", rows)), X)

    def reconstruction_errors(self, X, per_feature=False):
        """Return how badly rows, or their features, are reconstructed, whatever the error is."""
        measure = "feature_errors" if per_feature else "row_errors"
        if self.error != COMBINED:
            return getattr(self, measure)(X)

        def plain(rows):
            found = [getattr(error, measure) for error in self._plain]
            views = self._views(rows)
            pairs = zip(found, views, self._plain_weights, strict=True)
            return _mean_of([weight * measured(rows, view) for measured, view, weight in pairs])

        return self._in_batches(plain, X)

    def nearest(self, X):
        """Return the known row with the code nearest to that of each row, the mean over members."""

        def mean(rows):
            members: Any = zip(self._errors, self._views(self._rows(rows)), strict=True)
            return _mean_of([error.nearest(view.code) for error, view in members])

        return in_batches(mean, X, self.model.forward.batching)

    def reconstruct(self, X):
        """Return the reconstruction of each row, the mean over members if there are several."""

        def mean(rows):
            found = self.model.forward.reconstruct(self._rows(rows))
            return found.mean(axis=1) if found.ndim == 3 else found

        return in_batches(mean, X, self.model.forward.batching)

    def errors_of(self, X, reconstruction):
        """Return the reconstruction error that each row would have with another reconstruction."""
        X, view = self._rows(X), View(reconstruction)
        weights = self._plain_weights if self.error == COMBINED else self.member_weights
        pairs = zip(weights, self._plain, strict=True)
        return _mean_of([weight * error.row_errors(X, view) for weight, error in pairs])

    def _in_batches(self, errors_of_rows, X):
        max_rows, n_threads = self.model.forward.batching
        # A function of the user's may not bear to be called by several threads at once.
        batching = (max_rows, 1 if callable(self.error) else n_threads)
        return _without_nan(in_batches(lambda rows: errors_of_rows(self._rows(rows)), X, batching))

    def _by_member(self, measure, X):
        """Return a measure of rows for each member, on the common scale."""
        members = zip(self.member_weights, self._errors, self._views(X), strict=True)
        return [weight * getattr(error, measure)(X, view) for weight, error, view in members]

    def _views(self, X):
        """Return a list with what each member makes of rows."""
        forward = self.model.forward
        if needs_draws(self.error):
            return [View(forward.draws(X))]
        if self.error != COMBINED:
            return [View(found) for found in _members_of(forward.reconstruct(X))]
        codes, found = map(_members_of, forward.encode_and_reconstruct(X))
        return [View(*pair) for pair in zip(found, codes, strict=True)]

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
    return X[:: _step(X)]


def _step(X):
    return 1 + (len(X) - 1) // _MAX_SAMPLE


def _members_of(found):
    """Return a list of arrays, one for each member."""
    if found.ndim == 2:
        return [found]
    return list(np.ascontiguousarray(np.moveaxis(found, 1, 0)))


def _uses(n_rows, n_members, left_out):
    """Return for each member which rows it was trained on."""
    if left_out is None:
        return [np.ones(n_rows, dtype=bool)] * n_members
    return list(~left_out.T)


def _common_scale(usual, nominal: Any = 1.0):
    """Return what brings errors of members to means in proportion to the nominal ones."""
    nominal = np.broadcast_to(nominal, usual.shape)
    scale = nominal * (usual.sum() / nominal.sum())
    is_usable = np.isfinite(usual) & (usual > 0) & np.isfinite(scale)
    return np.divide(scale, usual, out=np.ones(len(usual)), where=is_usable)


def _without_nan(errors):
    # A row that comes out as NaN is as badly reconstructed as can be, and no inlier.
    errors[np.isnan(errors)] = np.inf
    return errors


def _mean_of(arrays):
    """Return the mean of arrays, member by member in their order."""
    return arrays[0] if len(arrays) == 1 else sum(arrays) / len(arrays)
