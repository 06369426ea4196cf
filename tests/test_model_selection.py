import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, IsolationForest, StackingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    StratifiedShuffleSplit,
    cross_val_predict,
    cross_validate,
)
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.metrics import anomaly_scorer, anomaly_scorers
from skae.model_selection import (
    StratifiedNoveltyKFold,
    StratifiedOutlierKFold,
    compare_detectors,
    cross_val_scores,
)

mpl.use("Agg")

SPLITTERS = [StratifiedOutlierKFold, StratifiedNoveltyKFold]


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def forest(**params):
    return IsolationForest(n_estimators=10, random_state=0, **params)


def pca(n_components=4):
    return ReconstructionOutlierDetector(PCA(n_components), random_state=0)


def labels_of(n_inliers, *n_outliers_of_each_kind):
    kinds = np.arange(len(n_outliers_of_each_kind) + 1)
    return np.repeat(kinds, [n_inliers, *n_outliers_of_each_kind])


# Splitting


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize(
    "y",
    [
        labels_of(41, 13, 7, 1),  # of the last kind, there are fewer rows than folds
        np.repeat([1, 0, 2], [6, 9, 6]),  # inliers between two kinds of outliers
    ],
)
def test_every_fold_has_its_share(splitter, n_splits, y):
    cv = splitter(n_splits, inlier_label=0, random_state=0)
    assert cv.get_n_splits() == n_splits
    splits = list(cv.split(y, y))
    assert len(splits) == n_splits
    tested = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(y)))
    counts = np.array([np.bincount(y[test], minlength=4) for _, test in splits])
    for per_fold in (*counts.T, counts[:, 1:].sum(axis=1), counts.sum(axis=1)):
        assert np.ptp(per_fold) <= 1
    for train, test in splits:
        others = np.setdiff1d(np.arange(len(y)), test)
        keeps_outliers = splitter is StratifiedOutlierKFold
        expected = others if keeps_outliers else others[y[others] == 0]
        np.testing.assert_array_equal(train, expected)


CODINGS = [
    (1, -1, {}),
    (1.0, -1.0, {}),
    (0, 1, {"inlier_label": 0}),
    (0, 1, {"outlier_label": 1}),
    (1, 0, {"outlier_label": 0}),
    (False, True, {"outlier_label": True}),
    ("ok", "bad", {"inlier_label": "ok"}),
]


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize(("inlier", "outlier", "named"), CODINGS)
def test_codings_give_the_same_folds(splitter, inlier, outlier, named):
    is_inlier = np.arange(30) < 20
    y = np.where(is_inlier, inlier, outlier)
    expected = list(splitter(3, random_state=1).split(is_inlier, np.where(is_inlier, 1, -1)))
    for labels in (y, y.tolist(), pd.Series(y, index=np.arange(30)[::-1]), y.astype(object)):
        splits = splitter(3, random_state=1, **named).split(pd.DataFrame({"a": y}), labels)
        for split, expected_split in zip(splits, expected, strict=True):
            np.testing.assert_array_equal(split[0], expected_split[0])
            np.testing.assert_array_equal(split[1], expected_split[1])


def test_novelty_folds_are_tested_on_the_same_rows():
    y = labels_of(20, 10)
    settings = {"n_splits": 4, "inlier_label": 0, "random_state": 3}
    pairs = zip(
        StratifiedOutlierKFold(**settings).split(y, y),
        StratifiedNoveltyKFold(**settings).split(y, y),
        strict=True,
    )
    for (train, test), (train_novelty, test_novelty) in pairs:
        np.testing.assert_array_equal(test, test_novelty)
        np.testing.assert_array_equal(train[y[train] == 0], train_novelty)
        assert (y[train] == 1).any()


