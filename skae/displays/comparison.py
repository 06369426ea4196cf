"""Several detectors side by side: the scores of each in every fold."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skae._presentation import TableRepr, human_name, number, with_spread
from skae.displays._drawing import BLUE, figure_and_axes, text_color
from skae.displays._words import axis_label, in_lines, n_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_INCHES_PER_LINE = 0.17


class DetectorComparisonDisplay(TableRepr):
    """Scores of several detectors on the same folds.

    :func:`skae.model_selection.compare_detectors` makes one. All parameters are stored as
    attributes.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per detector and fold: detector, fold, a column for each metric, fit_time and
        score_time (in seconds), and error, the message of the error if there was one.
    summary : pandas.DataFrame
        What :meth:`frame` returns.
    metrics : list of str
        The columns of `scores` that can be drawn. The first one ranks the detectors.
    baseline : str, default=None
        The detector that the others were compared with.

    Attributes
    ----------
    points_ : matplotlib PathCollection
        The scores of the folds that the last :meth:`plot` drew.
    means_ : matplotlib ErrorbarContainer
        Their means and standard deviations.
    ax_ : matplotlib Axes
        The axes with the scores.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.model_selection.compare_detectors : Cross-validates the detectors.

    Examples
    --------
    >>> from skae.datasets import make_heartbeats
    >>> from skae.model_selection import compare_detectors
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.svm import OneClassSVM
    >>> X, y = make_heartbeats(200, anomaly_share=0.2, random_state=0)
    >>> detectors = [IsolationForest(n_estimators=20, random_state=0), OneClassSVM()]
    >>> display = compare_detectors(detectors, X, y, cv=3, scoring=["roc_auc", "f1"])
    >>> display.plot(metric="f1").ax_.get_xlabel().splitlines()
    ['F1', 'each fold, mean and standard deviation']
    """

    def __init__(
        self,
        *,
        scores: "DataFrame",
        summary: "DataFrame",
        metrics: list[str],
        baseline: str | None = None,
    ):
        self.scores = scores
        self.summary = summary
        self.metrics = metrics
        self.baseline = baseline

    def plot(self, ax: "Axes | None" = None, *, metric: str | None = None, **kwargs: Any) -> Self:
        """Draw one metric: a point for each fold, the mean and the standard deviation.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        metric : str, default=None
            What to draw. None is the metric that ranks.
        **kwargs : dict
            Passed on to matplotlib's `errorbar`.

        Returns
        -------
        self : DetectorComparisonDisplay
        """
        metric = self.metrics[0] if metric is None else metric
        if metric not in self.metrics:
            raise ValueError(f"metric={metric!r} was not measured: it is one of {self.metrics}.")
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        names = self._names()
        if ax is None:
            height = _INCHES_PER_LINE * (1 + n_lines(names)) * len(names)
            self.figure_.set_size_inches(7.0, 1.2 + height)
        heights = np.arange(len(names))
        height_of = dict(zip(self.summary.index, heights, strict=True))
        self.points_ = self.ax_.scatter(
            self.scores[metric], self.scores["detector"].map(height_of), color=BLUE, alpha=0.5
        )
        mean, spread = (self.summary[f"{what}_{metric}"] for what in ("mean", "std"))
        style = {"fmt": "|", "color": text_color(self.ax_), "markersize": 16, "capsize": 4}
        self.means_ = self.ax_.errorbar(mean, heights, xerr=spread, **{**style, **kwargs})
        xlabel = f"{human_name(metric)}\neach fold, mean and standard deviation"
        if self.baseline is not None:
            style = {"color": text_color(self.ax_), "linestyle": ":", "zorder": 0}
            self.ax_.axvline(mean[self.baseline], label=f"mean of {self.baseline}", **style)
            xlabel += f"\ndotted: mean of {self.baseline}"
        self.ax_.set(xlabel=axis_label(xlabel), ylabel="detector")
        self.ax_.set_yticks(heights, names, parse_math=False)
        self.ax_.set_ylim(len(heights) - 0.5, -0.5)  # the best one on top
        return self

    def _names(self):
        n_folds = self.scores["fold"].nunique()
        names = []
        for name, n_failed in self.summary["n_failed"].items():
            failed = f"\n(failed in {n_failed} of {n_folds})" if n_failed else ""
            names.append(in_lines(name) + failed)
        return names

    def frame(self) -> "DataFrame":
        """Return the comparison as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per detector, the best first; rank and, for every metric, its mean and standard
            deviation over the folds (with n - 1), "mean_roc_auc" and "std_roc_auc"; with a
            baseline, also the mean of the paired differences from it and their p-value,
            "difference_roc_auc" and "p_value_roc_auc". Then mean and standard deviation of
            fit_time and score_time, n_failed and the first error. A detector that failed in a fold
            has no means, because they would be over other folds.
        """
        return self.summary.copy()

    def _caption_and_table(self):
        import pandas as pd

        n_folds = self.scores["fold"].nunique()
        table, summary = {"rank": self.summary["rank"]}, self.summary
        for metric in self.metrics:
            name = human_name(metric)
            pairs = zip(summary[f"mean_{metric}"], summary[f"std_{metric}"], strict=True)
            table[name] = [with_spread(*pair) for pair in pairs]
            if self.baseline is not None:
                differences = summary[f"difference_{metric}"].map("{:+.3f}".format)
                table[f"{name}, difference"] = differences
                table[f"{name}, p-value"] = summary[f"p_value_{metric}"].map("{:.2g}".format)
        for name in ("fit_time", "score_time"):
            table[human_name(name)] = summary[f"mean_{name}"].map(number)
        if summary["n_failed"].any():
            table[human_name("n_failed")] = summary["n_failed"]
        shown = pd.DataFrame(table, index=summary.index).rename_axis(index=None)
        if self.baseline is not None:
            of_others = [name for name in shown if name.endswith((", difference", ", p-value"))]
            shown.loc[self.baseline, of_others] = ""
        against = "" if self.baseline is None else f", compared with {self.baseline}"
        return f"{len(shown)} detectors in {n_folds} folds, mean ± deviation{against}", shown
