"""Refusals of unfit input: what came, why it is unfit, and what to give instead."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from numbers import Number, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import indexable

from skae._network.missing import PresentCells, deviations, extremes
from skae._network.scorer import evenly_spaced
from skae._sklearn_compat import (
    _check_sample_weight,
    _num_samples,
    _safe_indexing,
    check_array,
)
from skae._warnings import warn
from skae.thresholds import FixedThreshold

_MAX_SHOWN = 5
# The smallest standard deviation of a feature, relative to its values, of which a network sees
# anything. Below 1e-5 it is about a hundred steps of float32, to which outputs are rounded too. Far
# from the sizes that weights start at, networks learn the offset only, long before float32 ends.
_MIN_SPREAD = 1e-5
_MIN_SPREAD_IF_LARGE = 1e-3
_LARGE = 100
# What is left of a constant after calculations in float64.
_ROUNDING = 1e-13
# Beyond it, or below its inverse, the squares of gradients leave float32: optimizers stop moving or
# turn to NaN.
_MAX_FACTOR = 1e12
# Of the largest value of X: beyond, a network sees noise only.
_MAX_RELATIVE_NOISE = 100


def as_rows(X):
    """Return what rows can be picked from, tensors as arrays, or refuse anything else.

    For those who pass rows on: what is in the rows is up to whoever takes them.
    """
    if issparse(X):
        return X
    is_sequence = isinstance(X, Sequence) and not isinstance(X, (str, bytes))
    if not (is_sequence or hasattr(X, "__array__")):
        raise TypeError(
            "X must be a table, such as a NumPy array or a DataFrame, with one row per sample; got "
            f"{_described(X)}.{_way_to_a_table(X)}"
        )
    if getattr(getattr(X, "dtype", None), "kind", "O") in "biufc":
        check_two_axes(X)
    is_indexed = is_sequence or isinstance(X, np.ndarray) or hasattr(X, "columns")
    return X if is_indexed or hasattr(X, "iloc") else np.asarray(X)


def as_table(X):
    """Return a DataFrame, a sparse matrix or else an array, or refuse what has no numbers in it.

    scikit-learn's own checks would take text for numbers and dates for nanoseconds.
    """
    X = as_rows(X)
    if issparse(X):
        return X
    if hasattr(X, "columns"):
        _check_columns(X)
        return _without_na(X)
    if not hasattr(X, "dtype"):
        X = _as_array(X)
    _check_dtype(X)
    check_two_axes(X)
    return _without_na(X)


def _without_na(X):
    """Return X with NaN in place of pandas' NA, which is no number to NumPy, among objects."""
    if hasattr(X, "iloc"):
        has_objects = any(dtype.kind == "O" for dtype in X.dtypes)
        return X.where(X.notna(), np.nan) if has_objects else X
    if getattr(X.dtype, "kind", "") != "O":  # a tensor's dtype has no kind
        return X
    is_na = np.vectorize(lambda value: type(value).__name__ == "NAType", otypes=[bool])
    return np.where(is_na(X), np.nan, X)


def _as_array(rows):
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise ValueError(
            "X must have as many numbers in each row as in the others, but its rows differ: cut "
            "them to one length, or fill the gaps."
        ) from error


def check_two_axes(X):
    """Refuse a single row, without printing it."""
    shape = np.shape(X)
    if len(shape) < 2:
        raise ValueError(
            f"Expected 2D array, got {len(shape)}D: X has shape {shape}. Reshape your data: "
            "for a single row give X.reshape(1, -1), for a single feature X.reshape(-1, 1)."
        )


@contextmanager
def explained_gaps(X, estimator):
    """Say how many values are missing, and where, in place of scikit-learn's advice."""
    try:
        yield
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(_about_gaps(X, estimator)) from None


def check_one_label_per_row(X, y):
    """Refuse labels of another number than the rows; None is no labels."""
    if y is not None and _num_samples(y) != _num_samples(X):
        raise ValueError(
            "X and y have inconsistent numbers of samples: y must have one label per row of X; got "
            f"{_num_samples(y)} labels and {_num_samples(X)} rows."
        )


