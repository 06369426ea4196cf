import pickle
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    get_scorer,
    matthews_corrcoef,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    LearningCurveDisplay,
    RandomizedSearchCV,
    ValidationCurveDisplay,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import (
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae.metrics import anomaly_scorer, anomaly_scorers
from skae.model_selection import StratifiedOutlierKFold

METRICS = {
    "roc_auc": {},
    "average_precision": {},
    "precision_at_n": {},
    "recall_at_fpr": {"max_fpr": 0.1},
    "precision": {},
    "recall": {},
    "f1": {},
    "fbeta": {"beta": 2},
    "balanced_accuracy": {},
    "youden": {},
    "matthews": {},
}
# What an outlier and an inlier are called, and how that is said.
CODINGS = {
    "sklearn": (-1, 1, {}),
    "1 is an outlier": (1, 0, {"outlier_label": 1}),
    "1 is an inlier": (0, 1, {"inlier_label": 1}),
    "True is an outlier": (True, False, {"outlier_label": True}),
    "True is an inlier": (False, True, {"inlier_label": True}),
    "strings": ("bad", "good", {"inlier_label": "good"}),
    "sklearn, turned round": (1, -1, {"outlier_label": 1}),
}


class FirstColumn(OutlierMixin, BaseEstimator):
    """Takes the first column for the score: negative for outliers."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return np.asarray(X)[:, 0]

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] < 0, -1, 1)


def score(scorer, scores, y, **metadata):
    return scorer(FirstColumn(), np.reshape(scores, (-1, 1)), y, **metadata)


def forest(**params):
    return IsolationForest(n_estimators=10, random_state=0, **params)


def folds(n_splits=3, **params):
    return StratifiedOutlierKFold(n_splits, random_state=0, **params)


# What the metrics mean


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("metric", METRICS)
def test_perfect_inverted_and_random_detectors(metric, coding):
    outlier, inlier, named = CODINGS[coding]
    scorer = anomaly_scorer(metric, **named, **METRICS[metric])
    rng = np.random.default_rng(0)
    n_outliers, n_inliers = 6_000, 14_000
    is_outlier = rng.permutation(np.arange(n_outliers + n_inliers) < n_outliers)
    y = np.where(is_outlier, outlier, inlier)
    perfect = np.where(is_outlier, -1, 1) * rng.uniform(1, 2, len(y))

    worst = {"youden": -1, "matthews": -1}
    found = np.arange(1, n_outliers + 1)
    worst["average_precision"] = np.mean(found / (n_inliers + found))
    chance = {"recall_at_fpr": 0.1, "roc_auc": 0.5, "balanced_accuracy": 0.5}
    chance |= {"average_precision": 0.3, "precision_at_n": 0.3, "youden": 0, "matthews": 0}
    # Half of the rows are flagged: precision 0.3, recall 0.5.
    chance |= {"precision": 0.3, "recall": 0.5}
    chance |= {"f1": 2 * 0.3 * 0.5 / (0.3 + 0.5), "fbeta": 5 * 0.3 * 0.5 / (4 * 0.3 + 0.5)}

    assert score(scorer, perfect, y) == pytest.approx(1, abs=1e-12)
    assert score(scorer, -perfect, y) == pytest.approx(worst.get(metric, 0), abs=1e-12)
    assert score(scorer, rng.normal(size=len(y)), y) == pytest.approx(chance[metric], abs=0.02)


HAND_MADE_SCORES = [-5, -4, -3, -2, -1, 1, 2, 3, 3, 4]
HAND_MADE_Y = [-1, -1, 1, -1, 1, 1, -1, 1, -1, 1]


@pytest.mark.parametrize("weight", [None, [1, 2, 3, 0.5, 1, 1, 2, 0, 1, 4]], ids=["-", "weights"])
@pytest.mark.parametrize(
    ("metric", "kwargs", "function"),
    [
        ("roc_auc", {}, roc_auc_score),
        ("average_precision", {}, average_precision_score),
        ("f1", {}, f1_score),
        ("fbeta", {"beta": 0.5}, fbeta_score),
        ("balanced_accuracy", {}, balanced_accuracy_score),
        ("matthews", {}, matthews_corrcoef),
    ],
)
def test_equal_to_scikit_learn(metric, kwargs, function, weight):
    scores, is_outlier = np.array(HAND_MADE_SCORES), np.array(HAND_MADE_Y) == -1
    ranks = metric in ("roc_auc", "average_precision")
    expected = function(
        is_outlier, -scores if ranks else scores < 0, sample_weight=weight, **kwargs
    )
    assert 0 < expected < 1
    scorer = anomaly_scorer(metric, **kwargs)
    assert score(scorer, scores, HAND_MADE_Y, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "kwargs", "expected"),
    [
        # The five most abnormal of ten rows hold three of the five outliers.
        ("precision_at_n", {}, 3 / 5),
        ("precision_at_n", {"n": 1}, 1),
        ("precision_at_n", {"n": 3}, 2 / 3),
        # The eighth row is one of two with the score 3: an inlier and an outlier.
        ("precision_at_n", {"n": 8}, 4.5 / 8),
        ("precision_at_n", {"n": 10}, 1 / 2),
        ("recall_at_fpr", {"max_fpr": 0}, 2 / 5),
        ("recall_at_fpr", {"max_fpr": 0.19}, 2 / 5),
        ("recall_at_fpr", {"max_fpr": 0.2}, 3 / 5),
        ("recall_at_fpr", {"max_fpr": 0.6}, 4 / 5),
        ("recall_at_fpr", {"max_fpr": 0.8}, 1),
        # Flagged: three of the five outliers, two of the five inliers.
        ("youden", {}, 3 / 5 - 2 / 5),
    ],
)
def test_computed_by_hand(metric, kwargs, expected):
    scorer = anomaly_scorer(metric, **kwargs)
    assert score(scorer, HAND_MADE_SCORES, HAND_MADE_Y) == pytest.approx(expected)
    # The order of the rows means nothing, of those with equal scores either.
    assert score(scorer, HAND_MADE_SCORES[::-1], HAND_MADE_Y[::-1]) == pytest.approx(expected)


def test_precision_and_recall_by_hand():
    # Flagged are the two rows below zero, of which one is one of three outliers.
    scores, y = [-2, -1, 1, 2, 3, 4], [-1, 1, -1, -1, 1, 1]
    assert score(anomaly_scorer("precision"), scores, y) == pytest.approx(1 / 2)
    assert score(anomaly_scorer("recall"), scores, y) == pytest.approx(1 / 3)
    assert score(anomaly_scorer("precision"), [1] * 6, y) == 0  # no row is flagged


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("roc_auc", 0.5),
        ("average_precision", 0.25),
        ("precision_at_n", 0.25),
        # A threshold flags all rows of a constant score, or none.
        ("recall_at_fpr", 0),
    ],
)
def test_constant_scores(metric, expected):
    y = [1, 1, 1, -1] * 5
    scorer = anomaly_scorer(metric, **METRICS[metric])
    for labels in (y, sorted(y), sorted(y, reverse=True)):
        assert score(scorer, np.zeros(20), labels) == pytest.approx(expected)


def test_recall_at_fpr_looks_at_every_threshold():
    scores = np.repeat([1, 2, 3, 4], 2)
    scorer = anomaly_scorer("recall_at_fpr", max_fpr=0.5)
    assert score(scorer, scores, [1, -1] * 4) == 0.5


def test_recall_at_fpr_is_exact_in_spite_of_rounded_weights():
    # Ten times 0.1: the first three inliers are 0.30000000000000004 of them.
    scores, y = np.arange(12), np.array([-1] + 3 * [1] + [-1] + 7 * [1])
    scorer = anomaly_scorer("recall_at_fpr", max_fpr=0.3)
    assert score(scorer, scores, y, sample_weight=np.full(12, 0.1)) == 1


def test_precision_at_n_is_that_of_a_random_order_of_ties():
    rng = np.random.default_rng(0)
    scores = rng.integers(-3, 3, 40)
    is_outlier = rng.random(40) < 0.4
    n = is_outlier.sum()
    precisions = []
    for _ in range(4000):
        order = np.lexsort((rng.random(40), scores))
        precisions.append(is_outlier[order[:n]].mean())
    expected = score(anomaly_scorer("precision_at_n"), scores, np.where(is_outlier, -1, 1))
    assert np.std(precisions) > 0
    assert expected == pytest.approx(np.mean(precisions), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_weights_count_rows(metric):
    rng = np.random.default_rng(0)
    scores, y = rng.integers(-5, 5, 60), rng.choice([1, -1], 60)
    weight = rng.integers(0, 4, 60)
    kwargs = {"max_fpr": 0.4} if metric == "recall_at_fpr" else METRICS[metric]
    scorer = anomaly_scorer(metric, **kwargs)
    weighted = score(scorer, scores, y, sample_weight=weight)
    repeated = score(scorer, np.repeat(scores, weight), np.repeat(y, weight))
    assert weighted == pytest.approx(repeated)
    assert weighted != pytest.approx(score(scorer, scores, y))


def test_precision_at_more_than_all_rows():
    with pytest.raises(ValueError, match="n=11 needs as many rows, got 10"):
        score(anomaly_scorer("precision_at_n", n=11), HAND_MADE_SCORES, HAND_MADE_Y)


# What an estimator must be


def autoencoder():
    return AutoencoderOutlierDetector(
        hidden_layer_sizes=(8,), epochs=3, batch_size=16, learning_rate=0.01, random_state=0
    )


def pca():
    # Anomalies among the rows would raise the default threshold so far that it finds few.
    return ReconstructionOutlierDetector(PCA(4), threshold="mean_std")


DETECTORS = {
    "IsolationForest": forest(),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "OneClassSVM": OneClassSVM(nu=0.2),
    "EllipticEnvelope": make_pipeline(PCA(3), EllipticEnvelope(random_state=0)),
    "Reconstruction": pca(),
    "Autoencoder": FitOnInliers(make_pipeline(StandardScaler(), autoencoder())),
    "pipeline": make_pipeline(StandardScaler(), forest()),
    "FitOnInliers in a pipeline": make_pipeline(StandardScaler(), FitOnInliers(pca())),
    "Thresholded": ThresholdedOutlierDetector(forest(), "youden"),
    "Thresholded in FitOnInliers": FitOnInliers(ThresholdedOutlierDetector(pca())),
    "search": GridSearchCV(
        pca(), {"estimator__n_components": [3]}, scoring=anomaly_scorer("f1"), cv=folds()
    ),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_direction_of_real_detectors(name, heartbeats):
    X, y = heartbeats
    detector = clone(DETECTORS[name]).fit(X, y)
    expected = roc_auc_score(y == -1, -detector.score_samples(X))
    assert expected > 0.7
    assert anomaly_scorer("roc_auc")(detector, X, y) == pytest.approx(expected)
    assert anomaly_scorer("roc_auc")(FrozenEstimator(detector), X, y) == pytest.approx(expected)
    f1 = f1_score(y == -1, detector.predict(X) == -1)
    assert anomaly_scorer("f1")(detector, X, y) == pytest.approx(f1)
    assert anomaly_scorer("youden")(detector, X, y) > 0.1


class OnlyDecision(OutlierMixin, BaseEstimator):
    def decision_function(self, X):
        return np.asarray(X)[:, :1]  # a column, as some return it


def test_a_detector_with_a_decision_function_only():
    X = np.reshape(HAND_MADE_SCORES, (-1, 1))
    scorer = anomaly_scorer("roc_auc")
    assert scorer(OnlyDecision(), X, HAND_MADE_Y) == scorer(FirstColumn(), X, HAND_MADE_Y)
    with pytest.raises(TypeError, match="OnlyDecision has no predict for new rows"):
        anomaly_scorer("f1")(OnlyDecision(), X, HAND_MADE_Y)


def test_scores_before_decisions():
    class Coarse(FirstColumn):
        def decision_function(self, X):
            return np.zeros(len(X))

    X = np.reshape(HAND_MADE_SCORES, (-1, 1))
    assert anomaly_scorer("roc_auc")(Coarse(), X, HAND_MADE_Y) > 0.6


class LikePyOD(BaseEstimator):
    """Has scikit-learn's tag, and all signs the other way round."""

    def fit(self, X, y=None):
        self.inner_ = forest().fit(X)
        return self

    def decision_function(self, X):
        return -self.inner_.decision_function(X)

    def predict(self, X):
        return (self.inner_.predict(X) == -1).astype(int)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = "outlier_detector"
        return tags


def pyod_forest():
    pytest.importorskip("pyod", reason="pyod is not installed")
    from pyod.models.iforest import IForest

    return IForest(n_estimators=10, random_state=0)


@pytest.mark.parametrize("make", [LikePyOD, pyod_forest])
@pytest.mark.parametrize("metric", ["roc_auc", "f1"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda detector: detector,
        lambda detector: make_pipeline(StandardScaler(), detector),
        lambda detector: FitOnInliers(make_pipeline(StandardScaler(), detector)),
        lambda detector: GridSearchCV(detector, {}, scoring="roc_auc", cv=folds(2)),
    ],
    ids=["alone", "in a pipeline", "in FitOnInliers", "in a search"],
)
@pytest.mark.filterwarnings("ignore:y should not be presented in unsupervised learning")
def test_pyod_is_refused_however_wrapped(make, metric, wrap, heartbeats):
    X, y = heartbeats
    detector = wrap(make()).fit(X, y)
    message = "(LikePyOD|IForest) is no outlier detector .*PyOD.*inherits from OutlierMixin and"
    with pytest.raises(TypeError, match=message):
        anomaly_scorer(metric)(detector, X, y)
    with pytest.raises(TypeError, match=message):
        cross_validate(
            wrap(make()), X, y, scoring=anomaly_scorers(), cv=folds(), error_score="raise"
        )


class AsTheMessageSays(OutlierMixin, BaseEstimator):
    def __init__(self, detector):
        self.detector = detector

    def fit(self, X, y=None):
        self.detector_ = clone(self.detector).fit(X)
        return self

    def score_samples(self, X):
        return -self.detector_.decision_function(X)

    def predict(self, X):
        return 1 - 2 * self.detector_.predict(X)


def test_pyod_in_the_class_that_the_message_asks_for(heartbeats):
    X, y = heartbeats
    results = cross_validate(
        AsTheMessageSays(pyod_forest()), X, y, scoring=anomaly_scorers(), cv=folds()
    )
    assert results["test_roc_auc"].mean() > 0.8
    assert results["test_f1"].mean() > 0.3


@pytest.mark.parametrize("classifier", [RidgeClassifier(), RandomForestClassifier(3)])
@pytest.mark.parametrize("scoring", [anomaly_scorer("matthews"), anomaly_scorers()])
def test_classifiers_are_refused(classifier, scoring, heartbeats):
    with pytest.raises(TypeError, match="no outlier detector.*classifier has scikit-learn's own"):
        cross_validate(classifier, *heartbeats, scoring=scoring, cv=folds(), error_score="raise")


def test_a_stranger_is_refused():
    with pytest.raises(TypeError, match="object is no outlier detector"):
        anomaly_scorer("f1")(object(), [[1], [2]], [1, -1])


def test_detectors_that_cannot_score_new_rows(heartbeats):
    with pytest.raises(TypeError, match="no score_samples or decision_function.*novelty=True"):
        cross_validate(
            LocalOutlierFactor(), *heartbeats, scoring=anomaly_scorers(), error_score="raise"
        )


def test_predictions_of_another_coding(heartbeats):
    class Wrong(FirstColumn):
        def predict(self, X):
            return np.arange(len(X)) % 2

    with pytest.raises(ValueError, match=r"Wrong predicts \[0, 1\], where a scikit-learn outlier"):
        anomaly_scorer("f1")(Wrong(), *heartbeats)


@pytest.mark.parametrize("detector", [forest(), FitOnInliers(forest())])
def test_unfitted(detector, heartbeats):
    with pytest.raises(NotFittedError):
        anomaly_scorer("roc_auc")(detector, *heartbeats)


# Folds and labels


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("y", "named", "message"),
    [
        ([1] * 10, {}, r"all 10 rows of this fold are inliers: their labels are \[1\]"),
        ([-1] * 10, {}, r"all 10 rows of this fold are outliers: their labels are \[-1\]"),
        ([0] * 10, {"outlier_label": 1}, r"are inliers: their labels are \[0\]"),
        (["a", "b"] * 5, {"inlier_label": "ok"}, r"inlier_label='ok' does not occur.*'a', 'b'"),
    ],
)
def test_one_class(metric, y, named, message):
    scorer = anomaly_scorer(metric, **named, **METRICS[metric])
    with pytest.raises(ValueError, match=message) as caught:
        score(scorer, HAND_MADE_SCORES, y)
    assert "cv=skae.model_selection.StratifiedOutlierKFold()" in str(caught.value)


