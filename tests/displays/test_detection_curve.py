"""Precision and recall against the threshold."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import precision_score, recall_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import FitOnInliers, ReconstructionOutlierDetector, ThresholdedOutlierDetector
from skae.displays import DetectionCurveDisplay

ERRORS = [1.0, 2.0, 3.0, 4.0]
LABELS = [1, -1, 1, -1]


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def height_at(line, threshold):
    """Return where a line of steps is at a threshold."""
    assert line.get_drawstyle() == "steps-pre"
    return line.get_ydata()[np.searchsorted(line.get_xdata(), threshold, side="right")]


def test_lines():
    display = DetectionCurveDisplay.from_predictions(ERRORS, LABELS, threshold=2.5)
    precision, recall = display.lines_
    for line in display.lines_:
        np.testing.assert_array_equal(line.get_xdata(), ERRORS)
    np.testing.assert_allclose(precision.get_ydata(), [1 / 2, 2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(recall.get_ydata(), [1, 1, 1 / 2, 1 / 2])
    np.testing.assert_array_equal(display.threshold_line_.get_xdata(), 2.5)
    assert legend_of(display) == [
        "precision",
        "recall",
        "threshold 2.5\n(precision 0.50, recall 0.50)",
    ]
    assert display.ax_.get_xlabel() == "threshold of the error"
    assert display.ax_.get_ylabel() == "precision and recall of outliers"
    assert display.ax_.get_xscale() == "linear"
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    ("threshold", "remark"),
    [
        (0, "\n(precision 0.50, recall 1.00)"),
        (1, "\n(precision 0.67, recall 1.00)"),  # scikit-learn calls a row on it an inlier
        (3, "\n(precision 1.00, recall 0.50)"),
        (4, " (no alarms)"),
        (9, " (no alarms)"),
    ],
)
def test_what_the_threshold_comes_to(threshold, remark):
    display = DetectionCurveDisplay.from_predictions(ERRORS, LABELS, threshold=threshold)
    assert legend_of(display)[2] == f"threshold {threshold}{remark}"


@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=10, contamination=0.1, random_state=0),
        make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
        FitOnInliers(make_pipeline(StandardScaler(), ReconstructionOutlierDetector(PCA(4)))),
        ThresholdedOutlierDetector(ReconstructionOutlierDetector(PCA(4)), "youden"),
    ],
)
def test_the_curves_are_those_of_predict(estimator, heartbeats):
    X, y = heartbeats
    estimator.fit(X, y)
    display = DetectionCurveDisplay.from_estimator(estimator, X, y)
    y_pred = estimator.predict(X)
    for line, score in zip(display.lines_, (precision_score, recall_score), strict=True):
        expected = score(y, y_pred, pos_label=-1)
        assert height_at(line, display.threshold) == pytest.approx(expected)
        assert f"{expected:.2f}" in legend_of(display)[2]
    offset = getattr(estimator, "_final_estimator", estimator).offset_
    np.testing.assert_allclose(display.threshold_line_.get_xdata(), -offset)


def test_no_line_where_there_is_no_threshold():
    display = DetectionCurveDisplay.from_predictions(ERRORS, LABELS)
    assert display.threshold_line_ is None
    assert len(display.ax_.lines) == 2
    assert legend_of(display) == ["precision", "recall"]


def test_other_label_codings():
    labels = np.where(np.array(LABELS) == 1, "normal", "ill")
    draw = DetectionCurveDisplay.from_predictions
    for named in ({"inlier_label": "normal"}, {"outlier_label": "ill"}):
        assert draw(ERRORS, labels, **named).recall.tolist() == [1, 1, 0.5, 0.5]
    with pytest.raises(ValueError, match="do not say what is normal"):
        draw(ERRORS, labels)


def test_equal_errors_are_seen():
    display = DetectionCurveDisplay.from_predictions(np.ones(4), LABELS)
    assert [line.get_marker() for line in display.lines_] == ["o", "o"]
    assert display.frame().to_numpy().tolist() == [[1, 0.5, 1]]


def test_heavy_tails_take_a_logarithmic_axis():
    draw = DetectionCurveDisplay.from_predictions
    assert draw(np.exp(np.array(ERRORS) * 3), LABELS).ax_.get_xscale() == "log"
    assert draw(ERRORS, LABELS, log_x=True).ax_.get_xscale() == "log"
    assert draw([1, 2, 3, 400], LABELS, log_x=False).ax_.get_xscale() == "linear"
    with pytest.raises(ValueError, match="1 of 4 are: use log_x=False"):
        draw([0, 1, 2, 3], LABELS, log_x=True)


def test_frame():
    frame = DetectionCurveDisplay.from_predictions(ERRORS, LABELS).frame()
    assert frame.columns.to_list() == ["threshold", "precision", "recall"]
    assert frame["threshold"].to_list() == ERRORS
    assert frame["recall"].to_list() == [1, 1, 0.5, 0.5]


def test_drawing_on_given_axes():
    _, ax = plt.subplots()
    display = DetectionCurveDisplay.from_predictions(
        ERRORS, LABELS, ax=ax, error_name="distance (m)", lw=3, ls=":"
    )
    assert display.ax_ is ax
    assert ax.get_xlabel() == "threshold of the distance (m)"
    assert {(line.get_linewidth(), line.get_linestyle()) for line in ax.lines} == {(3, ":")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1, 1, 1, 1]}, "y has inliers only: precision and recall need both"),
        ({"y": [-1, -1, -1, -1]}, "y has outliers only"),
        ({"y": [1, -1, 1]}, "inconsistent numbers of samples"),
        ({"errors": [1.0, np.nan, 2.0, 3.0]}, "errors contains NaN"),
        ({"errors": [1.0, np.inf, 2.0, 3.0]}, "errors contains infinity"),
        ({"threshold": np.nan}, "threshold must be a finite number"),
    ],
)
def test_unfit_predictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        DetectionCurveDisplay.from_predictions(**{"y": LABELS, "errors": ERRORS} | arguments)


def test_unfit_estimators(heartbeats):
    X, y = heartbeats
    forest = IsolationForest(n_estimators=2)
    draw = DetectionCurveDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(forest, X, y)
    with pytest.raises(TypeError, match=r"no `score_samples`: DetectionCurveDisplay.*novelty=True"):
        draw(LocalOutlierFactor().fit(X), X, y)
    with pytest.raises(ValueError, match="X has 3 features, but IsolationForest"):
        draw(forest.fit(X), X[:, :3], y)
    with pytest.raises(ValueError, match="y has inliers only"):
        draw(forest, X[y == 1], y[y == 1])
    with pytest.raises(TypeError, match="draws on one matplotlib axes"):
        draw(forest, X, y, ax=plt.subplots(1, 2)[1])
