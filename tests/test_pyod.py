"""The class in the guide that gives a detector PyOD's signs, judged by PyOD itself."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytest.importorskip("pyod", reason="pyod is not installed")

GUIDE = Path(__file__).parents[1] / "docs" / "user_guide" / "coming_from.rst"


@pytest.fixture(scope="module")
def style():
    """Return the class as the guide has it."""
    block = re.search(r"    from pyod.*?(?=\n\n\n    client)", GUIDE.read_text(), flags=re.DOTALL)
    names = {}
    exec(textwrap.dedent(block[0]), names)
    return names["PyODStyle"]


@pytest.fixture(scope="module")
def pipeline(make_detector):
    return make_pipeline(StandardScaler(), make_detector(contamination=0.2))


@pytest.fixture(scope="module")
def client(style, pipeline, heartbeats):
    return style(pipeline, contamination=0.2).fit(heartbeats[0])


def test_outliers_are_1_and_score_high(client, pipeline, heartbeats):
    X, y = heartbeats
    detector = clone(pipeline).fit(X)
    np.testing.assert_array_equal(client.decision_scores_, -detector.score_samples(X))
    np.testing.assert_array_equal(client.decision_function(X), client.decision_scores_)
    np.testing.assert_array_equal(client.labels_, detector.predict(X) == -1)
    np.testing.assert_array_equal(client.predict(X), client.labels_)
    assert client.labels_.mean() == pytest.approx(0.2, abs=0.01)
    assert client.threshold_ == pytest.approx(-detector[-1].offset_)
    assert roc_auc_score(y == -1, client.decision_function(X)) > 0.8


def test_what_pyod_makes_of_it(client, heartbeats):
    X, _ = heartbeats
    probability = client.predict_proba(X)
    assert probability.shape == (300, 2)
    np.testing.assert_array_equal(
        np.argsort(probability[:, 1]), np.argsort(client.decision_scores_)
    )
    assert set(client.predict(X, return_confidence=True)[0]) == {0, 1}


def test_clients_clone_and_evaluate_it(client, heartbeats, capsys):
    from pyod.utils.data import evaluate_print

    X, y = heartbeats
    again = clone(client)
    assert again.get_params(deep=False) == client.get_params(deep=False) | {
        "estimator": again.estimator
    }
    assert not hasattr(again, "estimator_")
    np.testing.assert_array_equal(again.fit(X).decision_scores_, client.decision_scores_)
    evaluate_print("autoencoder", y == -1, client.decision_function(X))
    assert float(re.search(r"ROC:([0-9.]+)", capsys.readouterr().out)[1]) > 0.8
