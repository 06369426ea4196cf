"""ThresholdedOutlierDetector: whose offset it is, and what sets it."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, roc_curve
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, check_cv
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers, ThresholdedOutlierDetector
from skae.metrics import anomaly_scorer
from skae.thresholds import FBeta, MeanStd, Quantile, Youden

FOREST = IsolationForest(n_estimators=10, random_state=0)


@pytest.mark.parametrize("rule", [MeanStd(k=2), Quantile(q=0.9), Youden(), FBeta(beta=2)])
@pytest.mark.parametrize(
    "estimator",
    [
        FOREST,
        LocalOutlierFactor(novelty=True),
        make_pipeline(MinMaxScaler(), FOREST),
        FitOnInliers(make_pipeline(MinMaxScaler(), FOREST)),
    ],
    ids=["forest", "lof", "pipeline", "meta"],
)
def test_offset_is_that_of_the_rule(heartbeats, estimator, rule):
    X, y = heartbeats
    detector = ThresholdedOutlierDetector(estimator, rule).fit(X, y)
    inner = clone(estimator).fit(X, y)
    errors = -inner.score_samples(X)
    assert detector.offset_ == -rule.threshold(errors, y == -1)
    np.testing.assert_array_equal(detector.score_samples(X), -errors)
    np.testing.assert_array_equal(detector.decision_function(X), -errors - detector.offset_)
    np.testing.assert_array_equal(detector.predict(X), np.where(errors > -detector.offset_, -1, 1))


def test_frozen_estimator_moves_the_threshold_without_training(heartbeats):
    X, y = heartbeats
    fitted = FitOnInliers(make_pipeline(MinMaxScaler(), FOREST)).fit(X, y)
    before = fitted.predict(X)
    moved = ThresholdedOutlierDetector(FrozenEstimator(fitted), Quantile(q=0.5)).fit(X)
    assert moved.estimator_.estimator is fitted
    assert (moved.predict(X) == -1).mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(fitted.predict(X), before)


def test_inside_fit_on_inliers_the_rule_sees_normal_rows_only(heartbeats):
    X, y = heartbeats
    detector = FitOnInliers(ThresholdedOutlierDetector(FOREST, Quantile(q=0.95))).fit(X, y)
    assert (detector.predict(X[y == 1]) == -1).mean() == pytest.approx(0.05, abs=0.01)
    assert detector.offset_ == detector.estimator_.offset_


def test_short_name_and_clone(heartbeats):
    X, y = heartbeats
    rule = Youden()
    detector = ThresholdedOutlierDetector(FOREST, rule).fit(X, y)
    assert detector.rule_ is not rule
    again = ThresholdedOutlierDetector(FOREST, "youden").fit(X, y)
    assert again.offset_ == detector.offset_
    assert clone(detector).get_params()["threshold"].get_params() == rule.get_params()


def test_other_label_codings(heartbeats):
    X, y = heartbeats
    expected = ThresholdedOutlierDetector(FOREST, "youden").fit(X, y).offset_
    for labels, named in (
        (y == -1, {"outlier_label": True}),
        (np.where(y == 1, "ok", "bad"), {"inlier_label": "ok"}),
        ((y == 1).astype(int), {"inlier_label": 1}),
    ):
        detector = ThresholdedOutlierDetector(FOREST, "youden", **named)
        assert detector.fit(X, labels).offset_ == expected
    # A rule without labels does not read them.
    ThresholdedOutlierDetector(FOREST, "mean_std").fit(X, (y == 1).astype(int))


def test_what_the_inner_estimator_offers_is_offered(heartbeats):
    X, y = heartbeats
    inner = AutoencoderOutlierDetector(
        latent_dim=2, epochs=30, learning_rate=0.01, batch_size=16, random_state=0
    )
    detector = ThresholdedOutlierDetector(FitOnInliers(inner), "youden").fit(X, y)
    assert detector.transform(X).shape == (len(X), 2)
    assert detector.reconstruct(X).shape == X.shape
    assert len(detector.history_["loss"]) == 30
    assert detector.offset_ != detector.estimator_.offset_
    assert not hasattr(ThresholdedOutlierDetector(FOREST), "transform")


def test_rule_parameters_can_be_searched(heartbeats):
    X, y = heartbeats
    search = GridSearchCV(
        ThresholdedOutlierDetector(FOREST, MeanStd()),
        {"threshold__k": [0.0, 1.0, 50.0], "threshold": [MeanStd()]},
        scoring=lambda detector, X, y: fbeta_score(y == -1, detector.predict(X) == -1, beta=1),
        cv=3,
    ).fit(X, y)
    assert search.best_params_["threshold__k"] in (0.0, 1.0)
    assert search.best_estimator_.rule_.k == search.best_params_["threshold__k"]


def test_a_number_is_the_threshold_and_can_be_searched(heartbeats):
    X, y = heartbeats
    detector = ThresholdedOutlierDetector(FOREST, 0.5).fit(X)
    assert detector.offset_ == -0.5
    np.testing.assert_array_equal(detector.predict(X) == -1, -detector.score_samples(X) > 0.5)
    search = GridSearchCV(
        ThresholdedOutlierDetector(FOREST),
        {"threshold": [0.1, 0.48, 5]},
        scoring=anomaly_scorer("f1"),
    )
    assert search.fit(X, y).best_params_ == {"threshold": 0.48}


def test_for_a_number_no_rows_are_held_out(heartbeats):
    class Counting(IsolationForest):
        n_fits = 0

        def fit(self, *args, **kwargs):
            Counting.n_fits += 1
            return super().fit(*args, **kwargs)

    ThresholdedOutlierDetector(Counting(n_estimators=2), 0.5, cv=3).fit(heartbeats[0])
    assert Counting.n_fits == 1


def test_pickle_has_the_same_bytes_each_time(heartbeats):
    X, y = heartbeats
    detector = ThresholdedOutlierDetector(FOREST, "youden").fit(X, y)
    assert pickle.dumps(detector) == pickle.dumps(detector)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.predict(X), detector.predict(X))


@pytest.mark.parametrize(
    ("estimator", "rule", "y", "error", "message"),
    [
        (FOREST, "youden", None, ValueError, r"Youden\(\) learns from labels: give fit a y"),
        (FOREST, FBeta(), np.ones(300), ValueError, "both classes, but all 300 rows are inliers"),
        (FOREST, FBeta(), -np.ones(300), ValueError, "all 300 rows are outliers"),
        (FOREST, "youden", np.arange(300) % 2, ValueError, "do not say what is normal"),
        (FOREST, "median", None, ValueError, "'threshold' parameter"),
        (FOREST, MeanStd, None, TypeError, "A threshold rule is a number, one of"),
        (FOREST, MeanStd(k="2"), None, ValueError, "'k' parameter of MeanStd"),
        (LogisticRegression(), "mean_std", np.ones(300), TypeError, "outlier detector with score"),
        (LocalOutlierFactor(), "mean_std", None, TypeError, "outlier detector with score"),
        (None, "mean_std", None, ValueError, "'estimator' parameter"),
    ],
)
def test_refused(heartbeats, estimator, rule, y, error, message):
    detector = ThresholdedOutlierDetector(estimator, rule)
    with pytest.raises(error, match=message):
        detector.fit(heartbeats[0], y)
    assert not hasattr(detector, "offset_")


class TestRulesWithLabels:
    generator = np.random.default_rng(0)
    is_outlier = generator.random(200) < 0.3
    # Rounded, so that there are ties.
    errors = np.round(generator.normal(size=200) + 1.5 * is_outlier, 1)

    def test_youden_is_the_best_of_all_thresholds(self):
        flagged = self.errors > Youden().threshold(self.errors, self.is_outlier)
        reached = flagged[self.is_outlier].mean() - flagged[~self.is_outlier].mean()
        false, true, _ = roc_curve(self.is_outlier, self.errors)
        assert reached == pytest.approx((true - false).max())

    @pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
    def test_fbeta_is_the_best_of_all_thresholds(self, beta):
        flagged = self.errors > FBeta(beta=beta).threshold(self.errors, self.is_outlier)
        best = max(
            fbeta_score(self.is_outlier, self.errors > threshold, beta=beta, zero_division=0)
            for threshold in [*np.unique(self.errors), self.errors.min() - 1]
        )
        assert fbeta_score(self.is_outlier, flagged, beta=beta) == pytest.approx(best)

    @pytest.mark.parametrize("rule", [Youden(), FBeta()])
    def test_separable_classes_are_cut_in_the_middle(self, rule):
        assert rule.threshold([1, 2, 4, 5], [False, False, True, True]) == 3

    def test_the_best_that_can_be_done_is_to_flag_everything(self):
        threshold = FBeta().threshold([5.0, 1.0, 2.0], [False, True, True])
        assert (np.array([5.0, 1.0, 2.0]) > threshold).all()

    def test_upside_down_errors_flag_nothing(self):
        threshold = Youden().threshold([5.0, 1.0], [False, True])
        assert threshold == pytest.approx(5.0)
        assert threshold >= 5.0

    @pytest.mark.parametrize("rule", [Youden(), FBeta()])
    @pytest.mark.parametrize(
        ("is_outlier", "message"),
        [
            (None, "learns from labels and got none"),
            ([True, True], "all 2 rows are outliers"),
            ([False, False], "all 2 rows are inliers"),
            ([1, -1], "must be an array of 2 booleans"),
            ([True], "must be an array of 2 booleans"),
        ],
    )
    def test_unfit_labels(self, rule, is_outlier, message):
        with pytest.raises(ValueError, match=message):
            rule.threshold([1.0, 2.0], is_outlier)


class TestHeldOutErrors:
    """With `cv`, the rule sees errors of rows that the detector was not trained on."""

    def test_offset_from_the_errors_of_each_fold(self, heartbeats):
        X, _ = heartbeats
        detector = ThresholdedOutlierDetector(FOREST, Quantile(q=0.9), cv=3).fit(X)
        errors = np.concatenate(
            [
                -clone(FOREST).fit(X[train]).score_samples(X[test])
                for train, test in KFold(3).split(X)
            ]
        )
        assert detector.offset_ == -np.quantile(errors, 0.9)
        whole = clone(FOREST).fit(X).score_samples(X)
        np.testing.assert_array_equal(detector.score_samples(X), whole)

    @pytest.mark.parametrize("cv", [4, StratifiedKFold(4, shuffle=True, random_state=0)])
    def test_labels_go_with_the_rows_and_into_folds_of_both_classes(self, heartbeats, cv):
        X, y = heartbeats
        order = np.argsort(y)
        X, y = X[order], y[order]
        estimator = FitOnInliers(make_pipeline(MinMaxScaler(), FOREST))
        detector = ThresholdedOutlierDetector(estimator, Youden(), cv=cv).fit(X, y)
        folds = check_cv(cv, y, classifier=True)
        errors = -cross_val_score_samples(estimator, X, y, folds)
        assert detector.offset_ == pytest.approx(-Youden().threshold(errors, y == -1), abs=1e-12)

    def test_a_detector_that_knows_its_rows_by_heart(self):
        # The nearest neighbor of a training row is the row itself.
        X = np.random.default_rng(0).normal(size=(200, 3))
        neighbors = LocalOutlierFactor(1, novelty=True)
        X_new = np.random.default_rng(1).normal(size=(1000, 3))
        alarms = {
            cv: (
                ThresholdedOutlierDetector(neighbors, Quantile(q=0.95), cv=cv).fit(X).predict(X_new)
                == -1
            ).mean()
            for cv in (None, 10)
        }
        assert alarms[10] == pytest.approx(0.05, abs=0.04)

    def test_weights_are_cut_to_the_fold(self, heartbeats):
        X, _ = heartbeats
        weight = np.linspace(0.1, 1, len(X))
        detector = ThresholdedOutlierDetector(FOREST, cv=2).fit(X, sample_weight=weight)
        assert np.isfinite(detector.offset_)

    def test_rows_left_out_by_the_splitter_do_not_count(self, heartbeats):
        X, _ = heartbeats
        half = len(X) // 2
        folds = [(np.arange(half), np.arange(half, half + 20))]
        detector = ThresholdedOutlierDetector(FOREST, Quantile(q=1.0), cv=folds).fit(X)
        errors = -clone(FOREST).fit(X[:half]).score_samples(X[half : half + 20])
        assert detector.offset_ == pytest.approx(-errors.max())

    def test_no_folds(self):
        with pytest.raises(ValueError, match=r"cv=\[\] has no folds"):
            ThresholdedOutlierDetector(FOREST, cv=[]).fit(np.ones((5, 2)))

    def test_more_folds_than_rows(self):
        with pytest.raises(ValueError, match="n_splits=9"):
            ThresholdedOutlierDetector(FOREST, cv=9).fit(np.ones((5, 2)))

    def test_training_errors_promise_too_few_alarms(self, normal_and_new):
        """What `cv` is for, with an autoencoder on few rows."""
        X, X_new = normal_and_new
        network = AutoencoderOutlierDetector(latent_dim=8, epochs=100, random_state=0)
        share = {
            cv: (
                ThresholdedOutlierDetector(network, Quantile(q=0.9), cv=cv).fit(X).predict(X_new)
                == -1
            ).mean()
            for cv in (None, 10)
        }
        assert share[None] > 0.2
        assert share[10] == pytest.approx(0.1, abs=0.06)


@pytest.fixture
def normal_and_new():
    random = np.random.default_rng(0)
    mixing = random.normal(size=(6, 30))
    X = random.normal(size=(1400, 6)) @ mixing + 0.3 * random.normal(size=(1400, 30))
    return X[:400], X[400:]


def cross_val_score_samples(estimator, X, y, folds):
    errors = np.empty(len(X))
    for train, test in folds.split(X, y):
        errors[test] = clone(estimator).fit(X[train], y[train]).score_samples(X[test])
    return errors