def test_shuffling():
    y = labels_of(50, 50)

    def first_test(random_state):
        splitter = StratifiedOutlierKFold(5, inlier_label=0, random_state=random_state)
        return next(splitter.split(y, y))[1].tolist()

    assert first_test(0) == first_test(0)
    assert first_test(0) != first_test(1)
    assert first_test(None) != first_test(None)
    inliers_of_unshuffled_folds = list(range(0, 50, 5))
    assert first_test(0)[:10] != inliers_of_unshuffled_folds
    state = np.random.RandomState(0)
    assert first_test(state) != first_test(state)
    before = np.random.get_state()[1].copy()
    first_test(0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_groups_stay_together(splitter):
    rng = np.random.default_rng(0)
    y = rng.choice([1, -1], 200, p=[0.8, 0.2])
    groups = rng.integers(0, 40, 200)
    n_tested = 0
    for train, test in splitter(4, random_state=0).split(y, y, groups):
        assert abs(np.mean(y[test] == -1) - np.mean(y == -1)) < 0.05
        assert not set(groups[train]) & set(groups[test])
        assert set(y[test]) == {1, -1}
        assert (splitter is StratifiedNoveltyKFold) == (set(y[train]) == {1})
        n_tested += len(test)
    assert n_tested == 200


def test_groups_are_shuffled():
    y, groups = np.tile([1, -1], 40), np.repeat(np.arange(20), 4)

    def first_test(random_state):
        splitter = StratifiedOutlierKFold(4, random_state=random_state)
        return next(splitter.split(y, y, groups))[1].tolist()

    assert first_test(0) == first_test(0)
    assert first_test(0) != first_test(1)


def test_groups_that_cannot_be_split():
    y = np.repeat([1, -1], 10)
    with pytest.raises(ValueError, match=r"The groups leave .* fewer than n_splits=2 folds"):
        list(StratifiedOutlierKFold(2).split(y, y, y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(StratifiedOutlierKFold(2).split(y, y, y[:-1]))


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize(
    ("y", "named", "message"),
    [
        ([1] * 9 + [-1], {}, r"9 inliers and 1 outliers.*n_splits=5.*more labeled rows"),
        ([-1] * 9 + [1], {}, r"1 inliers and 9 outliers.*more labeled rows"),
        ([1] * 9 + [-1] * 3, {}, r"9 inliers and 3 outliers.*take n_splits=3"),
        ([1] * 9, {}, r"9 inliers and 0 outliers"),
        ([0, 1] * 9, {}, "do not say what is normal"),
        ([0, 1] * 9, {"inlier_label": "0"}, "does not occur"),
        ([1, -1, np.nan] * 9, {}, "y has missing values"),
        (None, {}, "needs labels: y is None"),
    ],
)
def test_labels_that_cannot_be_split(splitter, y, named, message):
    with pytest.raises(ValueError, match=message):
        list(splitter(**named).split(np.zeros((len(y or "abc"), 1)), y))


@pytest.mark.parametrize("n_splits", [1, 0, 2.5, "3"])
def test_number_of_folds(n_splits):
    with pytest.raises(ValueError, match=r"'n_splits' .* range \[2, inf\)"):
        StratifiedOutlierKFold(n_splits)


def test_splitters_can_be_read_and_cloned():
    splitter = StratifiedNoveltyKFold(3, outlier_label="x", random_state=0)
    words = (
        "StratifiedNoveltyKFold(inlier_label='auto', n_splits=3, outlier_label='x', random_state=0)"
    )
    assert " ".join(repr(splitter).split()) == words
    assert repr(clone(GridSearchCV(forest(), {}, cv=splitter)).cv) == repr(splitter)


def test_searches_take_the_splitters(heartbeats):
    X, y = heartbeats
    grid = {"estimator__n_components": [1, 8]}
    halving = {"resource": "n_estimators", "min_resources": 2, "max_resources": 4, "factor": 2}
    for search in (
        GridSearchCV(pca(), grid, cv=StratifiedNoveltyKFold(3), refit=False, n_jobs=2),
        HalvingGridSearchCV(
            forest(),
            {"max_samples": [0.2, 0.5]},
            cv=StratifiedOutlierKFold(3, random_state=0),
            **halving,
        ),
    ):
        search.set_params(scoring=anomaly_scorer("roc_auc"), error_score="raise").fit(X, y)
        assert search.n_splits_ == 3
        assert search.cv_results_["mean_test_score"].max() > 0.75
    with pytest.raises(ValueError, match="random_state"):
        search.set_params(cv=StratifiedOutlierKFold()).fit(X, y)


class TrainingSeen(OutlierMixin, BaseEstimator):
    """Remembers what it was trained on."""

    def fit(self, X, y=None):
        self.y_ = y
        return self

    def score_samples(self, X):
        return np.asarray(X)[:, 0]

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] < 0, -1, 1)


def test_novelty_folds_train_on_inliers(heartbeats):
    X, y = heartbeats
    results = cross_validate(
        TrainingSeen(),
        X,
        y,
        cv=StratifiedNoveltyKFold(3),
        return_estimator=True,
        scoring=anomaly_scorer("roc_auc"),
    )
    assert all((detector.y_ == 1).all() for detector in results["estimator"])


def test_groups_are_routed(heartbeats):
    X, y = heartbeats
    groups = np.arange(len(y)) // 3
    kwargs = {"scoring": anomaly_scorer("roc_auc"), "return_indices": True}
    kwargs["cv"] = StratifiedOutlierKFold(3, random_state=0)
    plain = cross_validate(pca(), X, y, groups=groups, **kwargs)
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(pca(), X, y, params={"groups": groups}, **kwargs)
    for results in (plain, routed):
        for train, test in zip(*results["indices"].values(), strict=True):
            assert not set(groups[train]) & set(groups[test])
    np.testing.assert_array_equal(plain["test_score"], routed["test_score"])


# Comparing


@pytest.fixture(scope="module")
def comparison(heartbeats):
    detectors = {"forest": forest(), "pca": FitOnInliers(pca()), "copy": FitOnInliers(pca())}
    return compare_detectors(
        detectors, *heartbeats, scoring=["roc_auc", "matthews"], baseline="forest"
    )


def test_table(comparison):
    table = comparison.frame()
    measures = ["mean", "std", "difference", "p_value"]
    assert table.columns.to_list() == [
        "rank",
        *(f"{measure}_{metric}" for metric in ("roc_auc", "matthews") for measure in measures),
        "mean_fit_time",
        "std_fit_time",
        "mean_score_time",
        "std_score_time",
        "n_failed",
        "error",
    ]
    assert table.index.to_list() == ["pca", "copy", "forest"]
    assert table["rank"].to_list() == [1, 1, 3]
    assert table["mean_roc_auc"].is_monotonic_decreasing
    assert (table[["mean_fit_time", "mean_score_time", "std_fit_time"]] > 0).all(axis=None)
    assert table["n_failed"].to_list() == [0, 0, 0]
    assert table["error"].isna().all()
    table["rank"] = 7
    assert comparison.frame()["rank"].max() == 3


def test_numbers_are_those_of_cross_validate(comparison, heartbeats):
    expected = cross_validate(
        forest(),
        *heartbeats,
        scoring=anomaly_scorers(["roc_auc", "matthews"]),
        cv=StratifiedOutlierKFold(5, random_state=0),
    )
    scores = comparison.scores.query("detector == 'forest'")
    assert scores["fold"].to_list() == [0, 1, 2, 3, 4]
    for metric in ("roc_auc", "matthews"):
        np.testing.assert_array_equal(scores[metric], expected[f"test_{metric}"])
        of_forest = comparison.frame().loc["forest"]
        assert of_forest[f"mean_{metric}"] == pytest.approx(expected[f"test_{metric}"].mean())
        assert of_forest[f"std_{metric}"] == pytest.approx(expected[f"test_{metric}"].std(ddof=1))


def test_corrected_t_test_by_hand(comparison):
    scores = comparison.scores.pivot(index="fold", columns="detector", values="matthews")
    d = (scores["pca"] - scores["forest"]).to_numpy()
    assert len(d) == 5
    mean = sum(d) / 5
    variance = sum((d - mean) ** 2) / 4
    # Five folds: a test set is a quarter of its training set.
    t = mean / ((1 / 5 + 1 / 4) * variance) ** 0.5
    p_value = 2 * (1 - stats.t(df=4).cdf(abs(t)))
    row = comparison.frame().loc["pca"]
    assert row["difference_matthews"] == pytest.approx(mean)
    assert row["p_value_matthews"] == pytest.approx(p_value)
    # The uncorrected test is bolder.
    assert row["p_value_matthews"] > stats.ttest_rel(scores["pca"], scores["forest"]).pvalue * 1.5
    baseline = comparison.frame().loc["forest"]
    assert baseline["difference_matthews"] == 0
    assert np.isnan(baseline["p_value_matthews"])


def test_differences_without_spread(heartbeats):
    detectors = {"a": forest(), "b": forest(), "pca": pca()}
    by_kind = {"kind": lambda detector, X, y: float(isinstance(detector, IsolationForest))}
    table = compare_detectors(detectors, *heartbeats, cv=3, scoring=by_kind, baseline="a").frame()
    assert table["p_value_kind"].fillna(-1).to_dict() == {"a": -1, "b": 1, "pca": 0}
    split = StratifiedShuffleSplit(1, random_state=0)
    table = compare_detectors(
        detectors, *heartbeats, cv=split, scoring=["roc_auc"], baseline="a"
    ).frame()
    assert table[["std_roc_auc", "p_value_roc_auc"]].isna().all(axis=None)
    assert table["difference_roc_auc"].notna().all()


def test_a_baseline_alone(heartbeats):
    table = compare_detectors(
        {"pca": pca()}, *heartbeats, cv=3, scoring="f1", baseline="pca"
    ).frame()
    assert table["difference_f1"].to_list() == [0]
    assert table["p_value_f1"].isna().all()


def test_without_baseline(heartbeats):
    display = compare_detectors(
        [forest(), make_pipeline(StandardScaler(), pca()), forest(max_samples=0.5)],
        *heartbeats,
        cv=2,
    )
    table = display.frame()
    assert set(table.index) == {"IsolationForest-1", "Pipeline", "IsolationForest-2"}
    assert not [column for column in table if "p_value" in column or "difference" in column]
    assert display.metrics == list(anomaly_scorers())
    assert display.scores["fold"].nunique() == 2


class FailsIn(IsolationForest):
    """Fails where the training rows do not hold a certain one."""

    def __init__(self, row=None, n_estimators=10, random_state=0):
        super().__init__(n_estimators=n_estimators, random_state=random_state)
        self.row = row

    def fit(self, X, y=None):
        if not (self.row == X).all(axis=1).any():
            raise RuntimeError("the row is not there")
        return super().fit(X)


def test_a_failing_detector_is_reported_and_the_others_go_on(heartbeats):
    X, y = heartbeats
    detectors = {"fails": FailsIn(X[7]), "forest": forest(), "pyod": RidgeClassifier()}
    with pytest.warns(FitFailedWarning) as caught:
        display = compare_detectors(detectors, X, y, scoring="roc_auc", baseline="forest")
    messages = [str(warning.message) for warning in caught]
    assert messages[0] == "fails failed in 1 of 5 folds: RuntimeError: the row is not there"
    assert messages[1].startswith("pyod failed in 5 of 5 folds: TypeError: RidgeClassifier is")
    assert caught[0].filename == __file__
    table = display.frame()
    assert table.index.to_list() == ["forest", "fails", "pyod"]
    assert table["rank"].to_list() == [1, 2, 2]
    assert table["n_failed"].to_list() == [0, 1, 5]
    assert table.loc["fails", "error"] == "RuntimeError: the row is not there"
    assert (
        table.loc["fails", ["mean_roc_auc", "std_roc_auc", "difference_roc_auc", "p_value_roc_auc"]]
        .isna()
        .all()
    )
    assert table.loc["forest", "mean_roc_auc"] > 0.8
    # What the other folds gave is kept.
    of_failing = display.scores.query("detector == 'fails'")
    assert of_failing["roc_auc"].notna().sum() == 4
    display.plot()
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["forest", "fails\n(failed in 1 of 5)", "pyod\n(failed in 5 of 5)"]


def test_same_folds_for_all_whatever_the_splitter(heartbeats):
    X, y = heartbeats
    rows = []

    def remember(detector, X, y):
        rows.append(X)
        return 1

    compare_detectors(
        [forest(), pca()], X, y, cv=StratifiedOutlierKFold(2), scoring={"remember": remember}
    )
    assert len(rows) == 4
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_array_equal(rows[1], rows[3])


def test_two_processes_give_the_same(comparison, heartbeats):
    detectors = {"forest": forest(), "pca": FitOnInliers(pca())}
    parallel = compare_detectors(
        detectors, *heartbeats, scoring=["roc_auc", "matthews"], baseline="forest", n_jobs=2
    )
    columns = [name for name in comparison.frame() if "time" not in name and name != "rank"]
    expected = comparison.frame().loc[["pca", "forest"], columns]
    pd.testing.assert_frame_equal(parallel.frame()[columns], expected)


@pytest.mark.parametrize("container", [pd.DataFrame, sparse.csr_matrix, np.ndarray.tolist])
def test_rows_and_labels_of_other_kinds(container, heartbeats, comparison):
    X, y = heartbeats
    labels = pd.Series(np.where(y == 1, "well", "ill"), index=np.arange(len(y)) + 7)
    X = container(X)
    if isinstance(X, pd.DataFrame):
        X = X.add_prefix("t").set_index(labels.index)
    display = compare_detectors(
        {"forest": forest()}, X, labels, scoring=["roc_auc", "matthews"], inlier_label="well"
    )
    for metric in ("roc_auc", "matthews"):
        np.testing.assert_allclose(
            display.scores[metric], comparison.scores.query("detector == 'forest'")[metric]
        )


def test_rows_sorted_by_label(heartbeats):
    X, y = heartbeats
    order = np.argsort(y, kind="stable")
    detectors = {"forest": forest()}
    display = compare_detectors(detectors, X[order], y[order], scoring="roc_auc")
    assert display.frame().loc["forest", "mean_roc_auc"] > 0.8
    with pytest.warns(FitFailedWarning, match=r"5 of 5 folds: ValueError.*StratifiedOutlierKFold"):
        compare_detectors(detectors, X[order], y[order], scoring="roc_auc", cv=KFold(5))


def test_groups(heartbeats):
    X, y = heartbeats
    groups = np.arange(len(y)) // 5
    seen = []

    def remember(detector, X, y):
        seen.append(set(X[:, 0].astype(int)))
        return 1.0

    X = np.column_stack([groups, X])
    for cv in (StratifiedOutlierKFold(3, random_state=0), GroupKFold(3), 3):
        seen.clear()
        scoring = {"remember": remember}
        compare_detectors([forest()], X, y, cv=cv, groups=groups, scoring=scoring)
        assert len(seen) == 3
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]


