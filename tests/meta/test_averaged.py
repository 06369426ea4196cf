"""AveragedOutlierDetector: one scale for unlike detectors, and an honest threshold."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from skae import (
    AveragedOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae.displays import ErrorDistributionDisplay, TrainingHistoryDisplay
from skae.inspection import explain, threshold_report
from skae.metrics import anomaly_scorer

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(200, 4))
X_NEW = GENERATOR.normal(size=(1000, 4))
FOREST = IsolationForest(n_estimators=10, random_state=0)
NEIGHBORS = LocalOutlierFactor(novelty=True)
MACHINE = make_pipeline(StandardScaler(), OneClassSVM())
UNLIKE = [("forest", FOREST), ("neighbors", NEIGHBORS), ("machine", MACHINE)]


def averaged(estimators=UNLIKE, **params):
    return AveragedOutlierDetector(estimators, **params)


class FirstColumn(OutlierMixin, BaseEstimator):
    """Takes the first feature for the error, and keeps what `fit` was given."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None, sample_weight=None, X_val=None):
        X = np.asarray(X)
        self.seen_ = {"X": X, "y": y, "sample_weight": sample_weight, "X_val": X_val}
        if sample_weight is not None:
            np.testing.assert_array_equal(sample_weight, X[:, 1])
        self.n_features_in_ = X.shape[1]
        return self

    def score_samples(self, X):
        return -self.factor * np.asarray(X)[:, 0]


class TestScale:
    def test_zero_is_the_median_and_one_the_quantile_of_the_training_errors(self):
        detector = averaged().fit(X)
        for (name, estimator), scores in zip(UNLIKE, detector.member_scores(X).T, strict=True):
            assert np.quantile(-scores, [0.5, 0.95]) == pytest.approx([0, 1], abs=1e-9), name
            np.testing.assert_allclose(
                np.argsort(scores), np.argsort(clone(estimator).fit(X).score_samples(X))
            )

    def test_score_is_the_mean_of_the_detectors(self):
        detector = averaged().fit(X)
        scores = detector.member_scores(X_NEW)
        assert scores.shape == (1000, 3)
        np.testing.assert_array_equal(detector.score_samples(X_NEW), scores.mean(axis=1))
        np.testing.assert_array_equal(
            detector.decision_function(X_NEW), scores.mean(axis=1) - detector.offset_
        )

    def test_units_do_not_matter(self):
        expected = averaged([("a", FirstColumn()), ("b", FOREST)]).fit(X)
        for factor in (1e-9, 1e9):
            detector = averaged([("a", FirstColumn(factor)), ("b", FOREST)]).fit(X)
            np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X))
            assert detector.offset_ == pytest.approx(expected.offset_)

    @pytest.mark.parametrize("rounding", [0.0, 1e-8])
    def test_a_constant_detector_adds_zero(self, rounding):
        rows = X.copy()
        rows[:, 0] = 3 + rounding * X[:, 0]
        detector = averaged([("constant", FirstColumn()), ("forest", FOREST)]).fit(rows)
        new = np.array([[5.0, 0, 0, 0]])
        assert detector.error_spreads_[0] == 0
        assert detector.member_scores(new)[0, 0] == 0
        alone = averaged([("constant", FirstColumn())]).fit(rows)
        assert not alone.score_samples(rows).any()
        assert (alone.predict(rows) == 1).all()

    def test_a_detector_with_few_distinct_errors(self):
        # More than 95 % of the errors are equal, so that only the standard deviation is left.
        rows = X.copy()
        rows[:, 0] = np.arange(200) == 7
        detector = averaged([("rare", FirstColumn())]).fit(rows)
        assert detector.error_spreads_ == pytest.approx(rows[:, 0].std())

    def test_a_row_that_no_detector_can_judge_is_an_outlier(self):
        class Fragile(FirstColumn):
            def score_samples(self, X):
                return np.where(np.asarray(X)[:, 0] > 100, np.nan, super().score_samples(X))

        detector = averaged([("fragile", Fragile()), ("forest", FOREST)]).fit(X)
        row = np.array([[200.0, 0, 0, 0]])
        assert detector.score_samples(row) == -np.inf
        assert detector.predict(row) == -1

    def test_training_rows_without_a_score_are_refused(self):
        class Undecided(FirstColumn):
            def score_samples(self, X):
                return np.full(len(X), np.nan)

        detector = averaged([("forest", FOREST), ("undecided", Undecided())])
        with pytest.raises(ValueError, match="'undecided' in estimators scores 200 of 200"):
            detector.fit(X)
        assert not hasattr(detector, "estimators_")


