"""The outlier contract, stated once, on top of a scorer."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import (
    as_table,
    check_contamination,
    check_sign,
    check_threshold,
    explained_gaps,
)
from skae._detectors.versions import checked_versions, with_versions
from skae._errors import COMMON_ERRORS
from skae._network.combined import PARTS
from skae._network.scorer import COMBINED
from skae._sklearn_compat import DocumentationLinkMixin, Interval, StrOptions, validate_data
from skae.thresholds import RULE_CONSTRAINTS, as_rule, needs_labels

if TYPE_CHECKING:
    from pandas import DataFrame


def error_constraints(own_names=()):
    """Return what the parameter `error` accepts; a detector may add names of its own."""
    return [StrOptions({*COMMON_ERRORS, COMBINED, *own_names}), callable]


# Of the parameters that every detector of this kind has.
DECISION_CONSTRAINTS = {
    "error": error_constraints(),
    "threshold": RULE_CONSTRAINTS,
    "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
}

# Errors kept of the calibration: 32 KiB.
_MAX_ERRORS = 4096
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


def _has_combined_error(detector):
    """Tell whether the error of a row has parts; before fit, whether that is asked for."""
    scorer = getattr(detector, "_scorer", None)
    return (detector.error in ("auto", COMBINED)) if scorer is None else scorer.error == COMBINED


class ReconstructionErrorDetector(DocumentationLinkMixin, OffsetMixin, OutlierMixin, BaseEstimator):
    """Base class of detectors that score a row by how it is reconstructed.

    A subclass has the parameters `error`, `threshold` and `contamination`; its `fit` leaves a
    `_scorer`, and sets the offset by `_offset`.
    """

    error: Any
    threshold: Any
    contamination: Any
    calibration_errors_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray
    _scorer: Any

    def _checked_rows(self, X) -> np.ndarray:
        """Return rows to score as an array, or refuse them."""
        plain = self._plain_rows(X)
        if plain is not None:
            return plain
        check_is_fitted(self)
        X = self._validated_rows(X)
        self._warn_about_gaps(X)
        return X

    def _warn_about_gaps(self, X):
        """Warn about missing cells that make scores doubtful, where any are allowed."""

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

        That is minus the score, unless the error of a row is the combined one: then it is the mean
        squared error, a part of the score only.

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
        return self._scorer.reconstruction_errors(X, per_feature)

    def feature_errors(self, X: ArrayLike) -> np.ndarray:
        """Return how much each feature adds to the error of each row.

        Of the combined error, the parts "reconstruction" and "memory" are those of the feature
        itself. The part "latent" belongs to no feature; it is shared among all in proportion to the
        square of what the reconstruction of the row differs from that of the mean code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        errors : ndarray of shape (n_samples, n_features), float64
            The mean over the features is minus `score_samples`.
        """
        X = self._checked_rows(X)
        return self._scorer.feature_errors(X)

    @available_if(_has_combined_error)
    def error_parts(self, X: ArrayLike) -> "DataFrame":
        """Return the three parts of the combined error of each row.

        Each is relative to its mean over the training rows, so that 1 is usual, 0.5 for "latent",
        which counts half. With `trim_fraction`, "memory" and "latent" count less, and nothing where
        half of the rows are trimmed: a network that has not seen the anomalies reconstructs them
        badly, but their codes may lie anywhere.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        parts : pandas.DataFrame
            One row per row of X, with its index, in these columns, whose sum is minus
            `score_samples`:

            - `reconstruction`: the squared error of the reconstruction.
            - `memory`: the squared difference from what the network makes of the nearest code of a
              training row that it has kept.
            - `latent`: the squared Mahalanobis distance of the code from those of the training
              rows.
        """
        import pandas as pd

        parts = self._scorer.parts(self._checked_rows(X))
        return pd.DataFrame(parts, index=getattr(X, "index", None), columns=list(PARTS))

    @available_if(_has_combined_error)
    def nearest_known(self, X: ArrayLike) -> np.ndarray:
        """Return, for each row, the most similar normal row that the network knows.

        It is what the network makes of the nearest code of a training row that it has kept; of
        several members, the mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to compare.

        Returns
        -------
        X_known : ndarray of shape (n_samples, n_features)
        """
        return self._scorer.nearest(self._checked_rows(X))

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return minus the error of each row: the higher, the more normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
        """
        X = self._checked_rows(X)
        return -self._scorer.row_errors(X)

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

    def _set_offset(self, rule, errors):
        """Set the offset by errors, and keep a sample of these."""
        self.offset_ = self._offset(rule, errors)
        step = 1 + (len(errors) - 1) // _MAX_ERRORS
        # Sorted, so that none belongs to a row.
        self.calibration_errors_ = np.sort(errors)[step // 2 :: step].copy()

    def _offset(self, rule, errors):
        if rule is not None:
            self._check_finite(errors)
            return -rule.threshold(errors)
        with np.errstate(invalid="ignore"):  # between infinities
            offset = float(np.percentile(-errors, 100.0 * self.contamination))
        if not np.isfinite(offset):
            self._check_finite(errors)
        return offset

    def __getstate__(self):
        inherited: Any = super().__getstate__()
        return with_versions(inherited)

    def __setstate__(self, state):
        super().__setstate__(checked_versions(type(self).__name__, state))

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


def scorer_of(detector: ReconstructionErrorDetector):
    """Return the model and the error by which a fitted detector scores."""
    check_is_fitted(detector)
    return detector._scorer


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