def test_weights(heartbeats):
    X, y = heartbeats
    weight = np.where(np.arange(len(y)) % 2, 2.0, 0.0)
    splitter = StratifiedOutlierKFold(2, random_state=0)
    detectors = {"svm": OneClassSVM(), "lof": LocalOutlierFactor(novelty=True)}
    params = {"sample_weight": weight}
    with pytest.warns(FitFailedWarning, match=r"lof failed in 2 of 2 folds.*sample_weight"):
        display = compare_detectors(detectors, X, y, cv=splitter, scoring="roc_auc", params=params)
    expected = []
    for train, test in splitter.split(X, y):
        svm = OneClassSVM().fit(X[train], sample_weight=weight[train])
        expected.append(roc_auc_score(y[test] == -1, -svm.score_samples(X[test])))
    np.testing.assert_allclose(display.scores.query("detector == 'svm'")["roc_auc"], expected)


def test_weights_with_routing(heartbeats):
    X, y = heartbeats
    weight = np.where(np.arange(len(y)) % 2, 2.0, 0.5)
    splitter = StratifiedOutlierKFold(2, random_state=0)
    with config_context(enable_metadata_routing=True):
        detectors = {
            "svm": OneClassSVM().set_fit_request(sample_weight=True),
            "lof": LocalOutlierFactor(novelty=True),
        }
        scorer = anomaly_scorer("roc_auc").set_score_request(sample_weight=True)
        display = compare_detectors(
            detectors,
            X,
            y,
            cv=splitter,
            scoring={"weighted": scorer},
            params={"sample_weight": weight},
        )
    expected = []
    for train, test in splitter.split(X, y):
        lof = LocalOutlierFactor(novelty=True).fit(X[train])
        errors = -lof.score_samples(X[test])
        expected.append(roc_auc_score(y[test] == -1, errors, sample_weight=weight[test]))
    np.testing.assert_allclose(display.scores.query("detector == 'lof'")["weighted"], expected)
    assert display.frame()["n_failed"].to_list() == [0, 0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_autoencoder_among_others(heartbeats):
    X, y = heartbeats
    detector = AutoencoderOutlierDetector(
        hidden_layer_sizes=(8,), epochs=3, batch_size=16, learning_rate=0.01, random_state=0
    )
    table = compare_detectors(
        [detector, forest()], X, y, cv=StratifiedNoveltyKFold(2, random_state=0)
    ).frame()
    assert (table["mean_roc_auc"] > 0.7).all()
    assert not hasattr(detector, "offset_")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"detectors": []}, ValueError, "no detectors to compare"),
        ({"baseline": "lof"}, ValueError, r"baseline='lof' is none of the detectors: \['forest'\]"),
        ({"scoring": "accuracy"}, ValueError, "'accuracy' is none of those"),
        ({"scoring": []}, ValueError, "scoring is empty"),
        ({"scoring": anomaly_scorer("f1")}, TypeError, r"scoring=\{'name': anomaly_scorer\('f1'"),
        ({"y": [1, -1]}, ValueError, "inconsistent numbers of samples"),
        ({"y": [0, 1] * 150}, ValueError, "do not say what is normal"),
        ({"y": [1, np.nan, -1] * 100}, ValueError, "y has missing values"),
        ({"y": [1] * 300, "cv": KFold(3)}, ValueError, "300 inliers and 0 outliers"),
        ({"y": [1] * 299 + [-1]}, ValueError, "299 inliers and 1 outliers.*more labeled rows"),
        ({"cv": 100}, ValueError, "take n_splits=60"),
        ({"inlier_label": 1, "outlier_label": -1}, ValueError, "Name one label"),
        ({"cv": []}, ValueError, r"cv=.* has no folds: give a number of folds"),
    ],
)
def test_refused(changes, error, message, heartbeats):
    X, y = heartbeats
    arguments = {"detectors": {"forest": forest()}, "X": X, "y": y} | changes
    with pytest.raises(error, match=message):
        compare_detectors(**arguments)


