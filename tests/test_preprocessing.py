"""Scalers: one minimum and maximum for all features, one variance for each source column."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from skae import ReconstructionOutlierDetector
from skae.preprocessing import ColumnGroupScaler, GlobalMinMaxScaler

X = np.random.default_rng(0).normal(size=(20, 4)) * [1, 2, 3, 4] + [0, 5, 10, 15]


def by_hand(X, low=0.0, high=1.0):
    return (X - X.min()) / (X.max() - X.min()) * (high - low) + low


def test_the_formula():
    scaled = GlobalMinMaxScaler().fit_transform(X)
    np.testing.assert_allclose(scaled, by_hand(X), atol=1e-15)
    assert scaled.min() == 0
    assert scaled.max() == pytest.approx(1, abs=1e-15)


def test_fitted_attributes():
    scaler = GlobalMinMaxScaler().fit(X)
    assert (scaler.data_min_, scaler.data_max_) == (X.min(), X.max())
    assert scaler.scale_ == pytest.approx(1 / (X.max() - X.min()))
    assert scaler.n_features_in_ == 4
    assert not hasattr(scaler, "feature_names_in_")


def test_new_data_is_scaled_as_the_training_data_was():
    scaler = GlobalMinMaxScaler().fit(X)
    new = np.array([[X.min() - 1, X.max() + 1, X.min(), X.max()]])
    extent = X.max() - X.min()
    np.testing.assert_allclose(scaler.transform(new), [[-1 / extent, 1 + 1 / extent, 0, 1]])


def test_the_shape_of_a_signal_is_kept():
    signal = np.array([[0.0, 3.0, 1.0], [0.0, 6.0, 2.0]])
    scaled = GlobalMinMaxScaler().fit_transform(signal)
    np.testing.assert_allclose(scaled[1], 2 * scaled[0])
    each_by_itself = MinMaxScaler().fit_transform(signal)
    assert not np.allclose(each_by_itself[1], 2 * each_by_itself[0])


@pytest.mark.parametrize("feature_range", [(-1, 1), [0.5, 0.75], (np.float32(-3), np.int64(-2))])
def test_feature_range(feature_range):
    scaler = GlobalMinMaxScaler(feature_range=feature_range)
    scaled = scaler.fit_transform(X)
    np.testing.assert_allclose(scaled, by_hand(X, *map(float, feature_range)))
    np.testing.assert_allclose(scaler.inverse_transform(scaled), X)


def test_feature_range_counts_when_it_is_fitted():
    scaler = GlobalMinMaxScaler().fit(X)
    scaled = scaler.transform(X)
    scaler.set_params(feature_range=(-1, 1))
    np.testing.assert_array_equal(scaler.transform(X), scaled)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), X)
    np.testing.assert_allclose(scaler.fit_transform(X), 2 * scaled - 1)


def test_inverse():
    scaler = GlobalMinMaxScaler().fit(X)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(X)), X)
    np.testing.assert_allclose(
        scaler.inverse_transform([[0, 1, 0.5, 2]]),
        [[X.min(), X.max(), (X.min() + X.max()) / 2, 2 * X.max() - X.min()]],
    )


@pytest.mark.parametrize("fitted_on", [np.float32, np.float64])
def test_float32_stays_float32(fitted_on):
    scaler = GlobalMinMaxScaler(feature_range=(-1, 1)).fit(X.astype(fitted_on))
    scaled = scaler.transform(X.astype(np.float32))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, by_hand(X, -1, 1), atol=1e-6)
    back = scaler.inverse_transform(scaled)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, X, atol=1e-5)
    assert scaler.transform(X).dtype == np.float64


def test_integers_become_float64():
    scaled = GlobalMinMaxScaler().fit_transform([[0, 1], [4, 2]])
    assert scaled.dtype == np.float64
    np.testing.assert_array_equal(scaled, [[0, 0.25], [1, 0.5]])


@pytest.mark.parametrize("rows", [np.full((3, 2), 7.0), np.array([[7.0]]), np.array([[-7.0]])])
@pytest.mark.parametrize("low", [0, -1])
def test_constant_data_is_moved_not_stretched(rows, low):
    scaler = GlobalMinMaxScaler(feature_range=(low, 1)).fit(rows)
    np.testing.assert_array_equal(scaler.transform(rows), np.full_like(rows, low))
    np.testing.assert_array_equal(scaler.transform(rows + 2), np.full_like(rows, low + 2))
    np.testing.assert_array_equal(scaler.inverse_transform(scaler.transform(rows)), rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_extent_too_small_to_divide_by(dtype):
    rows = np.array([[0, np.finfo(dtype).smallest_subnormal]], dtype=dtype)
    scaler = GlobalMinMaxScaler().fit(rows)
    assert np.isfinite(scaler.transform(rows)).all()
    np.testing.assert_array_equal(scaler.inverse_transform(scaler.transform(rows)), rows)


def test_the_data_is_not_changed():
    kept = X.copy()
    scaler = GlobalMinMaxScaler().fit(kept)
    scaler.inverse_transform(scaler.transform(kept))
    np.testing.assert_array_equal(kept, X)


def test_dataframe():
    frame = pd.DataFrame(X, columns=list("abcd"), index=range(100, 120))
    scaler = GlobalMinMaxScaler().fit(frame)
    assert list(scaler.feature_names_in_) == list("abcd")
    assert list(scaler.get_feature_names_out()) == list("abcd")
    assert isinstance(scaler.transform(frame), np.ndarray)
    scaled = scaler.set_output(transform="pandas").transform(frame)
    pd.testing.assert_frame_equal(
        scaled, pd.DataFrame(by_hand(X), columns=list("abcd"), index=range(100, 120))
    )
    np.testing.assert_allclose(scaler.inverse_transform(scaled), X)
    with pytest.raises(ValueError, match="feature names should match"):
        scaler.transform(frame.rename(columns={"a": "other"}))


def test_in_a_pipeline():
    pipeline = make_pipeline(GlobalMinMaxScaler(), PCA(2)).fit(X)
    np.testing.assert_allclose(
        np.abs(pipeline.transform(X)), np.abs(PCA(2).fit_transform(by_hand(X)))
    )
    whole = make_pipeline(GlobalMinMaxScaler(), PCA()).fit(X)
    np.testing.assert_allclose(whole.inverse_transform(whole.transform(X)), X)


def test_pickle_and_clone():
    scaler = GlobalMinMaxScaler(feature_range=(-1, 1)).fit(X)
    again = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(again.transform(X), scaler.transform(X))
    np.testing.assert_array_equal(again.inverse_transform(X), scaler.inverse_transform(X))
    fresh = clone(scaler)
    assert fresh.feature_range == (-1, 1)
    with pytest.raises(NotFittedError):
        fresh.transform(X)
    with pytest.raises(NotFittedError):
        fresh.inverse_transform(X)


@pytest.mark.parametrize(
    "feature_range",
    [
        (1, 0),
        (1, 1),
        (0,),
        (0, 1, 2),
        (),
        ("0", "1"),
        (0, None),
        (np.nan, 1),
        (0, np.nan),
        (-np.inf, 1),
        [0, np.inf],
        ([0], [1]),
    ],
)
def test_feature_ranges_that_are_none(feature_range):
    with pytest.raises(ValueError, match="must be a smaller and a larger number, got"):
        GlobalMinMaxScaler(feature_range=feature_range).fit(X)


@pytest.mark.parametrize("feature_range", [None, 1.0, "01", {0, 1}])
def test_feature_ranges_of_the_wrong_type(feature_range):
    with pytest.raises(ValueError, match="'feature_range' parameter"):
        GlobalMinMaxScaler(feature_range=feature_range).fit(X)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((3, 4), np.nan), "X contains NaN"),
        (np.where(np.arange(12).reshape(3, 4) == 5, np.inf, 0), "X contains infinity"),
        (np.empty((0, 4)), r"0 sample\(s\)"),
        (np.ones(4), "Expected 2D array"),
        (np.ones((2, 2, 2)), "Found array with dim 3"),
        (np.array([["a", "b", "c", "d"]], dtype=object), "could not convert string"),
    ],
)
def test_bad_data(rows, message):
    scaler = GlobalMinMaxScaler()
    with pytest.raises(ValueError, match=message):
        scaler.fit(rows)
    scaler.fit(X)
    with pytest.raises(ValueError, match=message.replace("X ", "")):
        scaler.transform(rows)
    with pytest.raises(ValueError, match=message.replace("X ", "")):
        scaler.inverse_transform(rows)


def test_wrong_width():
    scaler = GlobalMinMaxScaler().fit(X)
    for method in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(ValueError, match="3 features, but Global.* expecting 4 features"):
            method(X[:, :3])


# --- ColumnGroupScaler ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed():
    """A table with a category, a date, a number with gaps, and one without."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "site": random.choice(["Bern", "Oslo", "Turin", "Ulm"], 200, p=[0.4, 0.4, 0.19, 0.01]),
            "time": pd.date_range("2024-01-01", periods=200, freq="31h"),
            "temp": np.where(random.random(200) < 0.1, np.nan, random.normal(20, 5, 200)),
            "load": random.random(200),
        }
    )