@pytest.mark.parametrize(("label", "kind"), [(1, "inliers"), (-1, "outliers")])
def test_one_class_of_weight(label, kind):
    weight = np.array(HAND_MADE_Y) == label
    message = rf"all 5 rows of this fold are {kind}: their labels are \[{label}\]"
    with pytest.raises(ValueError, match=message):
        score(anomaly_scorer("f1"), HAND_MADE_SCORES, HAND_MADE_Y, sample_weight=weight)


def sorted_by_label(heartbeats):
    X, y = heartbeats
    order = np.argsort(-y, kind="stable")
    return X[order], y[order]


@pytest.mark.parametrize("scoring", [anomaly_scorer("roc_auc"), anomaly_scorers(["roc_auc", "f1"])])
def test_error_score_decides_about_one_class_folds(scoring, heartbeats):
    X, y = sorted_by_label(heartbeats)
    with pytest.raises(ValueError, match=r"labels are \[1\].*StratifiedOutlierKFold"):
        cross_validate(forest(), X, y, scoring=scoring, cv=5, error_score="raise")
    with pytest.warns(
        UserWarning, match=r"(?s)labels are \[-?1\].*StratifiedOutlierKFold"
    ) as caught:
        results = cross_validate(forest(), X, y, scoring=scoring, cv=5, error_score=np.nan)
    scores = {name: values for name, values in results.items() if name.startswith("test_")}
    # All five folds of 60 rows have one class: 240 inliers come first.
    assert len(caught) == 5 * len(scores)
    assert all(np.isnan(values).all() for values in scores.values())
    healed = cross_validate(forest(), X, y, scoring=scoring, cv=folds(5), error_score="raise")
    assert all(np.isfinite(values).all() for values in healed.values())


