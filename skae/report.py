"""One self-contained HTML page about a fitted detector and some rows."""

import io
import re
from base64 import b64encode
from contextlib import redirect_stdout
from datetime import date
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skae._labels import inlier_mask
from skae._meta.delegation import check_scores_samples, scores_steps, split_pipeline
from skae._meta.unwrap import error_name, fitted_offset, kept_errors, scores_and_labels
from skae._presentation import html_table, human_name, number, percent, presented
from skae._show_versions import show_versions
from skae._sklearn_compat import _safe_indexing
from skae.displays import (
    DriftDisplay,
    ErrorDistributionDisplay,
    SeriesDisplay,
    TrainingHistoryDisplay,
)
from skae.displays._drawing import BLUE, VERMILION
from skae.displays._time_axis import date_ticks, steps_and_label
from skae.displays._words import set_log_scale
from skae.inspection import drift_report, explain, threshold_report

__all__ = ["Report", "report"]

_MAX_LISTED = 10
_MAX_DRAWN = 2_000
_MAX_WORST = 100
_MAX_NAMED = 40
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0 auto;
  max-width: 54rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
img { display: block; width: 100%; max-width: 42rem; height: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; min-width: 3rem;
  overflow-wrap: normal; vertical-align: top; }
code { font-size: .85rem; }
pre { font-size: .8rem; background: #f5f5f5; padding: .6rem; white-space: pre-wrap; }
.small { color: #555; font-size: .9rem; }
@media print { body { max-width: none; } section, img, tr { break-inside: avoid; }
  div { overflow: visible !important; } table { font-size: .65rem; } }
"""


class Report:
    """A page that :func:`report` has made. In a notebook it is shown.

    Parameters
    ----------
    html : str
        The page.
    """

    def __init__(self, html: str):
        self.html = html

    def __repr__(self):
        return f"Report({len(self.html):,} characters of HTML; save it by save(path))"

    def _repr_html_(self):
        # A frame of its own, so that its style is not that of the notebook.
        page = escape(self.html, quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0"></iframe>'

    def save(self, path: str | Path) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or Path
            The file. It is overwritten.
        """
        Path(path).write_text(self.html, encoding="utf-8")


def report(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    path: str | Path | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
) -> Report:
    """Put what a fitted detector finds in rows on one HTML page.

    The page needs no other file and no network. It shows what was trained, the errors with the
    threshold, the alarms (over time for a series, and the worst rows with reasons), the training
    curve, what other thresholds would cost, whether the rows have moved away from the training
    rows, and versions. Matplotlib is needed: ``pip install skae[plot]``.

    Parameters
    ----------
    estimator : estimator
        A fitted outlier detector with `score_samples`, or a pipeline or meta-estimator with one
        inside.
    X : array-like of shape (n_samples, n_features)
        The rows, ideally new ones.
    y : array-like of shape (n_samples,), default=None
        Their labels.
    path : str or Path, default=None
        Where to write the page. None writes no file.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's coding:
        +1 for inliers, -1 for outliers.

    Returns
    -------
    report : Report
        With the page as `html`. A notebook shows it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it has no `score_samples`.
    ValueError
        If X or y is invalid, or no row has a score.

    See Also
    --------
    skae.inspection.explain : The reasons, row by row.
    skae.inspection.threshold_report : What thresholds cost.
    skae.inspection.drift_report : Whether rows have moved.

    Examples
    --------
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.report import report
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(300, random_state=0)
    >>> detector = ReconstructionOutlierDetector(PCA(4), random_state=0).fit(X[:200])
    >>> page = report(detector, X[200:])
    >>> "<h2>Alarms</h2>" in page.html
    True
    """
    if find_spec("matplotlib") is None:
        raise ImportError("skae.report needs matplotlib to draw: pip install skae[plot].")
    check_is_fitted(estimator)
    check_scores_samples(estimator)
    if y is not None:
        y = np.where(inlier_mask(y, inlier_label, outlier_label), 1, -1)
    page = Report(_page(_Judged(estimator, X, y)))
    if path is not None:
        page.save(path)
    return page


class _Judged:
    """Rows with what a detector says of them."""

    def __init__(self, estimator, X, y):
        self.estimator, self.X, self.y = estimator, X, y
        scores, labels = scores_and_labels(estimator, X)
        self.errors, self.is_alarm = -scores, labels == -1
        self.is_scored = np.isfinite(self.errors)
        if not self.is_scored.any():
            raise ValueError("X has no row with a finite score to report on.")
        offset = fitted_offset(estimator)
        self.threshold = None if offset is None else -offset


def _page(judged):
    detector = split_pipeline(judged.estimator)[1]
    sections = {"Detector": _detector, "Alarms": _alarms, "Errors": _errors}
    if hasattr(detector, "history_"):
        sections["Training"] = _training
    sections["Other thresholds"] = _thresholds
    if kept_errors(judged.estimator) is not None:
        sections["Has the data moved?"] = _drift
    sections["Versions"] = _versions
    body = "".join(_section(title, content, judged) for title, content in sections.items())
    name = escape(type(detector).__name__)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Anomaly report</title><style>{_STYLE}</style></head><body>"
        f'<h1>Anomaly report</h1><p class="small">{name}, {date.today()}</p>{body}</body></html>\n'
    )


def _section(title, content, judged):
    try:
        html = content(judged)
    except (TypeError, ValueError) as error:  # what this detector or these rows do not have
        html = _note(error)
    return f"<section><h2>{escape(title)}</h2>{html}</section>"


def _note(text):
    return f'<p class="small">{escape(str(text))}</p>'


def _figure(draw, alt, height=3.2, panels=1):
    """Return what a function draws on axes as an image in the page."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    # The user's style may be made for a dark page.
    with plt.style.context(["default", {"svg.hashsalt": "skae"}]):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        draw(figure.subplots(panels))
        for text in figure.findobj(Text):
            # Names of columns are no formulas. Powers of ten are not written yet.
            text.set_parse_math("$" not in text.get_text())
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    picture = b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{picture}">'


def _detector(judged):
    names = [str(name) for name in getattr(judged.estimator, "feature_names_in_", ())]
    n_columns = judged.estimator.n_features_in_
    text = f"{n_columns} column{'s' * (n_columns != 1)}"
    if names:
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        text += f": {', '.join(names[:_MAX_NAMED])}{more}"
    transforms, detector = split_pipeline(judged.estimator)
    epochs = getattr(detector, "n_iter_", None)
    trained = "" if epochs is None else f" Trained in {epochs} epochs."
    threshold = "" if judged.threshold is None else f" Threshold: {number(judged.threshold, 4)}."
    steps = "".join(f"<li><code>{escape(_in_a_line(one))}</code></li>" for one in transforms)
    steps += f"<li><code>{escape(_in_a_line(detector))}</code></li>"
    outer = judged.estimator
    around = "" if outer is detector or hasattr(outer, "steps") else f"{type(outer).__name__} of"
    return f"<p>{escape(text)}.{trained}{threshold}</p><p>{around}</p><ol>{steps}</ol>"


def _in_a_line(estimator):
    """Return what an estimator looks like, without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(estimator).split()))


