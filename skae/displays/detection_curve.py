"""Precision and recall of the outliers at each threshold."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from skae._meta.unwrap import error_name as error_name_of
from skae._presentation import TableRepr
from skae.displays._drawing import (
    BLUE,
    VERMILION,
    draw_threshold,
    figure_and_axes,
    import_pyplot,
    line_style,
)
from skae.displays._rows import (
    checked_labels,
    checked_numbers,
    checked_threshold,
    errors_of,
    takes_log_axis,
    threshold_of,
)
from skae.displays._words import axis_label, set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class DetectionCurveDisplay(TableRepr):
    """Precision and recall of the outliers against the threshold, and the threshold chosen.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        The different errors of the rows, the smallest first.
    precision : ndarray of shape (n_thresholds,)
        The share of outliers among the rows whose error is at least as large. Between two errors,
        a threshold flags the same rows as the larger one.
    recall : ndarray of shape (n_thresholds,)
        The share of the outliers whose error is at least as large.
    threshold : float, default=None
        The threshold chosen: rows with larger errors are called outliers. None draws no line.
    error_name : str, default="error"
        What the threshold is; part of the label of the horizontal axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves that the last :meth:`plot` drew: precision and recall.
    threshold_line_ : matplotlib Line2D or None
        The threshold chosen.
    ax_ : matplotlib Axes
        The axes with the curves.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.displays.ErrorDistributionDisplay : How the errors of rows are distributed.
    skae.inspection.threshold_report : Compares the alarms of threshold rules.
    sklearn.metrics.PrecisionRecallDisplay : Precision against recall.

    Examples
    --------
    >>> from skae import FitOnInliers, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import DetectionCurveDisplay
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(400, anomaly_share=0.2, random_state=0)
    >>> detector = FitOnInliers(ReconstructionOutlierDetector(PCA(4), random_state=0))
    >>> _ = detector.fit(X[:200], y[:200])
    >>> display = DetectionCurveDisplay.from_estimator(detector, X[200:], y[200:])
    >>> display.threshold == -detector.offset_
    True
    >>> display.frame().columns.to_list()
    ['threshold', 'precision', 'recall']
    """

    def __init__(
        self,
        *,
        thresholds: np.ndarray,
        precision: np.ndarray,
        recall: np.ndarray,
        threshold: float | None = None,
        error_name: str = "error",
    ):
        self.thresholds = thresholds
        self.precision = precision
        self.recall = recall
        self.threshold = threshold
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        log_x: bool | str = "auto",
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curves of a fitted outlier detector.

        Parameters
        ----------
        estimator : estimator
            A fitted outlier detector of skae, scikit-learn or another library, or a pipeline that
            ends in one. The error of a row is minus its `score_samples`; the threshold follows
            from `decision_function`, where there is one.
        X : array-like of shape (n_samples, n_features)
            The rows, ideally ones it was not trained on.
        y : array-like of shape (n_samples,)
            Their labels.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        log_x : bool or "auto", default="auto"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : DetectionCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `score_samples`.
        ValueError
            If y has one class only.
        """
        import_pyplot(cls.__name__)
        errors = errors_of(estimator, X, cls.__name__)
        return cls.from_predictions(
            errors,
            y,
            threshold=threshold_of(estimator, X, errors),
            inlier_label=inlier_label,
            outlier_label=outlier_label,
            error_name=error_name_of(estimator),
            log_x=log_x,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        errors: ArrayLike,
        y: ArrayLike,
        *,
        threshold: float | None = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        error_name: str = "error",
        log_x: bool | str = "auto",
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curves of errors computed elsewhere.

        Parameters
        ----------
        errors : array-like of shape (n_samples,)
            The error of each row: the larger, the less normal. Of a scikit-learn detector, minus
            its `score_samples`.
        y : array-like of shape (n_samples,)
            Labels of the rows.
        threshold : float, default=None
            The threshold chosen: rows with larger errors are called outliers. Of a scikit-learn
            detector, minus its `offset_`. None draws no line.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        error_name : str, default="error"
            What the threshold is; part of the label of the horizontal axis.
        log_x : bool or "auto", default="auto"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : DetectionCurveDisplay

        Raises
        ------
        ValueError
            If y has one class only, errors are missing or infinite, or lengths do not agree.
        """
        import_pyplot(cls.__name__)
        errors = checked_numbers(errors, "errors")
        if y is None:
            raise ValueError("y is missing: precision and recall need the labels of the rows.")
        is_inlier = checked_labels(y, errors, inlier_label, outlier_label)
        if is_inlier.all() or not is_inlier.any():
            raise ValueError(
                f"y has {'inliers' if is_inlier.all() else 'outliers'} only: precision and recall "
                "need both. skae.displays.ErrorDistributionDisplay draws rows of one class."
            )
        precision, recall, thresholds = precision_recall_curve(~is_inlier, errors)
        # The last pair belongs to no threshold: it is the case of no alarms.
        display = cls(
            thresholds=thresholds,
            precision=precision[:-1],
            recall=recall[:-1],
            threshold=checked_threshold(threshold),
            error_name=error_name,
        )
        return display.plot(ax, log_x=log_x, **kwargs)

    def plot(self, ax: "Axes | None" = None, *, log_x: bool | str = "auto", **kwargs: Any) -> Self:
        """Draw both curves, and the threshold chosen.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        log_x : bool or "auto", default="auto"
            Whether the threshold is on a logarithmic axis. "auto" does so where all errors are
            positive and the largest is over ten times the median.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        self : DetectionCurveDisplay
        """
        log_x = takes_log_axis(self.thresholds, self.threshold, log_x)
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.lines_ = []
        for label, values, style in (
            ("precision", self.precision, {"color": BLUE}),
            ("recall", self.recall, {"color": VERMILION, "linestyle": "-."}),
        ):
            # Between two errors, a threshold flags the same rows as the larger one.
            marker = "o" if len(values) == 1 else None
            style = {**style, "drawstyle": "steps-pre", "label": label, "marker": marker}
            self.lines_ += self.ax_.plot(self.thresholds, values, **line_style(style, kwargs))
        self.threshold_line_ = draw_threshold(self.ax_, self.threshold, self._remark())
        self.ax_.set(
            xlabel=axis_label(f"threshold of the {self.error_name}"),
            ylabel="precision and recall of outliers",
            ylim=(-0.03, 1.03),
        )
        if log_x:
            set_log_scale(self.ax_, "x")
        self.ax_.legend()
        return self

    def _remark(self):
        """Return precision and recall at the chosen threshold, in words."""
        if self.threshold is None:
            return ""
        # A row on the threshold is an inlier.
        position = np.searchsorted(self.thresholds, self.threshold, side="right")
        if position == len(self.thresholds):
            return " (no alarms)"
        precision, recall = self.precision[position], self.recall[position]
        return f"\n(precision {precision:.2f}, recall {recall:.2f})"

    def frame(self) -> "DataFrame":
        """Return the curves as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per distinct error, the smallest first: threshold, and the precision and
            recall of flagging the rows whose error is at least as large.
        """
        import pandas as pd

        return pd.DataFrame(
            {"threshold": self.thresholds, "precision": self.precision, "recall": self.recall}
        )
