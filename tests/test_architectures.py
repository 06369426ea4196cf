"""The quick networks that are trained compute what the plain ones do that users get hold of."""

import keras
import numpy as np
import pytest

from skae.architectures import BUILDERS, draw_weights

SIZES = {
    "hidden_layer_sizes": (8, 5),
    "latent_dim": 2,
    "activation": "relu",
    "latent_activation": "linear",
    "output_activation": "sigmoid",
    "l2": 0.01,
}
PARAMS = {
    "dense": SIZES | {"dropout": 0.3, "batch_norm": False, "latent_l1": 0.1},
    "dense_members": SIZES | {"n_members": 3},
}
SHAPES = {"dense": (7, 6), "dense_members": (7, 3, 6)}


@pytest.mark.parametrize("name", list(BUILDERS))
class TestQuick:
    def test_the_same_weights_and_outputs(self, name):
        plain, quick = (
            BUILDERS[name]((6,), **PARAMS[name], seed=5, quick=quick) for quick in (False, True)
        )
        for ours, theirs in zip(quick.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        rows = np.random.default_rng(0).random(SHAPES[name], dtype=np.float32)
        np.testing.assert_allclose(quick(rows), plain(rows), rtol=1e-5)
        assert [float(loss) for loss in quick.losses] == pytest.approx(
            [float(loss) for loss in plain.losses]
        )

    def test_weights_drawn_anew_are_those_of_a_network_just_built(self, name):
        built = BUILDERS[name]((6,), **PARAMS[name], seed=5)
        drawn = BUILDERS[name]((6,), **PARAMS[name], seed=6)
        draw_weights(drawn, 5)
        draw_weights(built, 5)
        for ours, theirs in zip(drawn.get_weights(), built.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_keras_alone_loads_the_plain_one(self, name, tmp_path):
        model = BUILDERS[name]((6,), **PARAMS[name], seed=5)
        model.save(tmp_path / "model.keras")
        rows = np.random.default_rng(0).random(SHAPES[name], dtype=np.float32)
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(rows), model(rows))
        modules = {type(layer).__module__.split(".")[0] for layer in loaded.layers}
        assert modules == {"keras"}


def test_quick_dropout_drops_its_share_and_keeps_the_mean():
    model = BUILDERS["dense"]((6,), **PARAMS["dense"], seed=0, quick=True)
    dropout = model.get_layer("encoder").get_layer("encoder_1_dropout")
    ones = np.ones((500, 200), dtype=np.float32)
    first, second = (np.asarray(dropout(ones, training=True)) for _ in range(2))
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert np.unique(first) == pytest.approx([0, 1 / 0.7])
    assert np.any(first != second)
    np.testing.assert_array_equal(dropout(ones, training=False), ones)


def test_each_member_starts_with_weights_as_large_as_if_it_were_alone():
    params = PARAMS["dense_members"] | {"hidden_layer_sizes": (200,), "n_members": 20}
    members = BUILDERS["dense_members"]((100,), **params, seed=0)
    kernel = members.get_layer("encoder_1").kernel
    limit = np.sqrt(6 / (100 + 200))
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.01)
    spread = np.std(kernel, axis=(1, 2))
    np.testing.assert_allclose(spread, limit / np.sqrt(3), rtol=0.02)
