"""The outlier contract, stated once, on top of a scorer."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import (
    as_table,
    check_contamination,
    check_sign,
    check_threshold,
    explained_gaps,
)
from skae._errors import COMMON_ERRORS
from skae._sklearn_compat import DocumentationLinkMixin, Interval, StrOptions, validate_data
from skae.thresholds import RULE_CONSTRAINTS, as_rule, needs_labels


def error_constraints(own_names=()):
    """Return what the parameter `error` accepts; a detector may add names of its own."""
    return [StrOptions({*COMMON_ERRORS, *own_names}), callable]


# Of the parameters that every detector of this kind has.
DECISION_CONSTRAINTS = {
    "error": error_constraints(),
    "threshold": RULE_CONSTRAINTS,
    "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
}

# Of more rows, the checks are a small part of the time.
_MAX_PLAIN_ROWS = 1024


class OffsetMixin:
    """Decisions on top of `score_samples` and `offset_`."""

    offset_: float
    score_samples: Callable[..., np.ndarray]

    def decision_function(self, X: ArrayLike) -> np.ndarray:
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

    def predict(self, X: ArrayLike) -> np.ndarray:
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

    A subclass has the parameters `error`, `threshold` and `contamination`; its `fit` leaves a
    `_scorer` and sets the offset by `_set_offset`.
    """

    error: Any
    threshold: Any
    contamination: Any
    n_features_in_: int
    feature_names_in_: np.ndarray
    _scorer: Any

    def _checked_rows(self, X) -> np.ndarray:
        """Return rows to score as an array, or refuse them."""
        plain = self._plain_rows(X)
        if plain is not None:
            return plain
        check_is_fitted(self)
        return self._validated_rows(X)

    @abstractmethod
    def _validated_rows(self, X) -> np.ndarray:
        """Return X as an array in the dtype of the model, or refuse it."""

    def _validated(self, X, **kwargs) -> np.ndarray:
        """Return X as scikit-learn's checks do, after those that they lack."""
        X = as_table(X)
        with explained_gaps(X, self):
            return validate_data(self, X, **kwargs)

    def _validate_params(self):
        # Before scikit-learn, whose message lists what is valid and not how to say what was meant.
        check_threshold(self.threshold)
        check_contamination(self.contamination)
        super()._validate_params()

    def _plain_rows(self, X):
        """Return rows that scikit-learn's checks would accept, or None where they must decide.

        The checks of a single row take longer than its score.
        """
        fitted = vars(self)
        if type(X) is not np.ndarray or X.ndim != 2 or X.dtype not in (np.float32, np.float64):
            return None
        if "_scorer" not in fitted or "feature_names_in_" in fitted:
            return None
        if not 0 < len(X) <= _MAX_PLAIN_ROWS or X.shape[1] != self.n_features_in_:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            X = X.astype(self._scorer.model.dtype, copy=False)
            return X if np.isfinite(np.add.reduce(X, axis=None)) else None

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Return the reconstruction of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to reconstruct.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
        """
        X = self._checked_rows(X)
        return self._scorer.reconstruct(X)

    def reconstruction_error(self, X: ArrayLike, per_feature: bool = False) -> np.ndarray:
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
        X = self._checked_rows(X)
        return self._scorer.feature_errors(X) if per_feature else self._scorer.row_errors(X)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
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

    @property
    def feature_errors_(self) -> np.ndarray:
        """Mean error of each feature over the rows that set the offset."""
        if not hasattr(self, "_scorer"):
            raise AttributeError("This detector has no feature_errors_ yet: call fit first.")
        return self._scorer.mean_feature_errors

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
        check_sign(rule)
        return rule if self.contamination == "auto" else None

    def _offset(self, rule, errors):
        if rule is not None:
            self._check_finite(errors)
            return -rule.threshold(errors)
        with np.errstate(invalid="ignore"):  # between infinities
            offset = float(np.percentile(-errors, 100.0 * self.contamination))
        if not np.isfinite(offset):
            self._check_finite(errors)
        return offset

    def _check_finite(self, errors):
        unfit = np.count_nonzero(~np.isfinite(errors))
        if unfit:
            raise ValueError(
                f"Of the {len(errors)} reconstruction errors {unfit} are not finite: "
                f"{self._about_infinite_errors()}"
            )

    def _about_infinite_errors(self) -> str:
        """Return what may have caused errors that are not finite, as the end of a sentence."""
        return f"look at the reconstruction, and at error={self.error!r}."


@contextmanager
def unchanged_on_failure(estimator):
    """Restore the estimator when the block raises, Ctrl-C included."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
