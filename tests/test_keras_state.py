"""What a network computes with besides its weights: layers' own state, and Keras' settings."""

import copy
import functools
import pickle

import joblib
import keras
import numpy as np
import pytest
import skops.io
from joblib import Parallel, delayed

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ReconstructionOutlierDetector,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

layers = keras.layers
X = (50 + 20 * np.random.default_rng(0).random((60, 6))).astype(np.float32)

# Networks of the user's are traced anew for each training: one is enough here.
ONCE = {"threshold": "mean_std"}


@keras.saving.register_keras_serializable("test_keras_state")
class Centering(layers.Layer):
    """Its state is in files of its own, as a vocabulary is."""

    center = 0.0

    def adapt(self, rows):
        self.center = rows.mean(axis=0)

    def call(self, rows):
        return rows - self.center

    def save_own_variables(self, store):
        store["center"] = np.asarray(self.center)

    def load_own_variables(self, store):
        self.center = np.array(store["center"])


@keras.saving.register_keras_serializable("test_keras_state")
class Filed(Centering):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass

    def save_assets(self, folder):
        np.savetxt(f"{folder}/center.txt", self.center)

    def load_assets(self, folder):
        self.center = np.loadtxt(f"{folder}/center.txt").astype(np.float32)


@keras.saving.register_keras_serializable("test_keras_state")
class Forgetful(layers.Layer):
    """Keras' own archive loses what it computes with."""

    center = 0.0

    def call(self, rows):
        return rows - self.center


def adapted(layer):
    layer.adapt(X)
    return layer


def network(*first):
    def dense(units, seed):
        draw = keras.initializers.GlorotUniform(seed=seed)
        return layers.Dense(units, kernel_initializer=draw)

    return keras.Sequential([keras.Input((6,)), *first, dense(3, 0), dense(6, 1)])


def wrapped():
    return layers.Pipeline([adapted(layers.Normalization())])


NETWORKS = {
    "normalization": lambda: network(adapted(layers.Normalization())),
    "nested": lambda: network(
        keras.Sequential([keras.Input((6,)), adapted(layers.Normalization())])
    ),
    "within a layer": lambda: network(wrapped()),
    "discretization": lambda: network(adapted(layers.Discretization(num_bins=4))),
    "variables of its own": lambda: network(adapted(Centering())),
    "files of its own": lambda: network(adapted(Filed())),
}


def skops_copy(detector):
    data = skops.io.dumps(detector)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def joblib_copy(detector, folder):
    joblib.dump(detector, folder / "detector")
    return joblib.load(folder / "detector")


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("kind", ["trained", "template"])
def test_copies_keep_what_layers_adapted_to(make, kind, tmp_path):
    model = make()
    if kind == "trained":
        fitted = ReconstructionOutlierDetector(model).fit(X)
        expected = np.asarray(model(X))
    else:
        fitted = AutoencoderOutlierDetector(model, epochs=2, random_state=0, **ONCE).fit(X)
        expected = np.asarray(fitted.autoencoder_(X))
        weights = [layer.get_weights() for layer in (model, fitted.autoencoder_)]
        assert not np.array_equal(weights[0][-2], weights[1][-2])
        np.testing.assert_allclose(fitted.autoencoder_.layers[0](X), model.layers[0](X), rtol=1e-5)
    np.testing.assert_allclose(fitted.reconstruct(X), expected, rtol=1e-4, atol=1e-4)
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib_copy(fitted, tmp_path),
        skops_copy(fitted),
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(fitted)))),
    ):
        np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
    assert pickle.dumps(fitted) == pickle.dumps(fitted)


def test_workers_score_the_same():
    fitted = ReconstructionOutlierDetector(NETWORKS["normalization"]()).fit(X)
    scores = Parallel(n_jobs=2)(delayed(fitted.score_samples)(X) for _ in range(2))
    for found in scores:
        np.testing.assert_array_equal(found, fitted.score_samples(X))


