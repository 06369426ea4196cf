"""The latent codes of rows."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skae._meta.delegation import split_pipeline
from skae._meta.steps import transformed
from skae._meta.unwrap import error_name as error_name_of
from skae._presentation import TableRepr
from skae._sklearn_compat import check_array
from skae.displays._density import MANY_POINTS, draw_counts, draw_medians, draw_on_top
from skae.displays._drawing import (
    VERMILION,
    figure_and_axes,
    import_pyplot,
    scatter,
    scatter_style,
    sets_color,
    text_color,
)
from skae.displays._rows import (
    checked_labels,
    checked_numbers,
    classes,
    errors_of,
    has_long_tail,
    label_column,
)
from skae.displays._words import axis_label, set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_MAX_LARGEST = 200
_MAX_OUTLIERS = 500


class LatentSpaceDisplay(TableRepr):
    """Latent codes of rows in the plane, colored by error or by label.

    Two codes per row are drawn as they are. More are projected onto the two directions in which
    they vary most (principal components of the rows shown); a single one is drawn against the error
    of the row, or against its position if the errors are unknown.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_codes)
        The latent codes of each row.
    errors : ndarray of shape (n_samples,), default=None
        The error of each row: the larger, the less normal.
    is_inlier : ndarray of shape (n_samples,), dtype=bool, default=None
        Which rows are labeled normal.
    error_name : str, default="error"
        Label of the color bar.

    Attributes
    ----------
    points_ : list of matplotlib PathCollection
        The points that the last :meth:`plot` drew: those of all rows, or those of the inliers and
        of the outliers. Of more than 2,000 rows, those drawn above the cells.
    cells_ : matplotlib PolyCollection or None
        The cells, of more than 2,000 rows.
    colorbar_ : matplotlib Colorbar or None
        The color bar, if the colors are errors or numbers of rows.
    ax_ : matplotlib Axes
        The axes with the points.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.displays.ErrorDistributionDisplay : How the errors of rows are distributed.
    skae.displays.ReconstructionDisplay : Rows with their reconstructions.

    Notes
    -----
    An outlier need not lie apart: a row that the network cannot represent gets a code too, often
    one like those of normal rows. Only the error gives it away.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector, FitOnInliers
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import LatentSpaceDisplay
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(200, random_state=0)
    >>> detector = AutoencoderOutlierDetector(
    ...     latent_dim=2, epochs=5, batch_size=16, learning_rate=0.01, random_state=0
    ... )
    >>> detector = FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X, y)
    >>> display = LatentSpaceDisplay.from_estimator(detector, X)
    >>> display.colorbar_.ax.get_ylabel()
    'combined error'
    >>> display.frame().columns.to_list()
    ['x', 'y', 'error', 'label']
    """

    def __init__(
        self,
        *,
        codes: np.ndarray,
        errors: np.ndarray | None = None,
        is_inlier: np.ndarray | None = None,
        error_name: str = "error",
    ):
        self.codes = codes
        self.errors = errors
        self.is_inlier = is_inlier
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
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the codes that a fitted detector gives to rows.

        Parameters
        ----------
        estimator : estimator
            A fitted detector whose `transform` returns latent codes, such as
            :class:`skae.AutoencoderOutlierDetector`, or a pipeline or meta-estimator with one
            inside.
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Their labels. None colors the rows by their errors.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the detector in it has no `transform`, or no `score_samples`.
        """
        import_pyplot(cls.__name__)
        check_is_fitted(estimator)
        transforms, detector = split_pipeline(estimator)
        if not hasattr(detector, "transform"):
            raise TypeError(
                f"{type(detector).__name__} has no `transform`: {cls.__name__} needs a detector "
                "with latent codes, such as skae.AutoencoderOutlierDetector."
            )
        return cls.from_predictions(
            detector.transform(transformed(transforms, X)),
            y,
            errors=errors_of(estimator, X, cls.__name__),
            inlier_label=inlier_label,
            outlier_label=outlier_label,
            error_name=error_name_of(estimator),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        codes: ArrayLike,
        y: ArrayLike | None = None,
        *,
        errors: ArrayLike | None = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        error_name: str = "error",
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw codes computed elsewhere.

        Parameters
        ----------
        codes : array-like of shape (n_samples, n_codes)
            The latent codes of each row. More than two per row need at least two rows.
        y : array-like of shape (n_samples,), default=None
            Labels of the rows. None colors the rows by their errors.
        errors : array-like of shape (n_samples,), default=None
            The error of each row: the larger, the less normal.
        inlier_label, outlier_label : scalar, default="auto"
            What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
            coding: +1 for inliers, -1 for outliers.
        error_name : str, default="error"
            Label of the color bar.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        ValueError
            If codes or errors are missing or infinite, or lengths do not agree.
        """
        import_pyplot(cls.__name__)
        codes = check_array(codes, dtype=np.float64, input_name="codes")
        if codes.shape[1] > 2:
            # A single row has no directions.
            check_array(codes, ensure_min_samples=2, input_name="codes")
        if errors is not None:
            check_consistent_length(codes, errors)
            errors = checked_numbers(errors, "errors")
        is_inlier = checked_labels(y, codes, inlier_label, outlier_label)
        display = cls(codes=codes, errors=errors, is_inlier=is_inlier, error_name=error_name)
        return display.plot(ax, **kwargs)

    def plot(self, ax: "Axes | None" = None, **kwargs: Any) -> Self:
        """Draw a point for each row, or cells where there are too many of them.

        Points of more than 2,000 rows would hide each other. So the plane is divided into cells:
        with labels, their color tells how many inliers are in each, and outliers are points above
        them (at most 500); with errors, it is the median, and the largest errors, at most 200,
        are points above them; otherwise it tells how many rows there are. Any style in `kwargs`
        draws a point for each row all the same.

        Errors with a long tail are on a logarithmic scale. Pass a `norm` for another one. Colors
        of your own (`c`, `color` or `facecolor`) replace those for errors and classes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `scatter`.

        Returns
        -------
        self : LatentSpaceDisplay
        """
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        points, names = self._points_and_axis_names()
        self.points_, self.cells_, self.colorbar_ = [], None, None
        user_style = scatter_style(kwargs)
        # A single code is drawn against the error, which then needs no color.
        is_color_unused = self.is_inlier is None and not sets_color(user_style)
        shows_errors = is_color_unused and self.errors is not None and self.codes.shape[1] > 1
        if len(points) > MANY_POINTS and not user_style:
            draw = self._draw_cells_of_errors if shows_errors else self._draw_cells_of_rows
            draw(points)
        elif shows_errors:
            self._draw_by_error(points, self.errors, user_style)
        else:
            self._draw_by_class(points, user_style)
        self.ax_.set(xlabel=axis_label(names[0]), ylabel=axis_label(names[1]))
        return self

    def _draw_cells_of_errors(self, points):
        errors: Any = self.errors
        self.cells_ = draw_medians(self.ax_, points, errors, log=has_long_tail(errors))
        # A median hides the few large errors that matter most.
        largest = np.argsort(errors, kind="stable")[-min(_MAX_LARGEST, len(errors) // 100) :]
        style = {"c": errors[largest], "norm": self.cells_.norm, "cmap": self.cells_.cmap}
        self.points_ = [draw_on_top(self.ax_, points[largest], style)]
        self._draw_colorbar(
            f"{self.error_name}\n(cells: median, points: the {len(largest)} largest)", extend="max"
        )

    def _draw_cells_of_rows(self, points):
        label, rows, color = classes(self.is_inlier, len(points))[0]
        yscale = "log" if self._has_log_errors() else "linear"
        self.cells_ = draw_counts(self.ax_, points[rows], color, yscale=yscale)
        self._draw_colorbar(f"number of {label} in a cell")
        outliers = np.flatnonzero(~rows)
        if len(outliers):
            step = -(-len(outliers) // _MAX_OUTLIERS)
            more = f" (one of {step} shown)" if step > 1 else ""
            style = {"color": VERMILION, "label": f"outliers{more}"}
            self.points_ = [draw_on_top(self.ax_, points[outliers[::step]], style)]
            self.ax_.legend()
        if yscale == "log":
            set_log_scale(self.ax_, "y")

    def _draw_colorbar(self, label, **style):
        drawn = self.cells_ or self.points_[0]
        self.colorbar_ = self.figure_.colorbar(drawn, ax=self.ax_, label=axis_label(label), **style)
        if self.colorbar_.ax.get_yscale() == "log":
            set_log_scale(self.colorbar_.ax, "y")

    def _draw_by_error(self, points, errors, user_style):
        # The largest errors, which are fewest, are drawn on top.
        order = np.argsort(errors, kind="stable")
        # A thin edge keeps both ends of the color map visible on any background;
        # markers such as "x" have none.
        edge = (
            {} if "marker" in user_style else {"edgecolor": text_color(self.ax_), "linewidth": 0.3}
        )
        norm = "log" if has_long_tail(errors) else None
        style = {"s": 16, "c": errors[order], "norm": norm, **edge}
        self.points_ = [scatter(self.ax_, points, order, style, user_style)]
        self._draw_colorbar(self.error_name)

    def _draw_by_class(self, points, user_style):
        for label, rows, color in classes(self.is_inlier, len(points)):
            style = {"s": 16, "alpha": 0.8, "color": color, "label": label}
            self.points_.append(scatter(self.ax_, points, rows, style, user_style))
        if self.is_inlier is not None:
            self.ax_.legend()
        if self._has_log_errors():
            set_log_scale(self.ax_, "y")

    def _has_log_errors(self):
        is_drawn = self.codes.shape[1] == 1 and self.errors is not None
        return is_drawn and has_long_tail(self.errors)

    def _points_and_axis_names(self):
        n_codes = self.codes.shape[1]
        if n_codes == 1:
            if self.errors is None:
                height, name = np.arange(len(self.codes)), "position of the row"
            else:
                height, name = self.errors, self.error_name
            return np.column_stack([self.codes, height]), ("latent code", name)
        if n_codes == 2:
            return self.codes, ("latent code 0", "latent code 1")
        pca = PCA(2, svd_solver="full")  # the same picture each time
        # Codes that are all equal have no variance to share.
        with np.errstate(invalid="ignore"):
            points = pca.fit_transform(self.codes)
        shares = np.nan_to_num(pca.explained_variance_ratio_)
        return points, [
            f"principal component {i} of {n_codes} codes\n({100 * share:.0f} % of the variance)"
            for i, share in enumerate(shares, start=1)
        ]

    def frame(self) -> "DataFrame":
        """Return the points as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One table row per row: x and y as drawn, error (NaN if unknown) and label ("inlier",
            "outlier", or missing without labels).
        """
        import pandas as pd

        points, _ = self._points_and_axis_names()
        index = pd.RangeIndex(len(points))
        return pd.DataFrame(
            {
                "x": points[:, 0],
                "y": points[:, 1],
                "error": pd.Series(self.errors, index=index, dtype="float64"),
                "label": label_column(self.is_inlier, index),
            }
        )
