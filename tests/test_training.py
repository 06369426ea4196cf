"""The training loop does what Keras' own `fit` does."""

import keras
import numpy as np
import pytest

from skae._engines.keras.losses import fast_msle
from skae._engines.keras.steps import PackedAdamStep
from skae._engines.keras.trainer import Trainer
from skae._engines.keras.training import train as train_with
from skae._engines.options import Layout, TrainingOptions
from skae._network.feeding import Feed
from skae._network.network import join_histories

X = np.random.default_rng(0).random((50, 6), dtype=np.float32)
OPTIONS = TrainingOptions(
    loss="mse",
    metrics=("mae",),
    optimizer="adam",
    learning_rate=0.01,
    epochs=5,
    batch_size=50,
    trim_fraction=(0.0,),
    noise=0.0,
    usual_variance=1.0,
    stand_ins=None,
    early_stopping=False,
    n_iter_no_change=1,
    tol=0.0,
    callbacks=(),
    verbose=0,
    label="test",
)


def options(**changes):
    return TrainingOptions(**(vars(OPTIONS) | changes))


def train(model, X, options, *, rows=None, sample_weight=None, X_val=None, **kwargs):
    layout = Layout(X.shape[1:])
    return train_with(
        Trainer(model, options, layout),
        Feed(X, layout, rows, sample_weight),
        options,
        feed_val=None if X_val is None else Feed(X_val, layout),
        **kwargs,
    )


def network():
    layers = [
        keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed=units))
        for units in (3, 6)
    ]
    return keras.Sequential([keras.Input((6,)), *layers])


def batch_hook(**kwargs):
    return keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None, **kwargs)


class KeepOrder:
    """A generator that leaves the rows in their order, for comparison with `shuffle=False`."""

    def permutation(self, rows):
        return np.arange(rows) if isinstance(rows, int) else rows


@pytest.mark.parametrize("callbacks", [(), (batch_hook(),)], ids=["in the graph", "by batches"])
@pytest.mark.parametrize("batch_size", [50, 16])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_weights_and_history_as_keras(monkeypatch, callbacks, batch_size, weighted):
    monkeypatch.setattr(np.random, "default_rng", lambda seed: KeepOrder())
    weight = np.linspace(0, 2, 50, dtype=np.float32) if weighted else None
    ours, theirs = network(), network()
    history = train(
        ours,
        X,
        options(batch_size=batch_size, callbacks=callbacks),
        sample_weight=weight,
        X_val=X[:20],
    )
    theirs.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    expected = theirs.fit(
        X,
        X,
        sample_weight=weight,
        batch_size=batch_size,
        epochs=5,
        shuffle=False,
        validation_data=(X[:20], X[:20]),
        verbose=0,
    ).history
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)
    assert sorted(history) == sorted(expected)
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


def penalized_network():
    hidden = keras.layers.Dense(
        3,
        kernel_initializer=keras.initializers.GlorotUniform(seed=0),
        kernel_regularizer=keras.regularizers.L2(0.1),
        activity_regularizer=keras.regularizers.L1(0.1),
    )
    normalization = keras.layers.BatchNormalization(momentum=0.5)
    return keras.Sequential([keras.Input((6,)), hidden, normalization, network().layers[-1]])


@pytest.mark.parametrize("packed", [True, False])
def test_penalties_and_batch_normalization_as_in_keras(monkeypatch, packed):
    monkeypatch.setattr(np.random, "default_rng", lambda seed: KeepOrder())
    monkeypatch.setattr(PackedAdamStep, "fits", lambda model: packed)
    ours, theirs = penalized_network(), penalized_network()
    history = train(ours, X, options(batch_size=16))
    theirs.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    expected = theirs.fit(X, X, batch_size=16, epochs=5, shuffle=False, verbose=0).history
    # Of the moving statistics as well, which no gradient changes.
    assert len(ours.non_trainable_weights) == 2
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "packs"),
    [({}, True), ({"optimizer": "sgd"}, False), ({"callbacks": (batch_hook(),)}, False)],
)
def test_weights_are_packed_where_nobody_looks_at_the_optimizer(changes, packs):
    trainer = Trainer(network(), options(**changes), Layout((6,)))
    assert isinstance(trainer._step, PackedAdamStep) == packs


def test_weights_of_several_dtypes_are_not_packed():
    layers = [keras.layers.Dense(6, dtype=dtype) for dtype in ("float32", "float64")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    history = train(model, X, options())
    assert history["loss"][-1] < history["loss"][0]


class OwnStep(keras.Sequential):
    """A model with a step of its own, which makes a metric when it first runs."""

    def train_step(self, data):
        if not hasattr(self, "largest"):
            self.largest = keras.metrics.Mean(name="largest")
        self.largest.update_state(keras.ops.max(data[0]))
        return super().train_step(data) | {"largest": self.largest.result()}


def test_a_step_of_the_models_own(monkeypatch):
    ours, theirs = OwnStep(network().layers), network()
    train(ours, X, options())
    # A packed step rounds differently.
    monkeypatch.setattr(PackedAdamStep, "fits", lambda model: False)
    train(theirs, X, options())
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(our, their)
    assert float(ours.largest.result()) == pytest.approx(X.max())


class OwnMetrics(keras.Sequential):
    """A model that says itself which metrics are reset, as Keras' guides show it."""

    @property
    def metrics(self):
        return super().metrics[::-1]


def test_metrics_of_the_models_own():
    ours, theirs = OwnMetrics(network().layers), network()
    found, expected = (train(model, X, options()) for model in (ours, theirs))
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["mae"], expected["mae"], rtol=1e-5)