@pytest.mark.parametrize(
    ("y", "named", "message"),
    [
        ([0, 1] * 5, {}, r"labels \{0, 1\}, which do not say what is normal"),
        ([1, -1, np.nan, 1, 1] * 2, {}, "y has missing values"),
        (["ok", "bad", None, "ok", "ok"] * 2, {"inlier_label": "ok"}, "y has missing values"),
        ([1, -1] * 5, {"inlier_label": 1, "outlier_label": -1}, "Name one label"),
        ([1, -1], {}, "inconsistent numbers of samples"),
    ],
)
def test_labels_that_are_refused(y, named, message):
    for metric in ("roc_auc", "precision_at_n", "f1"):
        with pytest.raises(ValueError, match=message):
            score(anomaly_scorer(metric, **named), HAND_MADE_SCORES, y)


@pytest.mark.parametrize("weight", [[-1] + [1] * 9, [np.nan] + [1] * 9, [1, 1]])
def test_weights_that_are_refused(weight):
    with pytest.raises(ValueError, match=r"Negative values|NaN|sample_weight.shape"):
        score(anomaly_scorer("f1"), HAND_MADE_SCORES, HAND_MADE_Y, sample_weight=weight)


def test_scores_that_are_no_numbers():
    with pytest.raises(ValueError, match="NaN"):
        score(anomaly_scorer("precision_at_n"), [np.nan, *HAND_MADE_SCORES[1:]], HAND_MADE_Y)


