"""Tables in files: what their columns hold, and how they become numbers for a detector."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from skae.preprocessing import ColumnGroupScaler

if TYPE_CHECKING:
    from pandas import DataFrame

_PARQUET = (".parquet", ".pq")
_OTHER_SEPARATORS = (";", "\t", "|")
# Rarer values of a text column share one category.
_MAX_CATEGORIES = 30
# A text column in which a larger share of the values are different identifies rows.
_MAX_DISTINCT_SHARE = 0.5
_MIN_ROWS_OF_IDENTIFIER = 20
# Numbers that rise by one and the same step in a larger share of the rows count them.
_MIN_SHARE_OF_STEP = 0.9


def read_table(path, text=()) -> "DataFrame":
    """Read a CSV or Parquet file, or say in one sentence why it cannot be.

    Parameters
    ----------
    path : Path
        The file; a Parquet file ends in .parquet or .pq.
    text : iterable of str, default=()
        Columns to be read as text, also where they hold digits only.

    Returns
    -------
    table : pandas.DataFrame
        With names that are strings. Rows without labels of their own are counted from 1.
    """
    import pandas as pd

    path = Path(path)
    check_file(path)
    try:
        if path.suffix.lower() in _PARQUET:
            table = pd.read_parquet(path)
            names = table.columns.astype(str)
        else:
            table = pd.read_csv(path, dtype=dict.fromkeys(text, str))
            # As they stand there: read_csv numbers what it finds twice.
            header = pd.read_csv(path, header=None, nrows=1, dtype=str)
            names = pd.Index(header.iloc[0].dropna())
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow.") from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no table in UTF-8: save it in that encoding.") from None
    except ValueError as error:
        raise ValueError(f"{path} is no table that pandas can read: {error}") from error
    if not names.is_unique:
        twice = ", ".join(names[names.duplicated()].unique())
        raise ValueError(f"{path} has more than one column of the same name: {twice}.")
    if table.empty:
        raise ValueError(f"{path} has no rows below its header.")
    if table.shape[1] == 1 and any(mark in str(table.columns[0]) for mark in _OTHER_SEPARATORS):
        raise ValueError(f"{path} is one column: separate the values by commas.")
    if isinstance(table.index, pd.RangeIndex):
        table.index = pd.RangeIndex(1, len(table) + 1)
    return table.rename(columns=str)


def check_file(path):
    """Raise where there is no file."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")


def kinds_of_columns(table, kept=()):
    """Tell what each column holds: "numbers", "text" or "dates", or why it is left out.

    Parameters
    ----------
    table : pandas.DataFrame
        As read.
    kept : iterable of str, default=()
        Columns that are not left out, though their values look like names or numbers of rows.

    Returns
    -------
    kinds : dict of str to str
        By column.
    left_out : dict of str to str
        The reason, by column.
    """
    kinds, left_out = {}, {}
    for name, column in table.items():
        if column.isna().all():
            left_out[name] = "it has no values"
        elif column.dtype.kind == "c":
            left_out[name] = "its numbers are complex"
        elif name not in kept and _is_number(column) and _counts_rows(column):
            left_out[name] = f"it looks like a number of the row (--keep {name} keeps it)"
        elif _is_number(column):
            kinds[name] = "numbers"
        elif _is_date(column):
            kinds[name] = "dates"
        elif name not in kept and _is_identifier(column):
            left_out[name] = f"its text is another one in most rows (--keep {name} keeps it)"
        else:
            kinds[name] = "text"
    return kinds, left_out


def _is_number(column):
    from pandas.api import types

    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def columns_like_identifiers(table, kinds):
    """Return the columns of numbers that are whole and all different."""
    numbers = [name for name in kinds if kinds[name] == "numbers"]
    return [name for name in numbers if _has_different_whole_numbers(table[name])]


def _has_different_whole_numbers(column):
    values = column.dropna()
    is_long = len(values) >= _MIN_ROWS_OF_IDENTIFIER
    return is_long and values.is_unique and bool((values % 1 == 0).all())