def _alarms(judged):
    n_rows, n_alarms = len(judged.errors), int(judged.is_alarm.sum())
    what = "time steps" if scores_steps(judged.estimator) else "rows"
    text = f"{n_alarms:,} of {n_rows:,} {what} raise an alarm ({percent(n_alarms / n_rows)})."
    if judged.y is not None:
        is_outlier = judged.y == -1
        n_found = int(np.sum(is_outlier & judged.is_alarm))
        text += f" {n_found:,} of the {is_outlier.sum():,} labeled outliers are among them."
    text = f"<p>{escape(text)}</p>"
    if scores_steps(judged.estimator):
        return text + _series(judged)
    return text + _over_time(judged) + _worst(judged)


def _series(judged):
    events = judged.estimator.events(judged.X)
    worst = events.sort_values("score", kind="stable").head(_MAX_LISTED)
    n_channels = min(np.shape(judged.X)[1], 6)

    def draw(axes):
        SeriesDisplay.from_estimator(judged.estimator, judged.X, judged.y, ax=axes)
        axes[-1].get_legend().remove()
        _legend_above(axes[-1])
        for panel in axes[:-1]:
            panel.sharex(axes[-1])
            panel.tick_params(labelbottom=False)

    n_panels = 1 + (n_channels if np.shape(judged.X)[1] <= n_channels else 1)
    picture = _figure(draw, "The series and its errors", 1 + 1.3 * n_panels, n_panels)
    if events.empty:
        return picture
    return picture + "<p>The worst events:</p>" + html_table(presented(worst))