# Scores out of fold


def scores_by_hand(detector, X, y, folds):
    scores = np.full(len(X), np.nan)
    for train, test in folds:
        labels = None if y is None else np.asarray(y)[train]
        scores[test] = clone(detector).fit(X[train], labels).score_samples(X[test])
    return scores


@pytest.mark.parametrize("cv", [None, 3, StratifiedNoveltyKFold(4, random_state=1), KFold(2)])
def test_scores_are_those_of_clones_that_did_not_see_the_row(cv, heartbeats):
    X, y = heartbeats
    detector = FitOnInliers(pca())
    scores = cross_val_scores(detector, X, y, cv=cv)
    by_default = {None: 5, 3: 3}
    splitter = cv
    if cv in by_default:
        splitter = StratifiedOutlierKFold(by_default[cv], random_state=0)
    np.testing.assert_array_equal(scores, scores_by_hand(detector, X, y, splitter.split(X, y)))
    assert scores.dtype == np.float64
    assert not hasattr(detector, "estimator_")


@pytest.mark.parametrize("y", [None, np.ones(300)], ids=["no labels", "one class"])
def test_scores_without_both_classes_shuffle(y, heartbeats):
    X, _ = heartbeats
    folds = KFold(5, shuffle=True, random_state=0).split(X)
    scores = cross_val_scores(pca(), X, y)
    np.testing.assert_array_equal(scores, scores_by_hand(pca(), X, y, folds))
    # The rows of a group stay together.
    groups = np.arange(300) // 3
    scores = cross_val_scores(pca(), X, y, groups=groups)
    folds = GroupKFold(5).split(X, groups=groups)
    np.testing.assert_array_equal(scores, scores_by_hand(pca(), X, y, folds))


