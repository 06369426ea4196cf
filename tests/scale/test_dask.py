"""Rows scored by Dask have the scores that one process gives: `make scale`."""

import os
import signal
import time

import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector
from skae.metrics import anomaly_scorer
from skae.streaming import frame_scorer

# Dask's own are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

GENERATOR = np.random.default_rng(0)
NAMES = [f"sensor_{number}" for number in range(5)]
TABLE = pd.DataFrame(GENERATOR.normal(size=(6000, 5)), columns=NAMES)
TABLE["sensor_4"] = TABLE["sensor_0"] + TABLE["sensor_1"]
TABLE.index = pd.RangeIndex(6000) * 10
SMALL = {"hidden_layer_sizes": 8, "latent_dim": 3, "learning_rate": 0.01, "random_state": 0}


@pytest.fixture(scope="module")
def pipeline():
    detector = AutoencoderOutlierDetector(**SMALL, epochs=20, batch_size=32)
    return make_pipeline(StandardScaler(), detector).fit(TABLE[:1000])


@pytest.fixture(scope="module")
def expected(pipeline):
    return frame_scorer(pipeline, explain=1)(TABLE)


@pytest.fixture
def client():
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**settings) as cluster, Client(cluster) as client:
        yield client


def partitioned(pipeline, score=None):
    score = score or frame_scorer(pipeline, explain=1)
    table = dd.from_pandas(TABLE, npartitions=12)
    return table.map_partitions(score, meta=score(TABLE[:0]))


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_one_machine(pipeline, expected, scheduler):
    found = partitioned(pipeline).compute(scheduler=scheduler)
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


class Slow:
    """A scorer that takes its time, so that a worker can be killed in the middle."""

    def __init__(self, score):
        self.score = score

    def __call__(self, frame):
        time.sleep(0.3 if len(frame) else 0)
        return self.score(frame)


def test_a_killed_worker_loses_nothing(pipeline, expected, client):
    table = partitioned(pipeline, Slow(frame_scorer(pipeline, explain=1)))
    future = client.compute(table)
    time.sleep(1)
    assert future.status == "pending"
    victim, *_ = client.run(os.getpid).values()
    os.kill(victim, signal.SIGKILL)
    found = future.result(timeout=120)
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_a_search_through_joblib(client):
    y = np.where(np.arange(300) % 10 == 0, -1, 1)
    X = TABLE[:300].to_numpy() + 5 * (y == -1)[:, None]
    search = GridSearchCV(
        AutoencoderOutlierDetector(**SMALL, epochs=3, batch_size=32),
        {"latent_dim": [2, 3]},
        scoring=anomaly_scorer("roc_auc"),
        cv=2,
        refit=False,
    )
    with joblib.parallel_backend("dask"):
        found = search.fit(X, y).cv_results_["mean_test_score"]
    here = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, here, atol=0.02)