def date_parts(frame):
    time = frame["time"].dt
    return np.column_stack([time.hour, time.day, time.month, time.hour + 24 * time.day_of_year])


def encoder():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["site"]),
        (FunctionTransformer(date_parts), ["time"]),
        (SimpleImputer(add_indicator=True), ["temp"]),
        remainder="passthrough",
    )


def totals(scaler, scaled):
    return pd.Series(np.nanvar(scaled, axis=0)).groupby(scaler.groups_).sum()


def test_each_source_column_has_the_same_total_variance(mixed):
    scaler = ColumnGroupScaler(encoder(), keep_missing=False)
    scaled = scaler.fit_transform(mixed)
    assert scaler.groups_.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3]
    np.testing.assert_allclose(totals(scaler, scaled), 1)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(scaler.transform(mixed), scaled)


def test_zeros_and_ones_stay_in_proportion_and_others_are_standardized_first(mixed):
    scaler = ColumnGroupScaler(encoder(), keep_missing=False)
    variances = scaler.fit_transform(mixed).var(axis=0)
    shares = mixed["site"].value_counts(normalize=True).sort_index().to_numpy()
    expected = shares * (1 - shares)
    np.testing.assert_allclose(variances[:4], expected / expected.sum())
    np.testing.assert_allclose(variances[4:8], 0.25)
    missing = mixed["temp"].isna().mean()
    assert variances[9] / variances[8] == pytest.approx(missing * (1 - missing))


