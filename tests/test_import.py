"""Importing skae is cheap: the heavy packages are loaded when they are first needed."""

import contextlib
import json
import os
import subprocess
import sys

import pytest

import skae
from skae._engines.keras import loading

HEAVY = ("keras", "tensorflow", "matplotlib", "scikeras", "skops")


@pytest.mark.parametrize(
    "statement",
    [
        "import skae",
        "from skae import AutoencoderOutlierDetector",
        "from skae import FitOnInliers; FitOnInliers(None)",
        "import skae; skae.AutoencoderOutlierDetector(epochs=3).get_params()",
        "import skae; repr(skae.AutoencoderOutlierDetector())",
        "import skae; skae.datasets.make_heartbeats(10, random_state=0)",
        "import skae; skae.show_versions()",
        "import skae; skae.TRUSTED_TYPES",
    ],
)
def test_nothing_heavy_is_loaded(statement):
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_public_name_can_be_had():
    for name in skae.__all__:
        assert getattr(skae, name) is not None
    assert set(skae.__all__) <= set(dir(skae))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Autoencoder'"):
        _ = skae.Autoencoder


def test_show_versions_names_the_packages(capsys):
    skae.show_versions()
    shown = capsys.readouterr().out
    assert f"skae: {skae.__version__}" in shown
    assert "tensorflow: 2" in shown


@pytest.mark.parametrize("backend", ["jax", "nonsense"])
@pytest.mark.parametrize("way", ["KERAS_BACKEND", "config"])
def test_another_backend_is_refused_in_one_sentence(way, backend, tmp_path):
    environment = {"PATH": "", "HOME": str(tmp_path), "KERAS_HOME": str(tmp_path)}
    if way == "KERAS_BACKEND":
        environment["KERAS_BACKEND"] = backend
    else:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": backend}))
    code = (
        "import skae, numpy as np\n"
        "skae.AutoencoderOutlierDetector().fit(np.random.default_rng(0).random((20, 3)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert f"the backend is '{backend}': set the environment variable KERAS_BACKEND" in message


# TensorFlow sets variables of its own while it is imported; what skae sets must be as before.
FIT = (
    "import os, numpy as np, skae\n"
    "before = os.environ.get('TF_CPP_MIN_LOG_LEVEL')\n"
    "X = np.random.default_rng(0).random((60, 3))\n"
    "skae.AutoencoderOutlierDetector(epochs=2, random_state=0).fit(X).predict(X)\n"
    "assert os.environ.get('TF_CPP_MIN_LOG_LEVEL') == before\n"
)


def test_a_first_fit_is_quiet():
    environment = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIT],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr
    assert "E0000" not in done.stderr


def test_the_remote_profiler_still_works():
    code = (
        f"{FIT}import tensorflow as tf\n"
        "from tensorflow.python.profiler.internal import _pywrap_profiler_plugin as plugin\n"
        "assert plugin.__file__ and 'monitor' in vars(plugin)\n"
        "tf.profiler.experimental.client.monitor('grpc://127.0.0.1:1', 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert "UNAVAILABLE" in done.stderr.splitlines()[-1], done.stderr


class TestQuiet:
    @pytest.fixture(autouse=True)
    def _as_if_nothing_were_imported(self, monkeypatch):
        for name in ("tensorflow", loading._PROFILER):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)

    @pytest.mark.parametrize(("has_gpu", "level"), [(False, "3"), (True, "1")])
    def test_within_the_block_only(self, has_gpu, level, tmp_path, monkeypatch):
        monkeypatch.setattr(loading, "_GPU_DRIVER", tmp_path if has_gpu else tmp_path / "none")
        before = dict(os.environ)
        with contextlib.suppress(ImportError), loading._quiet_tensorflow():
            assert dict(os.environ) == before | {"TF_CPP_MIN_LOG_LEVEL": level}
            assert loading._PROFILER in sys.modules
            raise ImportError
        assert loading._PROFILER not in sys.modules
        assert dict(os.environ) == before

    def test_not_where_the_user_has_chosen(self, monkeypatch):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
        with loading._quiet_tensorflow():
            assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"

    def test_not_where_tensorflow_is_there_already(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", os)
        with loading._quiet_tensorflow():
            assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