def _over_time(judged):
    """Return the errors over time, if the rows have times."""
    times = getattr(judged.X, "index", None)
    if getattr(getattr(times, "dtype", None), "kind", "") != "M":
        return ""

    shown = _thinned(judged)

    def draw(panel):
        when = np.asarray(times)
        for rows, color, label in (
            (shown[~judged.is_alarm[shown]], BLUE, "usual"),
            (shown[judged.is_alarm[shown]], VERMILION, "alarm"),
        ):
            panel.plot(when[rows], judged.errors[rows], ".", color=color, label=label, ms=3)
        if judged.threshold is not None:
            label = f"threshold {number(judged.threshold)}"
            panel.axhline(judged.threshold, color="black", ls="--", label=label)
        if judged.errors[shown].min() > 0:
            set_log_scale(panel, "y")
        _, xlabel = steps_and_label(times, len(judged.errors))
        panel.set(xlabel=xlabel, ylabel=error_name(judged.estimator))
        date_ticks(panel)
        _legend_above(panel)

    scored = np.flatnonzero(judged.is_scored)
    note = ""
    if len(shown) < len(scored):
        note = _note(
            f"{len(shown):,} of {len(scored):,} rows are drawn: one in {_step(scored)}, "
            f"and the {_MAX_WORST} largest errors."
        )
    return _figure(draw, "Errors over time") + note


def _thinned(judged):
    """Return the rows to draw: where there are too many, every so many and the worst."""
    scored = np.flatnonzero(judged.is_scored)
    worst = scored[np.argsort(-judged.errors[scored], kind="stable")[:_MAX_WORST]]
    return np.union1d(scored[:: _step(scored)], worst)


def _step(rows):
    return -(-len(rows) // _MAX_DRAWN)


def _legend_above(panel):
    """Explain lines and colors above all panels, where nothing is hidden."""
    handles, labels = panel.get_legend_handles_labels()
    panel.figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))


def _worst(judged):
    import pandas as pd

    worst = np.argsort(-judged.errors, kind="stable")[:_MAX_LISTED]
    rows = _safe_indexing(judged.X, worst)
    table = pd.DataFrame({"row": rows.index if hasattr(rows, "iloc") else worst}).astype(str)
    table["error"] = [number(error, 4) for error in judged.errors[worst]]
    table["alarm"] = np.where(judged.is_alarm[worst], "yes", "no")
    if judged.y is not None:
        table["label"] = np.where(judged.y[worst] == 1, "normal", "outlier")
    try:
        text = explain(judged.estimator, rows, top=3)["text"].to_numpy(dtype=object)
    except TypeError as error:  # a detector that does not reconstruct
        return html_table(table) + _note(error)
    table["reasons"] = ["; ".join(some) for some in text.reshape(len(worst), -1)]
    return "<p>The largest errors:</p>" + html_table(table)


def _errors(judged):
    def draw(panel):
        ErrorDistributionDisplay.from_predictions(
            judged.errors[judged.is_scored],
            None if judged.y is None else judged.y[judged.is_scored],
            threshold=judged.threshold,
            error_name=error_name(judged.estimator),
            log_y=True,
            ax=panel,
        )

    return _figure(draw, "Histogram of the errors, with the threshold")


def _training(judged):
    def draw(panel):
        TrainingHistoryDisplay.from_estimator(judged.estimator, ax=panel)

    return _figure(draw, "Loss of each epoch")


def _thresholds(judged):
    table = threshold_report(judged.estimator, judged.X, judged.y)
    shown = presented(table[["threshold", "alarms"]])
    for name in ("alarm_rate", "precision", "recall", "fpr"):
        if name in table:
            cells = table[[name]].map(percent)
            shown = shown.join(cells.rename(columns=human_name))
    if table["note"].any():
        shown["note"] = table["note"]
    said = "Each rule, set and counted on these rows. “fitted” is the threshold of the detector."
    return _note(said) + html_table(shown)


def _drift(judged):
    found = drift_report(judged.estimator, _safe_indexing(judged.X, judged.is_scored))
    text = (
        f"Alarms: {percent(found.alarm_rate)} of these rows, "
        f"{percent(found.reference_alarm_rate)} of those that set the threshold. One of these has "
        f"the larger error in {percent(found.effect)} of the pairs; 50 % is no change."
    )

    def draw(axes):
        DriftDisplay.from_report(found, ax=axes)

    return f"<p>{escape(text)}</p>" + _figure(draw, "Errors now and before, by column", 6, 2)


def _versions(judged):
    shown = io.StringIO()
    with redirect_stdout(shown):
        show_versions()
    return f"<pre>{escape(shown.getvalue())}</pre>"
