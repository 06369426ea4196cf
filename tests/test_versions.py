"""A detector is saved with versions, and says so where it is loaded under others.

`python tests/test_versions.py` writes the file of the present format: once for each format.
"""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import InconsistentVersionWarning

import skae
from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae._detectors import versions

DATA = Path(__file__).parent / "data"
X = np.random.default_rng(0).random((40, 4)).round(3).astype(np.float32)
SAVED = {"dense": AutoencoderOutlierDetector, "pca": ReconstructionOutlierDetector}


def fitted(name):
    if name == "pca":
        return ReconstructionOutlierDetector(PCA(2), threshold="quantile").fit(X.astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoencoderOutlierDetector(
            hidden_layer_sizes=(3,), latent_dim=2, epochs=4, batch_size=8, random_state=0
        ).fit(X)


def path_of(name, number=versions.FORMAT):
    return DATA / f"{name}_{number}.pkl"


def write():
    for name in SAVED:
        detector = fitted(name)
        scores = detector.score_samples(X.astype(detector._scorer.model.dtype))
        path_of(name).write_bytes(pickle.dumps((detector, scores), protocol=4))


def loaded(path):
    with warnings.catch_warnings():
        # The file stays what it is, while versions go on.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return pickle.loads(path.read_bytes())


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("number", range(1, versions.FORMAT + 1))
def test_each_format_loads(name, number):
    detector, scores = loaded(path_of(name, number))
    assert type(detector) is SAVED[name]
    rows = X.astype(detector._scorer.model.dtype)
    np.testing.assert_allclose(detector.score_samples(rows), scores, rtol=1e-4)
    np.testing.assert_array_equal(
        detector.predict(rows), np.where(scores < detector.offset_, -1, 1)
    )


def attributes(held, name="detector"):
    """Return the names of the attributes of skae's objects in an object, each with its path."""
    if not type(held).__module__.startswith("skae."):
        return set()
    found = {f"{name}.{attribute}" for attribute in vars(held)}
    return found.union(*(attributes(of, f"{name}.{key}") for key, of in vars(held).items()))


@pytest.mark.parametrize("name", SAVED)
def test_a_change_of_attributes_is_a_new_format(name):
    detector, _ = loaded(path_of(name))
    assert attributes(detector) == attributes(pickle.loads(pickle.dumps(fitted(name))))


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 20_000


@pytest.mark.parametrize("make", [lambda: fitted("pca"), lambda: fitted("dense")])
@pytest.mark.parametrize("around", [lambda detector: detector, FitOnInliers])
def test_under_the_same_versions_nothing_is_said(make, around):
    detector = make()
    again = pickle.loads(pickle.dumps(detector))
    assert not any("saved" in attribute for attribute in vars(again))
    clone(around(detector))
    data = skops.io.dumps(detector)
    skops.io.loads(data, trusted=skae.TRUSTED_TYPES)


@pytest.mark.parametrize("changed", ["skae", "keras", "format"])
@pytest.mark.parametrize("name", SAVED)
def test_under_other_versions_there_is_a_warning(name, changed, monkeypatch):
    detector = fitted(name)
    other = versions._versions() | {changed: 99}
    with monkeypatch.context() as patch:
        patch.setattr(versions, "_versions", lambda: other)
        data = pickle.dumps(detector)
    with pytest.warns(InconsistentVersionWarning) as caught:
        again = pickle.loads(data)
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith(f"{type(detector).__name__} was saved with skae ")
    assert " 99" in message.partition(", and is loaded with ")[0]
    assert f"skae {skae.__version__}, Keras 3" in message.partition("loaded with ")[2]
    rows = X.astype(detector._scorer.model.dtype)
    np.testing.assert_array_equal(again.score_samples(rows), detector.score_samples(rows))


def test_a_file_without_versions_is_an_older_one():
    state = fitted("pca").__getstate__()
    del state["_saved_with"]
    with pytest.warns(InconsistentVersionWarning, match="saved with an older version of skae"):
        ReconstructionOutlierDetector.__new__(ReconstructionOutlierDetector).__setstate__(state)


def test_versions_are_found_without_importing_keras():
    code = (
        "import pickle, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        f"detector, _ = pickle.load(open({str(path_of('dense'))!r}, 'rb'))\n"
        "pickle.dumps(detector)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    write()
