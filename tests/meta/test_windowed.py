"""WindowedOutlierDetector: a score for each time step, from the windows in which it lies."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import get_tags

from skae import (
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.datasets import make_ecg_strip
from skae.metrics import anomaly_scorer
from skae.thresholds import Quantile

SERIES = np.random.default_rng(0).random((60, 2))


class LargestValue(OutlierMixin, BaseEstimator):
    """The error of a row is its largest value; remembers what it was fitted on."""

    def fit(self, X, y=None):
        self.X_ = X
        self.offset_ = -10.0
        return self

    def score_samples(self, X):
        return -X.max(axis=1)


def detector(width=4, stride=1, reduce="max", estimator=None, threshold=0.9, **params):
    """Return a detector that holds nothing out, unless a rule asks for it."""
    estimator = LargestValue() if estimator is None else estimator
    form = {"width": width, "stride": stride, "reduce": reduce}
    return WindowedOutlierDetector(estimator, **form, threshold=threshold, random_state=0, **params)


@pytest.fixture(scope="module")
def strip():
    return make_ecg_strip(120, anomaly_share=0.2, random_state=0)


class TestWindows:
    def test_a_row_holds_step_after_step_with_all_its_features(self):
        windows = detector(width=3).fit(SERIES).estimator_.X_
        expected = [SERIES[start : start + 3].ravel() for start in range(58)]
        np.testing.assert_array_equal(windows, expected)

    def test_all_of_them_are_a_view_of_the_series(self):
        windows = detector().fit(SERIES).estimator_.X_
        assert windows.shape == (57, 8)
        assert np.shares_memory(windows, SERIES)

    @pytest.mark.parametrize("stride", [2, 4])
    def test_with_a_stride_they_begin_anywhere(self, stride):
        steps = np.arange(400.0)[:, None]
        starts = detector(stride=stride).fit(steps).estimator_.X_[:, 0].astype(int)
        # One in each `stride` steps.
        np.testing.assert_array_equal(starts // stride, np.arange(len(starts)))
        assert set(starts % stride) == set(range(stride))
        others = detector(stride=stride).set_params(random_state=1).fit(steps).estimator_.X_[:, 0]
        assert (starts != others).any()

    def test_none_reaches_across_a_gap(self):
        groups = np.repeat(["a", "b", "a"], [20, 5, 35])
        steps = np.arange(60.0)[:, None]
        starts = detector(stride=2).fit(steps, groups=groups).estimator_.X_[:, 0]
        assert len(starts) == 9 + 1 + 16
        for start in starts.astype(int):
            assert len(set(groups[start : start + 4])) == 1

    def test_of_a_very_long_series_some_are_drawn(self, monkeypatch):
        monkeypatch.setattr("skae._meta.windows._MAX_TRAINING_VALUES", 4 * 10)
        windows = detector().fit(np.arange(60.0)[:, None]).estimator_.X_
        assert windows.shape == (10, 4)
        assert (np.diff(windows[:, 0]) > 0).all()

    def test_float32_stays_so(self):
        assert detector().fit(SERIES.astype(np.float32)).estimator_.X_.dtype == np.float32


class TestScores:
    @pytest.mark.parametrize("stride", [1, 2, 4])
    @pytest.mark.parametrize("reduce", ["max", "mean"])
    @pytest.mark.parametrize("groups", [None, np.repeat([1, 2, 1], [7, 4, 49])])
    def test_each_step_has_what_its_windows_have(self, stride, reduce, groups):
        fitted = detector(stride=stride, reduce=reduce).fit(SERIES)
        labels = np.zeros(60) if groups is None else groups
        edges = [0, *(1 + np.flatnonzero(np.diff(labels))), 60]
        errors = [[] for _ in SERIES]
        for first, stop in pairwise(edges):
            for start in {*range(first, stop - 3, stride), stop - 4}:
                for step in range(start, start + 4):
                    errors[step].append(SERIES[start : start + 4].max())
        expected = [getattr(np, reduce)(of_step) for of_step in errors]
        np.testing.assert_allclose(-fitted.score_samples(SERIES, groups), expected, rtol=1e-12)

    def test_many_windows_as_few(self, monkeypatch):
        fitted = detector(stride=2).fit(SERIES)
        scores = fitted.score_samples(SERIES)
        monkeypatch.setattr("skae._network.scorer._DEFAULT_BATCHING", (7, 1))
        np.testing.assert_array_equal(fitted.score_samples(SERIES), scores)

    def test_decisions_are_by_its_own_threshold(self, strip):
        X, _ = strip
        inside = ReconstructionOutlierDetector(PCA(3), threshold="quantile")
        pipeline = make_pipeline(MinMaxScaler(), inside)
        fitted = detector(100, 50, estimator=pipeline, threshold=1e-3).fit(X)
        assert fitted.offset_ == -1e-3
        scores = fitted.score_samples(X)
        np.testing.assert_array_equal(fitted.decision_function(X), scores - fitted.offset_)
        np.testing.assert_array_equal(fitted.predict(X), np.where(scores < fitted.offset_, -1, 1))
        windows = [X[start : start + 100, 0] for start in (0, 50)]
        assert (scores[:50] == fitted.estimator_.score_samples(windows)[0]).all()

    def test_fit_predict(self):
        groups = np.repeat([0, 1], 30)
        np.testing.assert_array_equal(
            detector().fit_predict(SERIES, groups=groups),
            detector().fit(SERIES, groups=groups).predict(SERIES, groups),
        )


class TestWithTheRest:
    def test_finds_the_abnormal_beats_of_a_strip(self, strip):
        X, y = strip
        normal, _ = make_ecg_strip(300, anomaly_share=0, random_state=1)
        network = AutoencoderOutlierDetector(epochs=10, batch_size=32, random_state=0)
        found = detector(70, 10, "mean", make_pipeline(MinMaxScaler(), network)).fit(normal)
        assert roc_auc_score(y, found.score_samples(X)) > 0.85

    def test_conv1d_sees_the_channels_of_a_step(self):
        network = AutoencoderOutlierDetector(
            "conv1d", input_shape=(16, 2), epochs=20, learning_rate=0.01, random_state=0
        )
        waves = np.sin(np.arange(400)[:, None] / [3, 5])
        fitted = detector(16, estimator=network).fit(waves)
        assert fitted.estimator_.autoencoder_.input_shape == (None, 16, 2)
        swapped = waves.copy()
        swapped[200:232] = swapped[200:232, ::-1]
        errors = -fitted.score_samples(swapped)
        assert errors[205:227].min() > errors[:180].max()

    def test_cross_validation_and_search(self, strip):
        X, y = strip
        forest = IsolationForest(n_estimators=10, random_state=0)
        search = GridSearchCV(
            detector(50, 10, estimator=forest),
            {"width": [50, 100], "reduce": ["max", "mean"]},
            scoring=anomaly_scorer("roc_auc"),
            cv=TimeSeriesSplit(3),
            error_score="raise",
        ).fit(X, y)
        assert search.best_score_ > 0.4
        assert search.cv_results_["mean_test_score"].std() > 0

    def test_groups_are_routed(self):
        groups = np.repeat([0, 1], 30)
        with sklearn.config_context(enable_metadata_routing=True):
            inner = detector(width=4).set_fit_request(groups=True)
            inner.set_decision_function_request(groups=True)
            pipeline = make_pipeline(MinMaxScaler(), inner).fit(SERIES, groups=groups)
            assert len(pipeline[-1].estimator_.X_) == 2 * 27
            thresholded = make_pipeline(MinMaxScaler(), ThresholdedOutlierDetector(inner))
            thresholded.fit(SERIES, groups=groups).decision_function(SERIES, groups=groups)
            assert len(thresholded[-1].estimator_.estimator_.X_) == 2 * 27
            pipeline.decision_function(SERIES, groups=groups)
        scores = cross_val_score(
            detector(), SERIES, np.tile([1, 1, -1], 20), cv=3, scoring=anomaly_scorer("roc_auc")
        )
        assert np.isfinite(scores).all()

    def test_a_rule_for_time_steps(self):
        fitted = ThresholdedOutlierDetector(detector(), "quantile").fit(SERIES)
        assert (fitted.predict(SERIES) == -1).mean() == pytest.approx(0.05, abs=0.05)

    def test_clone_pickle_and_two_threads(self, strip):
        X, _ = strip
        forest = IsolationForest(n_estimators=10, random_state=0)
        fitted = detector(50, 10, estimator=forest).fit(X)
        scores = fitted.score_samples(X)
        assert not hasattr(clone(fitted), "estimator_")
        loaded = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(loaded.score_samples(X), scores)
        with ThreadPoolExecutor(2) as pool:
            for again in pool.map(lambda _: clone(fitted).fit(X).score_samples(X), range(2)):
                np.testing.assert_array_equal(again, scores)

    def test_the_series_and_the_estimator_are_not_changed(self):
        X, forest = SERIES.copy(), IsolationForest(n_estimators=2)
        detector(estimator=forest).fit(X).score_samples(X)
        np.testing.assert_array_equal(X, SERIES)
        assert not hasattr(forest, "offset_")

    def test_fit_on_inliers_around_it_scores_as_it_does(self):
        y = np.repeat([1, -1], [50, 10])
        outer = FitOnInliers(detector()).fit(SERIES, y)
        inner = detector().fit(SERIES[:50])
        np.testing.assert_array_equal(outer.score_samples(SERIES), inner.score_samples(SERIES))


class TestBadInput:
    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (SERIES[:3], r"X has 3 sample\(s\), fewer than the 4 of a window: give a longer"),
            (
                np.where(SERIES[7, 1] == SERIES, np.nan, SERIES),
                "NaN, in 1 time steps, .* 7, and LargestValue needs complete ones: leave",
            ),
            (np.where(SERIES[7, 1] == SERIES, np.inf, SERIES), "infinity"),
            (SERIES[:, 0], "Expected 2D array, got 1D"),
            (SERIES[None], "dim 3"),
            (SERIES[:0], "0 sample"),
            (np.full((9, 2), "a"), "could not convert string"),
            (csr_array(SERIES), "[Ss]parse"),
        ],
    )
    def test_series(self, X, message):
        with pytest.raises((ValueError, TypeError), match=message):
            detector().fit(X)

    def test_one_channel_where_two_belong(self):
        fitted = detector().fit(SERIES)
        with pytest.raises(ValueError, match="X has 1 features, but .* is expecting 2"):
            fitted.score_samples(SERIES[:, :1])

    def test_input_shape_of_other_windows(self):
        network = AutoencoderOutlierDetector("conv1d", input_shape=(16, 1))
        with pytest.raises(ValueError, match=r"stands for 16 values per row, but X has 32"):
            detector(16, estimator=network).fit(SERIES)

    def test_groups_of_another_length(self):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            detector().fit(SERIES, groups=np.zeros(7))

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"width": 0}, "'width' parameter"),
            ({"stride": 0}, "'stride' parameter"),
            ({"stride": 5}, "stride=5 is larger than width=4"),
            ({"threshold": "youden"}, "threshold='youden' learns from labels, which Windowed"),
            ({"threshold": "5%"}, r"give skae.thresholds.Quantile\(0.05\)"),
            ({"max_gap": 0}, "'max_gap' parameter must be .* above 0"),
            ({"max_gap": [1]}, "'max_gap' parameter must be"),
            ({"max_gap": "soon"}, "a duration such as '10min'; got 'soon'"),
            ({"max_gap": "-1min"}, "above 0"),
            ({"max_gap": "1min"}, "max_gap='1min' is a duration, but X has no index of times"),
            ({"reduce": "min"}, "'reduce' parameter"),
        ],
    )
    def test_parameters(self, params, message):
        with pytest.raises(ValueError, match=message):
            detector(**params).fit(SERIES)

    def test_estimator_without_scores(self):
        with pytest.raises(TypeError, match="must be an outlier detector with score_samples"):
            detector(estimator=LogisticRegression()).fit(SERIES)

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            detector().predict(SERIES)

    def test_a_series_of_one_constant(self):
        forest = IsolationForest(n_estimators=5, random_state=0)
        fitted = detector(estimator=forest).fit(np.ones((30, 1)))
        assert np.ptp(fitted.score_samples(np.ones((30, 1)))) == 0

    def test_names_of_the_features(self):
        table = pd.DataFrame(SERIES, columns=["lead I", "lead II"])
        fitted = detector().fit(table)
        assert fitted.feature_names_in_.tolist() == ["lead I", "lead II"]
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(table[["lead II", "lead I"]])

    def test_missing_groups(self):
        groups = np.repeat([0.0, np.nan], 30)
        with pytest.raises(ValueError, match="groups must name .*, but some are missing"):
            detector().fit(SERIES, groups=groups)

    def test_a_failed_refit_changes_nothing(self):
        fitted = detector().fit(SERIES)
        scores = fitted.score_samples(SERIES)
        with pytest.raises(ValueError, match="fewer than"):
            fitted.fit(SERIES[:3, :1])
        np.testing.assert_array_equal(fitted.score_samples(SERIES), scores)

    def test_stride_set_too_large_after_fit(self):
        fitted = detector().fit(SERIES).set_params(stride=9)
        with pytest.raises(ValueError, match="stride=9 is larger than width=4"):
            fitted.score_samples(SERIES)

    def test_groups_for_what_scores_rows_alone(self):
        outer = ThresholdedOutlierDetector(IsolationForest(n_estimators=2), "quantile").fit(SERIES)
        with pytest.raises(TypeError, match="groups tell apart .* IsolationForest scores each row"):
            outer.predict(SERIES, groups=np.zeros(60))

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"merge_within": -1}, "merge_within must be a whole number of steps >= 0; got -1"),
            ({"merge_within": 1.5}, "merge_within"),
            ({"min_length": 0}, "min_length must be a whole number of steps >= 1; got 0"),
        ],
    )
    def test_parameters_of_events(self, params, message):
        with pytest.raises(ValueError, match=message):
            detector().fit(SERIES).events(SERIES, **params)


def test_windows_that_score_nan_are_outliers():
    class Unsure(LargestValue):
        def score_samples(self, X):
            return np.where(X.max(axis=1) > 0.99, np.nan, super().score_samples(X))

    fitted = detector(estimator=Unsure()).fit(SERIES)
    flagged = fitted.predict(SERIES) == -1
    is_large = SERIES.max(axis=1) > 0.99
    assert is_large.any()
    assert flagged[is_large].all()
    assert not flagged.all()


def test_errors_that_set_the_threshold_are_finite():
    class Unsure(LargestValue):
        def score_samples(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(ValueError, match=r"Of the \d+ errors of time steps .* not finite: look at"):
        detector(estimator=Unsure(), threshold="auto").fit(SERIES)


class TestThreshold:
    """It counts time steps, and comes from those that were not trained on."""

    def test_steps_that_set_it_are_a_window_apart_from_those_trained_on(self):
        seen = []

        class Remembering(LargestValue):
            def score_samples(self, X):
                seen.append(X)
                return super().score_samples(X)

        steps = np.arange(2000.0)[:, None]
        inside = Remembering()
        fitted = detector(10, 5, estimator=inside, threshold="auto").fit(steps)
        trained = np.unique(fitted.estimator_.X_)
        held_out = np.unique(np.concatenate(seen))
        assert np.abs(trained[:, None] - held_out).min() >= 10
        # About a third, in several places.
        assert 0.25 < len(held_out) / 2000 < 0.4
        assert (np.diff(held_out) > 1).sum() >= 5

    @pytest.mark.parametrize("stride", [1, 5, 20])
    def test_of_new_normal_steps_about_one_in_a_hundred_is_flagged(self, stride):
        steps = np.arange(30_000)
        shares = []
        for seed in range(5):
            noise = 0.3 * np.random.default_rng(seed).standard_normal(30_000)
            X = (np.sin(2 * np.pi * steps / 20) + noise)[:, None]
            pca = ReconstructionOutlierDetector(PCA(3), random_state=0)
            fitted = detector(20, stride, estimator=pca, threshold="auto").fit(X[:10_000])
            shares.append((fitted.predict(X[10_000:]) == -1).mean())
        # In one series whose windows begin at one phase only it may be none.
        assert 0 < np.mean(shares) < 0.03

    def test_of_a_frozen_detector_the_whole_series_sets_it(self, strip):
        X, _ = strip
        forest = IsolationForest(n_estimators=5, random_state=0).fit(X[:7000].reshape(-1, 100))
        rule = Quantile(q=0.9)
        fitted = detector(100, 100, estimator=FrozenEstimator(forest), threshold=rule).fit(X)
        assert (fitted.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.05)
        assert fitted.rule_.q == 0.9

    def test_a_number_holds_nothing_out(self):
        fitted = detector(threshold=0.5).fit(SERIES)
        assert len(fitted.estimator_.X_) == 57
        assert fitted.offset_ == -0.5

    def test_a_series_too_short_to_hold_a_block_out(self):
        with pytest.warns(UserWarning, match="Of 12 time steps no block can be held out"):
            fitted = detector(10, threshold="auto").fit(SERIES[:12])
        assert (fitted.predict(SERIES[:12]) == 1).all()

    def test_blocks_as_short_as_a_window(self):
        groups = np.repeat([0, 1, 2], 20)
        fitted = detector(20, 20, threshold="auto").fit(SERIES, groups=groups)
        assert len(fitted.estimator_.X_) == 2
        assert np.isfinite(fitted.offset_)

    def test_the_same_seed_the_same_threshold(self):
        offsets = [
            detector(3, threshold="auto").set_params(random_state=seed).fit(SERIES).offset_
            for seed in (0, 0, 1, 2, 3)
        ]
        assert offsets[0] == offsets[1]
        assert len(set(offsets)) > 1

    def test_it_does_not_depend_on_the_threshold_inside(self):
        offsets = [
            detector(
                3,
                estimator=ReconstructionOutlierDetector(PCA(1), threshold=inside, random_state=0),
                threshold="quantile",
            )
            .fit(np.tile(SERIES, (5, 1)))
            .offset_
            for inside in (1.0, 2.0)
        ]
        assert offsets[0] == offsets[1]


class TestMissingValues:
    """Windows with missing cells reach a detector that allows them."""

    X = np.where(np.arange(120).reshape(60, 2) % 17 == 5, np.nan, SERIES)

    def test_they_are_passed_on(self):
        class Tolerant(LargestValue):
            def score_samples(self, X):
                return -np.nanmax(X, axis=1)

            def __sklearn_tags__(self):
                tags = super().__sklearn_tags__()
                tags.input_tags.allow_nan = True
                return tags

        fitted = detector(estimator=Tolerant()).fit(self.X)
        assert get_tags(fitted).input_tags.allow_nan
        assert np.isnan(fitted.estimator_.X_).any()
        assert np.isfinite(fitted.score_samples(self.X)).all()

    def test_a_pipeline_fills_them(self):
        forest = make_pipeline(SimpleImputer(), IsolationForest(n_estimators=3, random_state=0))
        fitted = detector(estimator=forest).fit(self.X)
        assert np.isfinite(fitted.score_samples(self.X)).all()

    def test_others_refuse_them(self):
        with pytest.raises(ValueError, match="NaN, in 7 time steps, the first of them 2"):
            detector().fit(self.X)


def test_progress_is_printed_when_asked_for(capsys, monkeypatch):
    detector(threshold="auto").fit(SERIES).score_samples(SERIES)
    assert capsys.readouterr().out == ""
    fitted = detector(threshold="auto", verbose=1).fit(SERIES)
    monkeypatch.setattr("skae._meta.window_scores._MAX_VALUES", 8 * 20)
    fitted.score_samples(SERIES)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[WindowedOutlierDetector] ") for line in lines)
    assert "training on" in lines[0]
    assert "for the threshold" in lines[1]
    assert "57 of 57 windows done in" in lines[-1]
