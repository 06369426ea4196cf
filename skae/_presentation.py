"""Tables as people read them: names in words, few digits, shares in percent."""

from html import escape
from math import isnan
from numbers import Integral, Real
from typing import Any

_DASH = "\N{EN DASH}"
_MAX_ROWS = 10
_MAX_COLUMNS = 10
# Where replacing underscores is not enough.
_NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "fpr": "false alarms",
    "alarm_rate": "alarm rate",
    "reference_alarm_rate": "alarm rate before",
    "n_rows": "rows",
    "n_reference_rows": "rows before",
    "n_failed": "failed folds",
    "p_value": "p-value",
    "fit_time": "fit time (s)",
    "score_time": "score time (s)",
    "reference_contribution": "contribution before",
    "reference_value": "value before",
    "reference_deviation": "deviation before",
}


def human_name(name):
    """Return the name of a column in words."""
    return _NAMES.get(name, str(name).replace("_", " "))


def number(value, digits=3):
    """Return a value in words: a number with few digits, a dash where there is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or not isinstance(value, Real):
        is_missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        return _DASH if is_missing else str(value)
    if isinstance(value, Integral):
        return f"{value:,}"
    if isnan(value):
        return _DASH
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def percent(share):
    """Return a share in percent."""
    return _DASH if isnan(share) else f"{100 * share:.3g} %"


def with_spread(mean, spread):
    """Return a mean and its standard deviation, if there is one."""
    if isnan(mean):
        return number(mean)
    return f"{mean:.3f}" if isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def presented(frame):
    """Return a table with names in words and its cells as text."""
    named = frame.rename(columns=human_name).rename_axis(index=None)
    return named.map(number)


def html_table(frame):
    """Return a table of text as HTML that may be scrolled sideways; everything is escaped."""
    has_names = frame.index.dtype.kind not in "iu"
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    lines = []
    for label, cells in zip(frame.index, frame.to_numpy(), strict=True):
        name = f"<th>{escape(str(label))}</th>" if has_names else ""
        lines.append(f"<tr>{name}{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>")
    corner = "<th></th>" if has_names else ""
    return (
        '<div style="overflow-x:auto"><table>'
        f"<thead><tr>{corner}{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


class TableRepr:
    """Base class of results that are shown as the table that they are, in words and few digits."""

    def __repr__(self):
        caption, table = self._caption_and_table()
        has_names = table.index.dtype.kind not in "iu"
        return f"{caption}\n{table.to_string(index=has_names)}" if table.size else caption

    def _repr_html_(self):
        caption, table = self._caption_and_table()
        return f"<p>{escape(caption)}</p>{html_table(table)}"

    def _caption_and_table(self):
        """Return a line, and a table of text."""
        frame = self.frame()
        n_rows, n_columns = frame.shape
        caption = f"{type(self).__name__}: {_counted(n_rows, 'row')}"
        if n_rows > _MAX_ROWS or n_columns > _MAX_COLUMNS:
            caption += f", {_counted(n_columns, 'column')}; the first ones (frame() returns all):"
        return caption, presented(frame.iloc[:_MAX_ROWS, :_MAX_COLUMNS])

    def frame(self) -> Any:
        """Return the table with names for programs."""
        raise NotImplementedError


def _counted(number_of, what):
    return f"{number_of:,} {what}{'s' * (number_of != 1)}"
