"""Which features make up an error, and what threshold rules would do."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import confusion_matrix, precision_score, recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import OneClassSVM

from skae import (
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae._detectors.calibration import drawn
from skae._meta.unwrap import fitted_offset
from skae.datasets import make_heartbeats
from skae.inspection import explain, threshold_report
from skae.thresholds import (
    SHORT_NAMES,
    FalsePositiveRate,
    FBeta,
    MeanStd,
    PeaksOverThreshold,
    Quantile,
    Youden,
)

# Some detectors here are hardly trained.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COLUMNS = ["row", "feature", "value", "reconstruction", "contribution", "unusualness", "text"]
SHARES = ["precision", "recall", "fpr"]


def pca(n_components=2, **params):
    return ReconstructionOutlierDetector(PCA(n_components), **params)


def correlated(n_rows, seed, n_features=12):
    """Rows of three hidden causes and a little noise, each feature in a unit of its own."""
    mixing = np.random.default_rng(0).normal(size=(3, n_features))
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_rows, 3)) @ mixing + 0.1 * random.normal(size=(n_rows, n_features))
    return X * np.geomspace(0.01, 1000, n_features) + 5


@pytest.fixture(scope="module")
def table():
    """A DataFrame with names for rows and columns, all positive."""
    X = np.abs(correlated(80, seed=1, n_features=4))
    return pd.DataFrame(X, columns=list("abcd"), index=[f"r{i}" for i in range(80)])


@pytest.fixture(scope="module")
def labeled():
    return make_heartbeats(400, anomaly_share=0.2, random_state=0)


@pytest.fixture(scope="module")
def fitted(labeled):
    X, y = labeled
    return FitOnInliers(pca(4)).fit(X[:200], y[:200])


class Constant(OutlierMixin, BaseEstimator):
    """A detector whose scores are given."""

    def __init__(self, score=-1.0):
        self.score = score

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return np.full(len(X), self.score)


class Given(OutlierMixin, BaseEstimator):
    """A detector whose errors are the only feature."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return -X[:, 0]


# --- explain -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("autoencoder", "auto"),
        *[
            (kind, error)
            for kind in ("pca", "autoencoder")
            for error in ("mse", "mae", "msle", lambda X, again: (X - again) ** 4)
        ],
    ],
)
def test_contributions_add_up_to_the_error(kind, error, make_detector, heartbeats):
    X, y = heartbeats
    detector = pca(error=error) if kind == "pca" else make_detector(epochs=2, error=error)
    detector.fit(X[y == 1])
    explanation = explain(detector, X[:30], top=None)
    assert explanation.columns.to_list() == COLUMNS
    sums = explanation.groupby("row")["contribution"].sum()
    np.testing.assert_allclose(sums, -detector.score_samples(X[:30]), rtol=1e-6)
    errors = detector.feature_errors(X[:30])
    if error != "auto":
        np.testing.assert_array_equal(
            errors, detector.reconstruction_error(X[:30], per_feature=True)
        )
    np.testing.assert_allclose(
        explanation["contribution"], errors[explanation["row"], explanation["feature"]] / 140
    )
    np.testing.assert_allclose(
        explanation["unusualness"],
        errors[explanation["row"], explanation["feature"]]
        / detector.feature_errors_[explanation["feature"]],
    )


@pytest.mark.parametrize("top", [1, 3, 4, 9, None])
def test_the_table_is_tidy_and_sorted(top, table):
    detector = pca().fit(table)
    rows = table.iloc[[5, 3, 70]]
    explanation = explain(detector, rows, top=top)
    n_listed = min(top or 4, 4)
    assert explanation.shape == (3 * n_listed, 7)
    assert explanation["row"].to_list() == np.repeat(["r5", "r3", "r70"], n_listed).tolist()
    assert explanation.index.equals(pd.RangeIndex(3 * n_listed))
    errors = pd.DataFrame(
        detector.reconstruction_error(rows, per_feature=True), rows.index, rows.columns
    )
    again = pd.DataFrame(detector.reconstruct(rows), rows.index, rows.columns)
    for label, listed in explanation.groupby("row", sort=False):
        assert listed["contribution"].is_monotonic_decreasing
        largest = errors.loc[label].sort_values(ascending=False).head(n_listed)
        assert listed["feature"].to_list() == largest.index.to_list()
        names = listed["feature"]
        np.testing.assert_array_equal(listed["value"], rows.loc[label, names])
        np.testing.assert_array_equal(listed["reconstruction"], again.loc[label, names])


