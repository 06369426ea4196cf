"""What detectors that train their own network share: the course of fit, and its results."""

import copy
from abc import abstractmethod
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skae._detectors.base import (
    DECISION_CONSTRAINTS,
    ReconstructionErrorDetector,
    unchanged_on_failure,
)
from skae._detectors.calibration import Calibration, all_rows, drawn, unseen_rows
from skae._detectors.checks import (
    check_learning_rate,
    check_no_column_is_empty,
    check_no_row_is_empty,
    check_noise,
    checked_weights,
    warn_about_gaps,
    warn_if_nothing_varies,
)
from skae._detectors.keras_parameters import (
    check_copies,
    check_pickles,
    checked_unpack,
    clone_sharing_models,
    pack_parameter,
    unpack_parameter,
)
from skae._detectors.losses import UNIT_INTERVAL, check_loss
from skae._detectors.resuming import ACTIVATIONS, RESUMING, check_same
from skae._engines.keras.loading import check_activation
from skae._engines.keras.training import train_network
from skae._engines.options import Layout, Sizes, TrainingOptions, member_sizes
from skae._network.architectures import Architecture
from skae._network.diagnosis import warn_if_useless
from skae._network.feeding import Feed, RowSubset
from skae._network.missing import KnownGaps, PresentCells, deviations, extremes
from skae._network.network import Network, join_histories
from skae._network.scorer import Scorer, evenly_spaced, in_batches
from skae._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
)
from skae._warnings import warn
from skae.thresholds import needs_unseen_rows

if TYPE_CHECKING:
    import keras

