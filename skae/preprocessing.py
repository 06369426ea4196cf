"""Scaling that scikit-learn does not offer."""

from math import isfinite
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import as_table, check_two_axes
from skae._meta.sources import dependencies, sample_of
from skae._meta.steps import inverted, transformed
from skae._sklearn_compat import (
    DocumentationLinkMixin,
    HasMethods,
    StrOptions,
    _fit_context,
    check_array,
    validate_data,
)
from skae._warnings import warn

__all__ = ["ColumnGroupScaler", "GlobalMinMaxScaler"]

# Enough to tell new rows that are all later from a few outliers.
_MIN_ROWS_BEYOND = 20


def _is_invertible(scaler):
    return scaler.transformer is None or hasattr(scaler.transformer, "inverse_transform")


class ColumnGroupScaler(DocumentationLinkMixin, TransformerMixin, BaseEstimator):
    """Encode a table, and scale it so that each of its columns has the same variance.

    An encoder turns a category into a column for each of its values, a date into its parts, and a
    column with gaps into one more that says where they are. Scaled one by one, the columns made
    of one source column weigh as much as they are many, and a rare value as much as the
    temperature. Here they share a total variance of 1, whatever they were made by.

    Parameters
    ----------
    transformer : transformer or None, default=None
        What turns the columns of a table into numbers, such as skrub's `TableVectorizer`, a
        :class:`~sklearn.compose.ColumnTransformer`, an encoder, or a pipeline of them. None takes
        numbers as they are.
    groups : "auto" or array-like of shape (n_features_out,), default="auto"
        Which of the transformed columns belong together: one label for each. "auto" finds out
        which column of X each was made of.
    keep_missing : bool, default=True
        Whether a missing cell of X is missing in all columns made of its column, also where the
        transformer has turned it into a category of its own or filled it. False leaves it to the
        transformer.

    Attributes
    ----------
    groups_ : ndarray of shape (n_features_out,), dtype=int
        The number of the group of each transformed column.
    steps_ : list of transformer
        What rows pass through: the fitted transformer, if there is one, and the
        :class:`~sklearn.preprocessing.StandardScaler` with the scales of the groups.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The same variance for each transformed column.

    Notes
    -----
    The mean is subtracted. Columns of zeros and ones (of categories, of missing values) keep their
    variances relative to each other, so that a rare value is no louder than a frequent one; all
    others are standardized first. Then those of a group are divided by one number, the square root
    of the sum of their variances.

    Columns that are made of several source columns together, such as principal components, are a
    group too. Its total variance is the number of these source columns, or of the columns made of
    them if these are fewer.

    Missing values are left out of means and variances. skae's networks take them, and leave them
    out of the error; as a category of its own, or told by an indicator, a missing value is as rare
    as an outlier, and taken for one. Sparse columns become dense.

    Where more than half of 20 or more new rows have a date, or a text turned into numbers, beyond
    all that was seen in `fit`, `transform` warns: the date alone may make them outliers.

    Examples
    --------
    >>> import pandas as pd
    >>> from skae.preprocessing import ColumnGroupScaler
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> X = pd.DataFrame({"site": ["Oslo", "Turin", "Oslo", "Bern"], "load": [3.0, 9.0, 5.0, 7.0]})
    >>> encoder = make_column_transformer((OneHotEncoder(), ["site"]), remainder="passthrough")
    >>> scaler = ColumnGroupScaler(encoder).fit(X)
    >>> scaler.groups_
    array([0, 0, 0, 1])
    >>> scaler.transform(X).var(axis=0).round(2)
    array([0.3, 0.4, 0.3, 1. ])
    """

    _parameter_constraints: dict = {
        "transformer": [HasMethods(["fit", "transform"]), None],
        "groups": [StrOptions({"auto"}), "array-like"],
        "keep_missing": ["boolean"],
    }

    def __init__(
        self,
        transformer: Any = None,
        *,
        groups: ArrayLike | str = "auto",
        keep_missing: bool = True,
    ):
        self.transformer = transformer
        self.groups = groups
        self.keep_missing = keep_missing

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit the transformer, and learn mean and scale of what it returns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.
        y : array-like of shape (n_samples,), default=None
            Passed on to the transformer.

        Returns
        -------
        self : ColumnGroupScaler
            The fitted scaler.

        Raises
        ------
        ValueError
            If `groups` has not one label for each transformed column, or the transformer returns
            something other than numbers.
        """
        X = self._checked(X, reset=True)
        transformers, encoded = [], X
        if self.transformer is not None:
            transformers, encoded = _fitted(self.transformer, X, y)
        depends = dependencies(transformers, sample_of(transformers, X))
        is_traced = self.keep_missing and transformers
        self._gaps_of = depends & (depends.sum(axis=0) == 1) if is_traced else None
        encoded = self._with_gaps(_as_numbers(encoded), X)
        self._ranges = _ranges_of_others(X, encoded, depends) if transformers else []
        groups = depends.T
        if not isinstance(self.groups, str):
            groups = _checked_groups(self.groups, encoded.shape[1])
        self.groups_, first = _numbered(groups)
        totals = np.minimum(np.bincount(self.groups_), groups[first].sum(axis=1))
        self.steps_ = [*transformers, _fitted_scaler(encoded, self.groups_, totals)]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode and scale X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        X_scaled : ndarray of shape (n_samples, n_features_out)
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        *transformers, scaler = self.steps_
        encoded = self._with_gaps(_as_numbers(transformed(transformers, X)), X)
        if len(encoded) >= _MIN_ROWS_BEYOND:
            _warn_if_beyond(encoded, self._ranges)
        return scaler.transform(encoded)

    @available_if(_is_invertible)
    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Undo scaling and encoding of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Scaled data.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        if X.shape[1] != len(self.groups_):
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} makes "
                f"{len(self.groups_)} features."
            )
        return inverted(self.steps_, X)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns that the transformer returns.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features, by default those seen during `fit`.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        transformer = self.steps_[0]
        if len(self.steps_) == 1:
            return OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        return transformer.get_feature_names_out(input_features)

    def _with_gaps(self, encoded, X):
        if self._gaps_of is None:
            return encoded
        import pandas as pd

        gaps = pd.isna(X if hasattr(X, "iloc") else np.asarray(X, dtype=object))
        return np.where(np.asarray(gaps) @ self._gaps_of, np.nan, encoded)

    def _checked(self, X, reset):
        if self.transformer is None:
            types = [np.float64, np.float32]
            finite = "allow-nan"
            return validate_data(
                self, as_table(X), dtype=types, ensure_all_finite=finite, reset=reset
            )
        if hasattr(X, "ndim"):
            check_two_axes(X)
        return validate_data(self, X, skip_check_array=True, reset=reset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = True
        if self.transformer is not None:
            tags.input_tags = get_tags(self.transformer).input_tags
        return tags


def _fitted(transformer, X, y):
    """Return the fitted clone of a transformer, in a list, and what it returns for X."""
    transformer = clone(transformer)
    if hasattr(transformer, "fit_transform"):
        return [transformer], transformer.fit_transform(X, y)
    return [transformer.fit(X, y)], transformer.transform(X)


def _as_numbers(encoded):
    encoded = encoded.toarray() if issparse(encoded) else as_table(encoded)
    return check_array(encoded, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")


def _ranges_of_others(X, encoded, depends):
    """Return what was made of each column that holds no numbers: name, columns, least and largest.

    Columns of zeros and ones, as of categories, are left out.
    """
    if not hasattr(X, "dtypes"):
        return []
    from pandas.api.types import is_numeric_dtype

    lowest, highest = np.fmin.reduce(encoded), np.fmax.reduce(encoded)
    is_own = (depends.sum(axis=0) == 1) & ~_is_binary(encoded)
    found = []
    for (name, column), is_made in zip(X.items(), depends & is_own, strict=True):
        columns = np.flatnonzero(is_made)
        if len(columns) and not is_numeric_dtype(column.infer_objects()):
            found.append((name, columns, lowest[columns], highest[columns]))
    return found


def _is_binary(encoded):
    return ((encoded == 0) | (encoded == 1) | np.isnan(encoded)).all(axis=0)


def _warn_if_beyond(encoded, ranges):
    for name, columns, lowest, highest in ranges:
        values = encoded[:, columns]
        share = np.mean(((values < lowest) | (values > highest)).any(axis=1))
        if share > 0.5:
            warn(
                f"In {share:.0%} of the rows, {name!r} is beyond all that was seen in fit, as a "
                "later date is: that alone may make them outliers. Of a date, encode only what "
                "comes again and was seen in full, such as the hour of the day."
            )


def _checked_groups(groups, n_columns):
    groups = np.asarray(groups)
    if groups.shape != (n_columns,):
        raise ValueError(
            f"groups must have one label for each of the {n_columns} transformed columns; got "
            f"shape {groups.shape}."
        )
    return groups[:, None] == np.unique(groups)


def _numbered(sources):
    """Return numbers of rows, the same for equal ones, and where each number appears first."""
    _, first, groups = np.unique(sources, axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[groups.ravel()], np.sort(first)


def _fitted_scaler(encoded, groups, totals):
    """Return a StandardScaler that gives each group its total variance."""
    with np.errstate(invalid="ignore"):  # of a column without values
        scaler = StandardScaler().fit(encoded)
    units = np.where(_is_binary(encoded), 1, scaler.scale_)
    variances = np.bincount(groups, np.nan_to_num(scaler.var_ / units**2))
    factors = np.sqrt(variances / totals)
    scaler.scale_ = units * np.where(factors > 0, factors, 1)[groups]
    return scaler


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
