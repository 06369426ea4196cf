"""The training curves."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skae._meta.delegation import split_pipeline
from skae._presentation import TableRepr, human_name
from skae.displays._drawing import BLUE, VERMILION, figure_and_axes, import_pyplot, line_style
from skae.displays._words import set_log_scale, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_VALIDATION = "val_"
# (rows, prefix of the curve's name in the history, style)
_CURVES = (
    ("training", "", {"color": BLUE}),
    ("validation", _VALIDATION, {"color": VERMILION, "linestyle": "--"}),
)


class TrainingHistoryDisplay(TableRepr):
    """Loss and metrics of each epoch, over the training and the validation rows.

    Make one with :meth:`from_estimator` or :meth:`from_history`. All parameters are stored as
    attributes.

    Parameters
    ----------
    history : dict of list of float
        One value per epoch for each curve, named as Keras names them: "loss", "val_loss", ...
    loss_name : str, default=None
        What the loss is, such as "mse"; shown on the axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves that the last :meth:`plot` drew.
    ax_ : matplotlib Axes
        The axes with the curves.
    figure_ : matplotlib Figure
        The figure with the axes.

    See Also
    --------
    skae.displays.ErrorDistributionDisplay : How the errors of rows are distributed.
    skae.displays.ReconstructionDisplay : Rows with their reconstructions.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.displays import TrainingHistoryDisplay
    >>> X, _ = make_heartbeats(200, anomaly_share=0, random_state=0)
    >>> detector = AutoencoderOutlierDetector(
    ...     epochs=5, batch_size=16, learning_rate=0.01, validation_fraction=0.2, random_state=0
    ... ).fit(X)
    >>> display = TrainingHistoryDisplay.from_estimator(detector)
    >>> display.frame().columns.to_list()
    ['epoch', 'quantity', 'rows', 'value']
    >>> [line.get_label() for line in display.lines_]
    ['training', 'validation']
    """

    def __init__(self, *, history: dict, loss_name: str | None = None):
        self.history = history
        self.loss_name = loss_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        quantity: str = "loss",
        log_y: bool = False,
        name: str | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the history of a fitted detector.

        Parameters
        ----------
        estimator : estimator
            A fitted detector with a `history_`, such as
            :class:`skae.AutoencoderOutlierDetector`, or a pipeline or meta-estimator with one
            inside.
        quantity : str, default="loss"
            What to draw: "loss" or the name of a metric.
        log_y : bool, default=False
            Whether the vertical axis is logarithmic.
        name : str, default=None
            Prefix of the curve labels, to tell several trainings on the same axes apart.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If there is no `history_` in it.
        """
        import_pyplot(cls.__name__)
        check_is_fitted(estimator)
        _, detector = split_pipeline(estimator)
        history = getattr(detector, "history_", None)
        if history is None:
            raise TypeError(
                f"{type(detector).__name__} has no `history_`: {cls.__name__} needs a detector "
                "that is trained in epochs, such as skae.AutoencoderOutlierDetector."
            )
        loss = getattr(detector, "loss", None)
        has_name = isinstance(loss, str) and loss != "auto"
        display = cls(history=_filled_up(history), loss_name=loss if has_name else None)
        return display.plot(ax, quantity=quantity, log_y=log_y, name=name, **kwargs)

    @classmethod
    def from_history(
        cls,
        history: dict,
        *,
        quantity: str = "loss",
        log_y: bool = False,
        name: str | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a history as Keras records it.

        Parameters
        ----------
        history : dict of list of float
            One value per epoch for each curve: `history_` of a detector, or `.history` of what
            `keras.Model.fit` returns.
        quantity : str, default="loss"
            What to draw: "loss" or the name of a metric.
        log_y : bool, default=False
            Whether the vertical axis is logarithmic.
        name : str, default=None
            Prefix of the curve labels, to tell several trainings on the same axes apart.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        TypeError
            If `history` is not a dict.
        ValueError
            If it has no curve, or curves of different lengths.
        """
        import_pyplot(cls.__name__)
        if not isinstance(history, dict):
            raise TypeError(
                "history must be a dict of lists, such as `history_` of a detector or `.history` "
                f"of what keras.Model.fit returns; got {type(history).__name__}."
            )
        history = {curve: [float(value) for value in values] for curve, values in history.items()}
        lengths = {curve: len(values) for curve, values in history.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(
                "history must have at least one curve and one epoch, and as many values in each "
                f"curve (NaN where there is none); got the lengths {lengths}."
            )
        return cls(history=history).plot(ax, quantity=quantity, log_y=log_y, name=name, **kwargs)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        quantity: str = "loss",
        log_y: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw one quantity: a curve over the training rows, one over the validation rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        quantity : str, default="loss"
            What to draw: "loss" or the name of a metric.
        log_y : bool, default=False
            Whether the vertical axis is logarithmic.
        name : str, default=None
            Prefix of the curve labels, to tell several trainings on the same axes apart.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        self : TrainingHistoryDisplay
        """
        quantities = self._quantities()
        if quantity not in quantities:
            raise ValueError(f"quantity={quantity!r} was not recorded: it is one of {quantities}.")
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.lines_ = []
        for rows, prefix, style in _CURVES:
            values = self.history.get(prefix + quantity)
            if values is None:
                continue
            # A line does not show a single epoch: it needs a marker.
            style = style | {"marker": "o" if len(values) == 1 else None}
            style["label"] = rows if name is None else f"{name}, {rows}"
            epochs = np.arange(1, len(values) + 1)
            self.lines_ += self.ax_.plot(epochs, values, **line_style(style, kwargs))
        self._finish_axes(quantity, log_y)
        return self

    def _finish_axes(self, quantity, log_y):
        named_loss = quantity == "loss" and self.loss_name is not None
        ylabel = f"loss ({self.loss_name})" if named_loss else human_name(quantity)
        self.ax_.set(xlabel="epoch", ylabel=ylabel)
        self.ax_.xaxis.set_major_locator(whole_numbers())
        if log_y:
            set_log_scale(self.ax_, "y")
        self.ax_.legend()

    def _quantities(self):
        return list(dict.fromkeys(curve.removeprefix(_VALIDATION) for curve in self.history))

    def frame(self) -> "DataFrame":
        """Return the curves as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per value: epoch (from 1), quantity, rows ("training" or "validation"), value.
        """
        import pandas as pd

        records = [
            (epoch, quantity, rows, value)
            for quantity in self._quantities()
            for rows, prefix, _ in _CURVES
            for epoch, value in enumerate(self.history.get(prefix + quantity, []), start=1)
        ]
        return pd.DataFrame(records, columns=["epoch", "quantity", "rows", "value"])


def _filled_up(history):
    """Prepend NaN to shorter curves: those that a warm start began to record later."""
    n_epochs = max((len(values) for values in history.values()), default=0)
    return {
        curve: [float("nan")] * (n_epochs - len(values)) + list(values)
        for curve, values in history.items()
    }