def test_frames_and_strings(heartbeats):
    X, y = heartbeats
    frame = pd.DataFrame(X).add_prefix("t")
    labels = pd.Series(np.where(y == 1, "normal", "ill"), index=np.arange(300) + 1000)
    named = {"inlier_label": "normal"}
    scores = cross_val_score(
        FitOnInliers(forest(), **named),
        frame.set_index(labels.index),
        labels,
        scoring=anomaly_scorer("average_precision", **named),
        cv=folds(**named),
    )
    expected = cross_val_score(
        FitOnInliers(forest()), X, y, scoring=anomaly_scorer("average_precision"), cv=folds()
    )
    np.testing.assert_allclose(scores, expected)


# Searches


def test_multi_metric_search(heartbeats):
    X, y = heartbeats
    scoring = anomaly_scorers() | {"r10": anomaly_scorer("recall_at_fpr", max_fpr=0.1)}
    search = GridSearchCV(
        FitOnInliers(make_pipeline(StandardScaler(), pca())),
        {"estimator__reconstructionoutlierdetector__estimator__n_components": [1, 4, 20]},
        scoring=scoring,
        refit="average_precision",
        cv=folds(),
    ).fit(X, y)
    results = search.cv_results_
    best = np.argmax(results["mean_test_average_precision"])
    assert search.best_index_ == best
    assert np.ptp(results["mean_test_average_precision"]) > 0.01
    for name in scoring:
        assert np.isfinite(results[f"mean_test_{name}"]).all()
    expected = average_precision_score(y == -1, -search.score_samples(X))
    assert search.score(X, y) == pytest.approx(expected)
    # A search is a detector, too.
    assert anomaly_scorer("average_precision")(search, X, y) == pytest.approx(expected)


