"""Latent codes in the plane."""

from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm, Normalize, to_rgba
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.displays import LatentSpaceDisplay
from skae.displays._drawing import BLUE, VERMILION

CODES = np.random.default_rng(0).normal(size=(20, 2))
ERRORS = np.linspace(2.0, 1.0, 20)
LABELS = np.where(np.arange(20) < 15, 1, -1)


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def axis_names(display):
    return display.ax_.get_xlabel(), display.ax_.get_ylabel()


def test_two_codes_are_drawn_as_they_are():
    display = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, error_name="mse (mV²)")
    (points,) = display.points_
    # The largest errors are drawn last, on top.
    np.testing.assert_array_equal(points.get_offsets(), CODES[::-1])
    np.testing.assert_array_equal(points.get_array(), ERRORS[::-1])
    assert display.colorbar_.ax.get_ylabel() == "mse (mV²)"
    assert axis_names(display) == ("latent code 0", "latent code 1")
    assert display.ax_.get_legend() is None
    assert display.figure_ is display.ax_.figure


def test_classes():
    named = np.where(LABELS == 1, "normal", "ill")
    display = LatentSpaceDisplay.from_predictions(CODES, named, errors=ERRORS, outlier_label="ill")
    inliers, outliers = display.points_
    np.testing.assert_array_equal(inliers.get_offsets(), CODES[:15])
    np.testing.assert_array_equal(outliers.get_offsets(), CODES[15:])
    for points, color in ((inliers, BLUE), (outliers, VERMILION)):
        assert tuple(points.get_facecolor()[0][:3]) == to_rgba(color)[:3]
    assert legend_of(display) == ["inliers", "outliers"]
    assert display.colorbar_ is None
    alone = LatentSpaceDisplay.from_predictions(CODES, np.full(20, -1))
    assert legend_of(alone) == ["outliers"]


def test_codes_alone():
    display = LatentSpaceDisplay.from_predictions(CODES)
    np.testing.assert_array_equal(display.points_[0].get_offsets(), CODES)
    assert display.colorbar_ is None
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize("with_labels", [True, False])
def test_through_meta_estimator_and_pipeline(scaled_detector, heartbeats, with_labels):
    X, y = heartbeats
    scaler, inside = scaled_detector.estimator_
    display = LatentSpaceDisplay.from_estimator(scaled_detector, X, y if with_labels else None)
    codes = inside.transform(scaler.transform(X))
    np.testing.assert_allclose(display.codes, codes, rtol=1e-5)
    errors = -scaled_detector.score_samples(X)
    np.testing.assert_allclose(display.errors, errors)
    pca = PCA(2, svd_solver="full")
    projected = pca.fit_transform(display.codes)
    if with_labels:
        np.testing.assert_allclose(display.points_[1].get_offsets(), projected[y == -1])
    else:
        order = np.argsort(errors, kind="stable")
        np.testing.assert_allclose(display.points_[0].get_offsets(), projected[order])
        assert display.colorbar_.ax.get_ylabel() == "combined error"
    for i, (name, share) in enumerate(
        zip(axis_names(display), pca.explained_variance_ratio_, strict=True), start=1
    ):
        n_codes = codes.shape[1]
        assert (
            name
            == f"principal component {i} of {n_codes} codes\n({100 * share:.0f} % of the variance)"
        )


def test_one_code_is_drawn_against_the_error():
    display = LatentSpaceDisplay.from_predictions(CODES[:, :1], errors=ERRORS, error_name="mse")
    np.testing.assert_array_equal(
        display.points_[0].get_offsets(), np.column_stack([CODES[:, 0], ERRORS])
    )
    assert axis_names(display) == ("latent code", "mse")
    assert display.colorbar_ is None
    assert display.ax_.get_yscale() == "linear"
    by_class = LatentSpaceDisplay.from_predictions(CODES[:, :1], LABELS, errors=ERRORS)
    np.testing.assert_array_equal(by_class.points_[1].get_offsets()[:, 1], ERRORS[15:])


def test_one_code_without_error_is_drawn_against_the_position():
    display = LatentSpaceDisplay.from_predictions(CODES[:, :1])
    np.testing.assert_array_equal(display.points_[0].get_offsets()[:, 1], np.arange(20))
    assert axis_names(display) == ("latent code", "position of the row")


def test_long_tails_take_a_logarithm():
    heavy = np.exp(10 * ERRORS)
    draw = LatentSpaceDisplay.from_predictions
    assert isinstance(draw(CODES, errors=heavy).points_[0].norm, LogNorm)
    assert draw(CODES[:, :1], errors=heavy).ax_.get_yscale() == "log"
    assert type(draw(CODES, errors=ERRORS).points_[0].norm) is Normalize
    assert type(draw(CODES, errors=heavy, norm=Normalize()).points_[0].norm) is Normalize


def test_dead_codes_have_no_variance():
    display = LatentSpaceDisplay.from_predictions(np.zeros((5, 3)))
    assert axis_names(display)[0].endswith("(0 % of the variance)")
    np.testing.assert_array_equal(display.points_[0].get_offsets(), np.zeros((5, 2)))


