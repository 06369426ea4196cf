"""P-values beside those of normal rows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import ConformalOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.displays import PValueDisplay

P_VALUES = np.array([0.5, 0.01, 0.9, 0.02])
LABELS = np.array([1, -1, 1, 1])


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def conformal(alpha=0.1):
    return ConformalOutlierDetector(
        ReconstructionOutlierDetector(PCA(4)), alpha=alpha, random_state=0
    )


def test_points_and_lines():
    display = PValueDisplay.from_predictions(P_VALUES, LABELS, alpha=0.05)
    inliers, outliers = display.points_
    np.testing.assert_array_equal(inliers.get_offsets(), [[3, 0.5], [4, 0.9], [2, 0.02]])
    np.testing.assert_array_equal(outliers.get_offsets(), [[1, 0.01]])
    np.testing.assert_allclose(display.uniform_line_.get_xydata(), [[1, 1 / 4], [4, 1]])
    np.testing.assert_allclose(display.alpha_line_.get_xydata(), [[1, 0.05 / 4], [4, 0.05]])
    assert legend_of(display) == [
        "inliers",
        "outliers",
        "uniform (normal rows)",
        "Benjamini-Hochberg at 0.05\n(2 rows flagged)",
    ]
    assert display.ax_.get_xlabel() == "rank of the row, the smallest p-value first"
    assert display.ax_.get_ylabel() == "p-value"
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
    assert display.figure_ is display.ax_.figure


def test_wishes_for_each_row_go_to_its_row():
    sizes = np.array([10.0, 20.0, 30.0, 40.0])
    inliers, outliers = PValueDisplay.from_predictions(P_VALUES, LABELS, s=sizes).points_
    np.testing.assert_array_equal(inliers.get_sizes(), sizes[np.array(LABELS) == 1])
    np.testing.assert_array_equal(outliers.get_sizes(), sizes[np.array(LABELS) == -1])


def test_without_labels_and_level():
    display = PValueDisplay.from_predictions(P_VALUES)
    (points,) = display.points_
    np.testing.assert_array_equal(points.get_offsets()[:, 0], [3, 1, 4, 2])
    assert display.alpha_line_ is None
    assert len(display.ax_.lines) == 1
    assert legend_of(display) == ["rows", "uniform (normal rows)"]
    assert display.frame()[["label", "discovery"]].isna().all(axis=None)


def test_one_class_only():
    display = PValueDisplay.from_predictions(P_VALUES, np.full(4, -1))
    assert legend_of(display) == ["outliers", "uniform (normal rows)"]


def test_other_label_codings():
    display = PValueDisplay.from_predictions(P_VALUES, LABELS == -1, outlier_label=True)
    assert len(display.points_[1].get_offsets()) == 1
    with pytest.raises(ValueError, match="do not say what is normal"):
        PValueDisplay.from_predictions(P_VALUES, LABELS == -1)


@pytest.mark.parametrize(
    "nest",
    [
        lambda: conformal(),
        lambda: FitOnInliers(conformal()),
        lambda: FitOnInliers(make_pipeline(StandardScaler(), "passthrough", conformal())),
        lambda: make_pipeline(StandardScaler(), FitOnInliers(conformal())),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_discoveries_are_those_of_predict_fdr(nest, frozen, heartbeats):
    X, y = heartbeats
    estimator = nest().fit(X[:150], y[:150])
    inside = estimator
    X_inside = X[150:]
    while not isinstance(inside, ConformalOutlierDetector):
        if isinstance(inside, FitOnInliers):
            inside = inside.estimator_
        else:
            X_inside, inside = inside[0].transform(X_inside), inside[-1]
    estimator = FrozenEstimator(estimator) if frozen else estimator
    display = PValueDisplay.from_estimator(estimator, X[150:], y[150:])
    assert display.alpha == 0.1
    np.testing.assert_array_equal(display.p_values, inside.p_values(X_inside))
    flagged = inside.predict_fdr(X_inside) == -1
    np.testing.assert_array_equal(display.frame()["discovery"].to_numpy(dtype=bool), flagged)
    assert legend_of(display)[-1].endswith(f"({flagged.sum()} rows flagged)")
    assert len(display.points_[1].get_offsets()) == np.sum(y[150:] == -1)


def test_axes_of_zeros_are_linear():
    display = PValueDisplay.from_predictions([0.0, 0.5])
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("linear", "linear")
    assert PValueDisplay.from_predictions(P_VALUES, log=False).ax_.get_yscale() == "linear"
    with pytest.raises(ValueError, match="p-values of zero, and 1 of 2 are: use log=False"):
        PValueDisplay.from_predictions([0.0, 0.5], log=True)


def test_frame():
    frame = PValueDisplay.from_predictions(P_VALUES, LABELS, alpha=0.05).frame()
    assert frame.columns.to_list() == ["p_value", "rank", "label", "discovery"]
    assert frame["p_value"].to_list() == P_VALUES.tolist()
    assert frame["rank"].to_list() == [3, 1, 4, 2]
    assert frame["label"].to_list() == ["inlier", "outlier", "inlier", "inlier"]
    assert frame["discovery"].to_list() == [False, True, False, True]


def test_drawing_on_given_axes():
    _, ax = plt.subplots()
    display = PValueDisplay.from_predictions(P_VALUES, ax=ax, s=50, c="green")
    assert display.ax_ is ax
    assert display.points_[0].get_sizes().tolist() == [50]
    assert tuple(display.points_[0].get_facecolor()[0]) == to_rgba("green")
    with pytest.raises(TypeError, match="draws on one matplotlib axes"):
        display.plot([1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_values": [0.1, np.nan]}, "p_values contains NaN"),
        ({"p_values": [0.1, -0.1, 1.5]}, "2 of 3 do not: the first is -0.1"),
        ({"p_values": [[0.1, 0.2]]}, "1d array"),
        ({"p_values": []}, "minimum of 1 is required"),
        ({"y": [1]}, "inconsistent numbers of samples"),
        ({"alpha": 1}, r"alpha must be None or in \(0, 1\), got 1"),
        ({"alpha": "low"}, r"alpha must be None or in \(0, 1\), got 'low'"),
    ],
)
def test_unfit_predictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        PValueDisplay.from_predictions(**{"p_values": P_VALUES} | arguments)


def test_unfit_estimators(heartbeats):
    X, y = heartbeats
    draw = PValueDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(conformal(), X)
    with pytest.raises(NotFittedError):
        draw(FitOnInliers(conformal()), X)
    with pytest.raises(TypeError, match="IsolationForest has no `p_values`.*Conformal"):
        draw(IsolationForest(n_estimators=2).fit(X), X)
    with pytest.raises(TypeError, match="Pipeline has no `p_values`"):
        draw(make_pipeline(StandardScaler(), PCA(2)).fit(X), X)
    fitted = conformal().fit(X[y == 1])
    with pytest.raises(ValueError, match="X has 3 features"):
        draw(fitted, X[:, :3])
    with pytest.raises(ValueError, match="X contains infinity"):
        draw(fitted, np.full_like(X, np.inf))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw(fitted, X, y[:-1])
