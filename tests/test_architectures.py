"""The fast networks that are trained compute what the plain ones do that users get hold of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from skae._engines.keras.architectures._layers import activation_function
from skae._engines.keras.blueprints import BuiltInBlueprint
from skae._engines.keras.halves import draw_weights
from skae._engines.options import Layout, Sizes

SIZES = {
    "hidden_layer_sizes": (8, 5),
    "latent_dim": 2,
    "activation": "relu",
    "latent_activation": "linear",
    "output_activation": "sigmoid",
    "dropout": 0.3,
    "batch_norm": False,
    "l2": 0.01,
    "latent_l1": 0.1,
}
OWN_PARAMS = {
    "conv1d": {"kernel_size": 3, "strides": 2},
    "dense": {},
    "dense_members": {},
    "lstm": {},
    "vae": {"beta": 0.1},
}
LAYOUTS = {
    "conv1d": Layout((6, 2)),
    "dense": Layout((6,)),
    "dense_members": Layout((6,), 3),
    "lstm": Layout((6, 2)),
    "vae": Layout((6,)),
}


def build(name, seed=0, fast_ops=False, layout=None, **params):
    sizes = Sizes(**SIZES | {key: params.pop(key) for key in SIZES if key in params})
    blueprint = BuiltInBlueprint(
        name, layout or LAYOUTS[name], sizes, OWN_PARAMS[name] | params, seed
    )
    return blueprint.build(fast_ops)


def rows_for(name):
    shape = (7, *LAYOUTS[name].member_axes, *LAYOUTS[name].input_shape)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("activation", ["relu", "silu", "mish"])
@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_fast_network_gives_what_the_plain_one_does(name, activation):
    plain, fast = (build(name, activation=activation, seed=5, fast_ops=f) for f in (False, True))
    rows = rows_for(name)
    np.testing.assert_allclose(fast(rows), plain(rows), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("name", ["silu", "mish"])
def test_a_fast_activation_is_keras_own_everywhere(name, dtype):
    x = tf.constant([-1e4, -90, -20, -5, -1, -1e-3, 0, 1e-3, 1, 5, 19, 21, 90, 1e4], dtype)
    found = []
    for fast_ops in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activation_function(name, fast_ops)(x)
        found.append((y, tape.gradient(y, x)))
    for plain, fast in zip(*found, strict=True):
        assert fast.dtype == dtype
        np.testing.assert_allclose(
            fast, plain, rtol=1e-3 if dtype == "float16" else 1e-5, atol=1e-6
        )


@pytest.mark.parametrize("name", list(LAYOUTS))
class TestFast:
    def test_the_same_weights_and_outputs(self, name):
        plain, fast = (build(name, seed=5, fast_ops=fast_ops) for fast_ops in (False, True))
        for ours, theirs in zip(fast.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        rows = rows_for(name)
        np.testing.assert_allclose(fast(rows), plain(rows), rtol=1e-5)
        assert [float(loss) for loss in fast.losses] == pytest.approx(
            [float(loss) for loss in plain.losses]
        )

    def test_weights_drawn_anew_are_those_of_a_network_just_built(self, name):
        built = build(name, seed=5)
        drawn = build(name, seed=6)
        draw_weights(drawn, 5)
        draw_weights(built, 5)
        for ours, theirs in zip(drawn.get_weights(), built.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_keras_alone_loads_the_plain_one(self, name, tmp_path):
        model = build(name, seed=5)
        model.save(tmp_path / "model.keras")
        rows = rows_for(name)
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(rows), model(rows))
        layers = [layer for part in loaded.layers for layer in getattr(part, "layers", [part])]
        ours = {layer.name for layer in layers if not type(layer).__module__.startswith("keras")}
        assert ours == ({"latent"} if name == "vae" else set())


def test_fast_dropout_drops_its_share_and_keeps_the_mean():
    model = build("dense", seed=0, fast_ops=True)
    dropout = model.get_layer("encoder").get_layer("encoder_1_dropout")
    ones = np.ones((500, 200), dtype=np.float32)
    first, second = (np.asarray(dropout(ones, training=True)) for _ in range(2))
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert np.unique(first) == pytest.approx([0, 1 / 0.7])
    assert np.any(first != second)
    np.testing.assert_array_equal(dropout(ones, training=False), ones)


def test_each_member_starts_with_weights_as_large_as_if_it_were_alone():
    members = build("dense_members", layout=Layout((100,), 20), hidden_layer_sizes=(200,))
    kernel = members.get_layer("encoder_1").kernel
    limit = np.sqrt(6 / (100 + 200))
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.01)
    spread = np.std(kernel, axis=(1, 2))
    np.testing.assert_allclose(spread, limit / np.sqrt(3), rtol=0.02)


class TestConv1d:
    @pytest.mark.parametrize("n_steps", [1, 2, 5, 13, 140])
    @pytest.mark.parametrize("params", [{}, {"kernel_size": 1}, {"strides": 1}, {"strides": 3}])
    def test_any_length_comes_back(self, n_steps, params):
        model = build("conv1d", layout=Layout((n_steps, 2)), **params)
        assert model.output_shape == (None, n_steps, 2)
        assert model.get_layer("encoder").output_shape == (None, 2)

    def test_without_hidden_layers(self):
        model = build("conv1d", hidden_layer_sizes=(), seed=0)
        assert model.output_shape == (None, 6, 2)

    def test_a_step_is_seen_by_its_neighbors_only(self):
        params = {"hidden_layer_sizes": (4,), "kernel_size": 3, "dropout": 0.0}
        encoder = build("conv1d", **params, seed=0).get_layer("encoder")
        before = keras.Model(encoder.inputs[0], encoder.get_layer("encoder_1").output)
        rows = np.zeros((1, *LAYOUTS["conv1d"].input_shape), dtype=np.float32)
        other = rows.copy()
        other[0, 5] = 1.0
        changed = np.any(np.asarray(before(other)) != np.asarray(before(rows)), axis=(0, 2))
        assert changed.tolist() == [False, False, True]


class TestGaussianLatent:
    def test_divergence_is_that_of_the_gaussians(self):
        model = build("vae", beta=0.5, l2=0.0, latent_l1=0.0, dropout=0.0, seed=0)
        rows = rows_for("vae")
        encoder = model.get_layer("encoder")
        latent = encoder.get_layer("latent")
        before = keras.Model(encoder.inputs[0], latent.input[0])
        mean, log_variance = (np.asarray(part) for part in latent.posterior(before(rows)))
        variance = np.exp(log_variance)
        divergence = 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum(axis=1)
        model(rows)
        expected = 0.5 * rows.var(axis=0).mean() * divergence.mean()
        # Both are in single precision, with another order of sums.
        assert [float(loss) for loss in model.losses] == [pytest.approx(expected, rel=1e-5)]

    def test_codes_are_drawn_in_training_only(self):
        encoder = build("vae", dropout=0.0, seed=0).get_layer("encoder")
        rows = np.repeat(rows_for("vae")[:1], 20_000, axis=0)
        latent = encoder.get_layer("latent")
        before = keras.Model(encoder.inputs[0], latent.input[0])
        mean, log_variance = (np.asarray(part) for part in latent.posterior(before(rows)))
        np.testing.assert_array_equal(encoder(rows), mean)
        first, second = (np.asarray(encoder(rows, training=True)) for _ in range(2))
        assert np.any(first != second)
        np.testing.assert_allclose(first.mean(axis=0), mean[0], atol=0.03)
        np.testing.assert_allclose(first.std(axis=0), np.exp(0.5 * log_variance[0]), rtol=0.03)