def test_dropout_draws_anew_at_each_step():
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dropout(0.5, seed=0), *network().layers]
    )
    train(model, X, options(batch_size=10))
    seed, count = model.layers[0].seed_generator.state.numpy()
    assert (seed, count) == (0, 25)


def test_only_the_given_rows_are_trained_on():
    some, alone = network(), network()
    train(some, X, options(), rows=np.arange(10))
    train(alone, X[:10], options())
    for first, second in zip(some.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_trimmed_loss_is_the_mean_of_the_rows_that_are_kept():
    model = network()
    errors = np.sort(np.square(X - np.asarray(model(X))).mean(axis=1))
    history = train(model, X, options(trim_fraction=(0.3,), epochs=1))
    assert history["loss"][0] == pytest.approx(errors[:35].mean(), rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 6), (5, 3, 6)])
def test_fast_msle_has_the_values_and_gradients_of_keras(shape):
    import tensorflow as tf

    generator = np.random.default_rng(0)
    # Some below zero, where both clip.
    rows, found = (tf.constant(generator.normal(0.5, 0.5, shape), tf.float32) for _ in range(2))
    weight = tf.constant(generator.random(shape[:-1]), tf.float32)
    results = []
    for loss in (fast_msle, keras.losses.mean_squared_logarithmic_error):
        with tf.GradientTape() as tape:
            tape.watch(found)
            values = loss(rows, found)
            total = tf.reduce_sum(weight * values)
        results.append((values, tape.gradient(total, found)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError()], ids=["name", "instance"])
def test_trimming_nothing_changes_nothing(loss):
    plain, trimmed = network(), network()
    train(plain, X, options(loss=loss))
    train(trimmed, X, options(loss=loss, trim_fraction=(1e-9,)))
    for first, second in zip(plain.get_weights(), trimmed.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_noise_is_added_to_the_inputs_and_not_to_the_target():
    seen = []

    class Recording(keras.Sequential):
        def train_step(self, data):
            seen.append(data[0] - data[1])
            return super().train_step(data)

    model = Recording(network().layers)
    train(model, X, options(noise=0.1, epochs=1, callbacks=(batch_hook(),)))
    # The first row seen is that of the trial of the model's own step.
    assert len(seen) == 2
    assert seen[1].shape == (None, 6)


def test_noise_has_the_standard_deviation_that_was_asked_for():
    # A network without weights returns its input: the loss is the variance of the noise.
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])
    model.layers[0].set_weights([np.eye(6), np.zeros(6)])
    many = np.tile(X, (40, 1))
    history = train(model, many, options(noise=0.2, epochs=3, learning_rate=1e-12, batch_size=500))
    np.testing.assert_allclose(history["loss"], 0.04, rtol=0.05)
    assert len(set(history["loss"])) == 3


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "epochs"),
    [(10, 128, 200), (12_800, 128, 20), (10_000_000, 128, 2)],
)
def test_epochs_auto(n_samples, batch_size, epochs):
    assert options(epochs="auto", batch_size=batch_size).resolved(n_samples).epochs == epochs


def test_auto_learning_rate_is_constant_then_falls_to_zero():
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

        def __deepcopy__(self, memo):
            return self

    train(network(), X, options(learning_rate="auto", epochs=100, callbacks=(Rates(),)))
    np.testing.assert_allclose(rates[:50], 1e-3, rtol=1e-5)
    assert rates[75] == pytest.approx(0.5e-3, rel=0.1)
    assert rates[-1] < 1e-5
    assert np.all(np.diff(rates[50:]) <= 0)


def test_histories_are_joined():
    joined = join_histories({"loss": [1.0], "mae": [2.0]}, {"loss": [3.0, 4.0], "mse": [5.0, 6.0]})
    assert joined["loss"] == [1.0, 3.0, 4.0]
    np.testing.assert_array_equal(joined["mae"], [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(joined["mse"], [np.nan, 5.0, 6.0])


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_two_trainings_with_the_state_in_between_are_one(optimizer):
    def trainings(*epochs, resume=True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])
        trainer, state = Trainer(model, options(optimizer=optimizer), Layout((6,))), None
        for n_epochs in epochs:
            train_with(
                trainer,
                Feed(X, Layout((6,))),
                options(optimizer=optimizer, epochs=n_epochs),
                state=state if resume else None,
            )
            state = trainer.state()
        return np.concatenate([np.ravel(weight) for weight in model.get_weights()])

    expected = trainings(6)
    np.testing.assert_allclose(trainings(3, 3), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(trainings(3, 3, resume=False) - expected).max() > 1e-3
