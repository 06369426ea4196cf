"""Histograms of errors, and the threshold in them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderOutlierDetector
from skae.displays import ErrorDistributionDisplay


def heights(bars):
    return np.array([patch.get_height() for patch in bars])


def edges(bars):
    lefts = [patch.get_x() for patch in bars]
    return np.array([*lefts, lefts[-1] + bars[-1].get_width()])


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


@pytest.fixture
def errors():
    return np.random.default_rng(0).normal(5.0, 1.0, size=200)


def test_histograms_of_a_detector(scaled_detector, heartbeats):
    X, y = heartbeats
    display = ErrorDistributionDisplay.from_estimator(scaled_detector, X, y)
    inliers, outliers = display.bars_
    assert heights(inliers).sum() == np.sum(y == 1)
    assert heights(outliers).sum() == np.sum(y == -1)
    np.testing.assert_allclose(edges(inliers), edges(outliers))
    # The width of a bar is rounded: its right edge may lie below the largest error.
    bins = [*edges(outliers)[:-1], np.inf]
    errors = -scaled_detector.score_samples(X[y == -1])
    np.testing.assert_array_equal(heights(outliers), np.histogram(errors, bins)[0])
    threshold = -scaled_detector.offset_
    np.testing.assert_allclose(display.threshold_line_.get_xdata(), threshold, rtol=1e-12)
    assert legend_of(display) == ["inliers", "outliers", f"threshold {threshold:.3g}"]
    assert display.ax_.get_xlabel() == "combined error"
    assert display.ax_.get_ylabel() == "number of rows"
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=10, contamination=0.1, random_state=0),
        OneClassSVM(nu=0.1),
        LocalOutlierFactor(novelty=True),
        make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    ],
)
def test_detectors_of_scikit_learn(estimator, heartbeats):
    X, _ = heartbeats
    estimator.fit(X)
    display = ErrorDistributionDisplay.from_estimator(estimator, X)
    (bars,) = display.bars_
    assert heights(bars).sum() == len(X)
    offset = getattr(estimator, "_final_estimator", estimator).offset_
    assert display.threshold == pytest.approx(-float(np.squeeze(offset)))
    above = display.frame()["above_threshold"].to_numpy(dtype=bool)
    np.testing.assert_array_equal(above, estimator.predict(X) == -1)
    assert display.frame()["label"].isna().all()
    assert "minus the score of" in display.ax_.get_xlabel()


class NoThreshold(IsolationForest):
    @property
    def decision_function(self):
        raise AttributeError


class WanderingThreshold(IsolationForest):
    def decision_function(self, X):
        return self.score_samples(X) ** 2


@pytest.mark.parametrize("kind", [NoThreshold, WanderingThreshold])
def test_no_line_where_there_is_no_threshold(kind, heartbeats):
    X, _ = heartbeats
    display = ErrorDistributionDisplay.from_estimator(kind(n_estimators=3).fit(X), X)
    assert display.threshold_line_ is None
    assert len(display.ax_.lines) == 0
    assert display.ax_.get_legend() is None
    assert display.frame()["above_threshold"].isna().all()


def test_other_label_codings(errors):
    labels = np.where(np.arange(200) < 150, "normal", "ill")
    draw = ErrorDistributionDisplay.from_predictions
    for named in ({"inlier_label": "normal"}, {"outlier_label": "ill"}):
        display = draw(errors, labels, **named)
        assert [heights(bars).sum() for bars in display.bars_] == [150, 50]
    with pytest.raises(ValueError, match="do not say what is normal"):
        draw(errors, labels)


def test_one_class_only(errors):
    display = ErrorDistributionDisplay.from_predictions(errors, np.full(200, -1), threshold=5)
    assert legend_of(display) == ["outliers", "threshold 5"]
    assert heights(display.bars_[0]).sum() == 200
    assert display.frame()["label"].unique().tolist() == ["outlier"]


def test_frame():
    display = ErrorDistributionDisplay.from_predictions([1, 3, 2], [1, -1, 1], threshold=2)
    frame = display.frame()
    assert frame.columns.to_list() == ["error", "label", "above_threshold"]
    assert frame["error"].to_list() == [1.0, 3.0, 2.0]
    assert frame["label"].to_list() == ["inlier", "outlier", "inlier"]
    # scikit-learn calls a row on the threshold an inlier.
    assert frame["above_threshold"].to_list() == [False, True, False]


def test_heavy_tails_take_a_logarithmic_axis(errors):
    heavy = np.exp(2 * errors)
    display = ErrorDistributionDisplay.from_predictions(heavy, threshold=1e5)
    assert display.ax_.get_xscale() == "log"
    assert heights(display.bars_[0]).sum() == 200
    steps = np.diff(np.log(edges(display.bars_[0])))
    np.testing.assert_allclose(steps, steps[0])
    linear = ErrorDistributionDisplay.from_predictions(heavy, log_x=False)
    assert linear.ax_.get_xscale() == "linear"
    assert ErrorDistributionDisplay.from_predictions(errors).ax_.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("extra", "threshold"), [(-1.0, None), (0.0, None), (100.0, -1.0)], ids=str
)
def test_no_logarithm_of_zero_or_less(errors, extra, threshold):
    display = ErrorDistributionDisplay.from_predictions([*errors, extra], threshold=threshold)
    assert display.ax_.get_xscale() == "linear"


def test_logarithm_of_zero_on_demand(errors):
    with pytest.raises(ValueError, match="2 of 202 are: use log_x=False"):
        ErrorDistributionDisplay.from_predictions([*errors, 0, -1], log_x=True)


@pytest.mark.parametrize("log_x", [False, True])
def test_equal_errors(log_x):
    display = ErrorDistributionDisplay.from_predictions(np.full(30, 2.0), log_x=log_x)
    assert heights(display.bars_[0]).sum() == 30


def test_clipping_keeps_all_rows_and_says_so(errors):
    errors = [*errors, 1e3, 1e6]
    display = ErrorDistributionDisplay.from_predictions(errors, clip_quantile=0.99, log_x=False)
    (bars,) = display.bars_
    assert heights(bars).sum() == 202
    assert edges(bars)[-1] == pytest.approx(np.quantile(errors, 0.99))
    n_beyond = np.sum(np.array(errors) > np.quantile(errors, 0.99))
    assert f"({n_beyond} larger than" in display.ax_.get_xlabel()


def test_clipping_keeps_the_threshold_inside(errors):
    display = ErrorDistributionDisplay.from_predictions(
        [*errors, 1e6], threshold=20, clip_quantile=0.9, log_x=False
    )
    assert edges(display.bars_[0])[-1] == pytest.approx(22)


def test_bins(errors):
    draw = ErrorDistributionDisplay.from_predictions
    assert len(draw(errors, bins=7).bars_[0]) == 7
    np.testing.assert_allclose(edges(draw(errors, bins=[0, 5, 10]).bars_[0]), [0, 5, 10])
    assert len(draw([*errors, 1e12], log_x=False).bars_[0]) <= 60


def test_drawing_on_given_axes(errors):
    _, ax = plt.subplots()
    display = ErrorDistributionDisplay.from_predictions(
        errors, ax=ax, log_y=True, density=True, alpha=0.2, error_name="distance (m)"
    )
    assert display.ax_ is ax
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("distance (m)", "density")
    assert display.bars_[0][0].get_alpha() == 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"errors": [1.0, np.nan]}, "errors contains NaN"),
        ({"errors": [1.0, np.inf]}, "errors contains infinity"),
        ({"errors": []}, "minimum of 1 is required"),
        ({"errors": [[1.0, 2.0]]}, "1d array"),
        ({"errors": [1.0, 2.0], "y": [1]}, "inconsistent numbers of samples"),
        ({"errors": [1.0, 2.0], "threshold": np.nan}, "threshold must be a finite number"),
        ({"errors": [1.0, 2.0], "bins": "many"}, "bins must be 'auto'"),
        ({"errors": [1.0, 2.0], "clip_quantile": 99}, r"clip_quantile must be None or in \(0, 1\]"),
    ],
)
def test_unfit_predictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        ErrorDistributionDisplay.from_predictions(**arguments)


def test_unfit_estimators(detector, heartbeats):
    X, y = heartbeats
    draw = ErrorDistributionDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(AutoencoderOutlierDetector(), X)
    with pytest.raises(TypeError, match=r"no `score_samples`.*novelty=True"):
        draw(LocalOutlierFactor().fit(X), X)
    with pytest.raises(ValueError, match="X has 3 features, but AutoencoderOutlierDetector"):
        draw(detector, X[:, :3])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw(detector, X, y[:-1])
    with pytest.raises(TypeError, match="draws on one matplotlib axes"):
        draw(detector, X, ax=plt.subplots(1, 2)[1])
