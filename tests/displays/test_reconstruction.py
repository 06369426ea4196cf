"""Rows beside their reconstructions."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.displays import ReconstructionDisplay

X_SMALL = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
RECONSTRUCTED = np.array([[0.5, 1.0, 1.0], [3.0, 3.0, 3.0]])


def ydata(panel):
    return [line.get_ydata() for line in panel.lines]


def titles(display):
    return [panel.get_title(loc="left") for panel in np.ravel(display.axes_)]


def test_a_bare_detector(detector, heartbeats):
    X, _ = heartbeats
    display = ReconstructionDisplay.from_estimator(detector, X[:3])
    assert display.axes_.shape == (3,)
    reconstruction = detector.reconstruct(X[:3])
    for panel, row, again in zip(display.axes_, X, reconstruction, strict=False):
        original, reconstructed = panel.lines
        np.testing.assert_array_equal(original.get_xdata(), np.arange(140))
        np.testing.assert_allclose(original.get_ydata(), row)
        np.testing.assert_allclose(reconstructed.get_ydata(), again)
        (area,) = panel.collections
        assert isinstance(area, PolyCollection)
        corners = {tuple(corner) for corner in area.get_paths()[0].vertices.round(5)}
        for curve in (row, again):
            assert {(x, round(float(y), 5)) for x, y in enumerate(curve)} <= corners
    assert display.axes_[-1].get_xlabel() == "feature index"
    assert display.axes_[0].get_ylabel() == "value"


def test_titles_tell_verdict_and_error(detector, heartbeats):
    X, _ = heartbeats
    verdicts, errors = detector.predict(X), -detector.score_samples(X)
    rows = [np.flatnonzero(verdicts == 1)[0], np.flatnonzero(verdicts == -1)[0]]
    display = ReconstructionDisplay.from_estimator(detector, X[rows])
    assert titles(display) == [
        f"row 0: inlier, combined error {errors[rows[0]]:.3g}",
        f"row 1: outlier, combined error {errors[rows[1]]:.3g}",
    ]


@pytest.mark.parametrize("nesting", ["meta(pipeline)", "pipeline(meta)", "pandas output"])
def test_values_are_in_the_units_of_the_data(nesting, scaled_detector, heartbeats, make_detector):
    X, y = heartbeats
    X = X * 1000.0
    scaler = StandardScaler()
    if nesting == "pandas output":
        scaler.set_output(transform="pandas")
        X = pd.DataFrame(X, columns=[f"t{i}" for i in range(140)])
    if nesting == "pipeline(meta)":
        estimator = make_pipeline(scaler, FitOnInliers(make_detector())).fit(X, y)
        scaler, inside = estimator[0], estimator[1].estimator_
    else:
        estimator = FitOnInliers(make_pipeline(scaler, make_detector())).fit(X, y)
        scaler, inside = estimator.estimator_
    display = ReconstructionDisplay.from_estimator(estimator, X[:2])
    np.testing.assert_allclose(display.X, X[:2], rtol=1e-5)
    expected = scaler.inverse_transform(inside.reconstruct(scaler.transform(X[:2])))
    np.testing.assert_allclose(display.X_reconstructed, expected, rtol=1e-5)
    np.testing.assert_allclose(display.errors, -estimator.score_samples(X[:2]))
    assert display.axes_[0].get_ylabel() == "value"


def test_units_of_the_detector_where_there_is_no_way_back(heartbeats, make_detector):
    X, _ = heartbeats
    estimator = make_pipeline(FunctionTransformer(np.log1p), make_detector()).fit(X)
    display = ReconstructionDisplay.from_estimator(estimator, X[:1])
    np.testing.assert_allclose(display.X, np.log1p(X[:1]))
    np.testing.assert_allclose(display.X_reconstructed, estimator[1].reconstruct(np.log1p(X[:1])))
    assert display.axes_[0].get_ylabel() == "transformed value"
    display = ReconstructionDisplay.from_estimator(estimator, X[:1], value_name="log voltage")
    assert display.axes_[0].get_ylabel() == "log voltage"


def test_names_of_a_data_frame(heartbeats, make_detector):
    X, _ = heartbeats
    X = pd.DataFrame(
        X, columns=[f"t{i}" for i in range(140)], index=[f"beat{i}" for i in range(300)]
    )
    estimator = make_pipeline(MinMaxScaler(), make_detector()).fit(X)
    display = ReconstructionDisplay.from_estimator(estimator, X.loc[["beat7"]])
    assert titles(display)[0].startswith("row beat7: ")
    frame = display.frame()
    assert frame["row"].unique().tolist() == ["beat7"]
    assert frame["feature"].to_list() == X.columns.to_list()


def test_lists_are_rows_too(detector, heartbeats):
    X, _ = heartbeats
    display = ReconstructionDisplay.from_estimator(detector, X[:1].tolist())
    assert titles(display)[0].startswith("row 0: ")


def test_residual_side_by_side():
    display = ReconstructionDisplay.from_predictions(
        X_SMALL, RECONSTRUCTED, errors=[0.25, 2.0], y_pred=[1, -1], residual=True
    )
    assert display.axes_.shape == (2, 3)
    for panels, row, again in zip(display.axes_, X_SMALL, RECONSTRUCTED, strict=True):
        for panel, values in zip(panels, (row, again, row - again), strict=True):
            np.testing.assert_array_equal(ydata(panel)[0], values)
        assert len(panels[2].collections) == 1
        assert panels[0].get_ylim() == panels[1].get_ylim()
    assert titles(display)[:3] == [
        "row 0: inlier, error 0.25\noriginal",
        "reconstruction",
        "residual (original - reconstruction)",
    ]
    assert titles(display)[3] == "row 1: outlier, error 2\noriginal"
    assert [panel.get_xlabel() for panel in display.axes_[-1]] == ["feature index"] * 3


def test_the_nearest_known_row_is_a_third_line_in_the_units_of_the_data(heartbeats, make_detector):
    X, y = heartbeats
    X = X * 1000.0
    estimator = FitOnInliers(make_pipeline(StandardScaler(), make_detector())).fit(X, y)
    scaler, inside = estimator.estimator_
    display = ReconstructionDisplay.from_estimator(estimator, X[:2], nearest=True)
    expected = scaler.inverse_transform(inside.nearest_known(scaler.transform(X[:2])))
    np.testing.assert_allclose(display.X_nearest, expected, rtol=1e-5)
    for panel, *rows in zip(
        display.axes_, display.X, display.X_reconstructed, display.X_nearest, strict=True
    ):
        for values, row in zip(ydata(panel), rows, strict=True):
            np.testing.assert_array_equal(values, row)
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "nearest known row"


def test_the_nearest_row_has_the_units_of_the_detector_where_there_is_no_way_back(
    heartbeats, make_detector
):
    X, _ = heartbeats
    estimator = make_pipeline(FunctionTransformer(np.log1p), make_detector()).fit(X)
    display = ReconstructionDisplay.from_estimator(estimator, X[:1], nearest=True)
    np.testing.assert_allclose(display.X_nearest, estimator[1].nearest_known(np.log1p(X[:1])))


def test_the_nearest_row_side_by_side():
    display = ReconstructionDisplay.from_predictions(
        X_SMALL, RECONSTRUCTED, X_nearest=X_SMALL + 1, residual=True
    )
    for panels, again, row in zip(display.axes_, RECONSTRUCTED, X_SMALL, strict=True):
        assert [len(panel.lines) for panel in panels] == [1, 2, 1]
        for values, expected in zip(ydata(panels[1]), (again, row + 1), strict=True):
            np.testing.assert_array_equal(values, expected)
    assert titles(display)[1] == "reconstruction\n(dotted: nearest known row)"


def test_from_predictions_alone():
    display = ReconstructionDisplay.from_predictions(
        X_SMALL, RECONSTRUCTED, value_name="voltage (mV)", sample_rate=2
    )
    assert titles(display) == ["row 0", "row 1"]
    np.testing.assert_array_equal(display.axes_[0].lines[0].get_xdata(), [0, 0.5, 1.0])
    assert display.axes_[1].get_xlabel() == "time (s)"
    assert display.axes_[1].get_ylabel() == "voltage (mV)"
    (legend,) = display.figure_.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["original", "reconstruction", "difference"]


def test_new_panels_have_one_scale():
    display = ReconstructionDisplay.from_predictions(X_SMALL, RECONSTRUCTED)
    assert display.axes_[0].get_ylim() == display.axes_[1].get_ylim()
    assert display.axes_[0].get_ylim()[1] > 5


def test_frame():
    frame = ReconstructionDisplay(X=X_SMALL, X_reconstructed=RECONSTRUCTED).frame()
    assert frame["row"].to_list() == [0, 0, 0, 1, 1, 1]
    assert frame["feature"].to_list() == [0, 1, 2, 0, 1, 2]
    assert frame["value"].to_list() == [0, 1, 2, 3, 4, 5]
    assert frame["reconstruction"].to_list() == [0.5, 1, 1, 3, 3, 3]
    assert frame["residual"].to_list() == [-0.5, 0, 1, 0, 1, 2]
    assert "nearest" not in frame


def test_frame_with_nearest_rows():
    frame = ReconstructionDisplay.from_predictions(
        X_SMALL, RECONSTRUCTED, X_nearest=X_SMALL + 1
    ).frame()
    assert frame["nearest"].to_list() == [1, 2, 3, 4, 5, 6]


def test_drawing_on_given_axes():
    figure, axes = plt.subplots(2)
    display = ReconstructionDisplay.from_predictions(X_SMALL, RECONSTRUCTED, ax=axes)
    assert display.axes_.tolist() == axes.tolist()
    assert display.figure_ is figure
    assert not figure.legends
    assert axes[0].get_legend() is not None
    alone = ReconstructionDisplay.from_predictions(X_SMALL[:1], RECONSTRUCTED[:1], ax=axes[0])
    assert alone.axes_[0] is axes[0]


@pytest.mark.parametrize("ax", [[1, 2], "two", range(3)])
def test_wrong_axes(ax):
    with pytest.raises(ValueError, match="2 rows in 1 panels each: ax must be 2 matplotlib axes"):
        ReconstructionDisplay.from_predictions(X_SMALL, RECONSTRUCTED, ax=ax)


def test_too_few_axes_for_residuals():
    axes = plt.subplots(2)[1]
    with pytest.raises(ValueError, match="ax must be 6 matplotlib axes, got 2"):
        ReconstructionDisplay.from_predictions(X_SMALL, RECONSTRUCTED, ax=axes, residual=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X_reconstructed": RECONSTRUCTED[:, :2]}, r"X has shape \(2, 3\).*\(2, 2\)"),
        ({"X_nearest": X_SMALL[:1]}, r"X has shape \(2, 3\), X_nearest \(1, 3\)"),
        ({"X": np.where(X_SMALL > 4, np.inf, X_SMALL)}, "X contains infinity"),
        ({"X": X_SMALL[0]}, "Expected 2D array"),
        ({"X": np.zeros((26, 3))}, r"at most 25, such as X\[:3\]"),
        ({"errors": [1.0]}, "inconsistent numbers of samples"),
        ({"y_pred": [1, 1, 1]}, "inconsistent numbers of samples"),
        ({"sample_rate": 0}, "sample_rate must be None or a number > 0"),
    ],
)
def test_unfit_predictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay.from_predictions(
            **{"X": X_SMALL, "X_reconstructed": RECONSTRUCTED} | arguments
        )


def test_unfit_estimators(scaled_detector, heartbeats):
    X, _ = heartbeats
    draw = ReconstructionDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(AutoencoderOutlierDetector(), X[:1])
    with pytest.raises(NotFittedError):
        draw(FitOnInliers(AutoencoderOutlierDetector()), X[:1])
    with pytest.raises(TypeError, match="IsolationForest has no `reconstruct`"):
        draw(IsolationForest(n_estimators=2).fit(X), X[:1])
    with pytest.raises(TypeError, match="nearest=True needs a detector with the combined error"):
        draw(ReconstructionOutlierDetector(PCA(2)).fit(X), X[:1], nearest=True)
    with pytest.raises(ValueError, match="X has 3 features"):
        draw(scaled_detector, X[:1, :3])
    with pytest.raises(ValueError, match="X has 300 rows, and each gets a panel"):
        draw(scaled_detector, X)
