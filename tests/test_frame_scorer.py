"""frame_scorer: a function from frames to scores that engines send to their workers."""

import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.inspection import explain
from skae.streaming import frame_scorer

GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame(GENERATOR.normal(size=(200, 4)), columns=list("abcd"))
TABLE["c"] = TABLE["a"] + TABLE["b"] + 0.1 * TABLE["c"]
NEW = TABLE[:30].assign(d=lambda table: np.where(table.index % 10 == 0, 30.0, table["d"]))
NEW.index = pd.Index(["x", "y", "y"] * 10, name="machine")


@pytest.fixture(scope="module")
def pipeline():
    detector = ReconstructionOutlierDetector(PCA(2), random_state=0)
    return make_pipeline(StandardScaler(), detector).fit(TABLE)


def test_scores_labels_and_index(pipeline):
    found = frame_scorer(pipeline)(NEW.assign(place="hall", e=1.0))
    assert found.columns.tolist() == ["score", "label"]
    pd.testing.assert_index_equal(found.index, NEW.index)
    np.testing.assert_array_equal(found["score"], pipeline.score_samples(NEW))
    np.testing.assert_array_equal(found["label"], pipeline.predict(NEW))
    assert (found["label"][::10] == -1).all()


@pytest.mark.parametrize(
    "detector",
    [
        FitOnInliers(IsolationForest(n_estimators=10, random_state=0)),
        ThresholdedOutlierDetector(IsolationForest(n_estimators=10, random_state=0), "mean_std"),
        EllipticEnvelope(random_state=0),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_labels_are_those_of_predict(detector):
    detector.fit(TABLE)
    np.testing.assert_array_equal(frame_scorer(detector)(NEW)["label"], detector.predict(NEW))


def test_pieces_are_scored_as_the_whole(pipeline):
    score = pickle.loads(pickle.dumps(frame_scorer(pipeline, explain=2)))
    pieces = [score(NEW[start : start + 7]) for start in range(0, 30, 7)]
    whole = score(NEW)
    np.testing.assert_allclose(pd.concat(pieces)["score"], whole["score"], rtol=1e-12)
    pd.testing.assert_frame_equal(pd.concat(pieces).drop(columns="score"), whole.iloc[:, 1:])


def test_reasons_are_those_of_explain_for_outliers(pipeline):
    found = frame_scorer(pipeline, explain=2)(NEW)
    outliers = np.flatnonzero(found["label"] == -1)
    text = explain(pipeline, NEW.iloc[outliers], top=2)["text"].to_numpy().reshape(-1, 2)
    np.testing.assert_array_equal(found[["reason_1", "reason_2"]].iloc[outliers], text)
    assert found["reason_1"].iloc[outliers].str.contains("of the alarm").all()
    assert (found["reason_1"][found["label"] == 1] == "").all()


@pytest.mark.parametrize("n_reasons", [0, 2, 9])
def test_an_empty_frame_has_the_same_columns_and_types(pipeline, n_reasons):
    score = frame_scorer(pipeline, explain=n_reasons)
    pd.testing.assert_series_equal(score(NEW[:0]).dtypes, score(NEW).dtypes)
    assert len(score(NEW).columns) == 2 + n_reasons


def test_bad_input_is_refused(pipeline):
    with pytest.raises(NotFittedError):
        frame_scorer(AutoencoderOutlierDetector())
    for n_reasons in (-1, True, 1.5):
        with pytest.raises(ValueError, match="whole number from 0"):
            frame_scorer(pipeline, explain=n_reasons)
    with pytest.raises(TypeError, match="score_samples and predict; got PCA"):
        frame_scorer(PCA(1).fit(TABLE))
    forest = IsolationForest(n_estimators=5, random_state=0)
    with pytest.raises(TypeError, match="does not: give explain=0"):
        frame_scorer(clone_fitted(forest), explain=1)
    windowed = WindowedOutlierDetector(forest, width=5, random_state=0).fit(TABLE)
    with pytest.raises(TypeError, match="use skae.streaming.SeriesScorer"):
        frame_scorer(windowed)
    with pytest.raises(TypeError, match=r"takes a pandas.DataFrame; got a ndarray"):
        frame_scorer(pipeline)(NEW.to_numpy())


def clone_fitted(forest):
    return IsolationForest(**forest.get_params()).fit(TABLE)


def test_a_worker_loads_no_tensorflow(tmp_path):
    X = GENERATOR.random((300, 4), dtype=np.float32)
    params = {"hidden_layer_sizes": 8, "latent_dim": 2, "learning_rate": 0.01, "epochs": 40}
    detector = AutoencoderOutlierDetector(**params, random_state=0).fit(X)
    score, frame = frame_scorer(detector), pd.DataFrame(X[:20])
    (tmp_path / "score.pickle").write_bytes(pickle.dumps((score, frame)))
    code = """
        import pickle, sys
        score, frame = pickle.load(open(sys.argv[1], "rb"))
        found = score(frame)["score"].sum()
        assert not {"keras", "tensorflow"} & set(sys.modules)
        print(found.hex())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "score.pickle"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float.fromhex(done.stdout.strip()) == score(frame)["score"].sum()
