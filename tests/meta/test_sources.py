"""Which columns each feature comes from, and the way back to these columns."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)

from skae._meta.inverses import taken_back
from skae._meta.sources import dependencies, sample_of

SITES = ["Bern", "Oslo", "Turin"]


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "temp": random.normal(20, 5, 60),
            "site": random.choice(SITES, 60),
            "time": pd.date_range("2024-01-01", periods=60, freq="37h"),
            "load": random.random(60),
            "on": random.choice(["no", "yes"], 60),
        }
    )


def one_hot(**params):
    return OneHotEncoder(sparse_output=False, handle_unknown="ignore", **params)


def hour_and_weekday(frame):
    time = frame["time"].dt
    return np.column_stack([time.hour, time.day_of_week])


def of_each(transform, X):
    """Return the positions of the columns that each feature comes from."""
    transforms = [transform.fit(X, None)]
    depends = dependencies(transforms, sample_of(transforms, X))
    return [np.flatnonzero(of_feature).tolist() for of_feature in depends.T]


def back(transform, X, features=None):
    """Return what features become, by default those of X itself."""
    transforms = [transform]
    features = np.asarray(transform.transform(X)) if features is None else np.asarray(features)
    return taken_back(transforms, sample_of(transforms, X), list(features.T))


class Doubled(TransformerMixin, BaseEstimator):
    """Somebody's transformer that has no names, and no inverse."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        X = np.asarray(X)
        return np.hstack([X[:, ::-1], X[:, :1] + X[:, 1:2]])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (StandardScaler(), [[0], [1], [2]]),
        (PCA(2), [[0, 1, 2], [0, 1, 2]]),
        (PolynomialFeatures(2, include_bias=False, interaction_only=True),
         [[0], [1], [2], [0, 1], [0, 2], [1, 2]]),
        (SplineTransformer(3, degree=1), np.repeat([[0], [1], [2]], 3, axis=0).tolist()),
        (FunctionTransformer(np.sqrt), [[0], [1], [2]]),
        (FunctionTransformer(lambda X: X[:, [2, 0]]), [[2], [0]]),
        (FunctionTransformer(lambda X: np.hstack([np.sin(X), np.cos(X)])),
         [[0], [1], [2], [0], [1], [2]]),
        (Doubled(), [[2], [1], [0], [0, 1]]),
        (make_pipeline(MinMaxScaler(), Doubled(), StandardScaler()), [[2], [1], [0], [0, 1]]),
        (make_union(StandardScaler(), Doubled()), [[0], [1], [2], [2], [1], [0], [0, 1]]),
        (FeatureUnion([("a", "passthrough"), ("b", "drop"), ("c", PCA(1))]),
         [[0], [1], [2], [0, 1, 2]]),
        (FrozenEstimator(PCA(1).fit(np.eye(3))), [[0, 1, 2]]),
        (ColumnTransformer([("a", MinMaxScaler(), [2]), ("b", PCA(1), slice(0, 2))]),
         [[2], [0, 1]]),
        (make_column_transformer((MinMaxScaler(), [-1]), ("drop", [0]), remainder="passthrough"),
         [[2], [1]]),
        (ColumnTransformer([("a", Doubled(), np.array([True, False, True]))]), [[2], [0], [0, 2]]),
        (SimpleImputer(add_indicator=True), [[0], [1], [2], [1]]),
        (KNNImputer(), [[0], [1], [2]]),
    ],
)  # fmt: skip
def test_sources_of_numbers(transform, expected):
    X = np.random.default_rng(0).random((30, 3))
    if "Imputer" in type(transform).__name__:
        X[3, 1] = np.nan
    assert of_each(transform, X) == expected


