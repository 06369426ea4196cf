"""The cache of compiled functions: what is traced again, and what never leaks."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import skae
from skae import AutoencoderOutlierDetector
from skae._engines.keras.cache import FORWARDS, TRAINERS, _Cache
from skae._engines.keras.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


def detector(**params):
    return AutoencoderOutlierDetector(**{"epochs": 3, "random_state": 0} | params)


@pytest.fixture
def traces(monkeypatch):
    """Count the trainers that are made; each traces its own graphs."""
    skae.clear_cache()
    made = []
    make = Trainer.__init__

    def counting(self, *args):
        made.append(args)
        make(self, *args)

    monkeypatch.setattr(Trainer, "__init__", counting)
    yield made
    skae.clear_cache()


@pytest.mark.parametrize(
    "changes",
    [
        {"random_state": 1},
        {"epochs": 7},
        {"learning_rate": "auto", "epochs": 5},
        {"batch_size": 7},
        {"threshold": "quantile"},
        {"validation_fraction": 0.2},
        {"early_stopping": True},
    ],
)
def test_what_does_not_shape_the_graph_traces_nothing(traces, changes):
    detector().fit(X)
    detector(**changes).fit(X[:40])
    assert len(traces) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 2},
        {"dropout": 0.1},
        {"loss": "mae"},
        {"metrics": ["mae"]},
        {"optimizer": "sgd"},
        {"learning_rate": 0.1},
        {"noise": 0.0},
        {"trim_fraction": 0.1},
        {"activation": "tanh"},
    ],
)
def test_what_shapes_the_graph_is_part_of_the_key(traces, changes):
    plain = detector().fit(X).score_samples(X)
    changed = detector(**changes).fit(X).score_samples(X)
    assert len(traces) == 2
    skae.clear_cache()
    np.testing.assert_array_equal(detector(**changes).fit(X).score_samples(X), changed)
    np.testing.assert_array_equal(detector().fit(X).score_samples(X), plain)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"dropout": 0.2, "noise": 0.1, "batch_norm": True},
        {"optimizer": "nadam", "learning_rate": 0.01},
        {"optimizer": "adagrad"},
        {"early_stopping": True, "validation_fraction": 0.2},
    ],
)
def test_a_cached_fit_equals_a_first_one_bit_for_bit(traces, params):
    first = detector(**params).fit(X)
    detector(**params, random_state=5).fit(X[:30])
    again = detector(**params).fit(X)
    assert len(traces) == 1
    for before, after in zip(first._network.weights, again._network.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert first.history_ == again.history_
    np.testing.assert_array_equal(first.score_samples(X), again.score_samples(X))


def test_a_warm_start_does_not_depend_on_who_trained_before():
    def twice():
        fitted = detector(dropout=0.2, warm_start=True).fit(X)
        return fitted.fit(X).score_samples(X)

    skae.clear_cache()
    expected = twice()
    detector(dropout=0.2, random_state=9, epochs=4).fit(X)
    np.testing.assert_array_equal(twice(), expected)


def test_learning_rates_do_not_stick(traces):
    expected = detector(learning_rate=0.01).fit(X).score_samples(X)
    detector(learning_rate=0.5).fit(X)
    np.testing.assert_array_equal(detector(learning_rate=0.01).fit(X).score_samples(X), expected)
    assert len(traces) == 1


def test_earlier_detectors_keep_their_scores():
    first = detector().fit(X)
    scores = first.score_samples(X)
    detector(random_state=1).fit(X)
    np.testing.assert_array_equal(first.score_samples(X), scores)
    np.testing.assert_allclose(first.autoencoder_(X), first.reconstruct(X), atol=1e-6)


def test_what_users_bring_is_not_kept(traces):
    skae.clear_cache()
    for params in (
        {"callbacks": [keras.callbacks.Callback()]},
        {"loss": keras.losses.Huber()},
        {"optimizer": keras.optimizers.Adam()},
        {"activation": keras.activations.tanh},
        {"architecture": lambda shape: keras.Sequential([keras.layers.Dense(5)])},
    ):
        detector(**params).fit(X)
        assert len(TRAINERS) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_exception_the_entry_is_thrown_away(monkeypatch, error):
    skae.clear_cache()
    expected = detector().fit(X).score_samples(X)
    assert len(TRAINERS) == 1

    def fail(self, data, orders):
        self.model.set_weights([weight + 1 for weight in self.model.get_weights()])
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epochs", fail)
        with pytest.raises(error):
            detector().fit(X)
    assert len(TRAINERS) == 0
    np.testing.assert_array_equal(detector().fit(X).score_samples(X), expected)


def test_a_fit_inside_a_callback_of_another():
    params = {"epochs": 2, "threshold": "mean_std"}  # which spares no rows
    expected = detector(**params).fit(X).score_samples(X)
    inner = []

    class FitInside(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            inner.append(detector(**params).fit(X).score_samples(X))

    outer = detector(callbacks=[FitInside()], **params).fit(X)
    np.testing.assert_array_equal(inner, [expected, expected])
    # If a callback could save the optimizer, it is Keras' own, which rounds differently.
    np.testing.assert_allclose(outer.score_samples(X), expected, rtol=1e-4)


def test_threads_that_fit_the_same_shape():
    expected = [detector(random_state=seed).fit(X).score_samples(X) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        many = list(
            pool.map(
                lambda seed: detector(random_state=seed % 4).fit(X).score_samples(X), range(12)
            )
        )
    for seed, scores in enumerate(many):
        np.testing.assert_array_equal(scores, expected[seed % 4])


def test_the_cache_is_bounded_and_can_be_emptied(monkeypatch):
    skae.clear_cache()
    monkeypatch.setattr("skae._engines.keras.cache._MAX_ENTRIES", 2)
    for latent_dim in (1, 2, 3):
        detector(latent_dim=latent_dim, epochs=1).fit(X)
    assert len(TRAINERS) == len(FORWARDS) == 2
    skae.clear_cache()
    assert len(TRAINERS) == len(FORWARDS) == 0


def test_an_entry_is_never_given_to_two():
    cache = _Cache()
    inside, both = [], threading.Barrier(2)

    def use():
        with cache.checked_out("key", object) as entry:
            inside.append(entry)
            both.wait(timeout=10)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside[0] is not inside[1]
    assert len(cache) == 1


def test_row_counts_trace_nothing():
    # A user's network, because built-in ones need no TensorFlow to score.
    own = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2), keras.layers.Dense(5)])
    fitted = detector(architecture=own).fit(X)
    functions = fitted._network.forward.engine.functions
    fitted.score_samples(X)
    traced = dict(functions._traced)
    for n_rows in (1, 2, 3, 59, 60):
        fitted.score_samples(X[:n_rows])
    assert functions._traced == traced


@pytest.mark.slow
def test_many_fits_over_alternating_shapes_hold_memory_flat():
    resource = pytest.importorskip("resource")
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("Resident memory is read from /proc, which this system does not have.")

    def resident_megabytes():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20

    for number in range(500):
        if number == 100:
            before = resident_megabytes()
        detector(latent_dim=1 + number % 4, epochs=1).fit(X).predict(X)
    # Keras' own fit keeps about 4.6 MB each time: 1,800 MB.
    assert resident_megabytes() < before + 40


def test_graphs_of_cleared_functions_are_freed():
    def n_graphs():
        gc.collect()
        return sum("FuncGraph" in str(type(held).__name__) for held in gc.get_objects())

    counts = []
    for _ in range(3):
        skae.clear_cache()
        counts.append(n_graphs())
        # Gradients of our own are in TensorFlow's registry, and with them a bare graph.
        detector(activation="relu", loss="mse").fit(X)
    assert counts[2] == counts[1]


def test_functions_of_users_outlive_what_is_dropped():
    @tf.function
    def doubled(values):
        return 2 * values

    @keras.saving.register_keras_serializable("tests")
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return doubled(inputs)

    def network(input_shape):
        layers = [Doubled(), keras.layers.Dense(2, name="latent"), keras.layers.Dense(5)]
        return keras.Sequential([keras.Input(input_shape), *layers])

    for _ in range(2):
        skae.clear_cache()
        gc.collect()
        detector(architecture=network).fit(X).score_samples(X)
