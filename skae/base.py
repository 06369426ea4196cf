"""The outlier contract, stated once, on top of one abstract method: the errors of rows."""

from abc import abstractmethod
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from skae.thresholds import as_rule


class ReconstructionErrorDetector(OutlierMixin, BaseEstimator):
    """Base class of detectors that score a row by its reconstruction error."""

    @abstractmethod
    def reconstruction_error(self, X, per_feature=False):
        """Return how badly each row, or each feature of each row, is reconstructed."""

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

    def _checked_rule(self):
        """Return the rule that sets the offset, or None where `contamination` does."""
        if self.contamination != "auto" and self.threshold != "auto":
            raise ValueError(
                "contamination and threshold both set the offset, so give one of them: got "
                f"contamination={self.contamination!r} and threshold={self.threshold!r}."
            )
        rule = as_rule(self.threshold)
        if getattr(rule, "needs_labels", False):
            raise ValueError(
                f"threshold={self.threshold!r} learns from labels, which {type(self).__name__} "
                "never sees: use a rule without labels, such as 'mean_std' or 'quantile'."
            )
        return rule if self.contamination == "auto" else None

    def _offset(self, rule, errors):
        if rule is None:
            return float(np.percentile(-errors, 100.0 * self.contamination))
        return -rule.threshold(errors)


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
