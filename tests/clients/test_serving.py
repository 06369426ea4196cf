"""The application of the guide: verdicts, sentences for bad rows, and clients at the same time."""

import json
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector

FOLDER = Path(__file__).parents[2] / "docs" / "user_guide" / "serving"
X = np.random.default_rng(0).normal(size=(320, 4)).round(3)
# Run in a process of its own, as a server is.
CLIENTS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from starlette.testclient import TestClient
from app import app

def post(body):
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/judge", content=body, headers={"content-type": "application/json"})
    return [answer.status_code, answer.json()]

bodies = json.load(sys.stdin)
with ThreadPoolExecutor(32) as pool:
    found = list(pool.map(post, bodies))
heavy = sorted({"keras", "tensorflow"} & set(sys.modules))
print(json.dumps({"answers": found, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def detector():
    short = {"epochs": 20, "batch_size": 32, "hidden_layer_sizes": (8,), "random_state": 0}
    return make_pipeline(StandardScaler(), AutoencoderOutlierDetector(latent_dim=2, **short)).fit(X)


@pytest.fixture(scope="module")
def ask(detector, tmp_path_factory):
    """Return a function from bodies, sent by 32 clients at the same time, to the answers."""
    path = tmp_path_factory.mktemp("serving") / "detector.joblib"
    joblib.dump(detector, path)

    def ask(*bodies):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CLIENTS],
            input=json.dumps(bodies),
            capture_output=True,
            text=True,
            env={"DETECTOR": str(path), "PYTHONPATH": f"{FOLDER}:{':'.join(sys.path)}"},
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["heavy"] == []
        return said["answers"]

    return ask


def test_clients_at_the_same_time_get_their_own_verdicts(ask, detector):
    parts = np.split(X, 64)
    answers = ask(*(json.dumps({"rows": part.tolist()}) for part in parts))
    assert {status for status, _ in answers} == {200}
    decision = np.concatenate([answer["decision"] for _, answer in answers])
    np.testing.assert_array_equal(decision, detector.decision_function(X))
    is_outlier = np.concatenate([answer["is_outlier"] for _, answer in answers])
    np.testing.assert_array_equal(is_outlier, detector.predict(X) == -1)
    assert is_outlier.any()


def test_null_is_a_missing_cell(ask, detector):
    ((status, answer),) = ask('{"rows": [[0.5, null, 0.1, 0.2]]}')
    assert status == 200
    with pytest.warns(UserWarning, match="none was missing in training"):
        expected = detector.decision_function([[0.5, np.nan, 0.1, 0.2]])
    np.testing.assert_array_equal(answer["decision"], expected)


BAD = {
    '{"rows": [[1, 2, 3, 4], [1, 2, 3]]}': "row 1 has 3 values, but the detector takes 4.",
    '{"rows": [[null, null, null, null]]}': "row 0 has no value at all.",
    '{"rows": [[NaN, NaN, NaN, NaN]]}': "row 0 has no value at all.",
    '{"rows": []}': "Found array with 0 sample(s)",
    '{"rows": [[1, 2, 3, 1e300]]}': "too large",
    '{"rows": [[1, 2, 3, "much"]]}': "Input should be a valid number",
    '{"rows": [[1, 2, 3, 1e999]]}': "infinity",
    '{"rows": 3}': "Input should be a valid list",
    '{"row": [[1, 2, 3, 4]]}': "Field required",
    "nonsense": "JSON decode error",
}


def test_bad_rows_get_a_sentence(ask):
    for (status, answer), words in zip(ask(*BAD), BAD.values(), strict=True):
        assert status == 422
        assert words in json.dumps(answer)