def test_five_features_are_listed_by_default(heartbeats):
    X, _ = heartbeats
    assert len(explain(pca().fit(X), X[:3])) == 15


def test_ties_stay_in_the_order_of_the_features():
    detector = pca(1).fit(np.outer(np.arange(20.0), np.ones(6)))
    explanation = explain(detector, np.zeros((1, 6)), top=None)
    explanation = explanation[explanation["contribution"] == 0]
    assert explanation["feature"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("nest", "scaler"),
    [
        (lambda pipeline: pipeline, MinMaxScaler()),
        (lambda pipeline: pipeline, StandardScaler()),
        (lambda pipeline: pipeline, FunctionTransformer(np.log, np.exp)),
        (lambda pipeline: pipeline, StandardScaler().set_output(transform="pandas")),
        (FitOnInliers, MinMaxScaler()),
        (lambda pipeline: ThresholdedOutlierDetector(FitOnInliers(pipeline)), StandardScaler()),
        (lambda pipeline: make_pipeline(MinMaxScaler(), pipeline), StandardScaler()),
    ],
)
def test_values_are_in_the_units_of_the_data(nest, scaler, table):
    detector = nest(make_pipeline(scaler, pca())).fit(table)
    explanation = explain(detector, table[:10], top=None)
    given = table.stack().loc[pd.MultiIndex.from_frame(explanation[["row", "feature"]])]
    np.testing.assert_allclose(explanation["value"], given)
    spread = table.std()[explanation["feature"]].to_numpy()
    misses = np.abs(explanation["value"] - explanation["reconstruction"]) / spread
    assert 0 < misses.max() < 3
    sums = explanation.groupby("row", sort=False)["contribution"].sum()
    np.testing.assert_allclose(sums, -detector.score_samples(table[:10]))


def test_the_autoencoder_in_a_pipeline(scaled_detector, heartbeats):
    X, _ = heartbeats
    explanation = explain(scaled_detector, X[:4], top=None)
    np.testing.assert_allclose(
        explanation["value"], X[explanation["row"], explanation["feature"]], atol=1e-5
    )
    scaler, inner = (step for _, step in scaled_detector.estimator_.steps)
    again = scaler.inverse_transform(inner.reconstruct(scaler.transform(X[:4])))
    np.testing.assert_allclose(
        explanation["reconstruction"], again[explanation["row"], explanation["feature"]], atol=1e-5
    )


@pytest.mark.parametrize(
    "transform",
    [
        FunctionTransformer(np.log),
        FunctionTransformer(lambda X: np.log(X.to_numpy())),
        FunctionTransformer(lambda X: np.column_stack([np.sin(X), np.cos(X)])),
    ],
)
def test_what_cannot_be_taken_back_is_missing(transform, table):
    detector = make_pipeline(transform, pca(1)).fit(table)
    explanation = explain(detector, table[:10], top=None)
    assert sorted(explanation["feature"].unique()) == list("abcd")
    given = table.stack().loc[pd.MultiIndex.from_frame(explanation[["row", "feature"]])]
    np.testing.assert_array_equal(explanation["value"], given)
    assert explanation["reconstruction"].isna().all()
    sums = explanation.groupby("row", sort=False)["contribution"].sum()
    np.testing.assert_allclose(sums, -detector.score_samples(table[:10]))


def test_columns_behind_a_column_transformer(table):
    columns = ColumnTransformer([("s", StandardScaler(), ["d", "a", "c"])])
    detector = make_pipeline(columns, pca(1)).fit(table)
    explanation = explain(detector, table[:10], top=None)
    assert sorted(explanation["feature"].unique()) == ["a", "c", "d"]
    cells = pd.MultiIndex.from_frame(explanation[["row", "feature"]])
    np.testing.assert_array_equal(explanation["value"], table.stack().loc[cells])
    scaled = detector[-1].reconstruct(columns.transform(table[:10]))
    again = columns.named_transformers_["s"].inverse_transform(scaled)
    again = pd.DataFrame(again, table.index[:10], ["d", "a", "c"]).stack()
    np.testing.assert_allclose(explanation["reconstruction"], again.loc[cells])