def test_frame():
    frame = LatentSpaceDisplay.from_predictions(CODES, LABELS, errors=ERRORS).frame()
    assert frame.columns.to_list() == ["x", "y", "error", "label"]
    np.testing.assert_array_equal(frame[["x", "y"]], CODES)
    np.testing.assert_array_equal(frame["error"], ERRORS)
    assert frame["label"].to_list() == ["inlier"] * 15 + ["outlier"] * 5
    bare = LatentSpaceDisplay(codes=CODES).frame()
    assert bare[["error", "label"]].isna().all(axis=None)


def test_a_color_of_the_users_own():
    (points,) = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, color="green").points_
    assert tuple(points.get_facecolor()[0][:3]) == to_rgba("green")[:3]
    display = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, c=ERRORS)
    assert display.colorbar_ is None
    np.testing.assert_array_equal(display.points_[0].get_array(), ERRORS)
    for points in LatentSpaceDisplay.from_predictions(CODES, LABELS, c="green").points_:
        assert tuple(points.get_facecolor()[0][:3]) == to_rgba("green")[:3]


def test_wishes_for_each_row_go_to_its_row():
    sizes = np.arange(1.0, 21)
    (points,) = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, s=sizes).points_
    np.testing.assert_array_equal(points.get_offsets(), CODES[::-1])
    np.testing.assert_array_equal(points.get_sizes(), sizes[::-1])
    both = LatentSpaceDisplay.from_predictions(CODES, LABELS, s=sizes.tolist(), c=ERRORS).points_
    for points, rows in zip(both, (LABELS == 1, LABELS == -1), strict=True):
        np.testing.assert_array_equal(points.get_sizes(), sizes[rows])
        np.testing.assert_array_equal(points.get_array(), ERRORS[rows])


def test_hollow_points_and_no_wish_at_all():
    (points,) = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, facecolors="none").points_
    assert len(points.get_facecolor()) == 0
    assert tuple(points.get_edgecolor()[0][:3]) == to_rgba(BLUE)[:3]
    display = LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, c=None, color=None)
    assert display.colorbar_ is not None


@pytest.mark.parametrize("name", ["edgecolor", "edgecolors", "ec"])
def test_edges_under_any_name(name):
    (points,) = LatentSpaceDisplay.from_predictions(
        CODES, errors=ERRORS, **{name: "red", "lw": 2}
    ).points_
    assert tuple(points.get_edgecolor()[0]) == to_rgba("red")
    assert points.get_linewidth() == [2]


def test_drawing_on_given_axes():
    _, ax = plt.subplots()
    display = LatentSpaceDisplay.from_predictions(CODES, LABELS, ax=ax, s=50, marker="x")
    assert display.ax_ is ax
    assert display.points_[0].get_sizes().tolist() == [50]
    assert display.points_[0].get_linewidths().min() > 0  # or crosses would not be seen
    LatentSpaceDisplay.from_predictions(CODES, errors=ERRORS, marker="x")
    with pytest.raises(TypeError, match="draws on one matplotlib axes"):
        display.plot([1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": np.where(CODES > 1, np.nan, CODES)}, "codes contains NaN"),
        ({"codes": CODES[0]}, "Expected 2D array"),
        ({"codes": np.zeros((1, 3))}, "minimum of 2 is required"),
        ({"errors": np.where(ERRORS > 1.5, np.nan, ERRORS)}, "errors contains NaN"),
        ({"errors": ERRORS[:3]}, "inconsistent numbers of samples"),
        ({"y": LABELS[:3]}, "inconsistent numbers of samples"),
        ({"y": LABELS == 1}, "do not say what is normal"),
    ],
)
def test_unfit_predictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentSpaceDisplay.from_predictions(**{"codes": CODES} | arguments)


def test_unfit_estimators(detector, scaled_detector, heartbeats):
    X, _ = heartbeats
    draw = LatentSpaceDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(AutoencoderOutlierDetector(), X)
    with pytest.raises(NotFittedError):
        draw(FitOnInliers(AutoencoderOutlierDetector()), X)
    with pytest.raises(TypeError, match="IsolationForest has no `transform`.*latent codes"):
        draw(IsolationForest(n_estimators=2).fit(X), X)
    with pytest.raises(ValueError, match="X has 3 features, but AutoencoderOutlierDetector"):
        draw(detector, X[:, :3])
    with pytest.raises(ValueError, match="X contains infinity"):
        draw(detector, np.full_like(X, np.inf))


def test_codes_in_a_data_frame(detector, heartbeats):
    X, _ = heartbeats
    framed = deepcopy(detector).set_output(transform="pandas")
    assert isinstance(framed.transform(X), pd.DataFrame)
    display = LatentSpaceDisplay.from_estimator(framed, X)
    np.testing.assert_allclose(display.codes, detector.transform(X), rtol=1e-6)
