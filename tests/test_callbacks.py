"""Callbacks hear the training, and what Keras asks of a network and its parameters is checked."""

import copy
import gc
import pickle
import threading
import weakref

import keras
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skae
from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


def detector(**params):
    params = {"hidden_layer_sizes": 8, "epochs": 3, "random_state": 0} | params
    return AutoencoderOutlierDetector(**params)


class Recorder(keras.callbacks.Callback):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(logs["loss"])
        self.network = weakref.ref(self.model)


class Failing(Recorder):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        raise RuntimeError("never mind")


class Holding(keras.callbacks.Callback):
    """Holds something that can be neither copied nor pickled."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Shared(Holding):
    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("kind", [AutoencoderOutlierDetector, AutoencoderEnsembleOutlierDetector])
def test_the_callback_that_was_given_hears_the_training(kind):
    calls = []
    recorder = Recorder(calls)
    fitted = kind(epochs=3, random_state=0, callbacks=[recorder]).fit(X)
    assert calls == fitted.history_["loss"]
    assert recorder.model is None
    assert recorder.params is None
    assert fitted.callbacks[0] is recorder


@pytest.mark.parametrize("recorder", [Recorder([]), Failing([])])
def test_a_callback_keeps_no_model(recorder):
    try:
        detector(callbacks=[recorder], epochs=1).fit(X)
    except RuntimeError:
        assert isinstance(recorder, Failing)
    skae.clear_cache()
    gc.collect()
    assert recorder.model is None
    assert recorder.network() is None


def test_a_history_among_the_callbacks_is_not_the_detectors():
    history = keras.callbacks.History()
    for _ in range(2):
        fitted = detector(callbacks=[history]).fit(X)
    assert len(fitted.history_["loss"]) == fitted.n_iter_ == 3
    assert len(history.history["loss"]) == 6


def test_early_stopping_of_keras_starts_anew_at_each_fit():
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1e9, mode="min")
    epochs = [detector(callbacks=[stopping], epochs=9).fit(X).n_iter_ for _ in range(2)]
    assert epochs == [2, 2]
    again = pickle.loads(pickle.dumps(detector(callbacks=[stopping], epochs=9).fit(X)))
    assert again.fit(X).n_iter_ == 2


def test_a_callback_in_use_by_a_fit_around_this_one():
    class Inside(Recorder):
        depth = 0

        def on_epoch_end(self, epoch, logs=None):
            outer = self.model
            if self.depth == 0:
                self.depth += 1
                detector(epochs=1, callbacks=[self], latent_dim=2).fit(X)
                self.depth -= 1
            assert self.model is outer
            assert self.params["epochs"] == (1 if self.depth else 2)
            self.calls.append(self.depth)

    calls = []
    detector(epochs=2, callbacks=[Inside(calls)]).fit(X)
    assert calls == [1, 0, 1, 0]


def test_the_cache_may_be_cleared_while_training():
    clear = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: skae.clear_cache())
    expected = detector(callbacks=[keras.callbacks.Callback()]).fit(X).score_samples(X)
    np.testing.assert_array_equal(detector(callbacks=[clear]).fit(X).score_samples(X), expected)


def test_clones_have_copies():
    calls = []
    fitted = clone(detector(callbacks=[Recorder(calls)])).fit(X)
    assert calls == []
    assert fitted.callbacks[0].calls == fitted.history_["loss"]
    search = GridSearchCV(
        detector(callbacks=[Shared(), Recorder(calls)]),
        {"latent_dim": [1]},
        scoring=lambda fitted, rows: fitted.score_samples(rows).mean(),
        cv=2,
    ).fit(X)
    assert search.best_estimator_.callbacks[0] is search.estimator.callbacks[0]


@pytest.mark.parametrize("copying", [clone, copy.deepcopy])
def test_a_callback_that_cannot_be_copied_is_named(copying):
    with pytest.raises(TypeError, match=r"callbacks\[1\], of class Holding, cannot be copied.*__d"):
        copying(detector(callbacks=[Recorder([]), Holding()]))


@pytest.mark.parametrize("callback", [Holding(), Shared()])
def test_a_callback_that_cannot_be_pickled_is_named(callback):
    fitted = detector(callbacks=[callback]).fit(X)
    with pytest.raises(
        TypeError, match=rf"callbacks\[0\], of class {type(callback).__name__}.*pic"
    ):
        pickle.dumps(fitted)
    pickle.dumps(fitted.set_params(callbacks=None))


def test_a_callback_that_only_copies_does_not_hinder_a_copy():
    fitted = detector(callbacks=[Shared()]).fit(X)
    again = copy.deepcopy(fitted)
    assert again.callbacks[0] is fitted.callbacks[0]
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))


def test_workers_take_callbacks_of_local_functions():
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    fitted = detector(callbacks=[callback]).fit(X)
    scores = Parallel(n_jobs=2)(delayed(fitted.score_samples)(X) for _ in range(2))
    np.testing.assert_array_equal(scores[1], fitted.score_samples(X))


class Warming(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 1e-4 * (batch + 1)


class Rates(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)), [0.1, 0.05]),
        (keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), [5e-4, 2.5e-4]),
        (Warming(), [2e-4, 2e-4]),
    ],
    ids=["schedule", "halving", "warming"],
)
def test_callbacks_assign_the_learning_rate(optimizer, callback, expected):
    rates = Rates()
    fitted = detector(callbacks=[callback, rates], optimizer=optimizer, epochs=2, batch_size=30)
    for _ in range(2):
        fitted.fit(X)
        np.testing.assert_allclose(rates.rates, expected, rtol=1e-5)


def test_the_rate_is_used():
    def fit(rate, **params):
        callback = keras.callbacks.LearningRateScheduler(lambda epoch: rate)
        return detector(callbacks=[callback], **params).fit(X).score_samples(X)

    rate = float(np.float32(0.01))
    np.testing.assert_allclose(fit(rate), fit(rate, learning_rate=rate), rtol=1e-5)
    assert not np.allclose(fit(rate), fit(2 * rate), rtol=1e-3)


def test_a_plateau_reduces_what_auto_has_come_to():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    fitted = detector(callbacks=[plateau], epochs=4).fit(X)
    np.testing.assert_allclose(
        fitted.history_["learning_rate"], [1e-3, 1e-3, 5e-4, 2.5e-4], rtol=1e-5
    )


class OwnStep(keras.Model):
    """Keras' guide to a training step of one's own, without a test step."""

    def __init__(self, names=("loss",), updates=True):
        super().__init__()
        self.inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(5)])
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self.updates = updates

    @property
    def metrics(self):
        return self.trackers

    def call(self, rows):
        return self.inner(rows)

    def train_step(self, data):
        import tensorflow as tf

        rows, target = data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(rows, training=True) - target) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        if self.updates:
            for tracker in self.trackers:
                tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class OwnTestStep(OwnStep):
    def test_step(self, data):
        rows, target = data
        self.trackers[0].update_state(keras.ops.mean((self(rows) - target) ** 2))
        return {"loss": self.trackers[0].result()}


def test_a_training_step_without_a_test_step():
    own = detector(architecture=lambda input_shape: OwnStep(), early_stopping=True, epochs=4)
    assert own.fit(X).history_["loss"][-1] > 0
    with pytest.raises(ValueError, match="val_loss would always be 0. Write the method test_step"):
        own.fit(X, X_val=X)
    with pytest.raises(ValueError, match="val_loss would always be 0"):
        own.set_params(validation_fraction=0.2).fit(X)


def test_a_test_step_of_its_own():
    own = detector(architecture=lambda input_shape: OwnTestStep(("loss", "other")))
    fitted = own.fit(X, X_val=X)
    expected = fitted.reconstruction_error(X).mean()
    assert fitted.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-4)
    assert "other" in fitted.history_
    assert "val_other" not in fitted.history_


@pytest.mark.parametrize("params", [{"names": ("total",)}, {"updates": False}])
def test_a_training_step_that_records_no_loss(params):
    with pytest.raises(ValueError, match="no step updates a metric named 'loss'"):
        detector(architecture=lambda input_shape: OwnStep(**params)).fit(X)


OPTIMIZERS = [
    name
    for name in dir(keras.optimizers)
    if name[0].isupper() and name not in ("MultiOptimizer", "OptimizerMap", "Optimizer")
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_by_name(name):
    if name == "LossScaleOptimizer":
        with pytest.raises(ValueError, match="needs arguments: give an instance of keras.opti"):
            detector(optimizer=name).fit(X)
        return
    losses = detector(optimizer=name.lower(), loss="mse", epochs=1).fit(X).history_["loss"]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"loss": "Circle"}, ValueError, "circle needs .* labels, not rows"),
        ({"loss": keras.losses.CTC()}, ValueError, "ctc needs .* labels, not rows"),
        ({"loss": "sparse_categorical_crossentropy"}, ValueError, "labels, not rows"),
        ({"loss": lambda rows: 0}, ValueError, "does not compare rows .*TypeError"),
        ({"loss": "Loss"}, ValueError, "loss='Loss' does not compare rows"),
        ({"loss": keras.losses.Huber}, TypeError, r"loss got the class Huber.*such as Huber\(\)"),
        ({"optimizer": keras.optimizers.Adam}, TypeError, "optimizer got the class Adam"),
        ({"optimizer": "get"}, ValueError, "optimizer: keras.optimizers has nothing called 'get'"),
        ({"metrics": [keras.metrics.MeanSquaredError]}, TypeError, "metrics got the class Mean"),
        ({"metrics": [5]}, TypeError, "metrics takes names of keras.metrics.*got 5"),
        ({"metrics": [None]}, TypeError, "metrics takes names.*got None"),
        ({"metrics": ["Mean"]}, ValueError, "metrics='Mean' does not compare rows"),
        ({"metrics": ["F1Score"]}, ValueError, "metrics='F1Score' does not compare rows"),
        ({"metrics": ["MeanIoU"]}, ValueError, "metrics='MeanIoU' needs arguments"),
    ],
)
def test_what_training_cannot_use_is_refused_before(params, error, message):
    calls = []
    for rows in (X, X[:, :1]):
        with pytest.raises(error, match=message):
            detector(callbacks=[Recorder(calls)], **params).fit(rows)
    assert calls == []


def test_names_that_keras_lists_but_does_not_find():
    scores = [
        detector(optimizer=optimizer).fit(X).score_samples(X)
        for optimizer in ("lamb", keras.optimizers.Lamb(1e-3))
    ]
    assert np.isfinite(scores).all()
