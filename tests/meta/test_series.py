"""Gaps: by groups, and by the index of a frame."""

import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin

from skae import WindowedOutlierDetector

X = np.random.default_rng(0).random((60, 2))
MINUTES = pd.date_range("2026-03-01", periods=60, freq="min", tz="Europe/Berlin")
INDEXES = {
    "times": MINUTES,
    "times in seconds": MINUTES.as_unit("s"),
    "durations": MINUTES - MINUTES[0],
    "periods": pd.period_range("2026-03-01", periods=60, freq="min"),
    "integers": pd.RangeIndex(100, 160),
    "floats": pd.Index(np.arange(60) / 4),
}


class FirstValue(OutlierMixin, BaseEstimator):
    """The error of a row is its first value."""

    def fit(self, X, y=None):
        self.first_ = X[:, 0].copy()
        return self

    def score_samples(self, X):
        return -X[:, 0]


def fitted(series=X, groups=None, **params):
    params = {"width": 4, "threshold": 0.9, "random_state": 0} | params
    return WindowedOutlierDetector(FirstValue(), **params).fit(series, groups=groups)


def frame(index, rows=slice(None)):
    return pd.DataFrame(X, columns=["a", "b"], index=index).iloc[rows]


def gappy(index, *holes):
    rows = np.ones(60, dtype=bool)
    for hole in holes:
        rows[hole] = False
    return frame(index, rows)


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
class TestIndex:
    def test_a_long_step_splits_the_series(self, index):
        # Three usual steps are none.
        series = gappy(index, slice(10, 12), slice(30, 33))
        detector = fitted(frame(index))
        by_groups = fitted().score_samples(series.to_numpy(), np.repeat([0, 1], [28, 27]))
        np.testing.assert_array_equal(detector.score_samples(series), by_groups)
        assert (fitted().score_samples(series.to_numpy()) != by_groups).any()

    def test_training_windows_cross_no_gap(self, index):
        assert len(fitted(gappy(index, slice(30, 40))).estimator_.first_) == 27 + 17

    def test_without_a_limit_nothing_is_split(self, index):
        detector = fitted(gappy(index, slice(30, 40)), max_gap=None)
        assert len(detector.estimator_.first_) == 47

    def test_repeats(self, index):
        rows = [*range(20), 19, *range(20, 60)]
        with pytest.raises(ValueError, match=r"index of X repeats at step 20: .*sort_index"):
            fitted(frame(index, rows))

    def test_runs_backwards(self, index):
        rows = [*range(20), 25, *range(20, 60)]
        with pytest.raises(ValueError, match=r"index of X runs backwards at step 21: .* groups"):
            fitted(frame(index, rows))
        rows = [*range(20), *range(15, 60)]
        groups = np.repeat([0, 1], [20, 45])
        assert len(fitted(frame(index, rows), groups).estimator_.first_) == 17 + 42


class TestMaxGap:
    @pytest.mark.parametrize("max_gap", ["4min", datetime.timedelta(minutes=4)])
    def test_a_duration(self, max_gap):
        series = gappy(MINUTES, slice(10, 13), slice(30, 34))
        assert len(fitted(series, max_gap=max_gap).estimator_.first_) == 27 - 3 + 26 - 3

    def test_a_number(self):
        series = gappy(pd.RangeIndex(60), slice(10, 13), slice(30, 34))
        assert len(fitted(series, max_gap=4).estimator_.first_) == 27 - 3 + 26 - 3

    def test_a_number_for_times(self):
        with pytest.raises(ValueError, match="max_gap=4 is a number, but the index .*'10min'"):
            fitted(frame(MINUTES), max_gap=4)

    def test_a_duration_for_numbers(self):
        with pytest.raises(ValueError, match="is a duration, but X has no index of times"):
            fitted(frame(pd.RangeIndex(60)), max_gap="4min")

    def test_the_usual_step_is_that_of_fit(self):
        detector = fitted(frame(MINUTES))
        every_fourth = frame(MINUTES, slice(0, 60, 4))
        with pytest.warns(UserWarning, match="15 of 15 time steps lie in stretches shorter"):
            assert np.isnan(detector.score_samples(every_fourth)).all()


class TestOtherIndexes:
    def test_text_tells_no_time(self):
        index = pd.Index([f"step {step % 7}" for step in range(60)])
        assert len(fitted(frame(index)).estimator_.first_) == 57

    def test_missing_times(self):
        index = MINUTES.to_series()
        index.iloc[[5, 8]] = pd.NaT
        with pytest.raises(ValueError, match=r"no time at step 5 \(2 are missing\)"):
            fitted(frame(pd.DatetimeIndex(index)))

    def test_several_levels(self):
        index = pd.MultiIndex.from_product([range(6), range(10)])
        assert len(fitted(frame(index)).estimator_.first_) == 57


class TestShortStretches:
    groups = np.repeat([0, 1, 2], [20, 3, 37])
    message = r"3 of 60 time steps .* window of 4 steps \(1 of 3, the first from step 20\)"

    def test_they_have_no_score(self):
        detector = fitted()
        for method in (detector.score_samples, detector.decision_function):
            with pytest.warns(UserWarning, match=self.message) as caught:
                found = method(X, self.groups)
            assert len(caught) == 1
            np.testing.assert_array_equal(np.isnan(found), self.groups == 1)

    def test_they_are_predicted_inliers(self):
        with pytest.warns(UserWarning, match=self.message):
            predicted = fitted().predict(X, self.groups)
        assert (predicted[20:23] == 1).all()
        assert (predicted == -1).any()

    def test_nothing_is_learned_from_them(self):
        with pytest.warns(UserWarning, match=self.message):
            detector = fitted(groups=self.groups)
        assert len(detector.estimator_.first_) == 17 + 34

    def test_fit_needs_one_that_is_longer(self):
        groups = np.arange(60) // 3
        with pytest.raises(ValueError, match=r"X has 3 sample\(s\) in its longest stretch, fewer"):
            fitted(groups=groups)