def test_adapting_a_model_anew_changes_no_score():
    model = NETWORKS["normalization"]()
    fitted = ReconstructionOutlierDetector(model).fit(X)
    scores = fitted.score_samples(X)
    model.layers[0].adapt(X * 3)
    for again in (fitted, pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(again.score_samples(X), scores)


def test_a_function_that_adapts_its_layers_otherwise_when_it_is_called_again():
    seen = [X]

    def architecture(input_shape):
        layer = layers.Normalization()
        layer.adapt(seen[-1])
        return network(layer)

    fitted = AutoencoderOutlierDetector(architecture, epochs=2, random_state=0, **ONCE).fit(X)
    expected = fitted.reconstruct(X)
    seen.append(5 * X)
    np.testing.assert_allclose(fitted.autoencoder_(X), expected, rtol=1e-4)


def test_state_that_no_copy_finds_is_refused():
    model = network(Forgetful())
    model.layers[0].center = X.mean(axis=0)
    fitted = ReconstructionOutlierDetector(model).fit(X)
    with pytest.raises(ValueError, match="cannot be copied or saved.*save_own_variables"):
        pickle.dumps(fitted)
    with pytest.raises(ValueError, match="computes something else with the same weights"):
        AutoencoderOutlierDetector(model, epochs=1).fit(X)


def local_layer():
    class Local(layers.Layer):
        def call(self, rows):
            return rows

    return Local()


@pytest.mark.parametrize(
    "make",
    [lambda: layers.Lambda(lambda rows: rows, output_shape=(6,)), local_layer],
    ids=["Lambda", "local class"],
)
def test_what_could_not_be_loaded_is_not_dumped(make):
    model = network(make())
    for detector in (
        ReconstructionOutlierDetector(model).fit(X),
        ReconstructionOutlierDetector(model),
        AutoencoderOutlierDetector(model),
    ):
        with pytest.raises(ValueError, match="never loaded again.*register_keras_serializable"):
            pickle.dumps(detector)


class Cached:
    """Functions that return one and the same network, in all ways that come to mind."""

    def __init__(self):
        self.model = model = network()
        self.functions = {
            "closure": lambda input_shape: model,
            "method": self.method,
            "partial": functools.partial(lambda input_shape, model: model, model=model),
            "lru_cache": functools.lru_cache(lambda input_shape: model),
            "new model, old layers": lambda input_shape: keras.Sequential(model.layers),
            "one old layer": lambda input_shape: keras.Sequential(
                [keras.Input((6,)), model.layers[0], layers.Dense(6)]
            ),
        }

    def method(self, input_shape):
        return self.model


@pytest.mark.parametrize("name", Cached().functions)
def test_a_function_that_returns_one_and_the_same_network(name):
    cached = Cached()
    before = cached.model.get_weights()
    detector = AutoencoderOutlierDetector(cached.functions[name], epochs=1, random_state=0, **ONCE)
    with pytest.raises(ValueError, match="must return a new network each time.*architecture=model"):
        detector.fit(X)
    for kept, now in zip(before, cached.model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    assert not cached.model.compiled


def test_frozen_and_adapted_layers_may_be_shared():
    normalization, frozen = adapted(layers.Normalization()), layers.Dense(5, trainable=False)

    def architecture(input_shape):
        return network(normalization, frozen)

    detector = AutoencoderOutlierDetector(architecture, epochs=2, random_state=0, **ONCE)
    scores = detector.fit(X).score_samples(X)
    np.testing.assert_array_equal(detector.fit(X).score_samples(X), scores)


@pytest.fixture
def settings():
    """Restore Keras' settings after a test."""
    get = keras.config
    before = (get.dtype_policy(), get.floatx(), get.epsilon(), get.image_data_format())
    yield
    keras.config.set_floatx(before[1])
    keras.config.set_dtype_policy(before[0])
    keras.config.set_epsilon(before[2])
    keras.config.set_image_data_format(before[3])


def set_floatx(name):
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)


CHANGES = {
    "mixed_float16": lambda: keras.config.set_dtype_policy("mixed_float16"),
    "float64": lambda: keras.config.set_dtype_policy("float64"),
    "bfloat16": lambda: keras.config.set_dtype_policy("bfloat16"),
    "floatx": lambda: set_floatx("float64"),
    "channels_first": lambda: keras.config.set_image_data_format("channels_first"),
    "epsilon": lambda: keras.config.set_epsilon(0.5),
}
BUILT_IN = {
    "dense": AutoencoderOutlierDetector(dropout=0.1),
    "vae": AutoencoderOutlierDetector("vae"),
    "conv1d": AutoencoderOutlierDetector("conv1d", batch_norm=True),
    "lstm": AutoencoderOutlierDetector("lstm", hidden_layer_sizes=4),
    "ensemble": AutoencoderEnsembleOutlierDetector(2),
}


@pytest.mark.parametrize("detector", BUILT_IN.values(), ids=BUILT_IN)
@pytest.mark.usefixtures("settings")
def test_built_in_networks_are_the_same_under_all_settings(detector):
    rows = (X - 50) / 20
    detector.set_params(epochs=2, random_state=0)
    expected = detector.fit(rows).score_samples(rows)
    fitted = pickle.dumps(detector)
    for change in CHANGES.values():
        change()
        now = keras.config.dtype_policy().name
        np.testing.assert_array_equal(detector.fit(rows).score_samples(rows), expected)
        again = pickle.loads(fitted)
        np.testing.assert_array_equal(again.score_samples(rows), expected)
        assert again.autoencoder_.dtype_policy.name == "float32"
        assert keras.config.dtype_policy().name == now


def own_network(input_shape):
    drawn = [keras.initializers.GlorotUniform(seed=seed) for seed in (0, 1)]
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Normalization(mean=[60.0] * 6, variance=[1e-4] * 6),
            layers.Dense(3, "tanh", kernel_initializer=drawn[0]),
            layers.Dense(6, kernel_initializer=drawn[1]),
        ]
    )


