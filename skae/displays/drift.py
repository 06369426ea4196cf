"""Whether rows have moved away from those that a detector learned from."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skae._presentation import TableRepr, number, percent
from skae.displays._drawing import (
    BLUE,
    VERMILION,
    draw_threshold,
    given_axes,
    import_pyplot,
    line_style,
)
from skae.displays._rows import has_long_tail
from skae.displays._words import axis_label, column_name, in_lines, n_lines, set_log_scale
from skae.inspection import DriftReport, drift_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_INCHES_PER_LINE = 0.16
_NARROW = 40


class DriftDisplay(TableRepr):
    """The errors of new rows and of reference rows, and the features whose errors have moved most.

    Make one with :meth:`from_estimator` or :meth:`from_report`. All parameters are stored as
    attributes.

    Parameters
    ----------
    report : DriftReport
        As :func:`skae.inspection.drift_report` returns it.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The share of rows with larger errors, of the reference rows and of the new ones.
    bars_ : matplotlib BarContainer or None
        The features that the last :meth:`plot` drew, the one that has moved most first.
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        The panels.
    figure_ : matplotlib Figure
        The figure with the panels.

    See Also
    --------
    skae.inspection.drift_report : What is drawn, in numbers.
    skae.displays.ErrorDistributionDisplay : The errors of some rows as a histogram.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.displays import DriftDisplay
    >>> from sklearn.decomposition import PCA
    >>> X = np.random.default_rng(0).normal(size=(600, 4)) @ np.diag([3, 2, 0.5, 0.5])
    >>> detector = ReconstructionOutlierDetector(PCA(2), random_state=0).fit(X[:300])
    >>> X_new = X[300:].copy()
    >>> X_new[:, 3] += 1.0  # a sensor has moved
    >>> display = DriftDisplay.from_estimator(detector, X_new)
    >>> display.axes_[1].get_yticklabels()[0].get_text()
    'feature 3'
    """

    def __init__(self, *, report: DriftReport):
        self.report = report

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_new: ArrayLike,
        X_reference: ArrayLike | None = None,
        *,
        top: int = 5,
        ax: "Sequence[Axes] | np.ndarray | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compare new rows with those that a fitted detector learned from, and draw the report.

        Parameters
        ----------
        estimator : estimator
            A fitted outlier detector with `score_samples`, or a pipeline or meta-estimator with one
            inside.
        X_new : array-like of shape (n_samples, n_features)
            The new rows.
        X_reference : array-like of shape (n_reference_samples, n_features), default=None
            Rows like those to be expected. None uses the errors that the detector keeps.
        top : int, default=5
            See :meth:`plot`.
        ax : array-like of matplotlib Axes, default=None
            See :meth:`plot`.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : DriftDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `score_samples`.
        ValueError
            If the detector keeps no errors and `X_reference` is missing.
        """
        import_pyplot(cls.__name__)
        report = drift_report(estimator, X_new, X_reference)
        return cls.from_report(report, top=top, ax=ax, **kwargs)

    @classmethod
    def from_report(
        cls,
        report: DriftReport,
        *,
        top: int = 5,
        ax: "Sequence[Axes] | np.ndarray | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : DriftReport
            As :func:`skae.inspection.drift_report` returns it.
        top : int, default=5
            See :meth:`plot`.
        ax : array-like of matplotlib Axes, default=None
            See :meth:`plot`.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : DriftDisplay

        Raises
        ------
        TypeError
            If `report` is none.
        """
        if not isinstance(report, DriftReport):
            raise TypeError(
                "report must be what skae.inspection.drift_report returns; got "
                f"{type(report).__name__}."
            )
        return cls(report=report).plot(ax, top=top, **kwargs)

    def plot(
        self,
        ax: "Sequence[Axes] | np.ndarray | None" = None,
        *,
        top: int = 5,
        **kwargs: Any,
    ) -> Self:
        """Draw the two panels.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            Two: for the errors, and for the features. None makes a new figure.
        top : int, default=5
            How many features are drawn.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        self : DriftDisplay
        """
        if not isinstance(top, Integral) or isinstance(top, bool) or top < 1:
            raise ValueError(f"top must be a whole number of features >= 1, got {top!r}.")
        plt = import_pyplot(type(self).__name__)
        if ax is None:
            names = _names(self.report.columns[:top])
            height = max(4.0, 1.0 + _INCHES_PER_LINE * (1 + n_lines(names)) * len(names))
            size = (10.0, height)
            _, axes = plt.subplots(1, 2, figsize=size, squeeze=False, layout="constrained")
        else:
            axes = given_axes(ax, (1, 2), type(self).__name__)
        self.axes_ = axes[0]
        self.figure_ = self.axes_[0].figure
        self._draw_errors(self.axes_[0], kwargs)
        self._draw_columns(self.axes_[1], self.report.columns[:top])
        return self

    def _draw_errors(self, panel, kwargs):
        report = self.report
        self.lines_ = []
        for name, errors, rate, color in (
            ("reference", report.reference_errors, report.reference_alarm_rate, BLUE),
            ("new", report.errors, report.alarm_rate, VERMILION),
        ):
            errors = np.sort(errors[np.isfinite(errors)])
            share = np.arange(len(errors), 0, -1) / max(len(errors), 1)
            style = {
                "color": color,
                "label": f"{name}: {percent(rate)} alarms",
                "drawstyle": "steps",
            }
            self.lines_ += panel.plot(errors, share, **line_style(style, kwargs))
        draw_threshold(panel, report.threshold)
        drawn = np.concatenate([line.get_xdata() for line in self.lines_])
        if has_long_tail(drawn):
            set_log_scale(panel, "x")
        p_value = "p < 0.001" if report.p_value < 0.001 else f"p = {report.p_value:.2g}"
        panel.set_title(f"{p_value}, effect {number(report.effect, 2)}", fontsize="medium")
        xlabel = axis_label(report.error_name, _NARROW)
        panel.set(xlabel=xlabel, ylabel="share of rows with larger errors")
        panel.legend()

    def _draw_columns(self, panel, columns):
        self.bars_ = None
        if columns.empty:
            panel.set_axis_off()
            panel.set_title("this detector has no errors of features", fontsize="medium", y=0.5)
            return
        positions = np.arange(len(columns))
        self.bars_ = panel.barh(positions, columns["moved"], color=VERMILION)
        panel.set_yticks(positions, _names(columns), fontsize="small", parse_math=False)
        panel.invert_yaxis()
        label = f"new minus reference {self.report.error_name}, mean over rows"
        xlabel = axis_label(label, _NARROW)
        panel.set(xlabel=xlabel, ylabel="feature")

    def frame(self) -> "DataFrame":
        """Return the features as a table.

        Returns
        -------
        frame : pandas.DataFrame
            The `columns` of the report: one row per feature, the one that has moved most first.
        """
        return self.report.columns.copy()

    def __repr__(self):
        return repr(self.report)

    def _repr_html_(self):
        return self.report._repr_html_()


def _names(columns):
    return [in_lines(column_name(name)) for name in columns["feature"]] if len(columns) else []
