"""Rows as signals, with their reconstructions."""

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skae._labels import inlier_mask
from skae._meta.delegation import split_pipeline
from skae._meta.source_columns import names_behind
from skae._meta.steps import original_units, transformed
from skae._meta.unwrap import error_name
from skae._presentation import TableRepr, number
from skae._sklearn_compat import check_array, column_or_1d
from skae.displays._drawing import given_axes, import_pyplot
from skae.displays._rows import check_few_rows
from skae.displays._signal_panels import draw_legend, draw_shaded, draw_side_by_side, signal_panels
from skae.displays._words import axis_label, in_lines, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_MAX_NAMED = 6
_TRANSFORMED_VALUE = "transformed value"


class ReconstructionDisplay(TableRepr):
    """Rows with their reconstructions, the area between them shaded.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    X_reconstructed : ndarray of shape (n_samples, n_features)
        Their reconstructions.
    X_nearest : ndarray of shape (n_samples, n_features), default=None
        The nearest normal rows that the network knows; drawn as a third line.
    errors : ndarray of shape (n_samples,), default=None
        The error of each row; shown in its title.
    is_inlier : ndarray of shape (n_samples,), dtype=bool, default=None
        Which rows the detector predicts to be normal; shown in their titles.
    row_names : sequence, default=None
        Names of the rows. None numbers them from 0.
    feature_names : sequence, default=None
        Names of the features in :meth:`frame`. None numbers them from 0.
    value_name : str, default="value"
        Label of the vertical axes.
    error_name : str, default="error"
        What the error is called in the titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (n_samples,) or (n_samples, 3)
        The panels; three per row with `residual=True`.
    figure_ : matplotlib Figure
        The figure with the panels.

    See Also
    --------
    skae.displays.ErrorDistributionDisplay : How the errors of rows are distributed.
    skae.displays.TrainingHistoryDisplay : Loss and metrics of each epoch.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector, FitOnInliers
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import ReconstructionDisplay
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(200, random_state=0)
    >>> detector = AutoencoderOutlierDetector(
    ...     epochs=5, batch_size=16, learning_rate=0.01, random_state=0
    ... )
    >>> detector = FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X, y)
    >>> display = ReconstructionDisplay.from_estimator(detector, X[:2])
    >>> display.frame().columns.to_list()
    ['row', 'feature', 'value', 'reconstruction', 'residual']
    >>> display.axes_.shape
    (2,)
    """

    def __init__(
        self,
        *,
        X: np.ndarray,
        X_reconstructed: np.ndarray,
        X_nearest: np.ndarray | None = None,
        errors: np.ndarray | None = None,
        is_inlier: np.ndarray | None = None,
        row_names: Any = None,
        feature_names: Any = None,
        value_name: str = "value",
        error_name: str = "error",
    ):
        self.X = X
        self.X_reconstructed = X_reconstructed
        self.X_nearest = X_nearest
        self.errors = errors
        self.is_inlier = is_inlier
        self.row_names = row_names
        self.feature_names = feature_names
        self.value_name = value_name
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        nearest: bool = False,
        value_name: str = "auto",
        residual: bool = False,
        sample_rate: float | None = None,
        ax: "Axes | Sequence | np.ndarray | None" = None,
    ) -> Self:
        """Draw rows and their reconstructions by a fitted detector.

        Values are in the units of X: the steps of a pipeline before the detector are inverted. If
        one of them cannot be, values are drawn as the detector sees them, and the axes say so.
        Verdict and error in the titles are always those of the whole estimator; the error is that
        of the rows as the detector sees them.

        With features in different units, only the largest are visible:
        :class:`skae.displays.ExplanationDisplay` shows each by its share of the error.
        For a pipeline, `from_estimator(pipeline[-1], pipeline[:-1].transform(X),
        value_name="scaled value")` draws the rows scaled.

        Parameters
        ----------
        estimator : estimator
            A fitted detector that has `reconstruct`, such as
            :class:`skae.AutoencoderOutlierDetector`, or a pipeline or meta-estimator with one
            inside.
        X : array-like of shape (n_samples, n_features)
            The few rows to show. Names in a DataFrame's index go into the titles.
        nearest : bool, default=False
            Whether to draw, beside each row, the nearest normal row that the network knows
            (`nearest_known` of the detector). Only detectors with the combined error know rows.
        value_name : str, default="auto"
            Label of the vertical axes, such as "voltage (mV)". "auto" is "value", or "transformed
            value" where the rows are drawn as the detector sees them.
        residual : bool, default=False
            Whether original, reconstruction and residual are drawn side by side, instead of
            original and reconstruction in one panel.
        sample_rate : float, default=None
            Samples per second, for an axis in seconds. None counts the features.
        ax : array-like of matplotlib Axes, default=None
            One for each row, three with `residual=True`. None makes a new figure.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the detector in it has no `reconstruct`, or with `nearest=True` no `nearest_known`.
        ValueError
            If there are more than 25 rows, or their width is wrong.
        """
        import_pyplot(cls.__name__)
        check_is_fitted(estimator)
        transforms, detector = split_pipeline(estimator)
        if not hasattr(detector, "reconstruct"):
            raise TypeError(
                f"{type(detector).__name__} has no `reconstruct`: {cls.__name__} needs a detector "
                "that reconstructs rows, such as skae.AutoencoderOutlierDetector."
            )
        if nearest and not hasattr(detector, "nearest_known"):
            raise TypeError(
                f"This {type(detector).__name__} has no `nearest_known`: nearest=True needs a "
                "detector with the combined error, such as skae.AutoencoderOutlierDetector with "
                "its defaults."
            )
        check_few_rows(X)
        inputs = transformed(transforms, X)
        original, reconstruction, is_inverted = original_units(
            transforms, inputs, detector.reconstruct(inputs)
        )
        X_nearest = None
        if nearest:
            _, X_nearest, _ = original_units(transforms, inputs, detector.nearest_known(inputs))
        if value_name == "auto":
            value_name = "value" if is_inverted else _TRANSFORMED_VALUE
        names = getattr(X, "columns", None) if is_inverted else names_behind(transforms, detector)
        display = cls(
            X=original,
            X_reconstructed=reconstruction,
            X_nearest=X_nearest,
            errors=-estimator.score_samples(X),
            is_inlier=estimator.predict(X) == 1,
            row_names=_row_names(X),
            feature_names=names,
            value_name=value_name,
            error_name=error_name(estimator).removeprefix("reconstruction "),
        )
        return display.plot(ax, residual=residual, sample_rate=sample_rate)

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        X_reconstructed: ArrayLike,
        *,
        X_nearest: ArrayLike | None = None,
        errors: ArrayLike | None = None,
        y_pred: ArrayLike | None = None,
        value_name: str = "value",
        residual: bool = False,
        sample_rate: float | None = None,
        ax: "Axes | Sequence | np.ndarray | None" = None,
    ) -> Self:
        """Draw rows and reconstructions computed elsewhere.

        Parameters
        ----------
        X, X_reconstructed : array-like of shape (n_samples, n_features)
            The few rows to show, and their reconstructions. The line of a row has gaps where it is
            NaN.
        X_nearest : array-like of shape (n_samples, n_features), default=None
            The nearest normal row for each; drawn as a third line.
        errors : array-like of shape (n_samples,), default=None
            The error of each row; shown in its title.
        y_pred : array-like of shape (n_samples,), default=None
            The verdict on each row as `predict` returns it: +1 for inliers, -1 for outliers.
        value_name : str, default="value"
            Label of the vertical axes, such as "voltage (mV)".
        residual : bool, default=False
            Whether original, reconstruction and residual are drawn side by side, instead of
            original and reconstruction in one panel.
        sample_rate : float, default=None
            Samples per second, for an axis in seconds. None counts the features.
        ax : array-like of matplotlib Axes, default=None
            One for each row, three with `residual=True`. None makes a new figure.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        ValueError
            If there are more than 25 rows, or shapes do not agree.
        """
        import_pyplot(cls.__name__)
        check_few_rows(X)
        row_names, feature_names = _row_names(X), getattr(X, "columns", None)
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", input_name="X")
        reconstructed = _checked_like(X, X_reconstructed, "X_reconstructed")
        if X_nearest is not None:
            X_nearest = _checked_like(X, X_nearest, "X_nearest")
        if errors is not None:
            check_consistent_length(X, errors)
            errors = column_or_1d(errors)
        if y_pred is not None:
            check_consistent_length(X, y_pred)
            y_pred = inlier_mask(y_pred)
        display = cls(
            X=X,
            X_reconstructed=reconstructed,
            X_nearest=X_nearest,
            errors=errors,
            is_inlier=y_pred,
            row_names=row_names,
            feature_names=feature_names,
            value_name=value_name,
        )
        return display.plot(ax, residual=residual, sample_rate=sample_rate)

    def plot(
        self,
        ax: "Axes | Sequence | np.ndarray | None" = None,
        *,
        residual: bool = False,
        sample_rate: float | None = None,
    ) -> Self:
        """Draw the rows, one panel or three for each.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One for each row, three with `residual=True`. None makes a new figure, in which all
            rows have the same scale.
        residual : bool, default=False
            Whether original, reconstruction and residual are drawn side by side, instead of
            original and reconstruction in one panel.
        sample_rate : float, default=None
            Samples per second, for an axis in seconds. None counts the features.

        Returns
        -------
        self : ReconstructionDisplay
        """
        x, xlabel = self._positions(sample_rate)
        value_name = axis_label(self.value_name)
        figure, axes = self._figure_and_panels(ax, n_columns=3 if residual else 1)
        draw = draw_side_by_side if residual else draw_shaded
        nearest = [None] * len(self.X) if self.X_nearest is None else self.X_nearest
        for panels, title, row, reconstruction, known in zip(
            axes, self._titles(), self.X, self.X_reconstructed, nearest, strict=True
        ):
            draw(panels, x, row, reconstruction, known, title)
            for panel in panels[::2]:  # the one in between has the scale of the first
                panel.set_ylabel(value_name)
        for panel in axes[-1]:
            panel.set_xlabel(xlabel)
        if sample_rate is None:
            for panel in axes.flat:
                self._name_features(panel)
        if not residual:
            draw_legend(axes[0, 0], beside_panels=ax is None)
        self.figure_, self.axes_ = figure, axes if residual else axes[:, 0]
        return self

    def _figure_and_panels(self, ax, n_columns):
        caller = type(self).__name__
        plt = import_pyplot(caller)
        shape = (len(self.X), n_columns)
        if ax is None:
            return signal_panels(plt, shape)
        axes = given_axes(ax, shape, caller)
        return axes.flat[0].figure, axes

    def _titles(self):
        names = range(len(self.X)) if self.row_names is None else self.row_names
        for position, name in enumerate(names):
            facts = []
            if self.is_inlier is not None:
                facts.append("inlier" if self.is_inlier[position] else "outlier")
            if self.errors is not None:
                facts.append(f"{self.error_name} {number(self.errors[position])}")
            yield f"row {name}: {', '.join(facts)}" if facts else f"row {name}"

    def _positions(self, sample_rate: float | None):
        positions = np.arange(self.X.shape[1])
        if sample_rate is None:
            return positions, "feature" if self._has_few_names() else "feature index"
        if not (isinstance(sample_rate, Real) and sample_rate > 0):
            raise ValueError(f"sample_rate must be None or a number > 0, got {sample_rate!r}.")
        return positions / sample_rate, "time (s)"

    def _has_few_names(self):
        return self.feature_names is not None and len(self.feature_names) <= _MAX_NAMED

    def _name_features(self, panel):
        if self._has_few_names():
            names = [in_lines(name, 60 // len(self.feature_names)) for name in self.feature_names]
            panel.set_xticks(range(len(names)), names, fontsize="small", parse_math=False)
        else:  # half a feature is none
            panel.xaxis.set_major_locator(whole_numbers())

    def frame(self) -> "DataFrame":
        """Return the rows and their reconstructions as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per value: row, feature, value, reconstruction, and residual (value minus
            reconstruction); with the nearest normal rows, also nearest.
        """
        import pandas as pd

        n_rows, n_features = self.X.shape
        rows = range(n_rows) if self.row_names is None else self.row_names
        features = range(n_features) if self.feature_names is None else self.feature_names
        frame = pd.DataFrame(
            {
                "row": np.repeat(np.asarray(rows), n_features),
                "feature": np.tile(np.asarray(features), n_rows),
                "value": self.X.ravel(),
                "reconstruction": self.X_reconstructed.ravel(),
                "residual": (self.X - self.X_reconstructed).ravel(),
            }
        )
        return frame if self.X_nearest is None else frame.assign(nearest=self.X_nearest.ravel())


def _row_names(X):
    # Lists have an `index` too, but no names.
    return X.index if hasattr(X, "iloc") else None


def _checked_like(X, values, name):
    values = check_array(values, dtype=np.float64, input_name=name)
    if X.shape != values.shape:
        raise ValueError(f"X has shape {X.shape}, {name} {values.shape}: they must agree.")
    return values
