"""Which columns of a table make up each feature that its transformers return."""

import copy
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from skae._sklearn_compat import _num_samples, _safe_indexing

_MAX_SAMPLE = 16
_ENCODERS = (OneHotEncoder, OrdinalEncoder)
# Each column is tried on its own: more of them take too long.
_MAX_TRIED = 500
# From Unicode's private use: no name of a column has them.
_TOKEN = "\ue000{}\ue001"
_TOKENS = re.compile("\ue000([0-9]+)\ue001")


class Branch(NamedTuple):
    """A transformer of some columns, and the positions of these and of its features.

    The transformer is None if it takes no tables, so that it cannot be tried.
    """

    transform: Any
    inputs: np.ndarray
    outputs: np.ndarray


def sample_of(transforms, X):
    """Return a few rows of X to try fitted transformers with, and the same with other numbers.

    Equal rows, or a single one, would not show what a transformer does.
    """
    X = X.toarray() if issparse(X) else X if hasattr(X, "columns") else np.asarray(X)
    step = 1 + (_num_samples(X) - 1) // _MAX_SAMPLE
    rows = _safe_indexing(X, np.arange(0, _num_samples(X), step))
    doubled = _with_other_numbers(rows)
    try:
        for_trial = doubled
        for transform in transforms:
            for_trial = outputs_of(transform, for_trial)
    except Exception:  # anybody's transformer may refuse numbers by any error
        return rows
    return doubled


def dependencies(transforms, rows):
    """Return which columns of rows each feature behind fitted transformers depends on.

    Composite transformers are opened. Others are asked for the names of their features, or else
    tried with other values in one column after another.

    Parameters
    ----------
    transforms : list of transformer
        The fitted transformers in the order in which rows pass through them.
    rows : table of shape (n_samples, n_columns)
        A few rows.

    Returns
    -------
    depends : ndarray of shape (n_columns, n_features), dtype=bool
    """
    depends = np.eye(n_columns(rows), dtype=bool)
    for transform in transforms:
        depends = depends @ _dependencies(transform, rows)
        rows = outputs_of(transform, rows)
    return depends


def steps_of(transform):
    """Return the transformers that rows pass through one after the other, None where it is one."""
    if isinstance(transform, FrozenEstimator):
        return [transform.estimator]
    if isinstance(transform, Pipeline):
        return [step for _, step in transform.steps if step not in (None, "passthrough")]
    return getattr(transform, "steps_", None)


def branches_of(transform, rows):
    """Return the transformers that are given columns side by side, None where it is one."""
    if isinstance(transform, ColumnTransformer):
        return _branches_of_column_transformer(transform, rows)
    if isinstance(transform, FeatureUnion):
        return _branches_of_union(transform, rows)
    if hasattr(transform, "input_to_outputs_") and hasattr(transform, "all_outputs_"):
        return _branches_of_table_vectorizer(transform, rows)
    return None


def outputs_of(transform, rows) -> Any:
    """Return transformed rows, sparse ones as an array; "passthrough" leaves them as they are."""
    if isinstance(transform, str):
        return rows
    with warnings.catch_warnings():
        # Only a trial: rows may have lost their column names, or hold values out of range.
        warnings.simplefilter("ignore")
        outputs = transform.transform(rows)
    return outputs.toarray() if issparse(outputs) else outputs


def n_columns(rows):
    """Return the number of columns of a table."""
    return 1 if len(np.shape(rows)) == 1 else np.shape(rows)[1]


def column_of(table, position):
    """Return a column of a table as an array."""
    if hasattr(table, "iloc"):
        return np.asarray(table.iloc[:, position])
    return np.asarray((table if hasattr(table, "columns") else np.asarray(table))[:, position])


def as_numbers(values):
    """Return values as an array, of float64 where they are numbers."""
    values = np.asarray(values)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return values