@pytest.mark.parametrize("n_components", [3, 4])  # 4 are invertible, but mix the columns
def test_combined_columns_are_shown_as_the_detector_sees_them(n_components, table):
    transform = PCA(n_components)
    names = [f"pca{i}" for i in range(n_components)]
    detector = make_pipeline(transform, pca(1)).fit(table)
    explanation = explain(detector, table[:10], top=None)
    assert sorted(explanation["feature"].unique(), key=str) == names
    seen = np.asarray(transform.transform(table[:10]))
    position = explanation["feature"].map({name: i for i, name in enumerate(names)})
    row = explanation["row"].map(table.index.get_loc)
    np.testing.assert_allclose(explanation["value"], seen[row, position])
    again = detector[-1].reconstruct(transform.transform(table[:10]))
    np.testing.assert_allclose(explanation["reconstruction"], again[row, position])


def test_features_are_named_after_what_fit_was_given(table):
    for detector in (pca(), make_pipeline(FunctionTransformer(), pca())):
        explanation = explain(detector.fit(table), table.rename(columns=str), top=1)
        assert explanation["feature"].isin(list("abcd")).all()
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        explanation = explain(pca().fit(table), table.to_numpy(), top=1)
    assert explanation["feature"].isin(list("abcd")).all()
    assert explanation["row"].to_list() == list(range(80))


