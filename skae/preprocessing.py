"""Scaling that scikit-learn does not offer."""

from math import isfinite
from numbers import Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skae._sklearn_compat import DocumentationLinkMixin, _fit_context, check_array, validate_data

__all__ = ["GlobalMinMaxScaler"]


class GlobalMinMaxScaler(
    DocumentationLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Scale all features by one minimum and one maximum, those of the whole training data.

    If the features are samples of one signal, this keeps its shape.
    :class:`~sklearn.preprocessing.MinMaxScaler` does not: it scales each sample separately.

    Parameters
    ----------
    feature_range : tuple (min, max), default=(0, 1)
        The range that the training data is scaled to.

    Attributes
    ----------
    data_min_, data_max_ : float
        Smallest and largest value of the training data.
    scale_ : float
        The factor that the data is multiplied by; 1 for constant data, which is only shifted.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    Examples
    --------
    >>> from skae.preprocessing import GlobalMinMaxScaler
    >>> GlobalMinMaxScaler().fit_transform([[0.0, 1.0], [4.0, 2.0]])
    array([[0.  , 0.25],
           [1.  , 0.5 ]])
    """

    _parameter_constraints: dict = {"feature_range": [tuple, list]}

    def __init__(self, feature_range: tuple[float, float] = (0, 1)):
        self.feature_range = feature_range

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the minimum and the maximum of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : GlobalMinMaxScaler
            The fitted scaler.

        Raises
        ------
        ValueError
            If `feature_range` is not a smaller and a larger number, both finite.
        """
        low, high = _checked_range(self.feature_range)
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        self.data_min_, self.data_max_ = float(X.min()), float(X.max())
        extent = self.data_max_ - self.data_min_
        self.scale_ = (high - low) / extent if extent > np.finfo(X.dtype).tiny else 1.0
        self._low = low
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Scale X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        X_scaled : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return (X - self.data_min_) * self.scale_ + self._low

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Undo the scaling of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Scaled data.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32])
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return (X - self._low) / self.scale_ + self.data_min_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _checked_range(feature_range):
    bounds = tuple(feature_range)
    numbers = all(isinstance(bound, Real) and isfinite(bound) for bound in bounds)
    if not (len(bounds) == 2 and numbers and bounds[0] < bounds[1]):
        raise ValueError(
            f"feature_range must be a smaller and a larger number, got {feature_range!r}."
        )
    return float(bounds[0]), float(bounds[1])