def _counts_rows(column):
    if not _has_different_whole_numbers(column):
        return False
    steps = np.diff(column.dropna().to_numpy(dtype=np.float64))
    is_one_way = (steps > 0).all() or (steps < 0).all()
    return bool(is_one_way and np.mean(steps == np.median(steps)) >= _MIN_SHARE_OF_STEP)


def _is_date(column):
    from pandas.api import types

    if types.is_datetime64_any_dtype(column):
        return True
    if types.is_bool_dtype(column) or isinstance(column.dtype, _categorical()):
        return False
    return bool(_dates(column)[column.notna()].notna().all())


def _categorical():
    import pandas as pd

    return pd.CategoricalDtype


def _dates(column, errors="coerce"):
    import pandas as pd

    dates = pd.to_datetime(column, errors=errors, format="ISO8601", utc=True)
    return dates.dt.tz_localize(None)


def _is_identifier(column):
    values = column.dropna().astype(str)
    is_long = len(values) >= _MIN_ROWS_OF_IDENTIFIER
    return is_long and values.nunique() > _MAX_DISTINCT_SHARE * len(values)


def prepared(table, kinds) -> "DataFrame":
    """Return the columns of these kinds, each as its kind asks.

    Raises
    ------
    ValueError
        If a column is missing, or one of numbers or dates holds something else.
    """
    import pandas as pd

    missing = [name for name in kinds if name not in table]
    if missing:
        raise ValueError(f"the model needs columns that the file lacks: {', '.join(missing)}.")
    columns = {name: _as_kind(table[name], kind) for name, kind in kinds.items()}
    return pd.DataFrame(columns, index=table.index)


def _as_kind(column, kind):
    import pandas as pd

    if kind == "text":
        return column.astype(object).where(column.isna(), column.astype(str))
    is_dates = kind == "dates"
    values = _dates(column) if is_dates else pd.to_numeric(column, errors="coerce")
    _check_cells(column, values.isna() & column.notna(), f"was one of {kind}, and is")
    if is_dates:
        return values
    numbers = values.astype(np.float64)
    _check_cells(column, np.isinf(numbers), "takes numbers or empty cells, and is")
    return numbers


def _check_cells(column, is_wrong, reason):
    if is_wrong.any():
        row = int(np.argmax(np.asarray(is_wrong)))
        value = column.iloc[row]
        value = value.item() if hasattr(value, "item") else value
        raise ValueError(f"the column {column.name} {reason} {value!r} in row {row + 1}.")


def table_scaler(kinds):
    """Return an unfitted transformer of a table with columns of these kinds."""
    encoders = {
        "numbers": "passthrough",
        "text": OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_MAX_CATEGORIES),
        "dates": FunctionTransformer(day_and_hour),
    }
    columns = {kind: [name for name in kinds if kinds[name] == kind] for kind in encoders}
    steps = [(kind, encoders[kind], names) for kind, names in columns.items() if names]
    return ColumnGroupScaler(ColumnTransformer(steps))


def fitted_kinds(scaler):
    """Return the kinds of columns that :func:`table_scaler` was called with."""
    kinds = {name: kind for kind, _, names in scaler.transformer.transformers for name in names}
    return {name: kinds[name] for name in scaler.feature_names_in_}


def day_and_hour(dates) -> "DataFrame":
    """Return the day of the week, from 0 for Monday, and the hour of the day of each date.

    Not the date itself: new rows are later than all that a detector has learned from.
    """
    import pandas as pd

    parts = {}
    for name, column in dates.items():
        # Text, as of pandas.read_csv in a user's own code, or a time zone: all are read as UTC.
        if not hasattr(column, "dt") or column.dt.tz is not None:
            column = _dates(column, errors="raise")
        parts[f"{name}_weekday"] = column.dt.day_of_week
        parts[f"{name}_hour"] = column.dt.hour + column.dt.minute / 60
    return pd.DataFrame(parts, index=dates.index).astype(np.float64)
