"""Saving and loading: the same bytes, the same scores, nothing heavy at load time."""

import copy
import pickle
import subprocess
import sys

import joblib
import keras
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


def own_network(input_shape, units=2):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(units, name="latent"), keras.layers.Dense(5)]
    )


@pytest.fixture(
    scope="module",
    params=["default", "batch_norm", "pipeline", "meta", "function", "template", "optimizer"],
)
def fitted(request):
    params = {
        "function": {"architecture": own_network, "architecture_params": {"units": 3}},
        "template": {"architecture": own_network((5,))},
        "optimizer": {"optimizer": keras.optimizers.Adam(0.01)},
        "batch_norm": {"batch_norm": True, "dropout": 0.1},
    }.get(request.param, {})
    detector = AutoencoderOutlierDetector(epochs=3, random_state=0, **params)
    if request.param == "pipeline":
        detector = make_pipeline(MinMaxScaler(), detector)
    if request.param == "meta":
        detector = FitOnInliers(make_pipeline(MinMaxScaler(), detector))
    return detector.fit(X)


def same(fitted, again):
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


def test_pickle_has_the_same_bytes_each_time(fitted):
    first = pickle.dumps(fitted)
    fitted.score_samples(X)
    assert pickle.dumps(fitted) == first
    assert joblib.hash(fitted) == joblib.hash(fitted)
    same(fitted, pickle.loads(first))


def test_deepcopy_is_independent(fitted):
    again = copy.deepcopy(fitted)
    same(fitted, again)


def test_joblib(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "detector.joblib")
    same(fitted, joblib.load(tmp_path / "detector.joblib"))


def test_skops(fitted):
    data = skops.io.dumps(fitted)
    trusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith(("skae.", "tests.", __name__)) for name in trusted)
    same(fitted, skops.io.loads(data, trusted=trusted))


def test_clone_fits_to_the_same(fitted):
    same(fitted, clone(fitted).fit(X))


def test_a_pickle_goes_on_after_loading():
    detector = AutoencoderOutlierDetector(epochs=3, random_state=0, warm_start=True).fit(X)
    again = pickle.loads(pickle.dumps(detector)).fit(X)
    np.testing.assert_array_equal(again.score_samples(X), detector.fit(X).score_samples(X))


def test_loading_in_a_new_process_loads_no_tensorflow_until_it_scores(tmp_path):
    detector = make_pipeline(
        MinMaxScaler(), AutoencoderOutlierDetector(epochs=3, random_state=0)
    ).fit(X)
    for name, value in {"detector": detector, "X": X}.items():
        joblib.dump(value, tmp_path / name)
    code = (
        "import sys, joblib\n"
        f"detector = joblib.load({str(tmp_path / 'detector')!r})\n"
        "repr(detector), detector[-1].offset_, hasattr(detector[-1], 'transform')\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        f"X = joblib.load({str(tmp_path / 'X')!r})\n"
        "print(detector.score_samples(X).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == detector.score_samples(X).tobytes().hex()


def test_plain_keras_loads_the_saved_model(tmp_path):
    detector = AutoencoderOutlierDetector(epochs=3, random_state=0).fit(X)
    detector.autoencoder_.save(tmp_path / "model.keras")
    code = (
        "import keras, numpy as np, sys\n"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
        "X = np.random.default_rng(0).random((60, 5), dtype=np.float32)\n"
        "assert 'skae' not in sys.modules\n"
        "print(np.asarray(model(X)).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = np.frombuffer(bytes.fromhex(done.stdout.strip()), dtype=np.float32).reshape(X.shape)
    np.testing.assert_allclose(loaded, detector.reconstruct(X), atol=1e-6)
