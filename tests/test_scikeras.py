"""scikeras' KerasRegressor as a reconstructor; and skae beside scikeras, and without it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("scikeras") is None, reason="scikeras is not installed"
)

OWN = ["built-in", "template", "trained"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that runs a part of scikeras_script.py once, and what it found."""
    folder, found = tmp_path_factory.mktemp("scikeras"), {}

    def run(part):
        if part not in found:
            script = Path(__file__).with_name("scikeras_script.py")
            done = subprocess.run(
                [sys.executable, script, part, folder], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            found[part] = joblib.load(folder / part)
        return found[part]

    return run


@pytest.fixture(scope="module")
def before_skae(run):
    return run("before_skae")


@pytest.fixture(scope="module")
def after_skae(run, before_skae):
    return run("after_skae")  # which loads what the other has written


@pytest.fixture(scope="module")
def without_scikeras(run, before_skae, after_skae):
    return run("without_scikeras")


class TestRegressor:
    def test_finds_the_abnormal_beats(self, before_skae):
        assert roc_auc_score(before_skae["y"], before_skae["scores"]) > 0.75

    def test_scores(self, before_skae):
        scores = before_skae["scores"]
        assert scores.dtype == np.float64
        np.testing.assert_allclose(scores, before_skae["by hand"], rtol=1e-4)
        np.testing.assert_array_equal(
            before_skae["prediction"], np.where(scores < before_skae["offset"], -1, 1)
        )

    def test_fitted_on_float32_scores_float64(self, before_skae):
        np.testing.assert_array_equal(before_skae["scores of float64"], before_skae["scores"])

    def test_routed_parameters_can_be_searched(self, before_skae):
        untrained, trained = before_skae["found"]
        assert trained > untrained + 0.2
        assert before_skae["best"] == {
            "estimator__model__latent_dim": 3,
            "estimator__optimizer__learning_rate": 0.02,
        }
        assert before_skae["best units"] == 3
        assert before_skae["best learning rate"] == pytest.approx(0.02)

    def test_pickled(self, before_skae):
        np.testing.assert_array_equal(before_skae["scores after pickling"], before_skae["scores"])

    def test_loaded_in_another_process(self, before_skae, after_skae):
        np.testing.assert_array_equal(after_skae["scores of the regressor"], before_skae["scores"])

    def test_fitted_again_in_another_process(self, before_skae, after_skae):
        np.testing.assert_allclose(
            after_skae["scores after another fit"], before_skae["scores"], rtol=1e-4
        )

    def test_op_determinism(self, before_skae, after_skae):
        # Else the first process would not show that skae works with it on.
        assert before_skae["op determinism"]
        assert not after_skae["op determinism"]


@pytest.mark.parametrize("name", OWN)
class TestOwnDetectors:
    def test_are_the_same_beside_scikeras(self, name, before_skae, after_skae, without_scikeras):
        scores, pickled = without_scikeras["own"][name]
        for beside in (before_skae, after_skae):
            np.testing.assert_array_equal(beside["own"][name][0], scores)
            assert beside["own"][name][1] == pickled

    def test_load_where_there_is_no_scikeras(self, name, without_scikeras):
        expected = without_scikeras["own"][name][0]
        for loaded in without_scikeras["loaded"].values():
            np.testing.assert_array_equal(loaded[name], expected)