def test_without_a_transformer_it_standardizes_and_keeps_gaps(mixed):
    numbers = mixed[["temp", "load"]]
    scaler = ColumnGroupScaler().fit(numbers)
    expected = StandardScaler().fit_transform(numbers)
    np.testing.assert_allclose(scaler.transform(numbers), expected)
    assert np.isnan(scaler.transform(numbers)).sum() == mixed["temp"].isna().sum()
    np.testing.assert_allclose(scaler.inverse_transform(expected), numbers)
    assert scaler.get_feature_names_out().tolist() == ["temp", "load"]
    single = scaler.fit(numbers.astype("float32")).transform(numbers.astype("float32"))
    assert single.dtype == np.float32


def test_a_missing_cell_is_missing_in_all_columns_made_of_it(mixed):
    table = mixed.copy()
    table.loc[[0, 7], "site"] = None
    scaler = ColumnGroupScaler(encoder())
    scaled = scaler.fit_transform(table)
    is_missing = table.isna().to_numpy()[:, scaler.groups_]
    assert scaler.groups_.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3]  # None is a category
    np.testing.assert_array_equal(np.isnan(scaled), is_missing)
    np.testing.assert_allclose(totals(scaler, scaled), 1)
    np.testing.assert_array_equal(scaler.transform(table[:5]), scaled[:5])
    left_to_it = ColumnGroupScaler(encoder(), keep_missing=False).fit_transform(table)
    assert not np.isnan(left_to_it).any()
    some = ColumnGroupScaler(PCA(1)).fit(X).transform(X)  # of combined columns none is missing
    assert not np.isnan(some).any()


def test_columns_made_of_several_are_a_group(mixed):
    rows = np.random.default_rng(0).normal(size=(50, 3)) * [1, 10, 100]
    parts = make_column_transformer((PCA(2), [0, 1, 2]), remainder="drop")
    scaler = ColumnGroupScaler(parts).fit(rows)
    assert scaler.groups_.tolist() == [0, 0]
    np.testing.assert_allclose(totals(scaler, scaler.transform(rows)), [2])
    products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    scaler = ColumnGroupScaler(products).fit(rows)
    assert scaler.groups_.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(totals(scaler, scaler.transform(rows)), 1)


def test_groups_may_be_given(mixed):
    rows = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 1000]
    scaler = ColumnGroupScaler(groups=["b", "b", "a", "b"]).fit(rows)
    assert scaler.groups_.tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(scaler.transform(rows).var(axis=0), [1 / 3, 1 / 3, 1, 1 / 3])
    for groups in (["a"], [["a"] * 4], ["a"] * 5):
        with pytest.raises(ValueError, match="one label for each of the 4 transformed columns"):
            ColumnGroupScaler(groups=groups).fit(rows)
    with pytest.raises(ValueError, match="'groups' parameter"):
        ColumnGroupScaler(groups="all").fit(rows)


def test_constant_and_empty_columns_are_only_moved():
    rows = np.column_stack([np.full(9, 7.0), np.ones(9), np.arange(9.0)])
    scaler = ColumnGroupScaler().fit(rows)
    np.testing.assert_array_equal(scaler.transform(rows)[:, :2], 0)
    np.testing.assert_array_equal(scaler.transform(rows + 2)[:, :2], 2)
    rows[:, 0] = np.nan
    assert np.isnan(ColumnGroupScaler().fit_transform(rows)[:, 0]).all()


