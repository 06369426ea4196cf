"""A series with its errors, the threshold and the events."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skae._event_metrics import runs
from skae._meta.delegation import of_rows, scores_steps, split_pipeline
from skae._meta.series import series_of
from skae._presentation import TableRepr, number
from skae._sklearn_compat import check_array
from skae.displays._drawing import BLUE, GREEN, VERMILION, given_axes, import_pyplot, text_color
from skae.displays._rows import checked_labels, checked_threshold
from skae.displays._time_axis import date_ticks, steps_and_label
from skae.displays._words import column_name, in_lines, n_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

# More channels share one panel, one above the other.
_MAX_PANELS = 6
_INCHES_PER_PANEL = 1.4
_INCHES_PER_LINE = 0.12
_MAX_NAMED = 30
_PANEL_WIDTH = 20  # in characters, as the next
_STACKED_WIDTH = 32


class SeriesDisplay(TableRepr):
    """A series above the errors of its time steps, with the threshold and the events shaded.

    Gaps are left empty. Up to six channels have a panel each; more share one, each scaled to the
    same height.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_channels)
        The series.
    errors : ndarray of shape (n_steps,)
        Minus the score of each time step; NaN for one without a score.
    is_flagged : ndarray of shape (n_steps,), dtype=bool
        Which steps are flagged.
    times : pandas.Index, default=None
        When each step was. None counts them.
    breaks : ndarray of int, default=()
        Steps before which there is a gap.
    threshold : float, default=None
        The error above which a step is flagged.
    is_inlier : ndarray of shape (n_steps,), dtype=bool, default=None
        Which steps are labeled normal.
    channel_names : sequence of str, default=None
        Names of the channels.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The channels that the last :meth:`plot` drew.
    error_line_ : matplotlib Line2D
        The errors.
    threshold_line_ : matplotlib Line2D or None
        The threshold.
    spans_ : list of list of matplotlib Polygon
        The shaded events in each panel.
    axes_ : ndarray of matplotlib Axes
        The panels, that of the errors last.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.WindowedOutlierDetector : Scores a series, and lists its events.

    Examples
    --------
    >>> from skae import WindowedOutlierDetector
    >>> from skae.datasets import make_ecg_strip
    >>> from skae.displays import SeriesDisplay
    >>> from sklearn.ensemble import IsolationForest
    >>> normal, _ = make_ecg_strip(60, anomaly_share=0, random_state=0)
    >>> X, y = make_ecg_strip(20, anomaly_share=0.1, random_state=1)
    >>> forest = IsolationForest(random_state=0)
    >>> detector = WindowedOutlierDetector(forest, width=100, stride=10, random_state=0)
    >>> display = SeriesDisplay.from_estimator(detector.fit(normal), X, y)
    >>> display.frame().columns.to_list()
    ['0', 'error', 'is_flagged', 'stretch', 'label']
    """

    def __init__(
        self,
        *,
        values: np.ndarray,
        errors: np.ndarray,
        is_flagged: np.ndarray,
        times: Any = None,
        breaks: Any = (),
        threshold: float | None = None,
        is_inlier: np.ndarray | None = None,
        channel_names: Any = None,
    ):
        self.values = values
        self.errors = errors
        self.is_flagged = is_flagged
        self.times = times
        self.breaks = breaks
        self.threshold = threshold
        self.is_inlier = is_inlier
        self.channel_names = channel_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a series as a fitted detector judges it.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`skae.WindowedOutlierDetector`, or a pipeline or meta-estimator with one
            inside.
        X : array-like of shape (n_steps, n_channels)
            The series.
        y : array-like of shape (n_steps,), default=None
            Its labels.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        ax : array-like of matplotlib Axes, default=None
            Where to draw, one panel per channel and one for the errors. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot` of the channels.

        Returns
        -------
        display : SeriesDisplay

        Raises
        ------
        TypeError
            If the estimator does not score time steps.
        """
        import_pyplot(cls.__name__)
        check_is_fitted(estimator)
        if not scores_steps(estimator):
            raise TypeError(
                f"{cls.__name__} draws the time steps of a series, and "
                f"{type(split_pipeline(estimator)[1]).__name__} scores each row alone: give a "
                "fitted WindowedOutlierDetector."
            )
        decision = of_rows(estimator, "decision_function", X, groups)
        scores = of_rows(estimator, "score_samples", X, groups)
        offset = np.nanmedian(scores - decision) if np.isfinite(scores).any() else np.nan
        max_gap = split_pipeline(estimator)[1].max_gap
        return cls.from_predictions(
            X,
            scores,
            y,
            threshold=None if np.isnan(offset) else float(-offset),
            is_flagged=decision < 0,
            groups=groups,
            max_gap=max_gap,
            inlier_label=inlier_label,
            outlier_label=outlier_label,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        scores: ArrayLike,
        y: ArrayLike | None = None,
        *,
        threshold: float | None = None,
        is_flagged: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        max_gap: Any = "auto",
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a series with scores that are already at hand.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels)
            The series.
        scores : array-like of shape (n_steps,)
            The score of each time step: the higher, the more normal; NaN for one without.
        y : array-like of shape (n_steps,), default=None
            Labels of the steps.
        threshold : float, default=None
            The error, minus the score, above which a step is flagged. None draws no line.
        is_flagged : array-like of shape (n_steps,), dtype=bool, default=None
            Which steps are flagged. None is those with an error above `threshold`.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.
        max_gap : "auto", number, duration or None, default="auto"
            As of :class:`skae.WindowedOutlierDetector`.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        ax : array-like of matplotlib Axes, default=None
            Where to draw, one panel per channel and one for the errors. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot` of the channels.

        Returns
        -------
        display : SeriesDisplay

        Raises
        ------
        ValueError
            If the series, its labels or scores differ in length or are invalid.
        """
        import_pyplot(cls.__name__)
        values = check_array(X, dtype=np.float64, ensure_all_finite=False)
        errors = -column_or_1d(scores).astype(np.float64)
        check_consistent_length(values, errors)
        threshold = checked_threshold(threshold)
        if is_flagged is None:
            is_flagged = errors > (np.inf if threshold is None else threshold)
        flags: Any = column_or_1d(is_flagged).astype(bool)
        check_consistent_length(values, flags)
        series = series_of(values, X, groups, max_gap)
        display = cls(
            values=values,
            errors=errors,
            is_flagged=flags,
            times=series.index,
            breaks=series.stretches[1:, 0],
            threshold=threshold,
            is_inlier=checked_labels(y, values, inlier_label, outlier_label),
            channel_names=[str(name) for name in getattr(X, "columns", range(values.shape[1]))],
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: "ArrayLike | Axes | None" = None, **kwargs: Any) -> Self:
        """Draw the channels and the errors, one panel below the other.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            Where to draw, one panel per channel (one for all, if there are more than six) and one
            for the errors. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot` of the channels.

        Returns
        -------
        self : SeriesDisplay
        """
        plt = import_pyplot(type(self).__name__)
        n_channels = self.values.shape[1]
        n_panels = 1 + (n_channels if n_channels <= _MAX_PANELS else 1)
        if ax is None:
            heights = self._inches(n_panels)
            self.figure_, axes = plt.subplots(
                n_panels,
                squeeze=False,
                sharex=True,
                figsize=(9.0, 1.2 + sum(heights)),
                height_ratios=heights,
                layout="constrained",
            )
        else:
            axes = given_axes(ax, (n_panels, 1), type(self).__name__)
            self.figure_ = axes[0, 0].figure
        self.axes_ = axes.ravel()
        self._draw_channels(self.axes_[:-1], {"color": BLUE, "linewidth": 0.8} | kwargs)
        self._draw_errors(self.axes_[-1])
        self.spans_ = [self._draw_spans(panel) for panel in self.axes_]
        self.axes_[-1].set_xlabel(steps_and_label(self.times, len(self.values))[1])
        date_ticks(self.axes_[-1])
        self.figure_.align_ylabels(self.axes_)
        self._draw_legend(is_own=ax is None)
        return self

    def _inches(self, n_panels):
        """Return the height of each panel: that of many channels has room for their names."""
        n_channels = self.values.shape[1]
        heights = [_INCHES_PER_PANEL] * n_panels
        if n_channels > _MAX_PANELS:
            per_name = _INCHES_PER_LINE * (1 + n_lines(self._shown_names(_STACKED_WIDTH)))
            heights[0] = 0.3 + per_name * min(n_channels, _MAX_NAMED)
        return heights

    def _draw_legend(self, *, is_own):
        panel = self.axes_[-1]
        if is_own:  # above the panels, where it hides nothing
            handles, labels = panel.get_legend_handles_labels()
            self.figure_.legend(handles, labels, loc="outside upper right", ncols=len(labels))
        else:
            panel.legend(loc="upper right", fontsize="small")

    def _draw_channels(self, panels, style):
        values = self.values
        if values.shape[1] > len(panels):
            values = _stacked(values)
            names = self._shown_names(_STACKED_WIDTH)
            step = -(-len(names) // _MAX_NAMED)
            text = {"fontsize": "small", "parse_math": False}
            panels[0].set_yticks(np.arange(len(names))[::step], names[::step], **text)
            panels[0].set_ylim(-0.7, len(names) - 0.3)
            panels[0].set_ylabel("channels, each scaled to one height")
            panels = [panels[0]] * values.shape[1]
        else:
            for panel, name in zip(panels, self._shown_names(_PANEL_WIDTH), strict=True):
                panel.set_ylabel(name, fontsize="small" if "\n" in name else None, parse_math=False)
        x = self._x()
        self.lines_ = [
            panel.plot(x, self._with_gaps(channel), **style)[0]
            for panel, channel in zip(panels, values.T, strict=True)
        ]

    def _draw_errors(self, panel):
        style = {"color": VERMILION, "linewidth": 0.8, "label": "error"}
        finite = np.where(np.isfinite(self.errors), self.errors, np.nan)
        (self.error_line_,) = panel.plot(self._x(), self._with_gaps(finite), **style)
        self.threshold_line_ = None
        if self.threshold is not None:
            label = f"threshold {number(self.threshold)}"
            self.threshold_line_ = panel.axhline(
                self.threshold, color=text_color(panel), linestyle="--", label=label
            )
        panel.set_ylabel("error")

    def _draw_spans(self, panel):
        spans = [
            panel.axvspan(*ends, color=VERMILION, alpha=0.2, linewidth=0, label=label)
            for ends, label in self._labeled_spans(self.is_flagged, "event")
        ]
        if self.is_inlier is not None:
            for ends, label in self._labeled_spans(~self.is_inlier, "labeled outliers"):
                panel.axvspan(*ends, ymax=0.05, color=GREEN, alpha=0.8, linewidth=0, label=label)
        return spans

    def _labeled_spans(self, flags, label):
        """Yield the ends of each run of steps, and a label for the first one."""
        x = self._steps()
        for position, (start, stop) in enumerate(runs(flags, self.breaks)):
            is_last = stop == len(x) or stop in set(self.breaks)
            yield (x[start], x[stop - 1] if is_last else x[stop]), None if position else label

    def _steps(self):
        return steps_and_label(self.times, len(self.values))[0]

    def _x(self):
        x = self._steps()
        return np.insert(x, self.breaks, x[self.breaks]) if len(self.breaks) else x

    def _with_gaps(self, values):
        # A line is broken where there is no number.
        return np.insert(values, self.breaks, np.nan) if len(self.breaks) else values

    def _names(self):
        if self.channel_names is None:
            return [str(channel) for channel in range(self.values.shape[1])]
        return list(self.channel_names)

    def _shown_names(self, width):
        return [in_lines(column_name(name, "channel"), width) for name in self._names()]

    def frame(self) -> "DataFrame":
        """Return the numbers of the picture.

        Returns
        -------
        frame : pandas.DataFrame
            One row per time step, with the index of the series, and a column for each channel by
            its name, `error`, `is_flagged`, `stretch` (counted from 0) and `label` ("inlier",
            "outlier", or missing without labels).
        """
        import pandas as pd

        index = pd.RangeIndex(len(self.values)) if self.times is None else self.times
        is_new = np.zeros(len(self.values), dtype=np.int64)
        is_new[np.asarray(self.breaks, dtype=np.int64)] = 1
        label = None
        if self.is_inlier is not None:
            label = np.where(self.is_inlier, "inlier", "outlier")
        return pd.DataFrame(self.values, columns=self._names(), index=index).assign(
            error=self.errors,
            is_flagged=self.is_flagged,
            stretch=np.cumsum(is_new),
            label=pd.Series(label, index=index, dtype="str"),
        )


def _stacked(values):
    """Return channels scaled to one height, the first one at 0 and each one above the other."""
    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        scaled = (values - (low + high) / 2) / np.where(high > low, high - low, 1)
    return 0.9 * scaled + np.arange(values.shape[1])
