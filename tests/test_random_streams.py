"""The numbers drawn for a seed stay what they are, release after release.

They are integer arithmetic and comparisons, or functions that every processor rounds nearly alike.
"""

import numpy as np
import pytest
import tensorflow as tf

from skae._engines.keras.blueprints import BuiltInBlueprint
from skae._engines.keras.halves import draw_weights
from skae._engines.options import Layout, Sizes
from skae._network.feeding import Feed

SIZES = Sizes(
    hidden_layer_sizes=(4,),
    latent_dim=2,
    activation="relu",
    latent_activation="linear",
    output_activation="linear",
    dropout=0.5,
    batch_norm=False,
    l2=0.0,
    latent_l1=0.0,
)

INITIAL_WEIGHTS = [0.45750105381011963, 0.3188157081604004, -0.8188331723213196, 0.2670309543609619]
INITIAL_WEIGHTS_OF_MEMBERS = [
    [0.45750105381011963, 0.3188157081604004, -0.8188331723213196, 0.2670309543609619],
    [0.2810887098312378, 0.6051098108291626, -0.19163042306900024, -0.7489838600158691],
]
KEPT_UNITS = ["000100010001000011110010", "010011101000110010110011"]
NOISE = [-2.0553784370422363, 1.158187747001648, 0.19160862267017365, -0.1297789067029953]
ORDERS = {None: [6, 7, 2, 1, 4, 5, 3, 0], 2: [[6, 7, 2, 1, 4, 5, 3, 0], [6, 0, 4, 1, 5, 2, 3, 7]]}


def network(name="dense", layout=None):
    blueprint = BuiltInBlueprint(name, layout or Layout((3,)), SIZES, {}, seed=7)
    model = blueprint.build()
    draw_weights(model, 7)
    return model


def test_initial_weights():
    first = network().get_weights()[0][0]
    np.testing.assert_allclose(first, INITIAL_WEIGHTS, rtol=1e-5)


def test_initial_weights_of_members():
    first = network("dense_members", Layout((3,), 2)).get_weights()[0][:, 0]
    np.testing.assert_allclose(first, INITIAL_WEIGHTS_OF_MEMBERS, rtol=1e-5)


def test_dropped_units():
    dropout = network().get_layer("encoder").get_layer("encoder_1_dropout")
    ones = np.ones((2, 12), dtype=np.float32)
    kept = [np.asarray(dropout(ones, training=True)) > 0 for _ in range(2)]
    assert ["".join("01"[int(k)] for k in rows.ravel()) for rows in kept] == KEPT_UNITS


def test_noise():
    drawn = tf.random.stateless_normal((4,), seed=[5, 0])
    np.testing.assert_allclose(drawn, NOISE, rtol=1e-4)


@pytest.mark.parametrize("n_members", [None, 2])
def test_order_of_rows(n_members):
    feed = Feed(np.zeros((8, 3), dtype=np.float32), Layout((3,), n_members))
    order = feed.shuffled(np.random.default_rng(3), 8)
    assert order.T.tolist() == ORDERS[n_members]
