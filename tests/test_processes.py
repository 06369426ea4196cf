"""Processes that fork, spawn, are killed, run without asserts, or write to a full disk."""

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((1500, 5), dtype=np.float32)


def fitted(**params):
    params = {"hidden_layer_sizes": 8, "epochs": 2, "random_state": 0} | params
    return AutoencoderOutlierDetector(**params).fit(X)


def score(detector, queue):
    queue.put(detector.score_samples(X))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("make", [fitted, lambda: AutoencoderEnsembleOutlierDetector(2).fit(X)])
def test_children_score_after_a_fit(method, make):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("This system cannot fork.")
    context = multiprocessing.get_context(method)
    detector, queue = make(), context.Queue()
    child = context.Process(target=score, args=(detector, queue))
    child.start()
    try:
        np.testing.assert_array_equal(queue.get(timeout=60), detector.score_samples(X))
    finally:
        child.kill()
        child.join()


FORK = """
    import multiprocessing, sys, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    from skae import AutoencoderOutlierDetector, ReconstructionOutlierDetector
    X = np.random.default_rng(0).random((500, 5), dtype=np.float32)
    before, in_child = sys.argv[1:]

    def detector(activation="relu"):
        return AutoencoderOutlierDetector(
            hidden_layer_sizes=8, epochs=1, random_state=0, activation=activation
        )

    def identity(tensor):
        return tensor

    def network():
        import keras
        return keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])

    def do(work):
        if work == "import":
            import keras
        if work == "fit":
            return detector().fit(X)
        if work == "fit, scored by Keras":
            return detector(identity).fit(X)
        if work == "network":
            return network()

    def child(made):
        try:
            if in_child == "score":
                made.score_samples(X)
            elif in_child == "look":
                made.autoencoder_
            elif in_child == "wrap":
                ReconstructionOutlierDetector(made).fit(X)
            elif in_child == "use as a template":
                AutoencoderOutlierDetector(made, epochs=1).fit(X)
            else:
                do(in_child)
            print("done", flush=True)
        except RuntimeError as error:
            print(error, flush=True)

    made = do(before)
    process = multiprocessing.get_context("fork").Process(target=child, args=(made,))
    process.start()
    process.join(100)
    process.kill()
"""


@pytest.mark.parametrize(
    ("before", "in_child", "works"),
    [
        ("import", "fit", True),
        ("fit", "fit", False),
        ("fit", "look", False),
        ("network", "wrap", False),
        ("network", "use as a template", False),
        ("fit, scored by Keras", "score", False),
    ],
)
def test_a_child_forked_after_tensorflow_was_used_does_not_hang(before, in_child, works):
    if not hasattr(os, "fork"):
        pytest.skip("This system cannot fork.")
    done = run(FORK, arguments=(before, in_child))
    expected = "done" if works else "forked after TensorFlow was used.*'spawn'.*joblib"
    assert re.search(expected, done.stdout), done.stderr


def run(code, *options, arguments=()):
    command = [sys.executable, *options, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_without_asserts_and_docstrings():
    code = """
        import numpy as np, pickle, skae
        X = np.random.default_rng(0).random((60, 5), dtype=np.float32)
        for detector in (
            skae.AutoencoderOutlierDetector(epochs=2, random_state=0),
            skae.AutoencoderOutlierDetector("conv1d", epochs=2, random_state=0),
            skae.AutoencoderEnsembleOutlierDetector(2, epochs=2, random_state=0),
        ):
            scores = detector.fit(X).score_samples(X)
            assert False, "asserts are left out"
            print((pickle.loads(pickle.dumps(detector)).score_samples(X) == scores).all())
        try:
            skae.AutoencoderOutlierDetector(latent_dim=0).fit(X)
        except ValueError as error:
            print("latent_dim" in str(error))
    """
    done = run(code, "-OO", "-W", "ignore")
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_a_full_disk_is_an_error():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("This system has no /dev/full.")
    with pytest.raises(OSError, match="No space left"):
        joblib.dump(fitted(), full)


def test_no_part_of_a_file_loads(tmp_path):
    path = tmp_path / "detector.joblib"
    joblib.dump(fitted(), path)
    whole = path.read_bytes()
    generator = random.Random(0)
    for length in [0, 1, len(whole) - 1, *generator.sample(range(len(whole)), 40)]:
        path.write_bytes(whole[:length])
        with pytest.raises(Exception):  # noqa: B017 - pickle has many
            joblib.load(path)


REPEAT = """
    import os, sys, joblib, numpy as np, warnings
    warnings.simplefilter("ignore")
    from skae import AutoencoderOutlierDetector
    folder = sys.argv[1]
    X = np.random.default_rng(0).random((300, 5), dtype=np.float32)
    detector = AutoencoderOutlierDetector(hidden_layer_sizes=8, epochs=3, random_state=0).fit(X)
    print("ready", flush=True)
    while True:
        detector = AutoencoderOutlierDetector(hidden_layer_sizes=8, epochs=3, random_state=0).fit(X)
        for _ in range(20):
            joblib.dump(detector, folder + "/new")
            os.replace(folder + "/new", folder + "/detector.joblib")
"""


def kill_at_random(folder, generator):
    """Kill a process that fits and saves again and again, some time after its first fit."""
    command = [sys.executable, "-c", textwrap.dedent(REPEAT), str(folder)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(generator.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)


# 200 in all, a part of them at a time: a test that takes too long is taken to hang.
@pytest.mark.parametrize(
    ("n_kills", "seed"), [(2, 0), *(pytest.param(25, n, marks=pytest.mark.slow) for n in range(8))]
)
def test_what_was_saved_survives_a_kill(n_kills, seed, tmp_path):
    """The way of the guide: save under a new name, then rename."""
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("This system has no SIGKILL.")
    expected = AutoencoderOutlierDetector(hidden_layer_sizes=8, epochs=3, random_state=0)
    rows = np.random.default_rng(0).random((300, 5), dtype=np.float32)
    expected = expected.fit(rows).score_samples(rows)
    joblib.dump(fitted(), tmp_path / "detector.joblib")
    generator = random.Random(seed)
    for _ in range(n_kills):
        kill_at_random(tmp_path, generator)
        scores = joblib.load(tmp_path / "detector.joblib").score_samples(rows)
        assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