def test_halving_and_randomized_search(heartbeats):
    X, y = heartbeats
    settings = {"scoring": anomaly_scorer("roc_auc"), "cv": folds(), "error_score": "raise"}
    halving = HalvingGridSearchCV(
        forest(),
        {"max_samples": [0.1, 0.5]},
        resource="n_estimators",
        min_resources=2,
        max_resources=4,
        factor=2,
        random_state=0,
        **settings,
    ).fit(X, y)
    assert halving.n_resources_ == [2, 4]
    randomized = RandomizedSearchCV(
        forest(), {"max_samples": [0.1, 0.5, 0.9]}, n_iter=2, random_state=0, **settings
    ).fit(X, y)
    for search in (halving, randomized):
        assert search.best_score_ > 0.8
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_two_processes_give_the_same(heartbeats):
    settings = {"scoring": anomaly_scorers(), "cv": folds(), "error_score": "raise"}
    alone = cross_validate(forest(), *heartbeats, **settings)
    parallel = cross_validate(forest(), *heartbeats, **settings, n_jobs=2)
    for name in anomaly_scorers():
        np.testing.assert_array_equal(parallel[f"test_{name}"], alone[f"test_{name}"])


def test_weights_are_routed_to_the_scorer(heartbeats):
    X, y = heartbeats
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    train, test = next(folds().split(X, y))
    cv = [(train, test)]
    with config_context(enable_metadata_routing=True):
        detector = OneClassSVM().set_fit_request(sample_weight=False)
        scorer = anomaly_scorer("roc_auc").set_score_request(sample_weight=True)
        scoring = {"weighted": scorer, "plain": anomaly_scorer("roc_auc")}
        scoring["plain"].set_score_request(sample_weight=False)
        params = {"sample_weight": weight}
        results = cross_validate(detector, X, y, scoring=scoring, cv=cv, params=params)
        search = GridSearchCV(detector, {}, scoring=scoring, refit="weighted", cv=cv)
        search.fit(X, y, **params)
    errors = -clone(detector).fit(X[train]).score_samples(X[test])
    weighted = roc_auc_score(y[test] == -1, errors, sample_weight=weight[test])
    plain = roc_auc_score(y[test] == -1, errors)
    assert weighted != plain
    assert results["test_weighted"][0] == pytest.approx(weighted)
    assert results["test_plain"][0] == pytest.approx(plain)
    assert search.best_score_ == pytest.approx(weighted)


