"""The same seed, the same scores, everywhere; and nothing of the user's is moved."""

import os
import pickle
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone

from skae import AutoencoderOutlierDetector, FitOnInliers

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


def own_network(input_shape):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Dense(2),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(5),
        ]
    )


PARAMS = [
    {"dropout": 0.1, "noise": 0.1, "validation_fraction": 0.2},
    {"architecture": own_network},
    {"architecture": own_network((5,))},
]


def scores(random_state=0, **params):
    detector = AutoencoderOutlierDetector(epochs=5, random_state=random_state, **params)
    return detector.fit(X).score_samples(X)


@pytest.mark.parametrize("params", PARAMS)
def test_same_seed_same_scores(params):
    first = scores(**params)
    np.testing.assert_array_equal(first, scores(**params))
    assert not np.array_equal(first, scores(1, **params))


def test_random_state_instance_moves_on():
    generator = np.random.RandomState(0)
    first, second = scores(generator), scores(generator)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, scores(np.random.RandomState(0)))


def test_none_reads_numpys_generator():
    before = np.random.get_state()
    try:
        np.random.seed(3)
        first = scores(None)
        np.random.seed(3)
        np.testing.assert_array_equal(first, scores(None))
        np.random.seed(4)
        assert not np.array_equal(first, scores(None))
    finally:
        np.random.set_state(before)


def test_same_scores_in_another_process():
    code = (
        "import numpy as np; from skae import AutoencoderOutlierDetector\n"
        "X = np.random.default_rng(0).random((60, 5), dtype=np.float32)\n"
        "d = AutoencoderOutlierDetector(epochs=5, random_state=0, dropout=0.1, noise=0.1)\n"
        "print(d.fit(X).score_samples(X).tobytes().hex())"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == scores(dropout=0.1, noise=0.1).tobytes().hex()


@pytest.mark.parametrize("params", PARAMS)
def test_same_scores_under_threads(params):
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda seed: scores(seed, **params), [0, 1, 0, 1]))
    np.testing.assert_array_equal(many[0], many[2])
    np.testing.assert_array_equal(many[1], many[3])
    np.testing.assert_array_equal(many[0], scores(0, **params))


GENERATORS = {
    "numpy": lambda: np.random.random(),
    "python": lambda: random.random(),
    "keras": lambda: float(keras.random.uniform(())),
    "tensorflow": lambda: float(tf.random.uniform(())),
}


def test_none_draws_from_numpys_generator_as_scikit_learn_does():
    first = scores(None)
    assert not np.array_equal(first, scores(None))


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("random_state", [0, None])
def test_no_global_generator_is_moved(params, random_state):
    expected = {}
    for name, draw in GENERATORS.items():
        keras.utils.set_random_seed(7)
        expected[name] = draw()
    keras.utils.set_random_seed(7)
    detector = AutoencoderOutlierDetector(epochs=2, random_state=random_state, **params).fit(X)
    detector.score_samples(X)
    _ = detector.autoencoder_
    # Keras draws the seed of its own generator from Python's when that is first asked for.
    order = ["keras", "tensorflow"]
    if random_state is not None:  # None stands for NumPy's own
        order.append("numpy")
    drawn = {name: GENERATORS[name]() for name in order}
    assert drawn == {name: expected[name] for name in order}
    keras.utils.set_random_seed(7)
    pickle.loads(pickle.dumps(detector)).score_samples(X)
    clone(FitOnInliers(detector)).fit(X)
    assert random.random() == expected["python"]


def test_environment_and_warnings_filters_are_left_alone():
    environment, filters = dict(os.environ), list(warnings.filters)
    scores()
    assert dict(os.environ) == environment
    assert warnings.filters == filters
    assert keras.config.floatx() == "float32"