def test_scores_of_groups(heartbeats):
    X, y = heartbeats
    groups = np.arange(len(y)) // 3
    splitter = StratifiedOutlierKFold(5, random_state=0)
    expected = scores_by_hand(FitOnInliers(pca()), X, y, splitter.split(X, y, groups))
    scores = cross_val_scores(FitOnInliers(pca()), X, y, groups=groups)
    np.testing.assert_array_equal(scores, expected)
    with config_context(enable_metadata_routing=True):
        routed = cross_val_scores(FitOnInliers(pca()), X, y, groups=groups)
    np.testing.assert_array_equal(routed, expected)


@pytest.mark.parametrize(("names", "named"), [(("ok", "bad"), "ok"), ((1, 0), 1), ((0, 1), 0)])
def test_scores_do_not_depend_on_the_coding(names, named, heartbeats):
    X, y = heartbeats
    expected = cross_val_scores(FitOnInliers(pca()), X, y)
    detector = FitOnInliers(pca(), inlier_label=named)
    coded = np.where(y == 1, *names)
    scores = cross_val_scores(detector, X, coded, inlier_label=named)
    np.testing.assert_array_equal(scores, expected)


class FirstFeature(OutlierMixin, BaseEstimator):
    """The score of a row is its first feature times the sum of the weights that `fit` was given."""

    def fit(self, X, y=None, sample_weight=None):
        self.n_fitted_ = len(X)
        self.total_ = 1.0 if sample_weight is None else np.sum(sample_weight)
        return self

    def score_samples(self, X):
        return self.total_ * np.asarray(X, dtype=np.float32)[:, 0]


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, np.ndarray.tolist])
def test_scores_come_in_the_order_of_the_rows(kind):
    X = np.arange(40.0)[::-1].reshape(-1, 1)
    np.testing.assert_array_equal(cross_val_scores(FirstFeature(), kind(X)), X[:, 0])


