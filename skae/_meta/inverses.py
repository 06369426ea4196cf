"""Reconstructions taken back from what a detector sees to the columns of the user's table."""

import warnings
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from skae._meta.sources import (
    are_equal,
    as_numbers,
    branches_of,
    column_of,
    dependencies,
    n_columns,
    outputs_of,
    steps_of,
)
from skae._sklearn_compat import _safe_indexing


def taken_back(transforms, rows, features):
    """Take features back through fitted transformers, column by column, where that is possible.

    One-hot columns become the most likely category, ordinal codes the nearest one.

    Parameters
    ----------
    transforms : list of transformer
        The fitted transformers in the order in which rows pass through them.
    rows : table of shape (n_samples, n_columns)
        A few rows as they are before the transformers, to try inverses with.
    features : list of (ndarray of shape (n_rows,) or None)
        What the transformers would have returned, by feature.

    Returns
    -------
    columns : list of (ndarray of shape (n_rows,) or None)
        None for a column that cannot be taken back.
    """
    before = []
    for transform in transforms:
        before.append(rows)
        rows = outputs_of(transform, rows)
    for transform, inputs in zip(reversed(transforms), reversed(before), strict=True):
        features = _taken_back(transform, inputs, features)
    return features


def _taken_back(transform, rows, features):
    if (steps := steps_of(transform)) is not None:
        return taken_back(steps, rows, features)
    if isinstance(transform, str):  # "passthrough"
        return features
    if (branches := branches_of(transform, rows)) is not None:
        return _through_branches(branches, rows, outputs_of(transform, rows), features)
    if isinstance(transform, OneHotEncoder):
        return _most_likely(transform, features)
    if isinstance(transform, OrdinalEncoder):
        return _nearest_category(transform, features)
    outputs = outputs_of(transform, rows)
    depends = dependencies([transform], rows)
    columns = _inverted(transform, rows, outputs, features, depends)
    if all(column is not None for column in columns):
        return columns
    return _first(columns, _unchanged(rows, outputs, features, depends))


def _through_branches(branches, rows, outputs, features):
    columns = [None] * n_columns(rows)
    for transform, inputs, of_branch in branches:
        part, some = _safe_indexing(rows, inputs, axis=1), [features[one] for one in of_branch]
        if transform is None:  # cannot be asked
            depends = np.ones((len(inputs), len(some)), dtype=bool)
            found = _unchanged(part, _safe_indexing(outputs, of_branch, axis=1), some, depends)
        else:
            found = _taken_back(transform, part, some)
        before = [columns[position] for position in inputs]
        for position, column in zip(inputs, _first(before, found), strict=True):
            columns[position] = column
    return columns


def _first(columns, others):
    return [b if a is None else a for a, b in zip(columns, others, strict=True)]