class TestThreshold:
    def test_auto_is_a_quantile_of_errors_out_of_fold(self):
        detector = averaged().fit(X)
        errors = []
        for train, test in KFold(5, shuffle=True, random_state=0).split(X):
            fold = averaged(contamination=0.1).fit(X[train])
            errors.append(-fold.score_samples(X[test]))
        # The 191st of 200: ceil(0.95 * 201).
        expected = np.sort(np.concatenate(errors))[190]
        assert detector.offset_ == pytest.approx(-expected, rel=1e-6)
        assert detector.offset_ < -expected

    def test_five_percent_of_new_rows_are_flagged(self):
        # The nearest neighbor of a training row is the row itself.
        by_heart = [("neighbors", LocalOutlierFactor(1, novelty=True)), ("forest", FOREST)]
        detector = averaged(by_heart).fit(X)
        assert (detector.predict(X_NEW) == -1).mean() == pytest.approx(0.05, abs=0.03)

    def test_contamination_is_the_share_of_training_rows(self):
        detector = averaged(contamination=0.2)
        assert (detector.fit_predict(X) == -1).sum() == 40
        auto = averaged().fit(X)
        np.testing.assert_array_equal(detector.score_samples(X), auto.score_samples(X))

    def test_few_rows_are_worth_a_warning(self):
        few = [("forest", FOREST), ("machine", MACHINE)]
        with pytest.warns(UserWarning, match="X has 19 rows, too few to hold") as caught:
            detector = averaged(few).fit(X[:19])
        assert caught[0].filename == __file__
        # The largest error, as 0.95 * 20 is 19.
        assert detector.offset_ == pytest.approx(detector.score_samples(X[:19]).min(), rel=1e-5)
        averaged(few).fit(X[:20])
        averaged(few, contamination=0.1).fit(X[:19])

    def test_infinite_errors_of_held_out_rows(self):
        class Strict(FirstColumn):
            """Scores the rows it was fitted on, and no others."""

            def score_samples(self, X):
                is_known = np.isin(np.asarray(X)[:, 0], self.seen_["X"][:, 0])
                return np.where(is_known, super().score_samples(X), -np.inf)

        with pytest.raises(ValueError, match="More than 5 % of the rows held out"):
            averaged([("strict", Strict())]).fit(X)

    def test_other_rules(self):
        detector = ThresholdedOutlierDetector(averaged(contamination=0.1), "fpr", cv=3).fit(X)
        assert (detector.predict(X_NEW) == -1).mean() < 0.06


