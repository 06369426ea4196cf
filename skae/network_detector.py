"""What detectors that train a network of their own share: the story of fit, and what it leaves."""

import warnings
from abc import abstractmethod
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from skae._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
)
from skae.architectures.parts import draw_weights
from skae.base import (
    DECISION_CONSTRAINTS,
    ReconstructionErrorDetector,
    evenly_spaced,
    fresh_random_state,
    in_batches,
    unchanged_on_failure,
)
from skae.compiled import TRAINERS, graph_settings
from skae.diagnosis import warn_if_useless
from skae.errors import row_errors
from skae.feeding import Feed, RowsOf, is_on_disk
from skae.fitted_state import (
    NetworkState,
    build_network,
    clone_sharing_models,
    pack_parameter,
    unpack_parameter,
)
from skae.trainer import Trainer
from skae.training import TrainingOptions, join_histories, train

# Of the parameters that every such detector has.
NETWORK_CONSTRAINTS = {
    **DECISION_CONSTRAINTS,
    "hidden_layer_sizes": [tuple, list, np.ndarray, Interval(Integral, 1, None, closed="left")],
    "latent_dim": [Interval(Integral, 1, None, closed="left")],
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

_AUTO_TRIM = 0.3
_AUTO_NOISE = 0.1
# A MinMaxScaler on float32 reaches 1.0000001.
_UNIT_INTERVAL = (-1e-6, 1 + 1e-6)


class NetworkDetector(ReconstructionErrorDetector):
    """Base class of detectors that train a network of their own."""

    _keras_parameters = ("optimizer",)
    _n_members = None

    @abstractmethod
    def _blueprint(self, X, input_shape, seed):
        """Return how to build the network for the rows of X."""

    def _row_shape(self, n_features):
        """Return how the network lays out a row."""
        return (n_features,)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, X_val=None):
        """Train the network on the rows of X and set the offset from their errors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows, best normal ones only. Taken in float32. Above 64 MiB they reach the
            network in chunks of 32 MiB, shuffled by blocks of neighbouring rows; a `numpy.memmap`
            is then never in memory as a whole.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            What each row counts for in the loss.
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
            If the data or a parameter is unfit, or the loss stops being finite.

        Warns
        -----
        ConvergenceWarning
            If the network reconstructs no better than the mean of the rows, or its latent layer
            gives the same code for every row.
        """
        with unchanged_on_failure(self):
            rule = self._checked_rule()
            self._check_parameters()
            X, X_val, sample_weight = self._checked_data(X, X_val, sample_weight)
            random = fresh_random_state(self.random_state)
            train_rows, held_out = self._split(len(X), random)
            row_shape = self._row_shape(X.shape[1])
            feed_val = None
            if len(held_out):
                feed_val = Feed(X, row_shape, held_out)
            elif X_val is not None:
                feed_val = Feed(X_val, row_shape)
            feed = Feed(X, row_shape, train_rows, sample_weight, self._n_members)
            self._train(X, feed, feed_val, random)
            self._set_offset(rule, X, held_out if len(held_out) else train_rows)
        return self

    @property
    def autoencoder_(self):
        """The trained network."""
        return self._public("model")

    def _public(self, part):
        if not hasattr(self, "_network"):
            raise AttributeError(f"This detector has no {part} yet: call fit first.")
        found = getattr(self._network.public, part)
        if found is None:
            raise AttributeError(f"The fitted network has no {part}.")
        return found

    def _check_parameters(self):
        """Refuse what the constraints of single parameters cannot tell."""
        for callback in self.callbacks or ():
            if isinstance(callback, type) or not hasattr(callback, "set_model"):
                raise TypeError(
                    f"callbacks must be instances of keras.callbacks.Callback, got {callback!r}."
                )

    def _checked_data(self, X, X_val, sample_weight):
        """Return the data in float32, after everything that can be checked without training."""
        if self.validation_fraction > 0 and X_val is not None:
            raise ValueError(
                "X_val and validation_fraction > 0 both give validation rows, so give one of them: "
                f"got X_val and validation_fraction={self.validation_fraction}."
            )
        X = self._checked_rows(X, reset=True, ensure_min_samples=2)
        if _is_msle(self.loss) and X.min() < 0:
            raise ValueError(
                "The msle takes logarithms and needs X >= 0, but X has values down to "
                f"{X.min():.4g}: scale X, for example with MinMaxScaler, or use loss='mse'."
            )
        if X_val is not None:
            X_val = self._checked_rows(X_val)
            _warn_if_scaled_otherwise(X, X_val)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float32, ensure_non_negative=True
            )
            if not sample_weight.any():
                raise ValueError("sample_weight is zero for every row: nothing is left to learn.")
        return X, X_val, sample_weight

    def _checked_rows(self, X, reset=False, **kwargs):
        if not reset:
            check_is_fitted(self)
        if getattr(X, "ndim", 2) == 3:
            layout = ""
            if hasattr(self, "input_shape"):
                layout = (
                    f" and say by input_shape={tuple(X.shape[1:])} how the network shall see a row"
                )
            raise ValueError(
                f"X must be 2-D, one row a sample; got shape {X.shape}. Give X.reshape(len(X), -1)"
                f"{layout}."
            )
        # What lies on disk is taken into memory, and into float32, piece by piece.
        dtype = "numeric" if is_on_disk(X) else np.float32
        return validate_data(self, X, reset=reset, dtype=dtype, **kwargs)

    def _split(self, n_samples, random):
        """Return the rows to train on and the rows held out."""
        if not self.validation_fraction:
            return np.arange(n_samples), np.arange(0)
        n_held_out = max(1, round(self.validation_fraction * n_samples))
        if n_held_out >= n_samples:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} leaves none of the {n_samples} "
                "rows to train on."
            )
        order = random.permutation(n_samples)
        return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])

    def _train(self, X, feed, feed_val, random):
        """Train a network, new or the present one, and keep its state and history."""
        input_shape = self._row_shape(X.shape[1])
        options = self._training_options(X)
        goes_on = self.warm_start and hasattr(self, "_network")
        if goes_on:
            self._check_goes_on(input_shape)
        seed = int(random.randint(2**31 - 1))
        blueprint = self._network.blueprint if goes_on else self._blueprint(X, input_shape, seed)
        keys = (blueprint.graph_key(), options.graph_key())
        with TRAINERS.checked_out(
            None if None in keys else (*keys, graph_settings()),
            lambda: Trainer(
                # A callback may save the model, which Keras alone must be able to load.
                build_network(blueprint, input_shape, quick=not options.callbacks),
                options,
                input_shape,
                blueprint.n_members,
            ),
        ) as trainer:
            if keys[0] is not None:
                draw_weights(trainer.model, seed)
            if goes_on:
                trainer.model.set_weights(self._network.weights)
            history = train(
                trainer, feed, options, feed_val=feed_val, seed=random.randint(2**31 - 1)
            )
            self._network = NetworkState.of_trained(blueprint, input_shape, trainer.model)
        before = self.history_ if goes_on else {}
        self.n_iter_ = len(history["loss"])
        self.history_ = join_histories(before, history) if before else history

    def _check_goes_on(self, input_shape):
        if self._network.input_shape != input_shape:
            raise ValueError(
                f"warm_start=True goes on with a network for rows of shape "
                f"{self._network.input_shape}, but these are of shape {input_shape}: fit with "
                "warm_start=False to start anew."
            )

    def _chosen_output_activation(self, X):
        in_unit_interval = X.min() >= _UNIT_INTERVAL[0] and X.max() <= _UNIT_INTERVAL[1]
        if self.output_activation == "auto":
            return "sigmoid" if in_unit_interval else "linear"
        if self.output_activation == "sigmoid" and not in_unit_interval:
            warnings.warn(
                "output_activation='sigmoid' reaches values between 0 and 1 only, but X lies in "
                f"[{X.min():.4g}, {X.max():.4g}]: put a MinMaxScaler before the detector, or use "
                "output_activation='auto'.",
                stacklevel=2,
            )
        return self.output_activation

    def _chosen_noise(self, X):
        if self.noise != "auto":
            return self.noise
        return float(_AUTO_NOISE * evenly_spaced(X).std(axis=0, dtype=np.float64).mean())

    def _training_options(self, X):
        return TrainingOptions(
            loss=self.loss,
            metrics=tuple(self.metrics or ()),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            trim_fraction=_AUTO_TRIM if self.trim_fraction == "auto" else self.trim_fraction,
            noise=self._chosen_noise(X),
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            callbacks=tuple(self.callbacks or ()),
            verbose=int(self.verbose),
            label=type(self).__name__,
        )

    def _set_offset(self, rule, X, calibration):
        """Set the offset from the errors of the rows that the rule, or contamination, looks at."""
        rows = X if rule is None or len(calibration) == len(X) else RowsOf(X, calibration)
        sample = evenly_spaced(rows).astype(np.float32, copy=False)
        self._learn_errors(sample, self._network.compiled.reconstruct(sample))
        errors = self._errors(rows)
        self.offset_ = self._offset(rule, errors)
        warn_if_useless(self._network.compiled, rows, errors, self._fitted_error)

    def _reconstruct(self, X):
        return self._network.compiled.reconstruct(X)

    def _batch_errors(self, X, measure):
        X = X.astype(np.float32, copy=False)
        if measure is row_errors and isinstance(self._fitted_error, str):
            return self._network.compiled.row_errors(X, self._fitted_error)
        return super()._batch_errors(X, measure)

    def __sklearn_clone__(self):
        return clone_sharing_models(self, self._keras_parameters)

    def __getstate__(self):
        state = dict(super().__getstate__())
        return state | {name: pack_parameter(state[name]) for name in self._keras_parameters}

    def __setstate__(self, state):
        super().__setstate__(
            state | {name: unpack_parameter(state[name]) for name in self._keras_parameters}
        )


def _warn_if_scaled_otherwise(X, X_val):
    low, high = X.min(), X.max()
    extent = high - low
    strays = in_batches(
        lambda rows: ((rows < low - extent) | (rows > high + extent)).any(axis=1), X_val
    ).mean()
    if strays > 0.5:
        warnings.warn(
            f"X lies in [{low:.4g}, {high:.4g}], but {strays:.0%} of the rows of X_val lie far "
            "outside: was it scaled? In a pipeline, transform_input=['X_val'] sends it through the "
            "steps before the detector (see the guide of sklearn.pipeline.Pipeline).",
            stacklevel=4,
        )


def layer_sizes(sizes):
    """Return `hidden_layer_sizes` as a tuple of int, or refuse them."""
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(units, Integral) and units > 0 for units in sizes):
        raise ValueError(f"hidden_layer_sizes must be positive integers, got {sizes}.")
    return tuple(int(units) for units in sizes)


def _is_msle(loss):
    name = getattr(loss, "name", getattr(loss, "__name__", loss))
    return str(name).lower().replace("_", "") in ("msle", "meansquaredlogarithmicerror")
