"""How the errors of rows are distributed, and where the threshold cuts them."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skae._meta.unwrap import error_name as error_name_of
from skae._presentation import TableRepr, number
from skae.displays._drawing import draw_threshold, figure_and_axes, import_pyplot
from skae.displays._rows import (
    checked_labels,
    checked_numbers,
    checked_threshold,
    classes,
    errors_of,
    label_column,
    takes_log_axis,
    threshold_of,
)
from skae.displays._words import axis_label, set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class ErrorDistributionDisplay(TableRepr):
    """Histogram of the errors of rows, with the threshold; by class if y is given.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    errors : ndarray of shape (n_samples,)
        The error of each row: the larger, the less normal.
    is_inlier : ndarray of shape (n_samples,), dtype=bool, default=None
        Which rows are labeled normal.
    threshold : float, default=None
        Rows with larger errors are called outliers. None draws no line.
    error_name : str, default="error"
        Label of the horizontal axis.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer
        The histograms that the last :meth:`plot` drew: that of all rows, or those of the inliers
        and of the outliers.
    threshold_line_ : matplotlib Line2D or None
        The threshold.
    ax_ : matplotlib Axes
        The axes with the histograms.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.displays.ReconstructionDisplay : Rows with their reconstructions.
    skae.displays.TrainingHistoryDisplay : Loss and metrics of each epoch.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector, FitOnInliers
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import ErrorDistributionDisplay
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(200, random_state=0)
    >>> detector = AutoencoderOutlierDetector(
    ...     epochs=5, batch_size=16, learning_rate=0.01, random_state=0
    ... )
    >>> detector = FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X, y)
    >>> display = ErrorDistributionDisplay.from_estimator(detector, X, y)
    >>> display.frame().columns.to_list()
    ['error', 'label', 'above_threshold']
    >>> len(display.bars_)
    2
    """

    def __init__(
        self,
        *,
        errors: np.ndarray,
        is_inlier: np.ndarray | None = None,
        threshold: float | None = None,
        error_name: str = "error",
    ):
        self.errors = errors
        self.is_inlier = is_inlier
        self.threshold = threshold
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        bins: str | int | Sequence[float] = "auto",
        log_x: bool | str = "auto",
        log_y: bool = False,
        clip_quantile: float | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the errors that a fitted outlier detector finds in rows.

        Parameters
        ----------
        estimator : estimator
            A fitted outlier detector of skae, scikit-learn or another library, or a pipeline that
            ends in one. The error of a row is minus its `score_samples`; the threshold follows
            from `decision_function`, where there is one.
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Their labels. None draws one histogram of all rows.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        bins : "auto", int or sequence of float, default="auto"
            See :meth:`plot`.
        log_x : bool or "auto", default="auto"
            See :meth:`plot`.
        log_y : bool, default=False
            See :meth:`plot`.
        clip_quantile : float, default=None
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `hist`.

        Returns
        -------
        display : ErrorDistributionDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `score_samples`.
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
            bins=bins,
            log_x=log_x,
            log_y=log_y,
            clip_quantile=clip_quantile,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        errors: ArrayLike,
        y: ArrayLike | None = None,
        *,
        threshold: float | None = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        error_name: str = "error",
        bins: str | int | Sequence[float] = "auto",
        log_x: bool | str = "auto",
        log_y: bool = False,
        clip_quantile: float | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw errors computed elsewhere.

        Parameters
        ----------
        errors : array-like of shape (n_samples,)
            The error of each row: the larger, the less normal. Of a scikit-learn detector, minus
            its `score_samples`.
        y : array-like of shape (n_samples,), default=None
            Labels of the rows. None draws one histogram of all rows.
        threshold : float, default=None
            Rows with larger errors are called outliers. Of a scikit-learn detector, minus its
            `offset_`. None draws no line.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        error_name : str, default="error"
            Label of the horizontal axis.
        bins : "auto", int or sequence of float, default="auto"
            See :meth:`plot`.
        log_x : bool or "auto", default="auto"
            See :meth:`plot`.
        log_y : bool, default=False
            See :meth:`plot`.
        clip_quantile : float, default=None
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `hist`.

        Returns
        -------
        display : ErrorDistributionDisplay

        Raises
        ------
        ValueError
            If errors are missing or infinite, or `y` has another length.
        """
        import_pyplot(cls.__name__)
        errors = checked_numbers(errors, "errors")
        display = cls(
            errors=errors,
            is_inlier=checked_labels(y, errors, inlier_label, outlier_label),
            threshold=checked_threshold(threshold),
            error_name=error_name,
        )
        return display.plot(
            ax, bins=bins, log_x=log_x, log_y=log_y, clip_quantile=clip_quantile, **kwargs
        )

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        bins: str | int | Sequence[float] = "auto",
        log_x: bool | str = "auto",
        log_y: bool = False,
        clip_quantile: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histograms and the threshold.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        bins : "auto", int or sequence of float, default="auto"
            Number of bins, or their edges; errors outside given edges are not drawn. "auto" is
            between 10 and 60, more for more rows.
        log_x : bool or "auto", default="auto"
            Whether the errors are on a logarithmic axis, in bins of equal width there. "auto" does
            so where all errors are positive and the largest is over ten times the median.
        log_y : bool, default=False
            Whether the counts are on a logarithmic axis, which shows a few outliers among many
            inliers.
        clip_quantile : float, default=None
            In (0, 1]: errors above this quantile are counted in the last bin, so that a few large
            ones do not squeeze the rest. The threshold stays visible. The axis says how many.
        **kwargs : dict
            Passed on to matplotlib's `hist`.

        Returns
        -------
        self : ErrorDistributionDisplay
        """
        advice = ", with clip_quantile=0.99 if a few errors are very large"
        log_x = takes_log_axis(self.errors, self.threshold, log_x, advice)
        upper = self._upper_end(clip_quantile)
        edges = _bin_edges(np.minimum(self.errors, upper), bins, log_x)
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.bars_ = []
        alpha = 0.8 if self.is_inlier is None else 0.55  # histograms that overlap
        for label, rows, color in classes(self.is_inlier, len(self.errors)):
            style = {"bins": edges, "label": label, "color": color, "alpha": alpha, **kwargs}
            errors = self.errors[rows]
            _, _, bars = self.ax_.hist(np.minimum(errors, upper), **style)
            self.bars_.append(bars)
        self.threshold_line_ = draw_threshold(self.ax_, self.threshold)
        self._finish_axes(log_x, log_y, upper, kwargs)
        return self

    def _upper_end(self, clip_quantile: float | None):
        """Return the error above which all are counted in the last bin."""
        if clip_quantile is None:
            return np.inf
        if not (isinstance(clip_quantile, Real) and 0 < clip_quantile <= 1):
            raise ValueError(f"clip_quantile must be None or in (0, 1], got {clip_quantile!r}.")
        upper = np.quantile(self.errors, clip_quantile)
        # Slightly above the threshold, so that the rows it flags are visible.
        beyond = -np.inf if self.threshold is None else self.threshold + 0.1 * abs(self.threshold)
        return max(upper, beyond)

    def _finish_axes(self, log_x, log_y, upper, kwargs):
        n_beyond = np.count_nonzero(self.errors > upper)
        beyond = (
            f"\n({n_beyond:,} larger than {number(upper)}, in the last bin)" if n_beyond else ""
        )
        self.ax_.set(
            xlabel=axis_label(self.error_name + beyond),
            ylabel="density" if kwargs.get("density") else "number of rows",
        )
        if log_x:
            set_log_scale(self.ax_, "x")
        if log_y:
            set_log_scale(self.ax_, "y")
        if self.is_inlier is not None or self.threshold is not None:
            self.ax_.legend()

    def frame(self) -> "DataFrame":
        """Return the errors as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One table row per row: error, label ("inlier", "outlier", or missing without labels) and
            above_threshold (boolean, or missing without threshold).
        """
        import pandas as pd

        above = pd.NA if self.threshold is None else self.errors > self.threshold
        index = pd.RangeIndex(len(self.errors))
        return pd.DataFrame(
            {
                "error": self.errors,
                "label": label_column(self.is_inlier, index),
                "above_threshold": pd.Series(above, index=index, dtype="boolean"),
            }
        )


def _bin_edges(errors, bins: str | int | Sequence[float], log_x):
    if isinstance(bins, str):
        if bins != "auto":
            raise ValueError(f"bins must be 'auto', a number or the edges, got {bins!r}.")
        # NumPy's own "auto" makes millions of bins if a few errors are huge.
        bins = int(np.clip(3 * np.cbrt(len(errors)), 10, 60))
    if not (log_x and isinstance(bins, Integral)):
        return np.histogram_bin_edges(errors, bins)
    lower, upper = errors.min(), errors.max()
    if lower == upper:
        lower, upper = lower / 2, upper * 2
    edges = np.geomspace(lower, upper, int(bins) + 1)
    # Rounding must not leave an error outside.
    edges[0], edges[-1] = lower, upper
    return edges