def detectors():
    few = {"epochs": 2, "random_state": 0}
    return {
        "function": AutoencoderOutlierDetector(own_network, **few, **ONCE),
        "template": AutoencoderOutlierDetector(own_network((6,)), **few, **ONCE),
        "trained": ReconstructionOutlierDetector(own_network((6,))),
    }


@pytest.mark.parametrize("kind", detectors())
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.usefixtures("settings")
def test_networks_keep_the_settings_that_they_were_fitted_under(kind, change):
    before = pickle.dumps(plain := detectors()[kind].fit(X))
    scores = plain.score_samples(X)
    change()
    np.testing.assert_array_equal(pickle.loads(before).score_samples(X), scores)
    changed = detectors()[kind].fit(X)
    model = changed.estimator_ if kind == "trained" else changed.autoencoder_
    expected = np.asarray(model(X), dtype=np.float32)
    tolerance = {"float16": 1e-2, "bfloat16": 1e-1}.get(model.compute_dtype, 1e-5)
    np.testing.assert_allclose(changed.reconstruct(X), expected, rtol=tolerance, atol=tolerance)
    after = pickle.dumps(changed)
    set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    again = pickle.loads(after)
    np.testing.assert_array_equal(again.score_samples(X), changed.score_samples(X))
    if change is CHANGES["epsilon"]:
        assert not np.array_equal(again.score_samples(X), scores)


@pytest.mark.usefixtures("settings")
def test_a_second_fit_under_another_epsilon_has_a_graph_of_its_own():
    rows = (X - 50) / 20
    detector = AutoencoderOutlierDetector(loss="msle", epochs=2, random_state=0)
    first = detector.fit(rows).score_samples(rows)
    keras.config.set_epsilon(0.5)
    second = detector.fit(rows).score_samples(rows)
    assert not np.array_equal(first, second)
    keras.config.set_epsilon(1e-7)
    np.testing.assert_array_equal(detector.fit(rows).score_samples(rows), first)


def test_a_fresh_network_can_be_exported(tmp_path):
    detector = AutoencoderOutlierDetector(epochs=1, random_state=0).fit(X)
    for part in ("autoencoder_", "encoder_", "decoder_"):
        getattr(detector, part).export(tmp_path / part, verbose=False)
    exported = keras.layers.TFSMLayer(tmp_path / "autoencoder_", call_endpoint="serve")
    np.testing.assert_allclose(exported(X), detector.reconstruct(X), rtol=1e-4, atol=1e-5)
