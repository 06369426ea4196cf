"""Tables of numbers, categories, dates and gaps: refused as they are, encoded, and explained."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
)
from skae._meta.sentences import sentence
from skae.datasets import make_sensor_table
from skae.displays import ExplanationDisplay, ReconstructionDisplay
from skae.inspection import explain
from skae.preprocessing import ColumnGroupScaler

# Some detectors here are hardly trained.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CATEGORIES = ["site", "product"]


@pytest.fixture(scope="module")
def table():
    return make_sensor_table(600, random_state=0)[0]


@pytest.fixture(scope="module")
def numbers(table):
    return table.columns[3:].to_list()


@pytest.fixture(scope="module")
def vectorizer():
    return pytest.importorskip("skrub").TableVectorizer()


def network(**params):
    return AutoencoderOutlierDetector(
        **{"epochs": 20, "hidden_layer_sizes": (16,), "latent_dim": 3, "random_state": 0} | params
    )


def pca():
    return ReconstructionOutlierDetector(PCA(3))


def hour_and_month(frame):
    time = frame["time"].dt
    return np.column_stack([time.hour, time.month])


def encoder(numbers, one_hot=None):
    one_hot = one_hot or OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer(
        (one_hot, CATEGORIES),
        (FunctionTransformer(hour_and_month), ["time"]),
        ("passthrough", numbers),
    )


@pytest.mark.parametrize(
    "detector",
    [network(), AutoencoderEnsembleOutlierDetector(epochs=1), pca(), FitOnInliers(network())],
)
def test_text_and_dates_are_named_at_fit_and_score(detector, table, numbers):
    y = np.ones(len(table))
    message = r"do not: 'time' \(datetime64\[.*\]\), 'site' \(.*\), 'product' .*ColumnGroupScaler"
    with pytest.raises(ValueError, match=message):
        detector.fit(table, y)
    fitted = detector.fit(table[numbers].fillna(0), y)
    for score in (fitted.predict, fitted.score_samples, fitted.reconstruct):
        with pytest.raises(ValueError, match=message):
            score(table)


@pytest.mark.parametrize("make", [network, pca])
@pytest.mark.parametrize("way", ["groups", "union", "nested"])
def test_explained_in_the_columns_of_the_table(make, way, table, numbers):
    scaler = ColumnGroupScaler(encoder(numbers), keep_missing=make is network)
    before = {
        "groups": [scaler],
        "union": [FeatureUnion([("one", encoder(numbers))]), StandardScaler()],
        "nested": [make_pipeline(encoder(numbers), StandardScaler())],
    }[way]
    filled = [] if make is network else [SimpleImputer()]
    detector = make_pipeline(*before, *filled, make()).fit(table)
    rows = table.iloc[[5, 100, 7, 300]]
    explanation = explain(detector, rows, top=None)
    assert explanation["row"].to_list() == np.repeat(rows.index, 12).tolist()
    for row, found in explanation.groupby("row"):
        found = found.set_index("feature").loc[table.columns]
        assert found["contribution"].sum() == pytest.approx(
            -detector.score_samples(rows.loc[[row]])[0]
        )
        given, value = rows.loc[row], found["value"]
        is_missing = given.isna()
        assert value.isna().to_list() == is_missing.to_list()
        assert value[~is_missing].to_list() == given[~is_missing].to_list()
        expected = found["reconstruction"]
        assert expected.isna()[expected.isna()].index.to_list() == ["time"]
        assert expected["site"] in ["Oslo", "Turin", "Madrid", "Athens"]
        assert expected["product"] in ["ice cream", "fish", "milk"]
        spread = table[numbers].std()
        # Near the middle of the column, in its own unit.
        assert (np.abs(expected[numbers] - table[numbers].mean()) < 6 * spread).all()


def test_a_wrong_category_is_told(table, numbers):
    detector = make_pipeline(ColumnGroupScaler(encoder(numbers)), network(epochs=150))
    detector.fit(table)
    row = table[(table["product"] == "milk") & table["site"].notna()].dropna().iloc[[0]]
    wrong = row.assign(product="ice cream")
    first = explain(detector, wrong, top=1).iloc[0]
    assert first["feature"] == "product"
    assert (first["value"], first["reconstruction"]) == ("ice cream", "milk")
    assert first["text"].startswith("product is ice cream, expected milk: ")
    assert first["text"].endswith(" % of the alarm")


def test_a_missing_cell_contributes_nothing(table, numbers):
    detector = make_pipeline(ColumnGroupScaler(encoder(numbers)), network()).fit(table)
    row = table.dropna().iloc[[0]]
    gaps = row.assign(site=None, load_pct=np.nan)
    found = explain(detector, gaps, top=None).set_index("feature")
    assert found.loc[["site", "load_pct"], "contribution"].to_list() == [0, 0]
    assert found.loc["load_pct", "text"].startswith("load_pct is missing, expected ")
    assert found.loc["site", "text"].startswith("site is missing, expected ")


def test_ordinal_codes(table):
    complete = table[[*CATEGORIES, "load_pct"]].dropna()
    steps = make_column_transformer((OrdinalEncoder(), CATEGORIES), ("passthrough", ["load_pct"]))
    detector = make_pipeline(steps, StandardScaler(), pca()).fit(complete)
    found = explain(detector, complete[:3], top=None)
    of_sites = found[found["feature"] == "site"]
    assert of_sites["reconstruction"].to_list() == complete["site"][:3].to_list()  # PCA(3) of 3
    assert of_sites["text"].str.contains(", as expected").all()


def test_columns_combined_and_not(table, numbers):
    rows = table[numbers].dropna()
    steps = make_column_transformer((PCA(2), numbers[:4]), (StandardScaler(), numbers[4:]))
    detector = make_pipeline(steps, network()).fit(rows)
    found = explain(detector, rows[:2], top=None)
    names = [*numbers[4:], "pca__pca0", "pca__pca1"]
    assert sorted(found["feature"].unique()) == sorted(names)
    one = found[found["row"] == rows.index[0]].set_index("feature")
    seen = steps.transform(rows[:1])[0]
    np.testing.assert_allclose(one.loc[names[-2:], "value"], seen[:2], rtol=1e-5)
    np.testing.assert_array_equal(one.loc[numbers[4:], "value"], rows.iloc[0][numbers[4:]])
    assert one["contribution"].sum() == pytest.approx(-detector.score_samples(rows[:1])[0])


def test_displays_name_the_columns_of_the_table(table, numbers):
    detector = make_pipeline(ColumnGroupScaler(encoder(numbers)), network()).fit(table)
    rows = table.dropna().iloc[:2]
    display = ExplanationDisplay.from_estimator(detector, rows, top=None)
    labels = [label.get_text() for label in display.axes_[0].get_yticklabels()]
    assert sorted(label.splitlines()[0] for label in labels) == sorted(table.columns)
    for start in (
        f"site\nis {rows.iloc[0]['site']}, ",
        f"air_hPa\nis {rows.iloc[0]['air_hPa']:.0f}, ",
    ):
        assert any(label.startswith(start) and "expected" in label for label in labels)
    complete = table[numbers].dropna()
    fitted = make_pipeline(StandardScaler(), pca()).fit(complete)
    frame = ReconstructionDisplay.from_estimator(fitted, rows[numbers]).frame()
    assert frame["feature"].unique().tolist() == numbers
    one_way = make_column_transformer((StandardScaler(), numbers[:4]))
    fitted = make_pipeline(one_way, pca()).fit(complete)
    frame = ReconstructionDisplay.from_estimator(fitted, complete[:2]).frame()
    assert frame["feature"].unique()[0] == "standardscaler__outdoor_C"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (("temp_C", 74.1, 60.3, 0.81), "temp_C is 74.1, expected 60.3: 81 % of the alarm"),
        (("site", "Turin", "Oslo", 0.6), "site is Turin, expected Oslo: 60 % of the alarm"),
        (("site", "Oslo", "Oslo", 0.25), "site is Oslo, as expected: 25 % of the alarm"),
        (("t", np.nan, 60.3, 0.0), "t is missing, expected 60.3: 0 % of the alarm"),
        (("t", None, np.nan, 0.0), "t is missing: 0 % of the alarm"),
        ((3, 2.0, np.nan, 1.0), "3 is 2: 100 % of the alarm"),
        (("p", 1013.21, 1011.94, 0.5), "p is 1013.21, expected 1011.94: 50 % of the alarm"),
        (("p", 101321.6, 90000.2, 0.5), "p is 101322, expected 90000: 50 % of the alarm"),
        (("x", 1e300, 2.0, np.nan), "x is 1e+300, expected 2"),
        (("x", np.inf, 0.001234, np.nan), "x is inf, expected 0.00123"),
        (("x", 0.5, 0.5, 0.0), "x is 0.500, expected 0.500: 0 % of the alarm"),
        (("x", 0.0, 1e-12, 0.1), "x is 0, expected 1e-12: 10 % of the alarm"),
        (("at", pd.Timestamp("2026-01-02"), np.nan, 0.1), "at is 2026-01-02 00:00:00: 10 % of the"),
    ],
)
def test_sentences(facts, expected):
    assert sentence(*facts).startswith(expected)


class TestTableVectorizer:
    """skrub's, which skae does not import."""

    @pytest.mark.parametrize("way", ["groups", "scaled"])
    def test_explained_in_the_columns_of_the_table(self, way, vectorizer, table, numbers):
        steps = {
            "groups": [ColumnGroupScaler(vectorizer)],
            "scaled": [vectorizer, StandardScaler()],
        }[way]
        detector = make_pipeline(*steps, network()).fit(table)
        rows = table.dropna().iloc[:3]
        found = explain(detector, rows, top=None)
        sums = found.groupby("row", sort=False)["contribution"].sum()
        np.testing.assert_allclose(sums, -detector.score_samples(rows))
        assert set(found["feature"]) == set(table.columns)
        cells = found.set_index(["row", "feature"])
        for row, name in cells.index:
            assert cells.loc[(row, name), "value"] == rows.loc[row, name]
        is_known = cells["reconstruction"].notna()
        assert is_known.groupby("feature").all().drop("time").all()
        assert not is_known.loc[:, "time", :].any()

    def test_single_rows_are_explained_as_among_others(self, vectorizer, table):
        detector = make_pipeline(ColumnGroupScaler(vectorizer), network()).fit(table)
        together = explain(detector, table[:3], top=None)
        alone = explain(detector, table[1:2], top=None)
        expected = together[together["row"] == 1].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, expected)

    def test_others_of_skrub_before_it(self, vectorizer, table):
        skrub = pytest.importorskip("skrub")
        parts = skrub.ApplyToCols(skrub.DatetimeEncoder(), cols=["time"])
        dropped = skrub.DropCols(["air_hPa"])
        detector = make_pipeline(
            ColumnGroupScaler(make_pipeline(dropped, parts, vectorizer)), pca()
        )
        rows = table.dropna()
        detector.fit(rows)
        found = explain(detector, rows[3:4], top=None).set_index("feature")
        assert set(found.index) == set(table.columns) - {"air_hPa"}
        assert found.index[found["reconstruction"].isna()].to_list() == ["time"]
        assert found["contribution"].sum() == pytest.approx(-detector.score_samples(rows[3:4])[0])

    def test_each_column_has_the_same_variance(self, vectorizer, table):
        scaler = ColumnGroupScaler(vectorizer).fit(table)
        variances = pd.Series(np.nanvar(scaler.transform(table), axis=0))
        np.testing.assert_allclose(variances.groupby(scaler.groups_).sum(), np.ones(12), rtol=1e-5)
        names = pd.Series(scaler.get_feature_names_out()).groupby(scaler.groups_).first()
        assert all(map(str.startswith, names, table.columns))
        is_missing = np.isnan(scaler.transform(table))
        np.testing.assert_array_equal(is_missing, table.isna().to_numpy()[:, scaler.groups_])

    def test_broken_relations_are_found_and_named(self, vectorizer):
        table, y, broken = make_sensor_table(3000, random_state=0)
        network = AutoencoderOutlierDetector(random_state=0)
        detector = make_pipeline(ColumnGroupScaler(vectorizer), network).fit(table)
        worst = np.argsort(detector.score_samples(table))[:20]
        true = worst[y[worst] == -1]
        assert len(true) >= 14
        named = explain(detector, table.iloc[true], top=1)["feature"].to_numpy() == broken[true]
        assert np.mean(named) >= 0.7
