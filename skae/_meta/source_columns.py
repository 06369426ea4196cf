"""Rows, reconstructions and errors by the columns of the user's table."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skae._meta.inverses import taken_back
from skae._meta.sources import as_numbers, dependencies, sample_of


class SourceColumns(NamedTuple):
    """Columns of the user's table, and features that several of them were combined into.

    Attributes
    ----------
    names : list
        Of both, the columns first.
    members : list of ndarray, dtype=int
        The positions of the features that each was turned into.
    values, reconstruction : ndarray of shape (n_rows, n_names), float64 or object
        Columns in the units of the user, NaN where they cannot be taken back; features as the
        detector sees them.
    """

    names: list
    members: list
    values: np.ndarray
    reconstruction: np.ndarray

    def sums(self, errors) -> Any:
        """Return the sums of the errors of features, by what these belong to."""
        return np.stack([errors[..., some].sum(axis=-1) for some in self.members], axis=-1)


def source_columns(transforms, detector, X, inputs, reconstruction):
    """Say what a detector behind fitted transformers sees and returns in the columns of X.

    Parameters
    ----------
    transforms : list of transformer
        As :func:`split_pipeline` returns them.
    detector : estimator
        The detector behind them.
    X : table of shape (n_rows, n_columns)
        The rows before the transformers.
    inputs, reconstruction : ndarray of shape (n_rows, n_features)
        The rows as the detector sees them, and their reconstructions.

    Returns
    -------
    columns : SourceColumns
    """
    X = X.toarray() if issparse(X) else X
    rows = sample_of(transforms, X)
    depends = dependencies(transforms, rows)
    is_alone = depends.sum(axis=0) == 1
    features = {
        column: members
        for column, of_column in enumerate(depends)
        if len(members := np.flatnonzero(of_column & is_alone))
    }
    combined = np.flatnonzero(~is_alone)
    found = _taken_back(transforms, rows, reconstruction, features)
    nothing = np.full(len(inputs), np.nan)
    values = [_values_of(X, column) for column in features]
    expected = [nothing if found[column] is None else found[column] for column in features]
    return SourceColumns(
        [*_names(transforms, detector, X, features), *_combined(transforms, detector, combined)],
        [*features.values(), *combined[:, None]],
        _side_by_side([*values, *inputs[:, combined].T]),
        _side_by_side([*expected, *reconstruction[:, combined].T]),
    )


def _taken_back(transforms, rows, reconstruction, features):
    is_finite = np.isfinite(reconstruction)
    # Scalers refuse to invert infinity.
    finite = np.where(is_finite, reconstruction, 0)
    found = taken_back(transforms, rows, list(finite.T))
    for column, members in features.items():
        unfit = ~is_finite[:, members].all(axis=1)
        if found[column] is not None and unfit.any():
            shown = reconstruction[:, members[0]] if len(members) == 1 else np.nan
            found[column] = np.where(unfit, shown, found[column])
    return found


def _values_of(X, position):
    """Return a column of a table, as float64 if it holds numbers."""
    if hasattr(X, "iloc"):
        column = X.iloc[:, position]
        column = column.astype(object) if column.dtype.kind in "mM" else column
    else:
        column = (X if hasattr(X, "columns") else np.asarray(X))[:, position]
    values = np.asarray(column)
    if getattr(values.dtype, "kind", "O") in "biuf":
        return values.astype(np.float64)
    values = np.asarray(column, dtype=object)
    if any(isinstance(value, (str, bytes)) for value in values):
        return values
    is_missing = [type(value).__name__ == "NAType" for value in values]
    return as_numbers(np.where(is_missing, np.nan, values))


def _side_by_side(columns):
    if all(column.dtype.kind in "biuf" for column in columns):
        return np.stack(columns, axis=1).astype(np.float64)
    return np.stack([column.astype(object) for column in columns], axis=1)


def _names(transforms, detector, X, columns):
    names = getattr(X, "columns", None)
    if names is None:
        names = getattr([*transforms, detector][0], "feature_names_in_", None)
    return list(columns) if names is None else [names[column] for column in columns]


def _combined(transforms, detector, features):
    names = names_behind(transforms, detector)
    return features.tolist() if names is None else np.asarray(names)[features].tolist()


def names_behind(transforms, detector):
    """Return the names of the features as a detector sees them, None where they have no names."""
    names = getattr(detector, "feature_names_in_", None)
    if names is not None:
        return names
    for transform in transforms:
        try:
            names = transform.get_feature_names_out(names)
        except (AttributeError, ValueError):  # a ColumnTransformer with a step that has no names
            return None
    return names