def test_weights_of_scores_are_cut_to_the_training_rows():
    X, weights = np.arange(1.0, 11).reshape(-1, 1), np.arange(10.0)
    folds = [(np.arange(5), np.arange(5, 10)), (np.arange(5, 10), np.arange(5))]
    expected = np.r_[35 * X[:5, 0], 10 * X[5:, 0]]
    params = {"sample_weight": weights}
    scores = cross_val_scores(FirstFeature(), X, cv=folds, params=params)
    np.testing.assert_array_equal(scores, expected)
    with config_context(enable_metadata_routing=True):
        detector = FirstFeature().set_fit_request(sample_weight=True)
        routed = cross_val_scores(detector, X, cv=folds, params=params)
    np.testing.assert_array_equal(routed, expected)


def test_scores_in_two_processes(heartbeats):
    scores = cross_val_scores(FitOnInliers(pca()), *heartbeats, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_scores(FitOnInliers(pca()), *heartbeats))


FIRST_HALF = (np.arange(150), np.arange(150, 300))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cv": [FIRST_HALF]}, ValueError, "each of the 300 rows once, but 150 are in none and 0"),
        ({"cv": [FIRST_HALF] * 2}, ValueError, "150 are in none and 150 in several"),
        ({"cv": StratifiedShuffleSplit(3, random_state=0)}, ValueError, "StratifiedOutlierKFold"),
        ({"cv": []}, ValueError, "has no folds"),
        ({"estimator": LocalOutlierFactor()}, TypeError, "with score_samples"),
        ({"y": [1, -1]}, ValueError, "inconsistent numbers of samples"),
        ({"y": [0, 1] * 150}, ValueError, "do not say what is normal"),
        ({"cv": 100}, ValueError, "take n_splits=60"),
    ],
)
def test_refused_scores(changes, error, message, heartbeats):
    X, y = heartbeats
    with pytest.raises(error, match=message):
        cross_val_scores(**{"estimator": forest(), "X": X, "y": y} | changes)


