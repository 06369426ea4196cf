"""The outlier contract, stated once, on top of one abstract method: the reconstruction of rows."""

import copy
from abc import abstractmethod
from contextlib import contextmanager
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted

from skae._sklearn_compat import DocumentationLinkMixin, Interval, StrOptions
from skae.errors import NAMED_ERRORS, feature_errors, mean_feature_errors, row_errors
from skae.residuals import RESIDUAL_ERRORS
from skae.thresholds import RULE_CONSTRAINTS, as_rule, needs_labels


def error_constraints(*own_names):
    """Return what the parameter `error` accepts; a detector may have names of its own."""
    return [StrOptions({*NAMED_ERRORS, *RESIDUAL_ERRORS, *own_names}), callable]


# Of the parameters that every detector of this kind has.
DECISION_CONSTRAINTS = {
    "error": error_constraints(),
    "threshold": RULE_CONSTRAINTS,
    "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
}

# Rows reconstructed at a time: enough to fill the processor, few enough to bound the memory.
_ROWS_AT_ONCE = 8192
# Rows that tell what the errors of all are like.
_SAMPLE = 4096


class OffsetMixin:
    """Decisions on top of `score_samples` and `offset_`."""

    def decision_function(self, X):
        """Return `score_samples(X) - offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        decision : ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell inliers (+1) from outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
            +1 for inliers, -1 for outliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


class ReconstructionErrorDetector(DocumentationLinkMixin, OffsetMixin, OutlierMixin, BaseEstimator):
    """Base class of detectors that score a row by its reconstruction error.

    A subclass has the parameters `error`, `threshold` and `contamination`.
    """

    _residual_errors = RESIDUAL_ERRORS

    @abstractmethod
    def _checked_rows(self, X):
        """Return X as an array, or refuse it."""

    @abstractmethod
    def _reconstruct(self, X):
        """Return the reconstruction of checked rows, an array of the shape of X."""

    def reconstruct(self, X):
        """Return what the fitted model makes of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to reconstruct.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
        """
        return in_batches(self._reconstruct, self._checked_rows(X))

    def reconstruction_error(self, X, per_feature=False):
        """Return how badly each row, or each feature of each row, is reconstructed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to reconstruct.
        per_feature : bool, default=False
            Whether to return the error of each feature. Their mean is the error of the row.

        Returns
        -------
        errors : ndarray of shape (n_samples,) or (n_samples, n_features), float64
        """
        return self._errors(self._checked_rows(X), feature_errors if per_feature else row_errors)

    def score_samples(self, X):
        """Return minus the reconstruction error of each row: the higher, the more normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
        """
        return -self.reconstruction_error(X)

    def _errors(self, X, measure=row_errors):
        """Return the errors of checked rows, with one batch of reconstructions in memory."""
        return errors_in_batches(lambda rows: self._batch_errors(rows, measure), X)

    def _batch_errors(self, X, measure):
        return measure(self._fitted_error, X, self._reconstruct(X))

    def _learn_errors(self, X, reconstruction):
        """Learn from some rows what is usual: their residuals, and the error of each feature."""
        self._fitted_error = self._measure(X, reconstruction)
        errors = feature_errors(self._fitted_error, X, reconstruction)
        self.feature_errors_ = mean_feature_errors(errors)

    def _measure(self, X, reconstruction):
        """Return `error`, fitted to the residuals of some rows where it knows them."""
        if not isinstance(self.error, str) or self.error not in self._residual_errors:
            return self.error
        # There may be several reconstructions of a row.
        residuals = X[:, None] - reconstruction.reshape(len(X), -1, X.shape[1])
        residuals = residuals.reshape(-1, X.shape[1])
        return self._residual_errors[self.error](residuals[np.isfinite(residuals).all(axis=1)])

    def _checked_rule(self):
        """Return the rule that sets the offset, or None where `contamination` does."""
        if self.contamination != "auto" and self.threshold != "auto":
            raise ValueError(
                "contamination and threshold both set the offset, so give one of them: got "
                f"contamination={self.contamination!r} and threshold={self.threshold!r}."
            )
        rule = as_rule(self.threshold)
        if needs_labels(rule):
            raise ValueError(
                f"threshold={self.threshold!r} learns from labels, which {type(self).__name__} "
                "never sees: use a rule without labels, such as 'mean_std', or put the detector in "
                "ThresholdedOutlierDetector(detector, rule), which passes y on to the rule."
            )
        return rule if self.contamination == "auto" else None

    def _offset(self, rule, errors):
        if rule is None:
            return float(np.percentile(-errors, 100.0 * self.contamination))
        return -rule.threshold(errors)


def evenly_spaced(X):
    """Return so many rows of X, evenly spaced, as tell what its errors are like."""
    return X[:: 1 + (len(X) - 1) // _SAMPLE]


def in_batches(function, X):
    """Return what a function makes of the rows of X, called with so many as fit in memory."""
    return np.concatenate([function(X[rows]) for rows in gen_batches(len(X), _ROWS_AT_ONCE)])


def errors_in_batches(function, X):
    """Return the errors that a function finds in the rows of X, as `in_batches` does."""
    errors = in_batches(function, X)
    # A row that comes out as NaN is as badly reconstructed as can be, and no inlier.
    errors[np.isnan(errors)] = np.inf
    return errors


def fresh_random_state(random_state):
    """Return the generator that a `random_state` stands for, to be drawn from."""
    random = check_random_state(random_state)
    # None stands for NumPy's global generator, which is read here but must not be moved.
    return copy.deepcopy(random) if random_state is None else random


@contextmanager
def unchanged_on_failure(estimator):
    """Leave the estimator as it was when the block raises, Ctrl-C included."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
