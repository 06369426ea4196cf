"""The p-values of rows, compared with those of normal rows."""

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skae._meta.conformal import discoveries
from skae._meta.delegation import inner_of
from skae._meta.steps import transformed
from skae._presentation import TableRepr
from skae.displays._density import MANY_POINTS, spread_sample
from skae.displays._drawing import (
    figure_and_axes,
    import_pyplot,
    scatter,
    scatter_style,
    text_color,
)
from skae.displays._rows import checked_labels, checked_numbers, classes, label_column
from skae.displays._words import set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_MAX_DRAWN = 200


class PValueDisplay(TableRepr):
    """Sorted p-values with the diagonal of normal rows, and which of them are discoveries.

    P-values of normal rows are uniform: they follow the diagonal, or lie somewhat above it. Those
    of outliers bend the curve down at its lower end. The procedure of Benjamini and Hochberg flags
    all rows up to the last one on or below its line: of these, a share of at most `alpha` is normal
    on average.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    p_values : ndarray of shape (n_samples,)
        The p-value of each row: the smaller, the less normal.
    is_inlier : ndarray of shape (n_samples,), dtype=bool, default=None
        Which rows are labeled normal.
    alpha : float, default=None
        The share of normal rows that may be among those flagged. None draws no line.

    Attributes
    ----------
    points_ : list of matplotlib PathCollection
        The p-values that the last :meth:`plot` drew: those of all rows, or those of the inliers
        and of the outliers; of more than 2,000 rows, a sample of them.
    uniform_line_ : matplotlib Line2D
        The line that p-values of normal rows follow.
    alpha_line_ : matplotlib Line2D or None
        The line of Benjamini and Hochberg.
    ax_ : matplotlib Axes
        The axes with the points.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.ConformalOutlierDetector : Gives any outlier detector p-values.
    skae.displays.ErrorDistributionDisplay : How the errors of rows are distributed.

    Examples
    --------
    >>> from skae import ConformalOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import PValueDisplay
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(600, anomaly_share=0.2, random_state=0)
    >>> detector = ConformalOutlierDetector(
    ...     ReconstructionOutlierDetector(PCA(4), random_state=0), alpha=0.1, random_state=0
    ... )
    >>> detector = FitOnInliers(detector).fit(X[:300], y[:300])
    >>> display = PValueDisplay.from_estimator(detector, X[300:], y[300:])
    >>> display.frame().columns.to_list()
    ['p_value', 'rank', 'label', 'discovery']
    >>> display.alpha
    0.1
    """

    def __init__(
        self,
        *,
        p_values: np.ndarray,
        is_inlier: np.ndarray | None = None,
        alpha: float | None = None,
    ):
        self.p_values = p_values
        self.is_inlier = is_inlier
        self.alpha = alpha

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        log: bool | str = "auto",
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the p-values that a fitted detector gives to rows.

        Parameters
        ----------
        estimator : estimator
            A fitted detector that has `p_values`, such as :class:`skae.ConformalOutlierDetector`,
            or a pipeline or meta-estimator with one inside. The level is its `alpha`; there is none
            with `calibration="oob"`, whose p-values do not bound how many of the rows flagged by
            that procedure are normal.
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        log : bool or "auto", default="auto"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        display : PValueDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If there are no `p_values` in it.
        """
        import_pyplot(cls.__name__)
        check_is_fitted(estimator)
        transforms, detector = _split_before_p_values(estimator)
        if detector is None:
            raise TypeError(
                f"{type(estimator).__name__} has no `p_values`: {cls.__name__} needs a detector "
                "that gives them, such as skae.ConformalOutlierDetector around this one."
            )
        return cls.from_predictions(
            detector.p_values(transformed(transforms, X)),
            y,
            alpha=_level(detector),
            inlier_label=inlier_label,
            outlier_label=outlier_label,
            log=log,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        p_values: ArrayLike,
        y: ArrayLike | None = None,
        *,
        alpha: float | None = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        log: bool | str = "auto",
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw p-values that are already at hand.

        Parameters
        ----------
        p_values : array-like of shape (n_samples,)
            The p-value of each row, in [0, 1]: the smaller, the less normal.
        y : array-like of shape (n_samples,), default=None
            Labels of the rows.
        alpha : float, default=None
            The share of normal rows that may be among those flagged, in (0, 1). None draws no
            line.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        log : bool or "auto", default="auto"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        display : PValueDisplay

        Raises
        ------
        ValueError
            If p-values are missing or outside [0, 1], `alpha` is outside (0, 1), or `y` has
            another length.
        """
        import_pyplot(cls.__name__)
        p_values = checked_numbers(p_values, "p_values")
        outside = p_values[(p_values < 0) | (p_values > 1)]
        if len(outside):
            raise ValueError(
                f"p-values lie in [0, 1], and {len(outside)} of {len(p_values)} do not: the first "
                f"is {outside[0]:.4g}."
            )
        if alpha is not None and not (isinstance(alpha, Real) and 0 < alpha < 1):
            raise ValueError(f"alpha must be None or in (0, 1), got {alpha!r}.")
        is_inlier = checked_labels(y, p_values, inlier_label, outlier_label)
        display = cls(p_values=p_values, is_inlier=is_inlier, alpha=alpha)
        return display.plot(ax, log=log, **kwargs)

    def plot(self, ax: "Axes | None" = None, *, log: bool | str = "auto", **kwargs: Any) -> Self:
        """Draw a point for each row, from the smallest p-value to the largest.

        Points of more than 2,000 rows would hide each other: at most 200 of either class are drawn
        then, at equal distances along the horizontal axis. Any style in `kwargs` draws all the
        same.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        log : bool or "auto", default="auto"
            Whether both axes are logarithmic, which shows the small p-values that matter. "auto"
            does so where none is zero.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        self : PValueDisplay
        """
        log = self._takes_log_axes(log)
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        points, user_style = np.column_stack([self._ranks(), self.p_values]), scatter_style(kwargs)
        self.points_ = []
        for label, rows, color in classes(self.is_inlier, len(points)):
            if not user_style:
                rows = self._drawn(rows, log)
            style = {"s": 12, "color": color, "label": label, "zorder": 3}
            self.points_.append(scatter(self.ax_, points, rows, style, user_style))
        self.uniform_line_ = self._draw_line(1.0, ":", "uniform (normal rows)")
        self.alpha_line_ = None
        if self.alpha is not None:
            n_discoveries = np.count_nonzero(self._is_discovery())
            label = f"Benjamini-Hochberg at {self.alpha:g}\n({n_discoveries:,} rows flagged)"
            self.alpha_line_ = self._draw_line(self.alpha, "--", label)
        self.ax_.set(xlabel="rank of the row, the smallest p-value first", ylabel="p-value")
        if log:
            set_log_scale(self.ax_, "x", "y")
        self.ax_.legend()
        return self

    def _takes_log_axes(self, log):
        n_zeros = np.count_nonzero(self.p_values == 0)
        if log == "auto":
            return n_zeros == 0
        if log and n_zeros:
            raise ValueError(
                "A logarithmic axis cannot show p-values of zero, and "
                f"{n_zeros} of {len(self.p_values)} are: use log=False."
            )
        return bool(log)

    def _drawn(self, rows, log):
        """Return which of some rows are drawn, where all are many."""
        if len(rows) <= MANY_POINTS or np.count_nonzero(rows) <= _MAX_DRAWN:
            return rows
        order = np.argsort(self.p_values, kind="stable")
        is_drawn = np.zeros(len(rows), dtype=bool)
        is_drawn[spread_sample(order[rows[order]], _MAX_DRAWN, log=log)] = True
        return is_drawn

    def _ranks(self):
        ranks = np.empty(len(self.p_values), dtype=np.int64)
        ranks[np.argsort(self.p_values, kind="stable")] = np.arange(1, len(ranks) + 1)
        return ranks

    def _draw_line(self, slope, linestyle, label):
        # From 1, because logarithmic axes have no 0. Two points are enough: it is straight there.
        ends = np.array([1, len(self.p_values)])
        (line,) = self.ax_.plot(
            ends,
            slope * ends / ends[1],
            color=text_color(self.ax_),
            linestyle=linestyle,
            label=label,
        )
        return line

    def _is_discovery(self):
        return discoveries(self.p_values, self.alpha)

    def frame(self) -> "DataFrame":
        """Return the p-values as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row a row: p_value, rank (from 1), label ("inlier", "outlier", or missing without
            labels) and discovery (boolean: whether the procedure of Benjamini and Hochberg flags
            it; missing without `alpha`).
        """
        import pandas as pd

        discovery = pd.NA if self.alpha is None else self._is_discovery()
        index = pd.RangeIndex(len(self.p_values))
        return pd.DataFrame(
            {
                "p_value": self.p_values,
                "rank": self._ranks(),
                "label": label_column(self.is_inlier, index),
                "discovery": pd.Series(discovery, index=index, dtype="boolean"),
            }
        )


def _level(detector):
    """Return the level up to which a detector's p-values control the false-discovery rate."""
    if getattr(detector, "calibration", "split") == "oob":
        return None
    return getattr(detector, "alpha", None)


def _split_before_p_values(estimator):
    """Return the transformers before the detector with `p_values`, and it; None without one."""
    transforms = []
    # Meta-estimators also offer the methods inside them, but not its `alpha`: check the class.
    while estimator is not None and not hasattr(type(estimator), "p_values"):
        if isinstance(estimator, Pipeline):
            steps = [step for _, step in estimator.steps]
            transforms += [step for step in steps[:-1] if step not in (None, "passthrough")]
            estimator = steps[-1]
        else:
            estimator = inner_of(estimator)
    return transforms, estimator