def _dependencies(transform, rows):
    if (steps := steps_of(transform)) is not None:
        return dependencies(steps, rows)
    n_inputs = n_columns(rows)
    if (branches := branches_of(transform, rows)) is not None:
        depends = np.zeros((n_inputs, n_columns(outputs_of(transform, rows))), dtype=bool)
        for inner, inputs, outputs in branches:
            inside = True
            if len(inputs) > 1:
                inside = _dependencies(inner, _safe_indexing(rows, inputs, axis=1))
            depends[np.ix_(inputs, outputs)] |= inside
        return depends
    if isinstance(transform, str):
        return np.eye(n_inputs, dtype=bool)
    outputs = outputs_of(transform, rows)
    depends = _by_names(transform, n_inputs, n_columns(outputs))
    return _by_trial(transform, rows, outputs) if depends is None else depends


def _branches_of_column_transformer(transform, rows):
    # Of a table, columns are chosen by name, also if it has more of them or in another order.
    names = list(getattr(rows, "columns", getattr(transform, "feature_names_in_", ())))
    n_inputs = n_columns(rows)
    everywhere = np.arange(n_columns(outputs_of(transform, rows)))
    branches = []
    for name, inner, columns in transform.transformers_:
        outputs = everywhere[transform.output_indices_[name]]
        if len(outputs):
            takes_table = isinstance(inner, str) or not np.isscalar(columns)
            inputs = _positions(columns, names, n_inputs)
            branches.append(Branch(inner if takes_table else None, inputs, outputs))
    return branches


def _positions(columns, names, n_inputs):
    """Return the positions that a ColumnTransformer's choice of columns stands for."""
    every = np.arange(n_inputs)
    if isinstance(columns, slice):
        start, stop = (
            names.index(end) if isinstance(end, str) else end
            for end in (columns.start, columns.stop)
        )
        # Slices of names include their end.
        return every[start : stop + 1 if isinstance(columns.stop, str) else stop : columns.step]
    columns = np.atleast_1d(np.asarray(columns))
    if columns.dtype.kind in "OUT":
        return np.array([names.index(name) for name in columns], dtype=int)
    return every[columns]


def _branches_of_union(transform, rows):
    branches, start = [], 0
    every = np.arange(n_columns(rows))
    for _, inner in transform.transformer_list:
        if inner != "drop":
            end = start + n_columns(outputs_of(inner, rows))
            branches.append(Branch(inner, every, np.arange(start, end)))
            start = end
    return branches


def _branches_of_table_vectorizer(transform, rows):
    outputs = {name: position for position, name in enumerate(transform.all_outputs_)}
    inputs = {name: position for position, name in enumerate(transform.feature_names_in_)}
    inside = getattr(transform, "transformers_", {})
    made_of = transform.input_to_outputs_
    return [
        Branch(
            # skrub's own transformers of single columns take no tables.
            inner if isinstance(inner := inside.get(name), _ENCODERS) else None,
            np.array([position]),
            # What it does not list is handed on.
            np.array([outputs[one] for one in made_of.get(name, [name]) if one in outputs], int),
        )
        for name, position in inputs.items()
    ]


def _by_names(transform, n_inputs, n_outputs):
    """Give the inputs names that are recognized in those of the outputs."""
    if n_inputs == 1:
        return np.ones((1, n_outputs), dtype=bool)
    if isinstance(transform, ClassNamePrefixFeaturesOutMixin):
        return np.ones((n_inputs, n_outputs), dtype=bool)
    unnamed = copy.copy(transform)
    vars(unnamed).pop("feature_names_in_", None)  # no other names would be accepted
    try:
        names = unnamed.get_feature_names_out([_TOKEN.format(i) for i in range(n_inputs)])
    except Exception:  # anybody's transformer may raise anything
        return None
    sources = [[int(position) for position in _TOKENS.findall(str(name))] for name in names]
    if len(sources) != n_outputs or not all(sources):
        return None
    depends = np.zeros((n_inputs, n_outputs), dtype=bool)
    for output, of_output in enumerate(sources):
        depends[of_output, output] = True
    return depends