def check_is_instance(estimator):
    """Refuse a class in place of an estimator."""
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator must be an instance, but {estimator.__name__} is a class: give "
            f"{estimator.__name__}(...), with parentheses."
        )


def check_threshold(threshold):
    """Refuse text that is no short name of a rule, where a number is meant."""
    digits = str(threshold).strip().removesuffix("%").strip()
    if not isinstance(threshold, str) or not digits.replace(".", "", 1).isdigit():
        return
    share = float(digits) / 100 if threshold.strip().endswith("%") else float(digits)
    how_to_fix = f"give the number, threshold={digits}"
    if threshold.strip().endswith("%"):
        how_to_fix = f"for a quantile of the errors give skae.thresholds.Quantile({share:g})"
    raise ValueError(
        f"The 'threshold' parameter takes a rule, its short name or a number; got {threshold!r}: "
        f"{how_to_fix}."
    )


def check_sign(rule, errors=()):
    """Refuse a negative number as the threshold of errors that are never negative."""
    value = rule.value if isinstance(rule, FixedThreshold) else 0
    if value < 0 <= np.min(errors, initial=0):
        raise ValueError(
            f"threshold={value:g} is negative, but the errors are not, so that every row would be "
            "flagged. A threshold is in the unit of the errors, and offset_ is minus the threshold:"
            f" for offset_={value:g} give {-value:g}."
        )


def check_contamination(contamination):
    """Refuse a percentage, or more than half of the rows."""
    if not isinstance(contamination, Real) or not float(contamination) > 0.5:
        return
    how_to_fix = "at most half of the rows can be outliers"
    if 1 <= float(contamination) <= 50:
        share = float(contamination) / 100
        how_to_fix = f"for {contamination:g} % give contamination={share:g}"
    raise ValueError(
        "The 'contamination' parameter is a share of the rows, above 0 and at most 0.5; got "
        f"{contamination!r}: {how_to_fix}."
    )


def check_learning_rate(learning_rate):
    """Refuse a step that no weight survives."""
    if isinstance(learning_rate, Real) and float(learning_rate) > _MAX_FACTOR:
        raise ValueError(
            f"learning_rate={learning_rate!r} is far too large, usual are 1e-4 to 1e-2: give a "
            "smaller one, or 'auto'."
        )


def check_noise(noise, largest):
    """Refuse noise in which rows with values up to `largest` would drown."""
    if noise > _MAX_RELATIVE_NOISE * largest > 0:
        raise ValueError(
            f"noise={noise!r} drowns X, whose values are at most {largest:.4g} in size: give a "
            "fraction of the standard deviation of the features, or 'auto', a tenth of it."
        )


def checked_weights(sample_weight: Any, X):
    """Return one weight per row in float32; a number is the weight of each row."""
    if isinstance(sample_weight, (str, bytes, Mapping)):
        raise TypeError(
            f"sample_weight must be one number per row, or a number for all; got {sample_weight!r}."
        )
    weights: Any = sample_weight
    if not isinstance(sample_weight, Number):
        weights = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
        )
    elif not np.isfinite(weights):
        raise ValueError(f"sample_weight must be finite; got {sample_weight!r}.")
    if not np.any(weights):
        raise ValueError("sample_weight is zero for every row: nothing is left to learn.")
    largest = np.max(weights, initial=0)
    if largest > _MAX_FACTOR or 0 < largest < 1 / _MAX_FACTOR:
        too = "too large" if largest > 1 else "too small"
        raise ValueError(
            f"sample_weight has values up to {largest:.4g}, {too} to train with: only their ratios "
            "matter, so divide them by their mean."
        )
    return _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)


def weights_of_rows(X, weights, rows):
    """Return the weights of some rows of X; a number is the weight of each row."""
    if isinstance(weights, Number):
        return weights
    _, weights = indexable(X, weights)
    return _safe_indexing(weights, rows)


