"""Tables as people read them: names in words, few digits, shares in percent."""

from html import escape
from math import isnan
from numbers import Integral, Real

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
    if isinstance(value, str) or not isinstance(value, Real):
        return "" if value is None else str(value)
    if isinstance(value, Integral):
        return f"{value:,}"
    if isnan(value):
        return "–"  # noqa: RUF001
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def percent(share):
    """Return a share in percent."""
    return "–" if isnan(share) else f"{100 * share:.3g} %"  # noqa: RUF001


def with_spread(mean, spread):
    """Return a mean and its standard deviation, with the digits that the latter leaves."""
    return number(mean) if isnan(spread) else f"{number(mean)} ± {spread:.2g}"


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