def _by_trial(transform, rows, outputs):
    n_inputs, n_outputs = n_columns(rows), n_columns(outputs)
    if n_inputs == n_outputs and is_feature_wise(transform, rows):
        return np.eye(n_inputs, dtype=bool)
    depends = np.zeros((n_inputs, n_outputs), dtype=bool)
    if n_inputs > _MAX_TRIED:
        return np.ones_like(depends)
    for position in range(n_inputs):
        for others in _with_other_values(rows, position):
            try:
                depends[position] |= _differs(outputs, outputs_of(transform, others))
            except Exception:  # anybody's transformer may refuse by any error
                return np.ones_like(depends)
    # What nothing has changed was handed on, or else may depend on anything.
    depends |= _same_names(rows, outputs) & ~depends.any(axis=0)
    return depends | ~depends.any(axis=0)


def _same_names(rows, outputs):
    if not (hasattr(rows, "columns") and hasattr(outputs, "columns")):
        return False
    return np.array([[name == other for other in outputs.columns] for name in rows.columns])


def is_feature_wise(transform, rows):
    """Tell whether a transformer computes each feature from the column at its position.

    Scalers do; PCA does not.
    """
    if hasattr(rows, "columns") or np.asarray(rows).dtype.kind not in "iuf":
        return False
    some = np.asarray(rows, dtype=np.float64)[:4]
    others = some + 0.1 * (1 + np.abs(some))
    columns = np.arange(some.shape[1])
    try:
        found, others_found = (np.asarray(outputs_of(transform, v)) for v in (some, others))
        if found.shape != some.shape:
            return False
        # The numbers of any two columns differ in a binary digit: each pair is separated once.
        for digit in range(len(columns).bit_length()):
            is_other = (columns >> digit) % 2 == 1
            mixed = np.asarray(outputs_of(transform, np.where(is_other, others, some)))
            expected = np.where(is_other, others_found, found)
            if not np.allclose(mixed, expected, rtol=1e-9, atol=0, equal_nan=True):
                return False
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    return True


def _differs(outputs, others):
    """Tell in which columns outputs differ anywhere."""
    if np.shape(outputs) != np.shape(others):
        raise ValueError("The number of rows or of columns depends on values.")
    pairs = [[column_of(one, i) for one in (outputs, others)] for i in range(n_columns(outputs))]
    return np.array([not are_equal(*pair, tolerance=1e-12) for pair in pairs])


def are_equal(values, others, tolerance):
    """Tell whether two columns are equal, up to a share of their largest number."""
    values, others = as_numbers(values), as_numbers(others)
    if values.dtype.kind != others.dtype.kind:
        return False
    if values.dtype.kind != "f":
        return all(a == b or (a != a and b != b) for a, b in zip(values, others, strict=True))
    scale = 1e-6 + np.max(np.abs(values), initial=0, where=np.isfinite(values))
    return np.allclose(values, others, rtol=0, atol=tolerance * scale, equal_nan=True)


def _with_other_values(rows, position):
    """Yield rows with one column changed: its values moved by a row, and turned around."""
    order = np.arange(_num_samples(rows))
    for moved in (np.roll(order, 1), order[::-1]):
        if hasattr(rows, "iloc"):
            others = rows.copy()
            others.isetitem(position, rows.iloc[moved, position].set_axis(rows.index))
        elif hasattr(rows, "columns"):  # polars
            name = rows.columns[position]
            others = rows.with_columns(rows[name].gather(moved).alias(name))
        else:
            others = rows.copy()
            others[:, position] = rows[moved, position]
        yield others


def _with_other_numbers(rows):
    """Return rows, followed by the same with all decimal numbers changed."""
    if hasattr(rows, "iloc"):
        import pandas as pd

        others = rows.copy()
        for position, dtype in enumerate(rows.dtypes):
            if getattr(dtype, "kind", "O") == "f":
                column = rows.iloc[:, position]
                others.isetitem(position, column + 0.1 * (1 + column.abs()))
        return pd.concat([rows, others], ignore_index=True)
    if hasattr(rows, "columns") or rows.dtype.kind != "f":
        return rows
    others = rows + 0.1 * (1 + np.abs(rows))
    return np.concatenate([rows, others.astype(rows.dtype)])