class TestComposition:
    def test_parameters_have_names(self):
        detector = clone(averaged()).set_params(
            forest__n_estimators=3, machine__oneclasssvm__nu=0.1
        )
        assert detector.get_params()["forest__n_estimators"] == 3
        assert detector.get_params()["machine"][-1].nu == 0.1
        assert detector.get_params()["neighbors"] is dict(detector.estimators)["neighbors"]
        assert len(detector.fit(X).named_estimators_.forest.estimators_) == 3

    def test_search(self):
        rows = np.concatenate([X, X[:40] + 4])
        labels = np.repeat([1, -1], [200, 40])
        search = GridSearchCV(
            FitOnInliers(averaged(contamination=0.1)),
            {"estimator__neighbors": ["drop", NEIGHBORS], "estimator__forest__n_estimators": [5]},
            scoring=anomaly_scorer("roc_auc"),
            cv=KFold(2, shuffle=True, random_state=0),
        ).fit(rows, labels)
        assert search.best_score_ > 0.9

    def test_drop(self):
        estimators = [("neighbors", "drop"), *UNLIKE[:1]]
        for detector in (
            averaged(estimators),
            averaged([UNLIKE[1], UNLIKE[0]]).set_params(neighbors="drop"),
        ):
            assert list(detector.fit(X).named_estimators_) == ["forest"]
            assert detector.member_scores(X).shape == (200, 1)
            np.testing.assert_array_equal(
                np.argsort(detector.score_samples(X)),
                np.argsort(clone(FOREST).fit(X).score_samples(X)),
            )

    def test_clones_are_fitted(self):
        detector = averaged().fit(X)
        assert not hasattr(FOREST, "estimators_")
        assert detector.named_estimators_.forest is detector.estimators_[0]
        detector.set_params(forest="drop")
        assert list(detector.named_estimators_) == ["forest", "neighbors", "machine"]

    def test_pickle_and_clone(self):
        detector = averaged().fit(X)
        assert pickle.dumps(detector) == pickle.dumps(detector)
        for copy in (pickle.loads(pickle.dumps(detector)), clone(detector).fit(X)):
            np.testing.assert_array_equal(copy.score_samples(X), detector.score_samples(X))
            assert copy.offset_ == detector.offset_

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_threads_and_processes(self, heartbeats, make_detector):
        rows = heartbeats[0][:60]
        estimators = [("network", make_detector(epochs=2)), ("forest", FOREST)]
        expected = averaged(estimators).fit(rows)
        with joblib.parallel_config("threading"):
            threads = averaged(estimators, n_jobs=3).fit(rows)
        assert threads.offset_ == pytest.approx(expected.offset_)
        np.testing.assert_allclose(threads.score_samples(rows), expected.score_samples(rows))
        processes = averaged(UNLIKE, n_jobs=2).fit(X)
        assert processes.offset_ == averaged(UNLIKE).fit(X).offset_

    @pytest.mark.parametrize("kind", [pd.DataFrame, np.ndarray.tolist, np.asfortranarray])
    def test_kinds_of_data(self, kind):
        expected = averaged().fit(X)
        detector = averaged().fit(kind(X))
        np.testing.assert_allclose(detector.score_samples(kind(X)), expected.score_samples(X))

    def test_sparse(self):
        forests = averaged([("forest", FOREST)])
        assert forests.__sklearn_tags__().input_tags.sparse
        assert (
            not averaged([("forest", FOREST), ("a", FirstColumn())])
            .__sklearn_tags__()
            .input_tags.sparse
        )
        np.testing.assert_allclose(
            forests.fit(sparse.coo_array(X)).score_samples(sparse.csr_array(X)),
            averaged([("forest", FOREST)]).fit(X).score_samples(X),
        )

    def test_columns_of_a_table(self):
        table = pd.DataFrame(X, columns=list("abcd")).assign(city=["Ulm", "Bonn"] * 100)
        encode = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
        detector = averaged([("forest", make_pipeline(encode, FOREST))]).fit(table)
        assert list(detector.feature_names_in_) == [*"abcd", "city"]
        assert detector.n_features_in_ == 5
        assert not hasattr(averaged(), "n_features_in_")

    def test_html_shows_the_detectors_side_by_side(self):
        html = averaged()._repr_html_()
        assert "sk-parallel" in html
        assert all(name in html for name, _ in UNLIKE)
        assert averaged(["forest"])._repr_html_()

    def test_failure_leaves_the_fitted_detector_as_it_was(self):
        detector = averaged().fit(X)
        before = vars(detector).copy()
        with pytest.raises(ValueError, match="NaN"):
            detector.fit(np.full((30, 4), np.nan))
        assert vars(detector) == before


