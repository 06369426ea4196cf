"""Which features make up the errors of a few rows."""

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skae._meta.sentences import sentence
from skae._meta.unwrap import error_name as error_name_of
from skae._presentation import TableRepr, number
from skae.displays._drawing import BLUE, given_axes, import_pyplot
from skae.displays._rows import check_few_rows, checked_numbers
from skae.displays._words import axis_label, column_name, in_lines, n_lines
from skae.inspection import explain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_REQUIRED_COLUMNS = ["row", "feature", "contribution"]
_INCHES_PER_LINE = 0.16
_INCHES_PER_PANEL = 0.7
_NAME_WIDTH = 40
_TITLE_WIDTH = 48


class ExplanationDisplay(TableRepr):
    """The features that contribute most to the errors of a few rows, as bars.

    Make one with :meth:`from_estimator` or :meth:`from_explanation`. All parameters are stored as
    attributes.

    Parameters
    ----------
    explanation : pandas.DataFrame
        As :func:`skae.inspection.explain` returns it.
    errors : ndarray of shape (n_samples,), default=None
        The error of each row; shown in its title.
    error_name : str, default="error"
        Part of the label of the horizontal axes.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer
        The bars that the last :meth:`plot` drew, those of a row in one container, the largest
        first.
    axes_ : ndarray of matplotlib Axes, of shape (n_samples,)
        The panels.
    figure_ : matplotlib Figure
        The figure with the panels.

    See Also
    --------
    skae.inspection.explain : Tells which features make up the errors.
    skae.displays.ReconstructionDisplay : Rows with their reconstructions.

    Examples
    --------
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import ExplanationDisplay
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(300, random_state=0)
    >>> detector = ReconstructionOutlierDetector(PCA(4), random_state=0).fit(X)
    >>> row = X[:1].copy()
    >>> row[0, 70] += 3  # one wrong value
    >>> display = ExplanationDisplay.from_estimator(detector, row, top=3)
    >>> display.axes_[0].get_yticklabels()[0].get_text().splitlines()
    ['feature 70', 'is 3.73, expected 1.05']
    >>> display.frame().columns.to_list()
    ['row', 'feature', 'value', 'reconstruction', 'contribution', 'unusualness', 'text']
    """

    def __init__(
        self,
        *,
        explanation: "DataFrame",
        errors: np.ndarray | None = None,
        error_name: str = "error",
    ):
        self.explanation = explanation
        self.errors = errors
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        top: int | None = 5,
        *,
        reference: ArrayLike | None = None,
        ax: "Axes | Sequence | np.ndarray | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Explain rows by a fitted detector, and draw the explanation.

        Parameters
        ----------
        estimator : estimator
            A fitted detector that has `reconstruct` and `reconstruction_error`, such as
            :class:`skae.AutoencoderOutlierDetector`, or a pipeline or meta-estimator with one
            inside.
        X : array-like of shape (n_samples, n_features)
            The few rows to explain. Names in a DataFrame's index go into the titles.
        top : int, default=5
            How many features of each row are drawn. None draws all.
        reference : array-like of shape (n_reference_samples, n_features), default=None
            Rows whose errors count as typical; for the unusualness in :meth:`frame`.
        ax : matplotlib Axes or array-like of them, default=None
            One for each row. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `barh`.

        Returns
        -------
        display : ExplanationDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the detector in it does not reconstruct rows.
        ValueError
            If there are more than 25 rows, two have the same name, their width is wrong, or `top`
            is invalid.
        """
        import_pyplot(cls.__name__)
        check_few_rows(X)
        return cls.from_explanation(
            explain(estimator, X, top, reference=reference),
            errors=-estimator.score_samples(X),
            error_name=error_name_of(estimator),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_explanation(
        cls,
        explanation: "DataFrame",
        *,
        errors: ArrayLike | None = None,
        error_name: str = "error",
        ax: "Axes | Sequence | np.ndarray | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw an explanation computed elsewhere.

        Parameters
        ----------
        explanation : pandas.DataFrame
            As :func:`skae.inspection.explain` returns it, or part of that: the columns "row",
            "feature" and "contribution" are required, "value" and "reconstruction" are written
            beside the names if present.
        errors : array-like of shape (n_samples,), default=None
            The error of each row explained; shown in its title.
        error_name : str, default="error"
            Part of the label of the horizontal axes.
        ax : matplotlib Axes or array-like of them, default=None
            One for each row. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `barh`.

        Returns
        -------
        display : ExplanationDisplay

        Raises
        ------
        TypeError
            If `explanation` is not a DataFrame.
        ValueError
            If it lacks a column, has no or more than 25 rows to explain, has contributions that
            are missing or infinite, or there is not one error for each row.
        """
        import_pyplot(cls.__name__)
        if not hasattr(explanation, "columns"):
            raise TypeError(
                "explanation must be a DataFrame as skae.inspection.explain returns it; got "
                f"{type(explanation).__name__}."
            )
        if missing := [name for name in _REQUIRED_COLUMNS if name not in explanation.columns]:
            raise ValueError(f"explanation has no column {missing}.")
        checked_numbers(explanation["contribution"], "contribution")
        display = cls(explanation=explanation, error_name=error_name)
        n_rows = len(display._rows())
        check_few_rows(range(n_rows))
        if errors is not None:
            display.errors = checked_numbers(errors, "errors")
            if len(display.errors) != n_rows:
                raise ValueError(
                    f"There are {len(display.errors)} errors, but explanation has {n_rows} rows of "
                    "different names: each needs a name of its own."
                )
        return display.plot(ax, **kwargs)

    def plot(self, ax: "Axes | Sequence | np.ndarray | None" = None, **kwargs: Any) -> Self:
        """Draw a panel for each row, the largest contribution on top.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One for each row. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `barh`.

        Returns
        -------
        self : ExplanationDisplay
        """
        rows = self._rows()
        labels = [_labels(row) for _, row in rows]
        self.figure_, self.axes_ = self._figure_and_panels(ax, labels)
        self.bars_ = []
        for i, (panel, (name, row)) in enumerate(zip(self.axes_, rows, strict=True)):
            self.bars_.append(_draw_bars(panel, row, labels[i], kwargs))
            panel.set_title(self._title(i, name, row), loc="left", fontsize="medium")
        self._share_scale()
        self.figure_.align_ylabels(self.axes_)
        self.axes_[-1].set_xlabel(axis_label(f"contribution to the {self.error_name}"))
        return self

    def _share_scale(self):
        """Give all panels the limits of the widest, on axes of the user too."""
        limits = np.array([panel.get_xlim() for panel in self.axes_])
        for panel in self.axes_:
            panel.set_xlim(limits[:, 0].min(), limits[:, 1].max())

    def _rows(self):
        """Return name and features of each row, the largest contributions first."""
        return [
            (name, row.sort_values("contribution", ascending=False, kind="stable"))
            for name, row in self.explanation.groupby("row", sort=False, dropna=False)
        ]

    def _figure_and_panels(self, ax, labels):
        caller = type(self).__name__
        plt = import_pyplot(caller)
        if ax is not None:
            axes = given_axes(ax, (len(labels), 1), caller)
        else:
            heights = [
                _INCHES_PER_PANEL + _INCHES_PER_LINE * (1 + n_lines(of_row)) * len(of_row)
                for of_row in labels
            ]
            _, axes = plt.subplots(
                len(labels),
                squeeze=False,
                sharex=True,
                figsize=(7.0, 0.5 + sum(heights)),
                height_ratios=heights,
                layout="constrained",
            )
        return axes[0, 0].figure, axes[:, 0]

    def _title(self, position, name, row):
        if self.errors is None:
            return f"row {name}"
        error = self.errors[position]
        title = f"row {name}: {self.error_name} {number(error)}"
        if not error:
            return title
        shown = f"{100 * row['contribution'].sum() / error:.0f} % shown"
        return f"{title}, {shown}" if len(title) < _TITLE_WIDTH else f"{title},\n{shown}"

    def frame(self) -> "DataFrame":
        """Return the explanation as a table.

        Returns
        -------
        frame : pandas.DataFrame
            As :func:`skae.inspection.explain` returns it: one row per feature of a row, with the
            columns row, feature, value, reconstruction, contribution, unusualness and text.
        """
        return self.explanation.copy()


def _draw_bars(panel, row, labels, kwargs):
    positions = np.arange(len(row))
    bars = panel.barh(positions, row["contribution"], **{"color": BLUE} | kwargs)
    panel.set_yticks(positions, labels, fontsize="small", parse_math=False)
    panel.set(ylim=(len(row) - 0.5, -0.5), ylabel="feature")
    return bars


def _labels(row):
    """Return the name of each feature, and what it is and should be if that is known."""
    names = [in_lines(column_name(name), _NAME_WIDTH) for name in row["feature"]]
    if "value" not in row:
        return names
    expected = row.get("reconstruction", [None] * len(row))
    return [
        f"{name}\n{in_lines(sentence('', value, again, nan), _NAME_WIDTH)}"
        for name, value, again in zip(names, row["value"], expected, strict=True)
    ]
