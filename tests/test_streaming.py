"""SeriesScorer: the scores of a series as it arrives are those of the whole."""

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector, ThresholdedOutlierDetector, WindowedOutlierDetector
from skae.streaming import SeriesScorer

WIDTH = 8
X = np.random.default_rng(0).random((400, 2))
MINUTES = pd.date_range("2026-01-01", periods=400, freq="min")
TABLE = pd.DataFrame(X, columns=["a", "b"], index=MINUTES)


class Mean(OutlierMixin, BaseEstimator):
    """The error of a row is its mean, row by row, whatever rows come with it."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return -np.array([row.mean() for row in X])


def fitted(series=X, estimator=None, **params):
    params = {"width": WIDTH, "threshold": 0.6, "random_state": 0} | params
    return WindowedOutlierDetector(Mean() if estimator is None else estimator, **params).fit(series)


def chunks(n_steps, sizes, seed=0):
    random, edges = np.random.default_rng(seed), [0]
    while edges[-1] < n_steps:
        edges.append(min(n_steps, edges[-1] + int(random.choice(sizes))))
    return [slice(*ends) for ends in pairwise(edges)]


def streamed(detector, series, sizes, groups=None):
    """Return the scores of a series that arrives in chunks, and how late they were at most."""
    scorer, scores, n_final, latest = SeriesScorer(detector), [], 0, 0
    for steps in chunks(len(series), sizes):
        scores.append(scorer.update(series[steps], None if groups is None else groups[steps]))
        n_final += len(scores[-1])
        latest = max(latest, steps.stop - n_final)
        assert scorer.n_pending_ == steps.stop - n_final
    scores.append(scorer.flush())
    assert scorer.n_pending_ == 0
    return np.concatenate(scores), latest


@pytest.mark.parametrize("reduce", ["max", "mean"])
@pytest.mark.parametrize("stride", [1, 3, 8])
@pytest.mark.parametrize("sizes", [[1], [1, 2, 30], [100], [400]], ids=str)
class TestScores:
    def test_are_those_of_the_whole_to_the_bit(self, reduce, stride, sizes):
        detector = fitted(reduce=reduce, stride=stride)
        scores, latest = streamed(detector, X, sizes)
        np.testing.assert_array_equal(scores, detector.score_samples(X))
        assert latest <= WIDTH - 1 + stride

    def test_with_gaps(self, reduce, stride, sizes):
        table = TABLE.drop(index=MINUTES[[*range(100, 150), *range(203, 300)]])
        detector = fitted(TABLE, reduce=reduce, stride=stride)
        scores, _ = streamed(detector, table, sizes)
        np.testing.assert_array_equal(scores, detector.score_samples(table))

    def test_with_groups_and_short_stretches(self, reduce, stride, sizes):
        groups = np.repeat([0, 1, 2, 0], [50, WIDTH - 1, WIDTH, 343 - WIDTH])
        detector = fitted(reduce=reduce, stride=stride)
        groups = np.resize(groups, 400)
        with pytest.warns(UserWarning, match="7 of 400 time steps lie in stretches shorter"):
            expected = detector.score_samples(X, groups)
        with pytest.warns(UserWarning, match="7 of 7 time steps lie in stretches shorter"):
            scores, _ = streamed(detector, X, sizes, groups)
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=5, random_state=0),
        AutoencoderOutlierDetector(hidden_layer_sizes=(8,), latent_dim=2, epochs=30),
    ],
    ids=["forest", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_detectors_that_score_a_row_alone(estimator):
    detector = fitted(estimator=estimator, stride=2, threshold="auto")
    before = pickle.dumps(detector)
    scores, _ = streamed(detector, X, [1, 7, 50])
    np.testing.assert_array_equal(scores, detector.score_samples(X))
    assert pickle.dumps(detector) == before


def test_memory_does_not_grow():
    scorer = SeriesScorer(fitted(stride=3))
    for _ in range(20):
        scorer.update(X)
        assert scorer.n_pending_ <= WIDTH - 1 + 3
    assert len(pickle.dumps(scorer._stream._values)) < 2000


def test_a_new_series_may_follow():
    detector = fitted(TABLE)
    scorer = SeriesScorer(detector)
    first = np.concatenate([scorer.update(TABLE[:100]), scorer.flush()])
    again = np.concatenate([scorer.update(TABLE[:100]), scorer.flush()])
    np.testing.assert_array_equal(first, again)


def test_the_offset_is_that_of_what_is_around():
    outer = ThresholdedOutlierDetector(fitted(), 0.7).fit(X)
    scorer = SeriesScorer(outer)
    assert scorer.offset_ == outer.offset_ == -0.7
    scores = np.concatenate([scorer.update(X), scorer.flush()])
    np.testing.assert_array_equal(scores < scorer.offset_, outer.predict(X) == -1)


def test_nothing_has_arrived():
    assert len(SeriesScorer(fitted()).flush()) == 0


class TestBadInput:
    def test_detectors_of_rows(self):
        with pytest.raises(TypeError, match="needs a fitted WindowedOutlierDetector.* Isolation"):
            SeriesScorer(IsolationForest(n_estimators=2).fit(X))

    def test_transformers_before(self):
        pipeline = make_pipeline(StandardScaler(), fitted()).fit(X)
        with pytest.raises(TypeError, match="no transformers before .* there is StandardScaler"):
            SeriesScorer(pipeline)

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            SeriesScorer(WindowedOutlierDetector(Mean(), width=3))

    def test_what_came_before(self):
        scorer = SeriesScorer(fitted(TABLE))
        scorer.update(TABLE[:50])
        with pytest.raises(ValueError, match="index of X runs backwards"):
            scorer.update(TABLE[40:60])
        with pytest.raises(ValueError, match="index of X repeats"):
            scorer.update(TABLE[49:60])

    def test_a_failure_changes_nothing(self):
        detector = fitted(TABLE)
        scorer = SeriesScorer(detector)
        scores = [scorer.update(TABLE[:50])]
        for unfit in (TABLE[40:60], TABLE[50:60] * np.nan, TABLE[["a"]][50:60]):
            with pytest.raises(ValueError, match=r"backwards|NaN|feature"):
                scorer.update(unfit)
        scores += [scorer.update(TABLE[50:]), scorer.flush()]
        np.testing.assert_array_equal(np.concatenate(scores), detector.score_samples(TABLE))

    def test_an_index_now_and_not_before(self):
        scorer = SeriesScorer(fitted(TABLE))
        scorer.update(TABLE[:50])
        with pytest.raises(ValueError, match="where what arrived before had them"):
            scorer.update(TABLE[50:60], groups=np.zeros(10))
        with pytest.raises(ValueError, match="where what arrived before had them"):
            scorer.update(TABLE[50:60].set_index(np.array(list("abcdefghij"))))

    def test_an_index_whose_usual_step_is_unknown(self):
        with pytest.raises(ValueError, match=r"not known before all has arrived: fit the detector"):
            SeriesScorer(fitted(X)).update(pd.DataFrame(X, index=MINUTES))