def check_no_column_is_empty(present, names):
    """Refuse training rows that have no value at all in some column."""
    empty = np.flatnonzero(present.counts == 0)
    if len(empty):
        raise ValueError(
            f"X has no value at all in {_listed(empty, names)}, so there is nothing to learn about "
            "that: leave it out."
        )


def check_no_row_is_empty(present, name):
    """Refuse rows among which some have no value at all."""
    if present.n_empty_rows:
        raise ValueError(
            f"{name} has {present.n_empty_rows} rows without any value: leave them out, for "
            f"example by {name}.dropna(how='all') of a DataFrame."
        )


def warn_about_gaps(X, has_gaps, names):
    """Warn where rows to score lack every value, or one that no training row lacked.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    has_gaps : ndarray of bool of shape (n_features,)
        Which columns lacked values in training.
    names : sequence or None
        Of the features.
    """
    present = PresentCells(X)
    n_empty = present.n_empty_rows
    if n_empty:
        warn(
            f"{n_empty} of {len(X)} rows have no value at all. They are scored -inf, as outliers, "
            "because nothing is known about them."
        )
    new = np.flatnonzero((present.counts < len(X) - n_empty) & ~has_gaps)
    if len(new):
        warn(
            f"Values are missing in {_listed(new, names)}, where none was missing in training: "
            "rows are judged by their other values."
        )


def warn_if_nothing_varies(X, in_float32, names, is_trained=False):
    """Warn where all rows are equal, or differ by too little for their size.

    Parameters
    ----------
    X : array or DataFrame
        The training rows as they came.
    in_float32 : ndarray of shape (n_samples, n_features)
        The same rows, checked.
    names : sequence or None
        Of the features.
    is_trained : bool, default=False
        Whether the network is trained already, so that only float32 itself is in the way.
    """
    sample = _sample_in_float64(X)
    low, high = extremes(sample, axis=0)
    largest = np.fmax(np.abs(low), np.abs(high))
    varies = high - low > _ROUNDING * largest
    if not varies.any():
        _warn_if_all_rows_are_equal(in_float32)
        return
    spread = deviations(sample)
    is_far = (largest > _LARGE) & (not is_trained)
    least = np.where(is_far, _MIN_SPREAD_IF_LARGE, _MIN_SPREAD)
    lost = np.flatnonzero(varies & (spread < least * largest))
    if len(lost):
        worst = lost[np.argmin(spread[lost] / largest[lost])]
        warn(
            f"Of what varies in {_listed(lost, names)} a network sees little or nothing: it "
            f"computes in float32, and feature {_name(worst, names)}, for example, has a standard "
            f"deviation of {spread[worst]:.3g} at values of {largest[worst]:.4g}, where float32 "
            f"has steps of {np.spacing(np.float32(largest[worst])):.2g}. Put StandardScaler() "
            "before the detector in a pipeline: it subtracts the mean in float64.",
            ConvergenceWarning,
        )


def _warn_if_all_rows_are_equal(X):
    low, high = extremes(X, axis=0)
    if (low == high).all():
        warn(
            "All training rows are equal, so there is nothing to learn about how normal rows "
            "differ: look at X, and at the steps before the detector.",
            ConvergenceWarning,
        )


def _described(X):
    return "None" if X is None else f"{X!r}" if isinstance(X, Real) else f"a {type(X).__name__}"


def _way_to_a_table(X):
    if hasattr(type(X), "collect"):
        return " Give X.collect()."
    if isinstance(X, Mapping):
        return " Give pandas.DataFrame(X), with one entry per column."
    if hasattr(type(X), "as_numpy_iterator"):
        return (
            " Give numpy.concatenate(list(X.as_numpy_iterator())) for a dataset of batches of rows,"
            " numpy.stack for one of single rows."
        )
    if hasattr(type(X), "__next__"):
        return (
            " Give numpy.stack(list(X)) if it yields rows, numpy.concatenate(list(X)) if batches."
        )
    return ""


