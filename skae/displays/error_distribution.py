"""How the errors of rows are distributed, and where the threshold cuts them."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skae._labels import inlier_mask
from skae._pipelines import error_name as error_name_of
from skae.displays._drawing import BLACK, BLUE, VERMILION, figure_and_axes, import_pyplot

# A linear axis shows such errors as one bar: its far end belongs to a few rows.
_TAIL_OF_A_LOG_AXIS = 10.0


class ErrorDistributionDisplay:
    """Histogram of the errors of rows, with the threshold; of inliers and outliers where known.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    errors : ndarray of shape (n_samples,)
        The error of each row: the larger, the less normal.
    is_inlier : ndarray of shape (n_samples,), dtype=bool, default=None
        Which rows are labelled normal.
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
    skae.displays.ReconstructionDisplay : Rows beside their reconstructions.
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

    def __init__(self, *, errors, is_inlier=None, threshold=None, error_name="error"):
        self.errors = errors
        self.is_inlier = is_inlier
        self.threshold = threshold
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        inlier_label="auto",
        outlier_label="auto",
        bins="auto",
        log_x="auto",
        log_y=False,
        clip_quantile=None,
        ax=None,
        **kwargs,
    ):
        """Draw the errors that a fitted outlier detector finds in rows.

        Parameters
        ----------
        estimator : estimator
            A fitted outlier detector of skae, scikit-learn or another house, or a pipeline that
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
        check_is_fitted(estimator)
        if not hasattr(estimator, "score_samples"):
            raise TypeError(
                f"{type(estimator).__name__} has no `score_samples`: {cls.__name__} needs an "
                "outlier detector that scores new rows (LocalOutlierFactor does with novelty=True)."
            )
        scores = column_or_1d(estimator.score_samples(X))
        return cls.from_predictions(
            -scores,
            y,
            threshold=_threshold(estimator, X, scores),
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
        errors,
        y=None,
        *,
        threshold=None,
        inlier_label="auto",
        outlier_label="auto",
        error_name="error",
        bins="auto",
        log_x="auto",
        log_y=False,
        clip_quantile=None,
        ax=None,
        **kwargs,
    ):
        """Draw errors that are already at hand.

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
        errors = column_or_1d(errors)
        errors = check_array(errors, dtype=np.float64, ensure_2d=False, input_name="errors")
        is_inlier = None
        if y is not None:
            check_consistent_length(errors, y)
            is_inlier = inlier_mask(y, inlier_label, outlier_label)
        if threshold is not None:
            threshold = float(threshold)
            if not np.isfinite(threshold):
                raise ValueError(f"threshold must be a finite number or None, got {threshold}.")
        display = cls(
            errors=errors, is_inlier=is_inlier, threshold=threshold, error_name=error_name
        )
        return display.plot(
            ax, bins=bins, log_x=log_x, log_y=log_y, clip_quantile=clip_quantile, **kwargs
        )

    def plot(
        self, ax=None, *, bins="auto", log_x="auto", log_y=False, clip_quantile=None, **kwargs
    ):
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
            In (0, 1]: errors beyond this quantile are counted in the last bin, so that a few large
            ones do not squeeze the rest. The threshold stays inside. The axis says how many were.
        **kwargs : dict
            Passed on to matplotlib's `hist`.

        Returns
        -------
        self : ErrorDistributionDisplay
        """
        log_x = self._takes_log_axis(log_x)
        upper = self._upper_end(clip_quantile)
        edges = _bin_edges(np.minimum(self.errors, upper), bins, log_x)
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.bars_ = []
        for label, errors, style in self._groups():
            style = {"bins": edges, "label": label, **style, **kwargs}
            _, _, bars = self.ax_.hist(np.minimum(errors, upper), **style)
            self.bars_.append(bars)
        self._draw_threshold()
        self._finish_axes(log_x, log_y, upper, kwargs)
        return self

    def _groups(self):
        """Yield label, errors and style of each histogram."""
        if self.is_inlier is None:
            yield "rows", self.errors, {"color": BLUE, "alpha": 0.8}
            return
        for label, rows, color in (
            ("inliers", self.is_inlier, BLUE),
            ("outliers", ~self.is_inlier, VERMILION),
        ):
            if rows.any():
                yield label, self.errors[rows], {"color": color, "alpha": 0.55}

    def _takes_log_axis(self, log_x):
        positive = self.errors.min() > 0
        if log_x == "auto":
            positive = positive and (self.threshold is None or self.threshold > 0)
            return bool(
                positive and self.errors.max() > _TAIL_OF_A_LOG_AXIS * np.median(self.errors)
            )
        if log_x and not positive:
            raise ValueError(
                "A logarithmic axis cannot show errors of zero or less, and "
                f"{np.count_nonzero(self.errors <= 0)} of {len(self.errors)} are: use log_x=False, "
                "with clip_quantile=0.99 if a few errors are very large."
            )
        return bool(log_x)

    def _upper_end(self, clip_quantile):
        """Return the largest error that has a place of its own on the axis."""
        if clip_quantile is None:
            return np.inf
        if not (isinstance(clip_quantile, Real) and 0 < clip_quantile <= 1):
            raise ValueError(f"clip_quantile must be None or in (0, 1], got {clip_quantile!r}.")
        upper = np.quantile(self.errors, clip_quantile)
        # A little beyond the threshold, so that what it cuts off is seen.
        beyond = -np.inf if self.threshold is None else self.threshold + 0.1 * abs(self.threshold)
        return max(upper, beyond)

    def _draw_threshold(self):
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axvline(
                self.threshold, color=BLACK, linestyle="--", label=f"threshold {self.threshold:.4g}"
            )

    def _finish_axes(self, log_x, log_y, upper, kwargs):
        n_beyond = np.count_nonzero(self.errors > upper)
        beyond = f"\n({n_beyond} larger than {upper:.4g}, in the last bin)" if n_beyond else ""
        self.ax_.set(
            xlabel=self.error_name + beyond,
            ylabel="density" if kwargs.get("density") else "number of rows",
        )
        if log_x:
            self.ax_.set_xscale("log")
        if log_y:
            self.ax_.set_yscale("log")
        if self.is_inlier is not None or self.threshold is not None:
            self.ax_.legend()

    def frame(self):
        """Return the errors as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row a row: error, label ("inlier", "outlier", or missing without labels) and
            above_threshold (boolean, or missing without threshold).
        """
        import pandas as pd

        label, above = None, pd.NA
        if self.is_inlier is not None:
            label = np.where(self.is_inlier, "inlier", "outlier")
        if self.threshold is not None:
            above = self.errors > self.threshold
        index = pd.RangeIndex(len(self.errors))
        return pd.DataFrame(
            {
                "error": self.errors,
                "label": pd.Series(label, index=index, dtype="str"),
                "above_threshold": pd.Series(above, index=index, dtype="boolean"),
            }
        )


def _threshold(estimator, X, scores):
    """Return minus the offset between `score_samples` and `decision_function`, or None."""
    if not hasattr(estimator, "decision_function"):
        return None
    decision = column_or_1d(estimator.decision_function(X))
    offsets = scores - decision
    # Near the threshold the difference of two numbers is exact, as `predict` sees it.
    offset = offsets[np.argmin(np.abs(decision))]
    rounding = 1e-5 * (np.abs(scores) + np.abs(offset))
    return -float(offset) if np.all(np.abs(offsets - offset) <= rounding) else None


def _bin_edges(errors, bins, log_x):
    if isinstance(bins, str):
        if bins != "auto":
            raise ValueError(f"bins must be 'auto', a number or the edges, got {bins!r}.")
        # NumPy's own "auto" makes millions of bins where a few errors are huge.
        bins = int(np.clip(3 * np.cbrt(len(errors)), 10, 60))
    if not (log_x and isinstance(bins, Integral)):
        return np.histogram_bin_edges(errors, bins)
    lower, upper = errors.min(), errors.max()
    if lower == upper:
        lower, upper = lower / 2, upper * 2
    edges = np.geomspace(lower, upper, bins + 1)
    # Rounding must not leave an error outside.
    edges[0], edges[-1] = lower, upper
    return edges
