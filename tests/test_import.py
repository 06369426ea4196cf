"""Importing skae is cheap: the heavy packages are loaded when they are first needed."""

import subprocess
import sys

import pytest

import skae

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


@pytest.mark.parametrize("way", ["KERAS_BACKEND", "config"])
def test_another_backend_is_refused_in_one_sentence(way, tmp_path):
    environment = {"PATH": "", "HOME": str(tmp_path), "KERAS_HOME": str(tmp_path)}
    if way == "KERAS_BACKEND":
        environment["KERAS_BACKEND"] = "jax"
    else:
        (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = (
        "import skae, numpy as np\n"
        "skae.AutoencoderOutlierDetector().fit(np.random.default_rng(0).random((20, 3)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "set the environment variable KERAS_BACKEND=tensorflow" in done.stderr.splitlines()[-1]