@pytest.mark.parametrize("label", ["auto", -1])
def test_labels_that_scikit_learn_renames_are_explained(label, heartbeats):
    X, y = heartbeats
    detector = FitOnInliers(forest(), outlier_label=label)
    for call in (
        lambda: cross_val_predict(detector, X, y, method="decision_function"),
        lambda: StackingClassifier([("forest", detector)], RidgeClassifier()).fit(X, y),
        lambda: BaggingClassifier(detector, n_estimators=2).fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"has renamed them.*cross_val_scores"):
            call()


# The picture


def test_plot(comparison):
    import matplotlib.pyplot as plt

    assert comparison.plot() is comparison
    ax = comparison.ax_
    assert ax.figure is comparison.figure_
    assert ax.get_xlabel().splitlines() == [
        "ROC AUC",
        "each fold, mean and standard deviation",
        "dotted: mean of forest",
    ]
    assert ax.get_ylabel() == "detector"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["pca", "copy", "forest"]
    points = comparison.points_.get_offsets()
    np.testing.assert_allclose(points[:, 0], comparison.scores["roc_auc"])
    height = {"pca": 0, "copy": 1, "forest": 2}
    np.testing.assert_allclose(points[:, 1], comparison.scores["detector"].map(height))
    means, _, (bars,) = comparison.means_
    np.testing.assert_allclose(means.get_xdata().astype(float), comparison.frame()["mean_roc_auc"])
    half_lengths = [np.ptp(bar[:, 0]) / 2 for bar in bars.get_segments()]
    np.testing.assert_allclose(half_lengths, comparison.frame()["std_roc_auc"])
    assert ax.yaxis.get_inverted()
    assert ax.lines[-1].get_label() == "mean of forest"
    baseline = ax.lines[-1].get_xdata()
    np.testing.assert_allclose(baseline, comparison.frame().loc["forest", "mean_roc_auc"])

    _, ax = plt.subplots()
    comparison.plot(ax, metric="matthews", color="red")
    assert comparison.ax_ is ax
    assert ax.get_xlabel().startswith("matthews")
    np.testing.assert_allclose(
        comparison.points_.get_offsets()[:, 0], comparison.scores["matthews"]
    )
    with pytest.raises(ValueError, match=r"'f1' was not measured: .*\['roc_auc', 'matthews'\]"):
        comparison.plot(metric="f1")
