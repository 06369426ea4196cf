"""GlobalMinMaxScaler: one minimum and one maximum for all features."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae.preprocessing import GlobalMinMaxScaler

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