@pytest.mark.parametrize("n_features", [2, 3, 4, 7, 8])
def test_any_two_columns_that_are_mixed_are_noticed(n_features):
    X = np.random.default_rng(0).normal(size=(20, n_features))
    each_alone = [[i] for i in range(n_features)]
    assert of_each(FunctionTransformer(np.exp), X) == each_alone
    for i in range(n_features):
        for j in range(i):
            turn = np.eye(n_features)
            turn[[i, i, j, j], [i, j, i, j]] = [0.8, 0.6, -0.6, 0.8]
            rotation = FunctionTransformer(np.dot, kw_args={"b": turn})
            expected = [[j, i] if k in (i, j) else [k] for k in range(n_features)]
            assert of_each(rotation, X[:1]) == expected


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (
            make_column_transformer(
                (one_hot(), ["site", "on"]),
                (FunctionTransformer(hour_and_weekday), ["time"]),
                (StandardScaler(), ["load", "temp"]),
            ),
            [[1], [1], [1], [4], [4], [2], [2], [3], [0]],
        ),
        (
            make_column_transformer(
                (make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot(drop="first")),
                 ["on", "site"]),
                (CountVectorizer(), "site"),
                ("passthrough", slice("temp", "temp")),
            ),
            [[4], [1], [1], [1], [1], [1], [0]],
        ),
        (make_column_transformer((OrdinalEncoder(), ["site", "on"])), [[1], [4]]),
        (make_column_transformer((FunctionTransformer(hour_and_weekday), slice(0, 3))), [[2], [2]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n_rows", [60, 1])
def test_sources_of_mixed_columns(encoder, expected, n_rows, table):
    if n_rows == 1 and encoder.transformers[0][0] == "functiontransformer":
        pytest.skip("one date does not show what becomes of dates")
    encoder.fit(table)
    depends = dependencies([encoder], sample_of([encoder], table[:n_rows]))
    assert [np.flatnonzero(of_feature).tolist() for of_feature in depends.T] == expected


def test_a_table_may_have_more_columns_in_another_order(table):
    encoder = make_column_transformer((one_hot(), ["site"]), (MinMaxScaler(), ["load", "temp"]))
    encoder.fit(table)
    other = table.assign(label=1)[["label", "load", "site", "on", "temp", "time"]]
    depends = dependencies([encoder], sample_of([encoder], other))
    assert [np.flatnonzero(of_feature).tolist() for of_feature in depends.T] == [
        [2], [2], [2], [1], [4]
    ]  # fmt: skip
    _, load, site, *_ = back(encoder, other)
    np.testing.assert_allclose(load, table["load"])
    assert site.tolist() == table["site"].to_list()


@pytest.mark.parametrize("n_rows", [60, 1])
def test_columns_of_a_table_that_are_handed_on(n_rows, table):
    def with_power(frame):
        return frame.drop(columns="time").assign(power=frame["load"] * 3 + frame["temp"] ** 2)

    gaps = table.copy()
    gaps.loc[:1, "temp"] = np.nan
    transform = FunctionTransformer(with_power)
    depends = dependencies([transform], sample_of([transform], gaps[-n_rows:]))
    assert [np.flatnonzero(of_feature).tolist() for of_feature in depends.T] == [
        [0], [1], [3], [4], [0, 3]
    ]  # fmt: skip
    features = [gaps[name].to_numpy() for name in ("temp", "site", "load", "on")]
    found = taken_back([transform], sample_of([transform], gaps), [*features, None])
    assert found[2] is None
    for column, feature in zip([found[i] for i in (0, 1, 3, 4)], features, strict=True):
        pd.testing.assert_series_equal(pd.Series(column), pd.Series(feature))


def test_what_refuses_to_be_tried_may_depend_on_anything():
    def only_ascending(X):
        if (np.diff(X[:, 0]) < 0).any():
            raise RuntimeError
        return X[:, :1]

    X = np.arange(20).reshape(10, 2)
    assert of_each(FunctionTransformer(only_ascending), X) == [[0, 1]]
    wide = np.random.default_rng(0).random((3, 501))
    assert of_each(FunctionTransformer(lambda X: X[:, :2]), wide) == [list(range(501))] * 2


@pytest.mark.parametrize(
    "transform",
    [
        StandardScaler(),
        FunctionTransformer(np.log1p, np.expm1),
        PowerTransformer(),
        make_pipeline(MinMaxScaler(), FunctionTransformer(np.exp, np.log)),
        make_column_transformer((MinMaxScaler(), [2]), (StandardScaler(), [0, 1])),
        make_column_transformer((MinMaxScaler(), [2]), remainder="passthrough"),
        make_union(FunctionTransformer(np.sin), StandardScaler()),
        FrozenEstimator(MinMaxScaler().fit([[0.0, 1, 2], [3, 4, 5]])),
        PCA(),
        SimpleImputer(add_indicator=True),
        make_pipeline(SimpleImputer(), StandardScaler()),
        KNNImputer(),
    ],
)
@pytest.mark.parametrize("n_rows", [30, 1])
def test_numbers_are_taken_back(transform, n_rows):
    X = np.random.default_rng(0).random((30, 3))
    gaps = X.copy()
    gaps[5, 1] = np.nan
    transform.fit(gaps if "Imputer" in repr(transform) else X, None)
    features = np.asarray(transform.transform(0.9 * X))
    columns = back(transform, X[:n_rows], features)
    np.testing.assert_allclose(np.stack(columns, axis=1), 0.9 * X, atol=1e-8)


@pytest.mark.parametrize(
    "transform",
    [
        FunctionTransformer(np.log1p),
        FunctionTransformer(np.sqrt),
        FunctionTransformer(
            np.square, np.square, check_inverse=False
        ),  # no inverse, whatever it is called
        Doubled(),
        make_pipeline(StandardScaler(), FunctionTransformer(np.abs)),
        PCA(2),
    ],
)
def test_what_has_no_inverse_is_not_taken_back(transform):
    X = np.random.default_rng(0).normal(2, 0.5, (30, 3))
    expected = [True] * 3
    if isinstance(transform, Doubled):
        expected = [False] * 3  # it hands the columns on
    elif isinstance(transform, PCA):
        expected = [False] * 3  # as near as it gets
    found = back(transform.fit(X), X)
    assert [column is None for column in found] == expected


def test_shares_of_categories_become_the_most_likely_one(table):
    encoder = one_hot().fit(table[["site", "on"]])
    shares = [[0.2, 0.5, 0.4, 0.3, 0.2], [0.1, -0.2, 0.9, -1, 0.0], [0, 0, 0.01, 0.4, 0.6]]
    site, on = back(encoder, table[["site", "on"]], shares)
    assert site.tolist() == ["Oslo", "Turin", "Turin"]
    assert on.tolist() == ["no", "yes", "yes"]


def test_a_dropped_category_is_likely_where_no_other_is(table):
    encoder = one_hot(drop="if_binary").fit(table[["on", "site"]])
    shares = [[0.2, 0.9, 0, 0], [0.7, 0, 0, 1], [0.45, 0, 1, 0]]
    on, site = back(encoder, table[["on", "site"]], shares)
    assert on.tolist() == ["no", "yes", "no"]
    assert site.tolist() == ["Bern", "Turin", "Oslo"]


def test_infrequent_categories(table):
    frame = table[["site"]].copy()
    frame.loc[:1, "site"] = ["Riga", "Ulm"]
    encoder = one_hot(min_frequency=5).fit(frame)
    (site,) = back(encoder, frame, [[0.1, 0, 0, 0.8], [0.1, 0, 0.9, 0.8]])
    assert site.tolist() == ["infrequent_sklearn", "Turin"]
    ordinal = OrdinalEncoder(min_frequency=5).fit(frame)
    assert back(ordinal, frame, [[2.2]])[0].tolist() == ["Turin"]


def test_codes_become_the_nearest_category(table):
    encoder = OrdinalEncoder().fit(table[["site", "on"]])
    site, on = back(encoder, table[["site", "on"]], [[1.4, -3], [9.0, 0.6], [-0.2, 0.4]])
    assert site.tolist() == ["Oslo", "Turin", "Bern"]
    assert on.tolist() == ["no", "yes", "no"]
    gaps = table[["site"]].copy()
    gaps.loc[:3, "site"] = None
    assert back(OrdinalEncoder().fit(gaps), gaps, [[7.0]])[0].tolist() == ["Turin"]


def test_the_way_back_through_nested_steps(table):
    encoder = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()), ["site"]),
            (FunctionTransformer(hour_and_weekday), ["time"]),
            (make_pipeline(SimpleImputer(), MinMaxScaler()), ["load"]),
            ("passthrough", ["temp"]),
        ),
        StandardScaler(),
    ).fit(table)
    temp, site, time, load, on = back(encoder, table)
    np.testing.assert_allclose(temp, table["temp"])
    np.testing.assert_allclose(load, table["load"])
    assert site.tolist() == table["site"].to_list()
    assert time is None
    assert on is None