def _check_columns(X):
    unfit = [
        f"{name!r} ({dtype})"
        for position, (name, dtype) in enumerate(zip(X.columns, X.dtypes, strict=True))
        if not _is_numeric(dtype, lambda position=position: _column(X, position))
    ]
    if unfit:
        raise ValueError(
            f"X must hold numbers, but these columns do not: {_few(unfit)}. Encode them before the "
            "detector in a pipeline: skae.preprocessing.ColumnGroupScaler(TableVectorizer()), with "
            "skrub's TableVectorizer, does it for text, categories and dates, and scales all "
            "columns alike; without skrub give ColumnGroupScaler(make_column_transformer(("
            "OneHotEncoder(handle_unknown='ignore'), [...]), remainder='passthrough'))."
        )


def _column(X, position):
    return X.iloc[:, position] if hasattr(X, "iloc") else X[:, position]


def _is_numeric(dtype, values):
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric() or str(dtype) in ("Boolean", "Null")
    kind = getattr(getattr(dtype, "categories", dtype), "dtype", dtype).kind
    return kind in "biufc" or (kind == "O" and _are_numbers(values()))


def _are_numbers(values):
    # pandas.NA is a missing value, which scikit-learn's checks find.
    values = [value for value in values if type(value).__name__ != "NAType"]
    if _has_text(values):
        return False
    try:
        np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _has_text(values):
    return any(isinstance(value, (str, bytes)) for value in values)


def _check_dtype(X):
    kind = getattr(X.dtype, "kind", "O")
    if kind in "US" or (kind == "O" and _has_text(np.ravel(X))):
        raise ValueError(
            "X must hold numbers, but it holds text (could not convert strings to numbers without "
            "guessing): give X.astype(float) if the text is numbers, or encode categories with "
            "OneHotEncoder()."
        )
    if kind in "Mm":
        raise ValueError(
            f"X must hold numbers, but has the dtype {X.dtype}: give dates as what matters in "
            "them, such as the hour and the weekday, and durations as X / np.timedelta64(1, 's')."
        )
    if kind == "V":
        raise ValueError(
            f"X must be a plain array of numbers, but is a structured array with the fields "
            f"{_few(map(repr, X.dtype.names or ()))}: give "
            "numpy.lib.recfunctions.structured_to_unstructured(X), or pandas.DataFrame(X)."
        )
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: X has the dtype {X.dtype}. Give the real and the "
            "imaginary parts, or the absolute values, as features."
        )


def _about_gaps(X, estimator):
    gaps = np.asarray(X.isna()) if hasattr(X, "isna") else np.isnan(np.asarray(X, dtype=float))
    columns = np.flatnonzero(gaps.any(axis=0))
    return (
        f"Input X contains NaN: {gaps.sum()} values are missing in {gaps.any(axis=1).sum()} of "
        f"{len(gaps)} rows, in {_listed(columns, getattr(X, 'columns', None))}. "
        f"{type(estimator).__name__} needs complete rows: put SimpleImputer() before it in a "
        "pipeline (add_indicator=True if a gap is informative), or leave those rows out."
    )


def _sample_in_float64(X):
    if hasattr(X, "iloc"):
        sample = X.iloc[:: 1 + (len(X) - 1) // 4096]
    else:
        sample = evenly_spaced(X if hasattr(X, "ndim") else np.asarray(X))
    # Unlike NumPy, it knows the missing values of pandas.
    return check_array(_without_na(sample), dtype=np.float64, ensure_all_finite=False)


def _listed(positions, names):
    noun = "feature" if len(positions) == 1 else "features"
    return f"{noun} {_few([_name(position, names) for position in positions])}"


def _name(position, names):
    return str(position) if names is None else repr(names[position])


def _few(items):
    items = list(items)
    rest = f" and {len(items) - _MAX_SHOWN} more" if len(items) > _MAX_SHOWN else ""
    return ", ".join(items[:_MAX_SHOWN]) + rest
