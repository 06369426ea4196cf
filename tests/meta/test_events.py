"""Alarms as events, and which channel it was."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.inspection import explain, threshold_report
from skae.metrics import anomaly_scorer

GROUPS = np.repeat([0, 1, 2], [400, 3, 597])


class FirstValue(OutlierMixin, BaseEstimator):
    """The error of a row is its first value: with a width of one, that of a step is its value."""

    def fit(self, X, y=None):
        self.offset_ = 0.0
        return self

    def score_samples(self, X):
        return -X[:, 0]


def alarms(values, index=None, groups=None, **params):
    """Return the events of a series whose errors are its values, with a threshold of 0.5."""
    detector = WindowedOutlierDetector(FirstValue(), width=1, threshold=0.5)
    X = np.array(values, dtype=float)[:, None]
    detector.fit(X)
    if index is not None:
        detector.fit(pd.DataFrame({"volt": X[:, 0]}, index=index))
        X = pd.DataFrame({"volt": X[:, 0]}, index=index)
    return detector.events(X, groups, **params)


class TestEvents:
    VALUES = (0, 1, 2, 0, 0, 3, 0, 0, 0, 4, 4)

    def test_one_row_per_run(self):
        events = alarms(self.VALUES)
        assert events.columns.to_list() == ["start", "end", "peak", "score", "channel", "share"]
        assert events[["start", "end", "peak", "score"]].to_numpy().tolist() == [
            [1, 3, 2, -2],
            [5, 6, 5, -3],
            [9, 11, 10, -4],
        ]
        assert (events["channel"] == 0).all()
        assert (events["share"] == 1).all()

    def test_none(self):
        events = alarms(np.zeros(5))
        assert len(events) == 0
        assert events.columns[0] == "start"

    @pytest.mark.parametrize(
        ("params", "ends"),
        [
            ({"merge_within": 2}, [[1, 6], [9, 11]]),
            ({"merge_within": 3}, [[1, 11]]),
            ({"min_length": 2}, [[1, 3], [9, 11]]),
            ({"merge_within": 2, "min_length": 3}, [[1, 6]]),
            ({"threshold": 3.5}, [[9, 11]]),
        ],
    )
    def test_near_ones_are_merged_and_short_ones_left_out(self, params, ends):
        assert alarms(self.VALUES, **params)[["start", "end"]].to_numpy().tolist() == ends

    def test_none_reaches_across_a_gap(self):
        groups = np.repeat([0, 1], [10, 1])
        events = alarms(self.VALUES, groups=groups, merge_within=9)
        assert events[["start", "end"]].to_numpy().tolist() == [[1, 10], [10, 11]]

    @pytest.mark.parametrize(
        ("index", "step"),
        [
            (pd.date_range("2026-01-01", periods=11, freq="5min"), pd.Timedelta("5min")),
            (pd.date_range("2026-01-01", periods=11, freq="5min").as_unit("s"), "5min"),
            (pd.timedelta_range("0s", periods=11, freq="1s"), pd.Timedelta("1s")),
            (pd.period_range("2026-01-01", periods=11, freq="D"), 1),
            (pd.RangeIndex(100, 122, 2), 2),
            (pd.Index(np.arange(11) / 4), 0.25),
        ],
        ids=str,
    )
    def test_in_values_of_the_index(self, index, step):
        step = pd.Timedelta(step) if isinstance(step, str) else step
        events = alarms(self.VALUES, index)
        assert events["start"].to_list() == [index[1], index[5], index[9]]
        # What the end of the series follows ends one usual step later.
        assert events["end"].to_list() == [index[3], index[6], index[10] + step]
        assert events["peak"].to_list() == [index[2], index[5], index[10]]
        assert (events["channel"] == "volt").all()

    def test_what_a_gap_follows_ends_a_usual_step_later(self):
        index = np.arange(11)
        index[3:] += 100
        assert alarms(self.VALUES, pd.Index(index))["end"].to_list() == [3, 106, 111]

    def test_text_gives_positions(self):
        assert alarms(self.VALUES, pd.Index(list("abcdefghijk")))["start"].to_list() == [1, 5, 9]


@pytest.fixture(scope="module")
def plant():
    """Return a normal series of three channels, one with a fault in the last one, and labels."""
    random = np.random.default_rng(0)
    waves = np.stack([np.sin(np.arange(2000) / 7), np.cos(np.arange(2000) / 11)], axis=1)
    X = waves @ [[1, 0.5, 0.2], [0.3, -1, 0.8]] * [1, 10, 100]
    X += 0.1 * random.standard_normal(X.shape) * [1, 10, 100]
    table = pd.DataFrame(X, columns=["flow", "pressure", "heat"])
    normal, faulty = table[:1000], table[1000:].copy()
    faulty.iloc[600:620, 2] += 250
    labels = np.ones(1000, dtype=int)
    labels[600:620] = -1
    return normal, faulty, labels


def pca(**params):
    inside = make_pipeline(StandardScaler(), ReconstructionOutlierDetector(PCA(4)))
    return WindowedOutlierDetector(inside, **{"width": 20, "random_state": 0} | params)


class TestChannels:
    @pytest.mark.parametrize("reduce", ["max", "mean"])
    @pytest.mark.parametrize("stride", [1, 7])
    def test_their_errors_make_up_that_of_the_step(self, plant, reduce, stride):
        normal, faulty, _ = plant
        fitted = pca(reduce=reduce, stride=stride).fit(normal)
        with pytest.warns(UserWarning, match="3 of 1000 time steps"):
            errors = fitted.feature_errors(faulty, GROUPS)
        with pytest.warns(UserWarning, match="3 of 1000 time steps"):
            scores = fitted.score_samples(faulty, GROUPS)
        np.testing.assert_allclose(errors.mean(axis=1), -scores, rtol=1e-9)
        assert (errors[595:625].argmax(axis=1) == 2).all()
        assert fitted.feature_errors_.shape == (3,)

    def test_an_event_names_the_one_to_blame(self, plant):
        normal, faulty, _ = plant
        events = pca().fit(normal).events(faulty)
        event = events.loc[events["score"].idxmin()]
        assert event["channel"] == "heat"
        assert 0.4 < event["share"] <= 1
        assert event["start"] < 1620
        assert event["end"] > 1600

    def test_reconstructions_are_in_the_units_of_the_series(self, plant):
        normal, faulty, _ = plant
        with pytest.warns(UserWarning, match="3 of 1000 time steps"):
            reconstruction = pca(stride=3).fit(normal).reconstruct(faulty, GROUPS)
        assert np.isnan(reconstruction[400:403]).all()
        usual = np.r_[0:400, 403:500]
        distance = np.abs(reconstruction - faulty.to_numpy())[usual].mean(axis=0)
        assert (distance < [0.2, 2, 20]).all()

    def test_explain(self, plant):
        normal, faulty, _ = plant
        table = explain(pca().fit(normal), faulty[590:640], top=1)
        assert table["row"].to_list() == list(range(1590, 1640))
        assert (table["feature"][10:30] == "heat").all()
        assert (table["unusualness"][10:30] > 5).all()
        np.testing.assert_array_equal(table["value"][10:30], faulty.iloc[600:620, 2])

    def test_explain_passes_groups_on(self, plant):
        normal, faulty, _ = plant
        with pytest.warns(UserWarning, match="3 of 1000 time steps"):
            table = explain(pca().fit(normal), faulty, top=None, groups=GROUPS)
        assert table["contribution"].isna().sum() == 9

    def test_a_forest_knows_none(self, plant):
        normal, faulty, _ = plant
        forest = IsolationForest(n_estimators=10, random_state=0)
        fitted = WindowedOutlierDetector(forest, width=20, random_state=0).fit(normal)
        events = fitted.events(faulty)
        assert len(events)
        assert events["channel"].isna().all()
        for name in ("feature_errors", "reconstruct", "feature_errors_"):
            assert not hasattr(fitted, name)
        with pytest.raises(TypeError, match="has no reconstruction errors to explain"):
            explain(fitted, faulty)

    def test_steps_that_mix_channels(self, plant):
        normal, faulty, _ = plant
        mixing = make_pipeline(PCA(8), ReconstructionOutlierDetector(PCA(4)))
        fitted = WindowedOutlierDetector(mixing, width=20, random_state=0).fit(normal)
        assert fitted.events(faulty)["channel"].isna().all()
        with pytest.raises(ValueError, match="combine the values of a window"):
            fitted.feature_errors(faulty)


SHORT = "3 of 1000 time steps lie in stretches shorter"


class TestAround:
    """What is around a detector of series passes groups on, and leaves out what has no score."""

    def test_a_threshold(self, plant):
        _, faulty, labels = plant
        outer = ThresholdedOutlierDetector(pca(), "youden")
        with pytest.warns(UserWarning, match=SHORT):
            outer.fit(faulty, labels, groups=GROUPS)
        with pytest.warns(UserWarning, match=SHORT):
            flagged = outer.predict(faulty, GROUPS) == -1
        with pytest.warns(UserWarning, match=SHORT):
            events = outer.events(faulty, GROUPS)
        assert flagged[600:620].all()
        assert not flagged[400:403].any()
        assert len(events) == np.count_nonzero(np.diff(np.r_[0, flagged]) == 1)

    def test_held_out_rows(self, plant):
        normal, _, _ = plant
        folds = PredefinedSplit(np.repeat([-1, 0], [800, 200]))
        groups = np.repeat([0, 1, 2], [800, 3, 197])
        outer = ThresholdedOutlierDetector(pca(), "quantile", cv=folds)
        with pytest.warns(UserWarning, match="3 of (200|1000) time steps"):
            outer.fit(normal, groups=groups)
        assert np.isfinite(outer.offset_)

    def test_p_values(self, plant):
        normal, faulty, _ = plant
        outer = ConformalOutlierDetector(pca(), alpha=0.02).fit(normal, groups=np.zeros(1000))
        # The last fifth calibrates, in order.
        assert len(outer.calibration_errors_) == 200
        with pytest.warns(UserWarning, match=SHORT):
            p_values = outer.p_values(faulty, GROUPS)
        with pytest.warns(UserWarning, match=SHORT):
            found = outer.predict_fdr(faulty, groups=GROUPS)
        with pytest.warns(UserWarning, match=SHORT):
            predicted = outer.predict(faulty, GROUPS)
        np.testing.assert_array_equal(np.isnan(p_values), GROUPS == 1)
        assert (p_values[600:620] < 0.02).all()
        assert (found[400:403] == 1).all()
        assert (predicted[600:620] == -1).all()
        assert len(outer.events(faulty)) >= 1

    def test_a_pipeline_and_a_frozen_detector(self, plant):
        normal, faulty, _ = plant
        inner = make_pipeline(StandardScaler().set_output(transform="pandas"), pca())
        outer = FitOnInliers(ThresholdedOutlierDetector(inner, "quantile")).fit(normal)
        events = outer.events(faulty)
        assert events["start"].between(1000, 2000).all()
        with pytest.warns(UserWarning, match=SHORT):
            scores = outer.score_samples(faulty, GROUPS)
        assert np.isnan(scores).sum() == 3

    def test_weights_and_groups_of_normal_rows(self, plant):
        _, faulty, labels = plant
        with pytest.warns(UserWarning, match="3 of 980 time steps"):
            outer = FitOnInliers(pca()).fit(faulty, labels, groups=GROUPS)
        assert outer.estimator_.n_features_in_ == 3

    def test_scorers(self, plant):
        normal, faulty, labels = plant
        fitted = pca().fit(normal)
        for metric in ("roc_auc", "f1", "event_recall", "event_precision"):
            with pytest.warns(UserWarning, match=SHORT):
                found = anomaly_scorer(metric)(fitted, faulty, labels, groups=GROUPS)
            assert 0.3 < found <= 1

    def test_a_report(self, plant):
        normal, faulty, labels = plant
        holes = faulty.drop(index=[*range(1100, 1150), *range(1153, 1200)])
        with pytest.warns(UserWarning, match="3 of 903 time steps"):
            report = threshold_report(
                pca().fit(normal), holes, np.delete(labels, np.r_[100:150, 153:200])
            )
        assert report.loc["fitted", "recall"] == 1

    def test_a_search_routes_groups(self, plant):
        _, faulty, labels = plant
        folds = [(np.arange(500), np.arange(500, 1000))]
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(
                pca().set_fit_request(groups=True),
                {"reduce": ["max", "mean"]},
                scoring=anomaly_scorer("roc_auc").set_score_request(groups=True),
                cv=folds,
                error_score="raise",
            )
            with pytest.warns(UserWarning, match="3 of (500|1000) time steps"):
                search.fit(faulty, labels, groups=GROUPS)
            assert search.best_score_ > 0.9

    def test_a_scorer_ignores_groups_meant_for_others(self, plant):
        _, faulty, labels = plant
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(
                pca().set_fit_request(groups=False),
                {"reduce": ["max"]},
                scoring=anomaly_scorer("roc_auc"),
                cv=[(np.arange(500), np.arange(500, 1000))],
                error_score="raise",
            )
            search.fit(faulty, labels)
        assert search.best_score_ > 0.9