def _inverted(transform, rows, outputs, features, depends):
    """Return the columns by `inverse_transform`, where it leads back to them.

    SimpleImputer's takes any share of a missing value for a missing value.
    """
    columns: list[Any] = [None] * len(depends)
    lengths = {len(feature) for feature in features if feature is not None}
    can_invert = hasattr(transform, "inverse_transform") and lengths
    if not can_invert or isinstance(transform, SimpleImputer):
        return columns
    seen = np.asarray(outputs)
    # What is not known is needed by no column that is returned.
    filled = [
        np.repeat(seen[:1, position], max(lengths)) if feature is None else feature
        for position, feature in enumerate(features)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # only a trial, of rows that have lost their names
            back = _as_array(transform.inverse_transform(seen))
            if _differ(seen, outputs_of(transform, back)):
                return columns
            found = _as_array(transform.inverse_transform(np.stack(filled, axis=1)))
    except Exception:  # anybody's transformer may refuse by any error
        return columns
    if back.shape[1:] != (len(depends),):
        return columns
    # Its inverse is the identity unless another is given.
    is_doubtful = isinstance(transform, FunctionTransformer)
    for position, of_column in enumerate(depends):
        is_known = all(features[output] is not None for output in np.flatnonzero(of_column))
        is_back = not is_doubtful or _mostly_equal(column_of(rows, position), back[:, position])
        if is_known and is_back:
            columns[position] = found[:, position]
    return columns


def _as_array(table):
    return table.toarray() if issparse(table) else np.asarray(table)


def _differ(outputs, others):
    """Tell whether tables differ anywhere."""
    columns = range(n_columns(outputs))
    return np.shape(outputs) != np.shape(others) or not all(
        are_equal(column_of(outputs, i), column_of(others, i), tolerance=1e-3) for i in columns
    )


def _mostly_equal(values, others):
    """Tell whether most values are equal, as where the others were clipped."""
    values, others = as_numbers(values), as_numbers(others)
    if values.dtype.kind != others.dtype.kind:
        return False
    if values.dtype.kind == "f":
        return np.mean(np.isclose(values, others, rtol=1e-3, equal_nan=True)) > 0.75
    return np.mean(values == others) > 0.75


def _unchanged(rows, outputs, features, depends):
    """Return the features that are what the column was, wherever it had a value."""
    import pandas as pd

    columns = [None] * len(depends)
    for position, output in zip(*np.nonzero(depends), strict=True):
        if columns[position] is None and depends[:, output].sum() == 1:
            before, after = column_of(rows, position), column_of(outputs, output)
            is_there = ~pd.isna(before)
            is_same = are_equal(before[is_there], after[is_there], tolerance=1e-3)
            if is_there.any() and is_same:
                columns[position] = features[output]
    return columns


def _most_likely(transform, features):
    """Return categories of one-hot features: of each column, the one with the largest feature."""
    counts = _numbers_of_categories(transform)
    dropped = [None] * len(counts) if transform.drop_idx_ is None else list(transform.drop_idx_)
    choices, is_known, start = [], [], 0
    for count, drop in zip(counts, dropped, strict=True):
        end = start + count - (drop is not None)
        block = features[start:end]
        start = end
        is_known.append(bool(block) and all(feature is not None for feature in block))
        choices.append(_one_hot(block, drop) if is_known[-1] else np.zeros((1, len(block))))
    n_rows = max(map(len, choices))
    choices = [np.broadcast_to(choice, (n_rows, choice.shape[1])) for choice in choices]
    columns = transform.inverse_transform(np.concatenate(choices, axis=1))
    return [columns[:, i] if is_known[i] else None for i in range(len(counts))]


def _one_hot(block, drop):
    shares = np.stack(block, axis=1).astype(np.float64)
    if drop is not None:
        shares = np.column_stack([shares, 1 - shares.sum(axis=1)])
    chosen = np.eye(shares.shape[1])[shares.argmax(axis=1)]
    return chosen if drop is None else chosen[:, :-1]


def _nearest_category(transform, features):
    counts = _numbers_of_categories(transform, with_missing=False)
    codes = [
        np.zeros(1) if feature is None else np.clip(np.rint(feature), 0, count - 1)
        for feature, count in zip(features, counts, strict=True)
    ]
    n_rows = max(map(len, codes))
    codes = np.stack([np.broadcast_to(code, n_rows) for code in codes], axis=1)
    columns = transform.inverse_transform(codes)
    return [None if f is None else columns[:, i] for i, f in enumerate(features)]


def _numbers_of_categories(transform, with_missing=True):
    """Return how many categories each column has; those that are infrequent count as one."""
    counts = [
        sum(with_missing or not (one is None or one != one) for one in categories)
        for categories in transform.categories_
    ]
    infrequent = getattr(transform, "infrequent_categories_", [None] * len(counts))
    return [
        count - (0 if rare is None else len(rare) - 1)
        for count, rare in zip(counts, infrequent, strict=True)
    ]