# Of the parameters that every such detector has.
NETWORK_CONSTRAINTS = {
    **DECISION_CONSTRAINTS,
    "hidden_layer_sizes": [
        StrOptions({"auto"}),
        tuple,
        list,
        np.ndarray,
        Interval(Integral, 1, None, closed="left"),
    ],
    "latent_dim": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "latent_l1": [Interval(Real, 0, None, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "activation": [str, callable],
    "latent_activation": [str, callable, None],
    "output_activation": [str, callable, None],
    "noise": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "loss": [str, callable],
    "metrics": [tuple, list, None],
    "optimizer": [str, HasMethods("apply_gradients")],
    "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "trim_fraction": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="both")],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "callbacks": [tuple, list, None],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

_AUTO_TRIM = 0.5
_AUTO_NOISE = 0.1


class Extent(NamedTuple):
    """What the settings of a network depend on in the training rows."""

    minimum: float
    maximum: float
    mean_deviation: float

    @classmethod
    def of(cls, X):
        """Return the extent of rows; the deviation is the features' mean standard deviation."""
        return cls(*extremes(X), float(deviations(evenly_spaced(X)).mean()))


class TrainingData(NamedTuple):
    """What a network is trained on, after all checks.

    `has_gaps` tells whether cells are missing in rows to train on, or to validate with.
    """

    X: np.ndarray
    X_val: np.ndarray | None
    sample_weight: np.ndarray | None
    extent: Extent
    present: PresentCells | KnownGaps
    has_gaps: bool


class NetworkDetector(ReconstructionErrorDetector):
    """Base class of detectors that train a network of their own."""

    error_: Any
    history_: dict[str, list[float]]
    n_iter_: int
    output_activation_: Any

    _keras_parameters = ("optimizer",)

    @abstractmethod
    def _layout(self, n_features) -> Layout:
        """Return how rows of so many features are laid out for the network."""

    @abstractmethod
    def _blueprint(self, extent, layout, seed) -> Any:
        """Return how to build the network for rows of some extent."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network on the rows of X and set the offset from their errors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows, ideally normal ones only, in float32. Above 64 MiB they reach the
            network in chunks of 32 MiB, shuffled in blocks of neighboring rows; a `numpy.memmap`
            is then never in memory as a whole. NaN is a missing cell.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : float or array-like of shape (n_samples,), default=None
            How much each row counts in the loss, and in what the combined error learns; a number
            counts for every row. Rows of weight zero are as if not given.
        X_val : array-like of shape (n_validation_samples, n_features), default=None
            Rows for the validation curves of `history_` and for early stopping. They never set the
            threshold. Excludes `validation_fraction > 0`. In a pipeline they are scaled like X if
            the pipeline has `transform_input=["X_val"]` and metadata routing is enabled.

        Returns
        -------
        self : estimator
            The fitted detector.

        Raises
        ------
        ValueError
            If the data or a parameter is invalid, a row or a column has no value at all, or the
            loss stops being finite.

        Warns
        -----
        ConvergenceWarning
            If the rows are all equal, or vary by too little for their size, as seconds of an epoch
            do; if the network reconstructs no better than the mean of the rows, or its latent layer
            gives the same code for every row.
        """
        with unchanged_on_failure(self):
            self.__dict__.pop("_stream", None)  # of partial_fit
            rule = self._checked_rule()
            self._check_parameters()
            self._check_one_source_of_validation_rows(X_val)
            data = self._checked_data(X, X_val, sample_weight)
            random = check_random_state(self.random_state)
            calibration = self._calibration(rule, data.X, random)
            if self.warm_start:
                calibration = self._first_calibration(calibration)
            errors = None
            if calibration.refits:
                errors = self._errors_of_held_out(data, calibration, random)
                calibration = all_rows(len(data.X))
            network = self._trained_network(data, calibration, random)
            found = self._learn_errors(network, data, calibration, random)
            warn_if_useless(self._scorer, _rows_of_threshold(data.X, calibration))
            if rule is None:
                errors = self._scorer.row_errors(data.X)
            self._set_offset(rule, found if errors is None else errors)
        return self

    @property
    def autoencoder_(self) -> "keras.Model":
        """The trained network."""
        return self._public("model")

    @property
    def _network(self):
        return self._scorer.model

    def _public(self, part):
        if not hasattr(self, "_scorer"):
            raise AttributeError(f"This detector has no {part} yet: call fit first.")
        found = getattr(self._network.public, part)
        if found is None:
            raise AttributeError(f"The fitted network has no {part}.")
        return found

    def _check_parameters(self):
        """Reject what the constraints of single parameters cannot catch."""
        for callback in self.callbacks or ():
            if isinstance(callback, type) or not hasattr(callback, "set_model"):
                raise TypeError(
                    f"callbacks must be instances of keras.callbacks.Callback, got {callback!r}."
                )
        check_learning_rate(self.learning_rate)

    def _check_one_source_of_validation_rows(self, X_val):
        if self.validation_fraction > 0 and X_val is not None:
            raise ValueError(
                "X_val and validation_fraction > 0 both give validation rows, so give one of them: "
                f"got X_val and validation_fraction={self.validation_fraction}."
            )

    def _checked_data(self, X, X_val, sample_weight, *, is_first=True, min_rows=2):
        """Return the data in float32, after all checks that need no training.

        Rows that are not the first that a network is trained on may be alike, and lack columns.
        """
        original = X
        X = self._validated_rows(X, reset=is_first, ensure_min_samples=min_rows)
        if sample_weight is not None:
            X, sample_weight = _with_a_weight(X, checked_weights(sample_weight, X), min_rows)
        names = getattr(self, "feature_names_in_", None)
        present = PresentCells(X)
        check_no_row_is_empty(present, "X")
        if is_first:
            check_no_column_is_empty(present, names)
            warn_if_nothing_varies(original, X, names)
        laid_out = X.reshape(len(X), *self._layout(X.shape[1]).input_shape)
        loss = "mse" if self.loss == "auto" else self.loss
        check_loss(loss, laid_out, self.error, self._known_output_activation())
        has_gaps = bool(present.has_gaps.any())
        if X_val is not None:
            X_val = self._validated_rows(X_val)
            present_val = PresentCells(X_val)
            check_no_row_is_empty(present_val, "X_val")
            has_gaps = has_gaps or bool(present_val.has_gaps.any())
            _warn_if_scaled_differently(X, X_val)
        return TrainingData(X, X_val, sample_weight, Extent.of(X), present, has_gaps)

    def _known_output_activation(self):
        """Return `output_activation`, or the architecture where that decides."""
        architecture = getattr(self, "architecture", "")
        return self.output_activation if isinstance(architecture, str) else architecture

    def _validated_rows(self, X, reset=False, **kwargs) -> np.ndarray:
        if getattr(X, "ndim", 2) == 3:
            layout = ""
            if hasattr(self, "input_shape"):
                layout = (
                    f" and say with input_shape={tuple(X.shape[1:])} how the network sees a row"
                )
            raise ValueError(
                f"X must be 2-D, one row per sample; got shape {X.shape}. Give "
                f"X.reshape(len(X), -1){layout}."
            )
        # Data on disk is read into memory, and converted to float32, piece by piece.
        dtype = "numeric" if is_on_disk(X) else np.float32
        return self._validated(X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan", **kwargs)

    def _warn_about_gaps(self, X):
        warn_about_gaps(X, self._network.has_gaps, getattr(self, "feature_names_in_", None))

    def _calibration(self, rule, X, random):
        """Return which rows to train on, and which ones set the threshold."""
        n_samples = len(X)
        if self.validation_fraction:
            n_held_out = max(1, round(self.validation_fraction * n_samples))
            if n_held_out >= n_samples:
                raise ValueError(
                    f"validation_fraction={self.validation_fraction} leaves none of the "
                    f"{n_samples} rows to train on."
                )
            return drawn(n_held_out, n_samples, random)
        if not needs_unseen_rows(rule):
            return all_rows(n_samples)
        # A callback is to hear one training, and may steer it.
        can_refit = not self.callbacks and not self.warm_start
        return unseen_rows(rule, n_samples, random, can_refit)

    def _first_calibration(self, calibration):
        """Return the calibration of the fit that is resumed, if it was of this kind and size.

        Rows that it has trained on would set the threshold otherwise.
        """
        before = vars(self).get("_resumed_calibration") if self._resumes else None
        if before is not None and calibration.is_like(Calibration(*before)):
            return Calibration(*before)
        self._resumed_calibration = tuple(calibration)
        return calibration

    def _errors_of_held_out(self, data, calibration, random):
        """Return the errors of rows held out from a network that is trained for that only."""
        network = self._trained_network(data, calibration, random)
        return self._learn_errors(network, data, calibration, random)

    @property
    def _resumes(self):
        return self.warm_start and hasattr(self, "_scorer")

    def _trained_network(self, data, calibration, random):
        """Return a network, new or the present one, after training; keep the history."""
        label = type(self).__name__ + (", for the threshold" if calibration.refits else "")
        options, resumes = self._training_options(data, label), self._resumes
        network, trained = self._train(data, calibration, random, options, resumes)
        history = trained.history
        self.n_iter_ = len(history["loss"])
        self.history_ = join_histories(self.history_, history) if resumes else history
        return network

    def _train(self, data, calibration, random, options, resumes, state=None):
        """Train a network, new or the present one; return it, and what training has left."""
        X, X_val, extent = data.X, data.X_val, data.extent
        layout = self._layout(X.shape[1])
        if resumes:
            self._check_resumes(layout)
        seed = int(random.randint(2**31 - 1))
        blueprint = self._network.blueprint if resumes else self._blueprint(extent, layout, seed)
        feed_val = None
        if self.validation_fraction:
            feed_val = Feed(X, layout, calibration.held_out)
        elif X_val is not None:
            feed_val = Feed(X_val, layout)
        trained = train_network(
            blueprint,
            layout,
            Feed(X, layout, calibration.train_rows, data.sample_weight, calibration.left_out),
            options,
            feed_val=feed_val,
            seeds=(seed, int(random.randint(2**31 - 1))),
            weights=self._network.weights if resumes else None,
            state=state,
        )
        return Network.of_trained(blueprint, layout, trained, data.present), trained

    def _check_resumes(self, layout):
        before = self._network.layout
        if before.input_shape != layout.input_shape:
            raise ValueError(
                f"{RESUMING} a network for rows of shape {before.input_shape}, but these are of "
                f"shape {layout.input_shape}: fit with warm_start=False to start anew."
            )

    def _check_resumes_sizes(self, record, **others):
        before = self._network.blueprint.sizes
        is_auto = isinstance(self.output_activation, str) and self.output_activation == "auto"
        output_activation = before.output_activation if is_auto else self.output_activation
        check_same(vars(before), vars(self._sizes(output_activation, record, **others)))

    def _sizes(self, output_activation, record, **others):
        """Return the sizes of a built-in network; `others` are those that are no parameters."""
        for name in ACTIVATIONS:
            if getattr(self, name) != "auto":
                check_activation(name, getattr(self, name))
        return Sizes(
            activation=self.activation,
            latent_activation=self.latent_activation,
            output_activation=output_activation,
            # Keras takes no numbers of NumPy, which searches over arrays give.
            **{name: float(getattr(self, name)) for name in ("dropout", "l2", "latent_l1")},
            latent_dim=self._latent_dim(),
            hidden_layer_sizes=record.layer_sizes(self.hidden_layer_sizes),
            **others,
        )

    def _latent_dim(self) -> int | tuple[int, ...]:
        return int(self.latent_dim)

    def _chosen_output_activation(self, extent):
        low, high = UNIT_INTERVAL
        in_unit_interval = extent.minimum >= low and extent.maximum <= high
        if self.output_activation == "auto":
            return "sigmoid" if in_unit_interval else "linear"
        if self.output_activation == "sigmoid" and not in_unit_interval:
            warn(
                "output_activation='sigmoid' reaches values between 0 and 1 only, but X lies in "
                f"[{extent.minimum:.4g}, {extent.maximum:.4g}]: put a MinMaxScaler before the "
                "detector, or use output_activation='auto'."
            )
        return self.output_activation

    def _chosen_noise(self, extent):
        return _AUTO_NOISE * extent.mean_deviation if self.noise == "auto" else self.noise

    def _training_options(self, data, label=""):
        extent = data.extent
        noise = self._chosen_noise(extent)
        check_noise(noise, max(abs(extent.minimum), abs(extent.maximum)))
        return TrainingOptions(
            loss=self._chosen_loss(),
            metrics=tuple(self.metrics or ()),
            optimizer=self.optimizer,
            learning_rate=_plain(self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            trim_fraction=self._trim_fractions(),
            noise=noise,
            usual_variance=extent.mean_deviation**2 or 1.0,
            stand_ins=data.present.means if data.has_gaps else None,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            callbacks=tuple(self.callbacks or ()),
            verbose=int(self.verbose),
            label=label,
        )

    def _learn_errors(self, network, data, calibration, random):
        """Learn what errors are usual, and return those of the rows that set the threshold."""
        X, sample_weight = data.X, data.sample_weight
        train_rows, held_out = calibration.train_rows, calibration.held_out
        self.error_ = self._chosen_error()
        self._scorer = Scorer(network, self.error_)
        return self._scorer.fit(
            RowSubset(X, train_rows) if len(held_out) else X,
            sample_weight=None if sample_weight is None else sample_weight[train_rows],
            calibration=_rows_of_threshold(X, calibration) if len(held_out) else None,
            left_out=calibration.left_out,
            trim_fractions=self._trim_fractions(),
            random=random,
        )

    def _chosen_error(self):
        record = self._record()
        auto = "mse" if record is None else record.auto_error
        return auto if isinstance(self.error, str) and self.error == "auto" else self.error

    def _chosen_loss(self):
        record = self._record()
        auto = "mse" if record is None else record.auto_loss
        return auto if isinstance(self.loss, str) and self.loss == "auto" else self.loss

    @abstractmethod
    def _record(self) -> Architecture | None:
        """Return the record of the architecture, None for a network of the user's."""

    def _trim_fractions(self):
        """Return the share to trim for each member."""
        shares = tuple(_AUTO_TRIM if each == "auto" else float(each) for each in self._trims())
        return member_sizes(shares, getattr(self, "n_estimators", 1))

    def _trims(self):
        return (self.trim_fraction,)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _about_infinite_errors(self):
        if callable(self.error):
            return super()._about_infinite_errors()
        return (
            "the training left weights with which the network returns NaN or too large numbers. "
            f"Give a smaller learning_rate (now {self.learning_rate!r}), or scale X."
        )

    def __sklearn_clone__(self):
        return clone_sharing_models(self, self._keras_parameters)

    def __deepcopy__(self, memo):
        check_copies(self)
        memo[id(self)] = again = object.__new__(type(self))
        again.__setstate__(copy.deepcopy(self._packed_state(), memo))
        return again

    def __getstate__(self):
        check_pickles(self)
        return self._packed_state()

    def _packed_state(self):
        state: Any = super().__getstate__()
        packed = {name: pack_parameter(state[name]) for name in self._keras_parameters}
        for name, value in packed.items():
            checked_unpack(name, value)
        return state | packed

    def __setstate__(self, state):
        super().__setstate__(
            state | {name: unpack_parameter(state[name]) for name in self._keras_parameters}
        )


def _plain(value):
    """Return a number of NumPy as Python's, which is all that Keras takes."""
    return value.item() if isinstance(value, np.generic) else value


def _with_a_weight(X, sample_weight, min_rows):
    """Return the rows that have a weight, and their weights: the others are as if not given."""
    has_weight = sample_weight > 0
    if has_weight.all():
        return X, sample_weight
    if np.count_nonzero(has_weight) < min_rows:
        raise ValueError(
            f"sample_weight is zero for all but one of the {len(X)} rows, which is too few to "
            "learn from: give more rows a weight."
        )
    return X[has_weight], sample_weight[has_weight]


def _rows_of_threshold(X, calibration):
    held_out = calibration.held_out
    return RowSubset(X, held_out) if len(held_out) else X


def is_on_disk(X):
    """Tell whether an array is a `numpy.memmap`, or a view of one."""
    while X is not None and not isinstance(X, np.memmap):
        X = getattr(X, "base", None)
    return X is not None


def _warn_if_scaled_differently(X, X_val):
    low, high = extremes(X)
    extent = high - low
    outside = in_batches(
        lambda rows: ((rows < low - extent) | (rows > high + extent)).any(axis=1), X_val
    ).mean()
    if outside > 0.5:
        warn(
            f"X lies in [{low:.4g}, {high:.4g}], but {outside:.0%} of the rows of X_val lie far "
            "outside: was it scaled? In a pipeline, transform_input=['X_val'] sends it through the "
            "steps before the detector (see the guide of sklearn.pipeline.Pipeline).",
        )