def test_the_way_back_through_an_encoder(mixed):
    scaler = ColumnGroupScaler(OneHotEncoder()).fit(mixed[["site"]])
    back = scaler.inverse_transform(scaler.transform(mixed[["site"]]))
    assert back.ravel().tolist() == mixed["site"].to_list()
    assert not hasattr(ColumnGroupScaler(encoder()), "inverse_transform")
    for one, width in ((scaler, 4), (ColumnGroupScaler().fit(X), 4)):
        with pytest.raises(ValueError, match=f"makes {width} features"):
            one.inverse_transform(np.ones((2, 3)))


def test_names_and_containers(mixed):
    scaler = ColumnGroupScaler(
        make_column_transformer(
            (OneHotEncoder(), ["site"]),
            ("passthrough", ["load"]),
            verbose_feature_names_out=False,
        )
    ).set_output(transform="pandas")
    scaled = scaler.fit_transform(mixed.set_axis(range(100, 300)))
    names = ["site_Bern", "site_Oslo", "site_Turin", "site_Ulm", "load"]
    assert scaled.columns.to_list() == names
    assert scaled.index.to_list() == list(range(100, 300))
    assert scaler.get_feature_names_out().tolist() == names
    assert scaler.feature_names_in_.tolist() == mixed.columns.to_list()


def test_text_left_over_is_named(mixed):
    for scaler in (
        ColumnGroupScaler(),
        ColumnGroupScaler(FunctionTransformer(feature_names_out="one-to-one")),
    ):
        with pytest.raises(ValueError, match="these columns do not: 'site' .*'time' .*Table"):
            scaler.fit(mixed)


def test_it_is_cloned_pickled_and_searched(mixed):
    scaler = ColumnGroupScaler(SimpleImputer()).fit(mixed[["temp", "load"]])
    again = pickle.loads(pickle.dumps(scaler))
    expected = scaler.transform(mixed[["temp", "load"]])
    np.testing.assert_array_equal(again.transform(mixed[["temp", "load"]]), expected)
    fresh = clone(scaler).set_params(transformer__strategy="median")
    assert scaler.transformer.strategy == "mean"
    assert not hasattr(scaler.transformer, "statistics_")
    with pytest.raises(NotFittedError):
        fresh.transform(mixed)


def test_before_a_detector(mixed):
    pipeline = make_pipeline(
        ColumnGroupScaler(encoder(), keep_missing=False), ReconstructionOutlierDetector(PCA(3))
    )
    scores = pipeline.fit(mixed).score_samples(mixed)
    assert scores.shape == (200,)
    assert np.isfinite(scores).all()


class TestDatesBeyondThoseSeen:
    """Of rows later than all training rows the date alone makes outliers."""

    TABLE = pd.DataFrame(
        {
            "when": pd.date_range("2026-01-01", periods=90, freq="D"),
            "site": ["Oslo", "Bern", "Rome"] * 30,
            "load": np.linspace(0, 1, 90),
        }
    )

    @pytest.fixture(params=[False, True], ids=["dates", "text"])
    def table(self, request):
        return (
            self.TABLE.assign(when=self.TABLE["when"].astype(str)) if request.param else self.TABLE
        )

    def scaler(self, table, of_dates):
        encoder = make_column_transformer(
            (OneHotEncoder(), ["site"]),
            (FunctionTransformer(of_dates), ["when"]),
            remainder="passthrough",
        )
        return ColumnGroupScaler(encoder).fit(table)

    def days(self, frame):
        return (pd.to_datetime(frame["when"]) - pd.Timestamp("2026-01-01")).dt.days.to_frame()

    def weekdays(self, frame):
        return pd.to_datetime(frame["when"]).dt.day_of_week.to_frame()

    def later(self, table, days=100):
        later = pd.to_datetime(table["when"]) + pd.Timedelta(days=days)
        return table.assign(when=later if table["when"].dtype != object else later.astype(str))

    def test_warns(self, table):
        scaler = self.scaler(table, self.days)
        with pytest.warns(UserWarning, match="In 100% of the rows, 'when' is beyond all"):
            scaler.transform(self.later(table))

    def test_is_silent_of_what_comes_again_of_few_rows_and_of_numbers(self, table):
        scaler = self.scaler(table, self.days)
        scaler.transform(table)
        scaler.transform(self.later(table)[:19])
        scaler.transform(self.later(table, days=40))  # less than half of them are later
        scaler.transform(table.assign(load=9.0))
        self.scaler(table, self.weekdays).transform(self.later(table))