class TestMetadata:
    def test_weights_are_cut_to_the_fold_and_validation_rows_are_not(self):
        detector = averaged([("a", FirstColumn()), ("b", FirstColumn())])
        detector.fit(X, sample_weight=X[:, 1], X_val=X_NEW)
        for fitted in detector.estimators_:
            np.testing.assert_array_equal(fitted.seen_["sample_weight"], X[:, 1])
            assert fitted.seen_["X_val"] is X_NEW

    def test_labels_are_passed_on(self):
        y = np.where(X[:, 0] > 2, -1, 1)
        detector = averaged([("a", FitOnInliers(FirstColumn()))]).fit(X, y)
        assert detector.estimators_[0].estimator_.seen_["X"][:, 0].max() <= 2

    def test_routing(self):
        with config_context(enable_metadata_routing=True):
            taking = FirstColumn().set_fit_request(sample_weight=True, X_val=False)
            pipeline = make_pipeline(
                FirstColumn().set_fit_request(sample_weight="weight", X_val=False)
            )
            detector = averaged([("a", taking), ("b", NEIGHBORS), ("c", pipeline)])
            detector.fit(X, sample_weight=X[:, 1])
            first, _, last = detector.estimators_
            np.testing.assert_array_equal(first.seen_["sample_weight"], X[:, 1])
            assert last[-1].seen_["sample_weight"] is None
            FitOnInliers(detector).fit(X, np.repeat([1, -1], 100), sample_weight=X[:, 1])

    def test_weights_that_a_detector_does_not_take(self):
        detector = averaged([("forest", FOREST), ("neighbors", NEIGHBORS)])
        with pytest.raises(TypeError, match=r"fit of 'neighbors'.*set_fit_request\(sample_weight"):
            detector.fit(X, sample_weight=np.ones(200))


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [
        (None, ValueError, "'estimators' parameter"),
        ({"forest": FOREST}, ValueError, "'estimators' parameter"),
        ([], ValueError, r"estimators=\[\] has no detector to average"),
        ([("forest", "drop")], ValueError, "has no detector to average"),
        ([FOREST], ValueError, r"list of \(name, detector\) pairs.*got IsolationForest"),
        ([(1, FOREST)], ValueError, r"list of \(name, detector\) pairs"),
        ([("forest", FOREST), ("forest", FOREST)], ValueError, "not unique"),
        ([("a__b", FOREST)], ValueError, "must not contain __"),
        ([("n_jobs", FOREST)], ValueError, "conflict with constructor arguments"),
        ([("forest", IsolationForest)], TypeError, r"give IsolationForest\(\.\.\.\)"),
        (
            [("scaler", StandardScaler())],
            TypeError,
            r"'scaler' in estimators must be an outlier detector",
        ),
        ([("none", None)], TypeError, "'none' in estimators must be an outlier detector"),
        (
            [("lof", LocalOutlierFactor())],
            TypeError,
            r"'lof' in estimators.*Give LocalOutlierFactor\(novelty=True\)",
        ),
        (
            [("lof", make_pipeline(StandardScaler(), LocalOutlierFactor()))],
            TypeError,
            r"Give LocalOutlierFactor\(novelty=True\)",
        ),
    ],
)
def test_refused(estimators, error, message):
    with pytest.raises(error, match=message):
        averaged(estimators).fit(X)


class TestInspection:
    def test_what_needs_scores_only(self):
        detector = averaged().fit(X)
        display = ErrorDistributionDisplay.from_estimator(detector, X_NEW)
        assert "AveragedOutlierDetector" in display.ax_.get_xlabel()
        assert len(threshold_report(detector, X_NEW))

    def test_what_needs_a_reconstruction(self):
        pca = ReconstructionOutlierDetector(PCA(2))
        detector = averaged([("pca", pca), ("forest", FOREST)]).fit(X)
        with pytest.raises(TypeError, match="has no reconstruction errors to explain"):
            explain(detector, X[:2])
        with pytest.raises(TypeError, match="has no `history_`"):
            TrainingHistoryDisplay.from_estimator(detector)
        assert len(explain(detector.named_estimators_["pca"], X[:2], top=1)) == 2