def test_features_and_rows_without_names_are_numbered(table):
    X = table.to_numpy()
    explanation = explain(pca().fit(X), X[:2].tolist(), top=None)
    assert sorted(explanation["feature"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert explanation["row"].to_list() == [0, 0, 0, 0, 1, 1, 1, 1]
    by_number = pd.DataFrame(X, columns=[10, 20, 30, 40])
    assert set(explain(pca().fit(by_number), by_number, top=None)["feature"]) == {10, 20, 30, 40}


def test_labels_of_rows_may_repeat_and_have_levels(table):
    detector = pca().fit(table)
    rows = table[:3].set_axis(["x", "x", "w"])
    assert explain(detector, rows, top=1)["row"].to_list() == ["x", "x", "w"]
    rows = table[:2].set_axis(pd.MultiIndex.from_tuples([("p", 1), ("p", 2)]))
    assert explain(detector, rows, top=1)["row"].to_list() == [("p", 1), ("p", 2)]
    days = table[:2].set_axis(pd.date_range("2024-01-01", periods=2))
    assert explain(detector, days, top=1)["row"].to_list() == days.index.to_list()


@pytest.mark.parametrize("make", [pca, AutoencoderOutlierDetector], ids=["pca", "autoencoder"])
def test_a_wrong_value_is_found(make):
    X, rows = correlated(600, seed=1), correlated(500, seed=2)
    random = np.random.default_rng(3)
    wrong = random.integers(X.shape[1], size=500)
    amount = 4 * X.std(axis=0)[wrong] * random.choice([-1, 1], size=500)
    rows[np.arange(500), wrong] += amount
    is_network = make is AutoencoderOutlierDetector
    inner = make(activation="relu", random_state=0) if is_network else make(3)
    detector = make_pipeline(StandardScaler(), inner).fit(X)
    first = explain(detector, rows, top=1)
    assert np.mean(first["feature"] == wrong) >= 0.95
    found = first[first["feature"] == wrong]
    assert np.mean(found["unusualness"] > 20) >= 0.95
    # The reconstruction tells the better value.
    amount = amount[found["row"]]
    assert np.median((found["value"] - found["reconstruction"]) / amount) == pytest.approx(
        1, abs=0.35
    )


def test_abnormal_beats_are_explained_where_they_differ(ecg5000_split):
    X, X_test, y, y_test = ecg5000_split
    detector = FitOnInliers(make_pipeline(MinMaxScaler(), pca(4))).fit(X, y)
    abnormal = X_test[y_test == -1]
    explanation = explain(detector, abnormal, top=10)
    normal = X[y == 1]
    distance = np.abs(abnormal - normal.mean(axis=0)) / normal.std(axis=0)
    listed = distance[explanation["row"], explanation["feature"]]
    assert listed.mean() > 1.5 * distance.mean()
    # Ten of 140 features hold a large part of the error, and are unusual.
    shares = explanation.groupby("row")["contribution"].sum() / -detector.score_samples(abnormal)
    assert shares.median() > 0.3
    assert explanation["unusualness"].median() > 10
    usual = explain(detector, X_test[y_test == 1], top=None)["unusualness"]
    assert 0.8 < usual.mean() < 1.6


def test_unusualness_is_relative_to_the_rows_that_set_the_offset(heartbeats, make_detector):
    X, y = heartbeats
    X = X[y == 1]
    plain = make_detector(epochs=2, error="mse").fit(X)
    np.testing.assert_allclose(
        plain.feature_errors_, plain.feature_errors(X).mean(axis=0), rtol=1e-3
    )
    assert plain.feature_errors_.dtype == np.float64
    usual = explain(plain, X, top=None).groupby("feature")["unusualness"].mean()
    np.testing.assert_allclose(usual, 1, rtol=1e-3)
    held_out = make_detector(epochs=2, validation_fraction=0.25)
    held_out.fit(X)
    rows = drawn(round(0.25 * len(X)), len(X), np.random.RandomState(0)).held_out
    np.testing.assert_allclose(
        held_out.feature_errors_, held_out.feature_errors(X[rows]).mean(axis=0), rtol=1e-3
    )


def test_of_many_rows_some_are_enough(heartbeats, make_detector, monkeypatch):
    monkeypatch.setattr("skae._network.scorer._MAX_SAMPLE", 100)
    X, y = heartbeats
    X = X[y == 1]
    assert 200 < len(X) < 300
    detector = make_detector(epochs=1, error="mse").fit(X)
    np.testing.assert_allclose(
        detector.feature_errors_, detector.feature_errors(X[::3]).mean(axis=0), rtol=1e-3
    )


@pytest.mark.parametrize(("most", "step"), [(100, 1), (50, 1), (49, 2), (16, 4)])
def test_feature_errors_of_any_reconstructor(most, step, monkeypatch):
    monkeypatch.setattr("skae._network.scorer._MAX_SAMPLE", most)
    X = np.random.default_rng(0).normal(size=(50, 4))
    detector = pca().fit(X)
    errors = detector.reconstruction_error(X, per_feature=True)
    np.testing.assert_allclose(detector.feature_errors_, errors[::step].mean(axis=0))


def test_errors_that_are_not_finite_are_left_out_of_the_means(heartbeats, make_detector):
    X, _ = heartbeats
    X = X.copy()
    X[0, 0] = -7

    def error(X, again):
        return np.where(X == -7, np.inf, 1.0)

    detector = make_detector(epochs=1, error=error, contamination=0.1).fit(X)
    np.testing.assert_array_equal(detector.feature_errors_, np.ones(140))
    explanation = explain(detector, X[:1], top=2)
    assert explanation["contribution"].to_list() == [np.inf, 1 / 140]
    assert explanation["unusualness"].to_list() == [np.inf, 1]
    # Of no finite error there is no mean, and infinity is as usual.
    X[:, 1] = -7
    explanation = explain(detector, X[1:2], top=2, reference=X[2:])
    assert explanation["feature"].to_list() == [1, 0]
    assert explanation["contribution"].to_list() == [np.inf, 1 / 140]
    assert explanation["unusualness"].to_list() == [1, 1]


def test_reference_rows_take_the_place_of_those_of_fit(table):
    detector = make_pipeline(StandardScaler(), pca()).fit(table[:40])
    reference = table[40:60]
    explanation = explain(detector, table[:5], top=None, reference=reference)
    errors = detector[-1].reconstruction_error(detector[0].transform(reference), per_feature=True)
    mean = pd.Series(errors.mean(axis=0) / 4, index=table.columns)
    np.testing.assert_allclose(
        explanation["unusualness"],
        explanation["contribution"] / mean[explanation["feature"]].to_numpy(),
    )


def test_without_feature_errors_reference_rows_are_needed(table):
    class Foreign(BaseEstimator):
        """Reconstructs rows, but keeps no `feature_errors_`."""

        def fit(self, X):
            self.inner_ = pca().fit(X)
            return self

        def reconstruct(self, X):
            return self.inner_.reconstruct(X)

        def reconstruction_error(self, X, per_feature=False):
            return self.inner_.reconstruction_error(X, per_feature)

    detector = Foreign().fit(table)
    assert np.isfinite(explain(detector.inner_, table)["unusualness"]).all()
    assert explain(detector, table)["unusualness"].isna().all()
    assert np.isfinite(explain(detector, table, reference=table)["unusualness"]).all()


def test_a_constant_column_is_unusual_only_where_it_changes():
    X = correlated(200, seed=1)
    X[:, 5] = 0.1
    detector = make_pipeline(StandardScaler(), pca(3)).fit(X)
    usual = explain(detector, X, top=None).groupby("feature")["unusualness"].max()
    assert usual[5] < 1.5
    row = X[:1].copy()
    row[0, 5] += 1
    explanation = explain(detector, row, top=1)
    assert explanation.loc[0, "feature"] == 5
    assert explanation.loc[0, "unusualness"] > 1e9


def test_where_all_was_perfect_every_error_is_infinitely_unusual():
    X = np.repeat(np.arange(20.0)[:, None], 3, axis=1)
    identity = FunctionTransformer(np.floor, np.floor)
    detector = ReconstructionOutlierDetector(identity).fit(X)
    assert not detector.feature_errors_.any()
    explanation = explain(detector, [[1.5, 2.0, 3.0]])
    assert explanation["unusualness"].to_list() == [np.inf, 1.0, 1.0]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_infinite_contributions_come_first():
    X = correlated(50, seed=1)
    detector = make_pipeline(StandardScaler(), pca(3)).fit(X)
    row = X[:1].copy()
    row[0, 7] = 1e300
    explanation = explain(detector, row, top=None)
    assert explanation.loc[0, "contribution"] == np.inf
    assert not explanation.isna().any(axis=None)
    assert explanation["contribution"].is_monotonic_decreasing


def test_infinite_reconstructions_are_shown_as_such():
    class Overflowing(LinearRegression):
        def predict(self, X):
            return np.where(X > 3, np.inf, X)

    X = np.arange(40.0).reshape(20, 2)
    detector = make_pipeline(StandardScaler(), ReconstructionOutlierDetector(Overflowing()))
    detector.fit(X)
    explanation = explain(detector, [[1.0, 100.0]])
    assert explanation["reconstruction"].to_list() == [np.inf, 1.0]
    assert explanation["value"].to_list() == [100.0, 1.0]
    assert explanation["contribution"].to_list() == [np.inf, 0.0]


@pytest.mark.parametrize("top", [0, -1, 1.5, True, "all"])
def test_unfit_top_is_refused(top, table):
    with pytest.raises(ValueError, match="top must be None or a whole number of features >= 1"):
        explain(pca().fit(table), table, top)


@pytest.mark.parametrize(
    "estimator",
    [IsolationForest(n_estimators=2), make_pipeline(MinMaxScaler(), OneClassSVM())],
)
def test_detectors_that_do_not_reconstruct_are_refused(estimator, table):
    with pytest.raises(TypeError, match=r"has no reconstruction errors.*Autoencoder.*SHAP"):
        explain(estimator.fit(table), table)


def test_bad_rows_are_refused_by_explain(table):
    detector = make_pipeline(StandardScaler(), pca())
    with pytest.raises(NotFittedError):
        explain(detector, table)
    detector.fit(table.to_numpy())
    X = table.to_numpy().copy()
    with pytest.raises(ValueError, match="expecting 4 features"):
        explain(detector, X[:, :3])
    with pytest.raises(ValueError, match="expecting 4 features"):
        explain(detector, X, reference=X[:, :3])
    with pytest.raises(ValueError, match="Expected 2D array"):
        explain(detector, X[0])
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        explain(detector, X)


# --- threshold_report ----------------------------------------------------------------------------


def all_rules(needs_labels):
    rules = {rule.__name__ for rule in SHORT_NAMES.values() if rule.needs_labels is needs_labels}
    assert rules
    return rules


def names(report):
    return [name.split("(")[0] for name in report.index]


def test_all_rules_are_in_the_report(fitted, labeled):
    X, y = labeled[0][200:], labeled[1][200:]
    report = threshold_report(fitted, X)
    assert report.columns.to_list() == ["threshold", "alarms", "alarm_rate", "note"]
    assert report.index.name == "rule"
    assert names(report)[0] == "fitted"
    assert sorted(names(report)[1:]) == sorted(all_rules(False))
    report = threshold_report(fitted, X, y)
    assert sorted(names(report)[1:]) == sorted(all_rules(False) | all_rules(True))
    assert set(names(report)[-len(all_rules(True)) :]) == all_rules(True)
    assert "MeanStd(k=1.0)" in report.index
    one_class = threshold_report(fitted, X[y == 1], y[y == 1])
    assert sorted(names(one_class)[1:]) == sorted(all_rules(False))
    assert one_class[["recall", "precision_low"]].loc["fitted"].isna()["recall"]


def test_thresholds_are_those_of_the_rules(fitted, labeled):
    X, y = labeled
    errors = -fitted.score_samples(X)
    rules = ["mean_std", Quantile(q=0.9), Youden()]
    report = threshold_report(fitted, X, y, rules=rules)
    expected = {
        "fitted": -fitted.offset_,
        "MeanStd(k=1.0)": MeanStd().threshold(errors[y == 1]),
        "Quantile(q=0.9)": Quantile(q=0.9).threshold(errors[y == 1]),
        "Youden()": Youden().threshold(errors, y == -1),
    }
    assert report["threshold"].to_dict() == expected
    without = threshold_report(fitted, X, rules=rules[:2])
    assert "FixedThreshold(value=0.5)" in threshold_report(fitted, X, rules=0.5).index
    assert without.loc["MeanStd(k=1.0)", "threshold"] == MeanStd().threshold(errors)


def test_numbers_are_those_of_sklearn(fitted, labeled):
    X, y = labeled
    errors = -fitted.score_samples(X)
    report = threshold_report(fitted, X, y)
    usable = report[report["note"] == ""]
    assert len(usable) >= 5
    for _, found in usable.iterrows():
        flagged = np.where(errors > found["threshold"], -1, 1)
        assert found["alarms"] == np.sum(flagged == -1)
        assert found["alarm_rate"] == np.mean(flagged == -1)
        assert found["precision"] == pytest.approx(precision_score(y, flagged, pos_label=-1))
        assert found["recall"] == pytest.approx(recall_score(y, flagged, pos_label=-1))
        (_, _), (false_alarms, passed) = confusion_matrix(y, flagged, labels=[-1, 1])
        assert found["fpr"] == pytest.approx(false_alarms / (false_alarms + passed))
        for name in SHARES:
            assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    fitted_row = report.loc["fitted"]
    assert fitted_row["alarms"] == np.sum(fitted.predict(X) == -1)


def test_intervals_are_exact(fitted, labeled):
    X, y = labeled
    for confidence in (0.5, 0.95):
        report = threshold_report(fitted, X, y, rules=[], confidence=confidence)
        flagged = fitted.predict(X) == -1
        count, of = np.sum(flagged & (y == -1)), np.sum(y == -1)
        assert 0 < count < of
        tail = (1 - confidence) / 2
        assert report.loc["fitted", "recall_low"] == pytest.approx(
            beta.ppf(tail, count, of - count + 1)
        )
        assert report.loc["fitted", "recall_high"] == pytest.approx(
            beta.ppf(1 - tail, count + 1, of - count)
        )


def test_the_band_of_recall_holds_the_recall_of_the_exact_threshold():
    """Errors of normal rows are uniform: the threshold with a budget of b is 1 - b."""
    random = np.random.default_rng(0)
    budgets = {
        name: FalsePositiveRate(rate, None) for name, rate in (("tight", 0.01), ("wide", 0.1))
    }
    y = np.repeat([1, -1], [300, 100])
    is_held, widths = [], []
    for _ in range(200):
        errors = np.r_[random.random(300), random.random(100) + 0.5]
        report = threshold_report(Given().fit(errors[:, None]), errors[:, None], y, rules=budgets)
        for name, rate in (("tight", 0.01), ("wide", 0.1)):
            worst, best = report.loc[name, ["recall_worst", "recall_best"]]
            assert worst <= report.loc[name, "recall"] <= best
            is_held.append(worst <= np.mean(errors[y == -1] > 1 - rate) <= best)
            widths.append(best - worst)
    assert np.mean(is_held) >= 0.95
    assert report["recall_worst"].isna().to_list() == [False, False]
    exact = np.sort(errors[y == 1])[::-1]
    fewest, most = binom.interval(0.95, 300, 0.1)
    assert report.loc["wide", "recall_worst"] == np.mean(errors[y == -1] > exact[int(fewest) - 1])
    assert report.loc["wide", "recall_best"] == np.mean(errors[y == -1] > exact[int(most)])


def test_where_the_largest_error_may_be_too_low_the_worst_recall_is_zero(fitted, labeled):
    X, y = labeled
    rules = [FalsePositiveRate(0.001, None), PeaksOverThreshold(0.05), Quantile(1.0), MeanStd()]
    band = threshold_report(fitted, X, y, rules=rules)[["recall_worst", "recall_best"]]
    assert band.iloc[1, 0] == 0 < band.iloc[1, 1]
    assert band.iloc[2].between(0.01, 1).all()
    assert band.iloc[[0, 3, 4]].isna().all(axis=None)  # no budget, or none at all
    assert "recall_worst" not in threshold_report(fitted, X, rules=rules)


def test_shares_of_nothing_are_nan(fitted, labeled):
    X, y = labeled
    never = threshold_report(fitted, X, y, rules={"never": MeanStd(k=1e6)}).loc["never"]
    assert never["alarms"] == never["alarm_rate"] == never["recall"] == never["fpr"] == 0
    assert never["recall_low"] == 0 < never["recall_high"] < 0.1
    assert never[["precision", "precision_low", "precision_high"]].isna().all()
    assert never["note"] == ""
    clean = threshold_report(fitted, X[y == 1], y[y == 1], rules=[]).loc["fitted"]
    assert clean[["recall", "recall_low", "recall_high"]].isna().all()
    assert np.isfinite(clean["fpr"])


def test_a_rule_that_refuses_says_why(fitted, labeled):
    X, y = labeled

    class Picky(MeanStd):
        def _threshold(self, errors, is_outlier):
            raise ValueError("too few rows for me")

    report = threshold_report(fitted, X, y, rules=[Picky(k=2.0), "quantile"])
    assert report["note"].to_list() == ["", "too few rows for me", ""]
    assert report.loc["Picky(k=2.0)"].drop("note").isna().all()
    assert np.isfinite(report.loc["Quantile(q=0.95)", "recall"])
    report = threshold_report(fitted, X, y, rules=[-5.0])
    assert "for offset_=-5 give 5." in report.loc["FixedThreshold(value=-5.0)", "note"]
    assert report.loc["FixedThreshold(value=-5.0)"].drop("note").isna().all()
    report = threshold_report(fitted, X, rules=["youden"])
    assert "learns from labels and got none" in report.loc["Youden()", "note"]
    report = threshold_report(fitted, X[y == -1], y[y == -1], rules=["youden", "mean_std"])
    assert "needs rows of both classes" in report.loc["Youden()", "note"]
    assert report.loc["MeanStd(k=1.0)", "note"] == "y calls no row normal."
    assert report.loc["fitted", "recall"] == np.mean(fitted.predict(X[y == -1]) == -1)


def test_names_of_rules(fitted, labeled):
    X, y = labeled
    for rules in ("quantile", Quantile(), [Quantile()], ("quantile",)):
        assert threshold_report(fitted, X, rules=rules).index[1:].to_list() == ["Quantile(q=0.95)"]
    named = {"fitted": "quantile", "best": FBeta(beta=2.0)}
    report = threshold_report(fitted, X, y, rules=named)
    assert report.index.to_list() == ["fitted", "fitted (rule)", "best"]
    assert report.loc["fitted", "threshold"] == -fitted.offset_

    class Bare:
        def threshold(self, errors, is_outlier=None):
            return 0.0

        def __repr__(self):
            return "Bare"

    report = threshold_report(fitted, X, rules=Bare())
    assert report.loc["Bare", "alarms"] == len(X)


def test_training_errors_understate_new_ones():
    X = correlated(90, seed=1, n_features=40)
    train, test = X[:45], X[45:]
    detector = make_pipeline(StandardScaler(), pca(20)).fit(train)
    y = np.ones(45)
    y[:5] = -1
    test[:5] *= 2
    report = threshold_report(detector, test, y, X_train=train, rules=["mean_std", "fbeta"])
    errors, train_errors = -detector.score_samples(test), -detector.score_samples(train)
    found = report.loc["MeanStd(k=1.0)"]
    assert found["threshold_train"] == MeanStd().threshold(train_errors)
    assert found["ratio"] == pytest.approx(found["threshold"] / found["threshold_train"])
    assert found["ratio"] > 1.5
    assert (
        report.loc[["fitted", "FBeta(beta=1.0)"], ["threshold_train", "ratio"]]
        .isna()
        .all(axis=None)
    )
    assert report.attrs["error_ratio"] == pytest.approx(errors[5:].mean() / train_errors.mean())
    assert report.attrs["error_ratio"] > 1.5
    assert report.columns.to_list()[-3:] == ["threshold_train", "ratio", "note"]
    assert "error_ratio" not in threshold_report(detector, test, y).attrs
    outliers = threshold_report(detector, test[:5], y[:5], X_train=train)
    assert np.isnan(outliers.attrs["error_ratio"])


def test_too_few_training_rows_do_not_hide_a_threshold(fitted, labeled):
    class NeedsHundred(MeanStd):
        def _threshold(self, errors, is_outlier):
            if len(errors) < 100:
                raise ValueError("too few")
            return super()._threshold(errors, is_outlier)

    X, _ = labeled
    found = threshold_report(fitted, X, rules=NeedsHundred(), X_train=X[:20]).iloc[1]
    assert np.isfinite(found["threshold"])
    assert found[["threshold_train", "ratio"]].isna().all()
    assert found["note"] == ""


@pytest.mark.parametrize(
    ("estimator", "has_offset"),
    [
        (IsolationForest(n_estimators=5, random_state=0), True),
        (OneClassSVM(nu=0.1), True),
        (LocalOutlierFactor(novelty=True), True),
        (make_pipeline(MinMaxScaler(), pca(4)), True),
        (FitOnInliers(make_pipeline(MinMaxScaler(), pca(4))), True),
        (ThresholdedOutlierDetector(make_pipeline(MinMaxScaler(), pca(4)), "youden"), True),
        (FrozenEstimator(make_pipeline(MinMaxScaler(), pca(4))), True),
        (
            GridSearchCV(
                FitOnInliers(make_pipeline(MinMaxScaler(), pca(4))),
                {"inlier_label": ["auto"]},
                scoring=lambda detector, X, y: 0.0,
                cv=2,
            ),
            True,
        ),
        (make_pipeline("passthrough", Constant()), False),
    ],
)
def test_any_detector_will_do(estimator, has_offset, labeled):
    X, y = labeled
    if isinstance(estimator, FrozenEstimator):
        estimator.estimator.fit(X[:200])
    estimator.fit(X[:200], y[:200])
    report = threshold_report(estimator, X[200:], y[200:], rules=["quantile", "youden"])
    assert ("fitted" in report.index) is has_offset
    assert (fitted_offset(estimator) is not None) is has_offset
    if has_offset:
        expected = np.sum(estimator.predict(X[200:]) == -1)
        assert report.loc["fitted", "alarms"] == pytest.approx(expected, abs=1)


def test_named_labels(fitted, labeled):
    X, y = labeled
    words = np.where(y == 1, "fine", "broken")
    expected = threshold_report(fitted, X, y)
    for label in ({"inlier_label": "fine"}, {"outlier_label": "broken"}):
        pd.testing.assert_frame_equal(threshold_report(fitted, X, words, **label), expected)
    with pytest.raises(ValueError, match="do not say what is normal"):
        threshold_report(fitted, X, words)


@pytest.mark.filterwarnings("error")
def test_constant_errors_and_few_rows(fitted, labeled):
    X, y = labeled
    for detector in (Constant().fit(X), Constant(0.0).fit(X)):
        report = threshold_report(detector, X, y, X_train=X)
        unrefused = report[report["note"] == ""]
        assert "MeanStd(k=1.0)" in unrefused.index
        assert (unrefused["threshold"] <= -detector.score * (1 + 1e-6)).all()
    for n_rows in (1, 2, 10):
        report = threshold_report(fitted, X[:n_rows], y[:n_rows], X_train=X[:n_rows])
        assert report.loc["fitted", "note"] == ""
        assert (report["threshold"].isna() == (report["note"] != "")).all()
        assert report["note"].map(type).eq(str).all()


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_errors_that_are_not_finite_are_refused(bad, labeled):
    X, y = labeled
    with pytest.raises(ValueError, match="Of the 400 errors of X 400 are not finite"):
        threshold_report(Constant(bad).fit(X), X, y)


def test_bad_input_is_refused_by_the_report(fitted, labeled):
    X, y = labeled
    with pytest.raises(NotFittedError):
        threshold_report(pca(), X)
    with pytest.raises(TypeError, match="has no `score_samples`"):
        threshold_report(LocalOutlierFactor().fit(X), X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        threshold_report(fitted, X, y[:-1])
    with pytest.raises(TypeError, match="A threshold rule is a number, one of"):
        threshold_report(fitted, X, rules=["median"])
    for confidence in (0, 1, 95, "high"):
        with pytest.raises(ValueError, match="'confidence' parameter of threshold_report"):
            threshold_report(fitted, X, confidence=confidence)