def test_weights_given_to_a_search_without_routing(heartbeats):
    X, y = heartbeats
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    train, test = next(folds().split(X, y))
    settings = {"cv": [(train, test)], "error_score": "raise"}
    fitted = OneClassSVM().fit(X[train], sample_weight=weight[train])
    scoring = anomaly_scorers(["roc_auc", "f1"])
    expected = {
        name: scorer(fitted, X[test], y[test], sample_weight=weight[test])
        for name, scorer in scoring.items()
    }
    assert expected["roc_auc"] != scoring["roc_auc"](fitted, X[test], y[test])
    several = GridSearchCV(OneClassSVM(), {}, scoring=scoring, refit=False, **settings)
    results = several.fit(X, y, sample_weight=weight).cv_results_
    for name in scoring:
        assert results[f"mean_test_{name}"][0] == pytest.approx(expected[name])
    one = GridSearchCV(OneClassSVM(), {}, scoring=scoring["f1"], **settings)
    assert one.fit(X, y, sample_weight=weight).best_score_ == pytest.approx(expected["f1"])


def count_outliers_found(is_outlier, errors):
    return np.sum(is_outlier & (errors > 0))


def test_an_own_metric_without_weights(heartbeats):
    X, y = heartbeats
    weight = np.ones(len(y))
    scorer = anomaly_scorer(count_outliers_found)
    search = GridSearchCV(OneClassSVM(), {}, scoring={"found": scorer}, refit=False, cv=folds())
    with pytest.warns(UserWarning, match=r"count_outliers_found\) does not support sample_weight"):
        search.fit(X, y, sample_weight=weight)
    with pytest.raises(TypeError, match="sample_weight"):
        scorer(OneClassSVM().fit(X), X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        detector = OneClassSVM().set_fit_request(sample_weight=True)
        params = {"sample_weight": weight}
        results = cross_validate(detector, X, y, scoring=scorer, cv=folds(), params=params)
    assert np.isfinite(results["test_score"]).all()


def test_weights_under_another_name(heartbeats):
    X, y = heartbeats
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    train, test = next(folds().split(X, y))
    with config_context(enable_metadata_routing=True):
        scorer = anomaly_scorer("roc_auc").set_score_request(sample_weight="costs")
        settings = {"scoring": scorer, "cv": [(train, test)], "params": {"costs": weight}}
        scores = cross_val_score(forest(), X, y, **settings)
    expected = scorer(forest().fit(X[train]), X[test], y[test], sample_weight=weight[test])
    assert scores == pytest.approx(expected)


@pytest.mark.parametrize("scoring", [anomaly_scorer("f1"), {"f1": anomaly_scorer("f1")}])
def test_weights_that_are_neither_requested_nor_ignored(scoring, heartbeats):
    detector, params = OneClassSVM(), {"sample_weight": np.ones(300)}
    message = r"not explicitly set as requested.* for anomaly_scorer\('f1'\)\.score"
    with config_context(enable_metadata_routing=True):
        detector.set_fit_request(sample_weight=True)
        with pytest.raises(UnsetMetadataPassedError, match=message):
            cross_validate(detector, *heartbeats, scoring=scoring, params=params)


def test_request_for_weights():
    with pytest.raises(RuntimeError, match="only available when metadata routing is enabled"):
        anomaly_scorer("f1").set_score_request(sample_weight=True)
    with config_context(enable_metadata_routing=True):
        scorer = anomaly_scorer("f1")
        assert scorer.get_metadata_routing().score.requests == {"sample_weight": None}
        with pytest.raises(ValueError, match="alias you're setting for `sample_weight` should be"):
            scorer.set_score_request(sample_weight=2)
        with pytest.raises(TypeError, match="weight"):
            scorer.set_score_request(weight=True)
        assert scorer.set_score_request(sample_weight=True) is scorer
        for copy in (scorer, clone(scorer, safe=False), pickle.loads(pickle.dumps(scorer))):
            assert copy.get_metadata_routing().score.requests == {"sample_weight": True}
        scorer.get_metadata_routing().score.add_request(param="sample_weight", alias=False)
        assert scorer.get_metadata_routing().score.requests == {"sample_weight": True}
        assert anomaly_scorer(count_outliers_found).get_metadata_routing().score.requests == {}


def test_scores_of_a_detector_that_has_changed():
    class Settable(FirstColumn):
        sign = 1

        def score_samples(self, X):
            return self.sign * super().score_samples(X)

    detector, X = Settable(), np.reshape(HAND_MADE_SCORES, (-1, 1))
    scoring = anomaly_scorers(["roc_auc", "average_precision"])
    before = scoring["roc_auc"](detector, X, HAND_MADE_Y)
    detector.sign = -1
    assert scoring["roc_auc"](detector, X, HAND_MADE_Y) == pytest.approx(1 - before)
    expected = score(scoring["average_precision"], -X, HAND_MADE_Y)
    assert scoring["average_precision"](detector, X, HAND_MADE_Y) == expected


# Scorers as objects


def test_scorers_can_be_read_copied_and_pickled(heartbeats):
    scorer = anomaly_scorer("recall_at_fpr", outlier_label="ill", max_fpr=0.1)
    assert repr(scorer) == "anomaly_scorer('recall_at_fpr', outlier_label='ill', max_fpr=0.1)"
    assert repr(anomaly_scorer("f1")) == "anomaly_scorer('f1')"
    assert repr(anomaly_scorer("f1", inlier_label=0)) == "anomaly_scorer('f1', inlier_label=0)"
    assert get_scorer(scorer) is scorer
    X, y = heartbeats
    detector, labels = forest().fit(X), np.where(y == 1, "well", "ill")
    search = clone(GridSearchCV(detector, {}, scoring={"r": scorer}))
    for copy in (pickle.loads(pickle.dumps(scorer)), search.scoring["r"]):
        assert repr(copy) == repr(scorer)
        assert copy(detector, X, labels) == scorer(detector, X, labels)


def test_weights_are_given_by_name():
    X, weight = np.reshape(HAND_MADE_SCORES, (-1, 1)), np.ones(10)
    with pytest.raises(TypeError, match="positional argument"):
        anomaly_scorer("f1")(FirstColumn(), X, HAND_MADE_Y, weight)


def test_scorers_are_equal_to_themselves_only():
    scorer = anomaly_scorer("f1")
    assert scorer == scorer
    assert scorer != anomaly_scorer("f1")
    assert len({scorer, anomaly_scorer("f1")}) == 2


def test_name_of_a_scorer():
    class Cost:
        def __call__(self, is_outlier, errors):
            return 0.0

    assert anomaly_scorer("recall_at_fpr", max_fpr=0.1).__name__ == "recall_at_fpr"
    assert anomaly_scorer(count_outliers_found).__name__ == "count_outliers_found"
    assert anomaly_scorer(partial(count_outliers_found)).__name__ == "partial"
    assert anomaly_scorer(Cost()).__name__ == "Cost"


@pytest.mark.parametrize(
    ("scorer", "label"),
    [
        (anomaly_scorer("roc_auc"), "Roc auc"),
        (anomaly_scorer("recall_at_fpr", max_fpr=0.1), "Recall at fpr"),
        (anomaly_scorer(count_outliers_found), "Count outliers found"),
    ],
)
def test_displays_of_scikit_learn(scorer, label, heartbeats):
    settings = {"scoring": scorer, "cv": folds(), "error_score": "raise"}
    learning = LearningCurveDisplay.from_estimator(
        forest(), *heartbeats, train_sizes=[0.5, 1.0], **settings
    )
    validation = ValidationCurveDisplay.from_estimator(
        forest(), *heartbeats, param_name="max_samples", param_range=[0.1, 0.5], **settings
    )
    for display in (learning, validation):
        assert np.isfinite(display.test_scores).all()
        assert display.ax_.get_ylabel() == label
        plt.close(display.figure_)


def test_own_metric():
    def cost(is_outlier, errors, *, price):
        assert is_outlier.dtype == bool
        return -price * np.sum(is_outlier != (errors > 0))

    scorer = anomaly_scorer(cost, price=10)
    assert score(scorer, HAND_MADE_SCORES, HAND_MADE_Y) == -40
    assert repr(scorer) == "anomaly_scorer(cost, price=10)"


@pytest.mark.parametrize(
    ("metric", "kwargs", "error", "message"),
    [
        ("auc", {}, ValueError, r"'auc' is none of those.*'average_precision'.*'youden'"),
        ("roc_auc", {"pos_label": 1}, TypeError, "'roc_auc' has no parameter 'pos_label'"),
        ("f1", {"average": "macro"}, TypeError, "'f1' has no parameter 'average'"),
        ("fbeta", {}, ValueError, r"'beta' parameter .* in the range \(0.0, inf\). Got None"),
        ("fbeta", {"beta": 0}, ValueError, r"in the range \(0.0, inf\). Got 0"),
        ("recall_at_fpr", {}, ValueError, r"'max_fpr' .* in the range \[0.0, 1.0\). Got None"),
        ("recall_at_fpr", {"max_fpr": 5}, ValueError, r"in the range \[0.0, 1.0\). Got 5"),
        ("precision_at_n", {"n": 0}, ValueError, "'n' parameter"),
        ("precision_at_n", {"n": 0.1}, ValueError, "'n' parameter"),
    ],
)
def test_refused_at_once(metric, kwargs, error, message):
    with pytest.raises(error, match=message):
        anomaly_scorer(metric, **kwargs)


def test_dict_of_scorers():
    assert list(anomaly_scorers()) == [
        "roc_auc",
        "average_precision",
        "precision_at_n",
        "f1",
        "balanced_accuracy",
    ]
    assert repr(anomaly_scorers("f1", outlier_label=1)) == (
        "{'f1': anomaly_scorer('f1', outlier_label=1)}"
    )
    with pytest.raises(ValueError, match="'auc' is none"):
        anomaly_scorers(["roc_auc", "auc"])
