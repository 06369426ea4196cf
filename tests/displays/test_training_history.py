"""The curves of a training."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.displays import TrainingHistoryDisplay

HISTORY = {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 2.5, 2.0], "mae": [0.3, 0.2, 0.1]}


def labels_in(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_lines_are_the_history(detector):
    display = TrainingHistoryDisplay.from_estimator(detector)
    training, validation = display.ax_.lines
    assert display.lines_ == [training, validation]
    np.testing.assert_array_equal(training.get_xdata(), np.arange(1, 11))
    np.testing.assert_array_equal(training.get_ydata(), detector.history_["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), detector.history_["val_loss"])
    assert labels_in(display.ax_.get_legend()) == ["training", "validation"]
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "loss"
    assert display.figure_ is display.ax_.figure


def test_a_loss_that_has_a_name(heartbeats, make_detector):
    X, _ = heartbeats
    display = TrainingHistoryDisplay.from_estimator(make_detector(loss="mae").fit(X))
    assert display.ax_.get_ylabel() == "loss (mae)"


def test_a_metric(detector):
    display = TrainingHistoryDisplay.from_estimator(detector, quantity="mae", log_y=True)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), detector.history_["val_mae"])
    assert display.ax_.get_ylabel() == "mae"
    assert display.ax_.get_yscale() == "log"


def test_through_meta_estimator_and_pipeline(scaled_detector, heartbeats, make_detector):
    X, y = heartbeats
    inside = scaled_detector.estimator_[-1]
    display = TrainingHistoryDisplay.from_estimator(scaled_detector)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), inside.history_["loss"])
    assert labels_in(display.ax_.get_legend()) == ["training"]
    pipeline = make_pipeline(MinMaxScaler(), FitOnInliers(make_detector(epochs=2))).fit(X, y)
    assert len(TrainingHistoryDisplay.from_estimator(pipeline).frame()) == 2


def test_from_history_in_axes_of_the_user():
    _, ax = plt.subplots()
    first = TrainingHistoryDisplay.from_history(HISTORY, ax=ax, name="first", c="k", lw=3)
    TrainingHistoryDisplay.from_history(HISTORY, ax=ax, name="second")
    assert first.ax_ is ax
    assert [line.get_label() for line in ax.lines] == [
        "first, training",
        "first, validation",
        "second, training",
        "second, validation",
    ]
    assert ax.lines[0].get_color() == "k"
    assert ax.lines[0].get_linewidth() == 3
    assert ax.get_ylabel() == "loss"


def test_one_epoch_is_seen():
    display = TrainingHistoryDisplay.from_history({"loss": [1.0]})
    assert display.lines_[0].get_marker() == "o"


def test_frame():
    frame = TrainingHistoryDisplay(history=HISTORY).frame()
    assert frame.columns.to_list() == ["epoch", "quantity", "rows", "value"]
    assert len(frame) == 9
    validation = frame.query("quantity == 'loss' and rows == 'validation'")
    assert validation["epoch"].to_list() == [1, 2, 3]
    assert validation["value"].to_list() == HISTORY["val_loss"]
    assert frame.query("quantity == 'mae'")["rows"].unique().tolist() == ["training"]


def test_curves_that_a_warm_start_began_later(heartbeats, make_detector):
    X, _ = heartbeats
    detector = make_detector(warm_start=True).fit(X)
    detector.set_params(epochs=2).fit(X, X_val=X[:50])
    display = TrainingHistoryDisplay.from_estimator(detector)
    assert len(display.lines_[0].get_xdata()) == 12
    assert np.isnan(display.lines_[1].get_ydata()).tolist() == [True] * 10 + [False] * 2


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (AutoencoderOutlierDetector(), NotFittedError, "not fitted"),
        (FitOnInliers(AutoencoderOutlierDetector()), NotFittedError, "not fitted"),
        (IsolationForest(n_estimators=2).fit([[0.0], [1.0]]), TypeError, "no `history_`"),
        (HISTORY, TypeError, "not an estimator"),
    ],
)
def test_estimators_without_history(estimator, error, message):
    with pytest.raises(error, match=message):
        TrainingHistoryDisplay.from_estimator(estimator)


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "must be a dict of lists"),
        ({}, ValueError, "at least one curve"),
        ({"loss": []}, ValueError, "one epoch"),
        ({"loss": [1.0, 2.0], "val_loss": [1.0]}, ValueError, r"lengths .*'val_loss': 1"),
    ],
)
def test_unfit_histories(history, error, message):
    with pytest.raises(error, match=message):
        TrainingHistoryDisplay.from_history(history)


def test_unknown_quantity_and_wrong_axes():
    with pytest.raises(ValueError, match=r"'mse' was not recorded.*\['loss', 'mae'\]"):
        TrainingHistoryDisplay.from_history(HISTORY, quantity="mse")
    with pytest.raises(TypeError, match="draws on one matplotlib axes"):
        TrainingHistoryDisplay.from_history(HISTORY, ax=[1, 2])
