"""The picture of a drift report."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from skae import ReconstructionOutlierDetector
from skae._presentation import percent
from skae.displays import DriftDisplay
from skae.inspection import drift_report

X = np.random.default_rng(0).normal(size=(400, 4)) @ np.diag([3, 2, 0.5, 0.5])
MOVED = X[200:] + np.array([0, 0, 0, 1.0])


@pytest.fixture(scope="module")
def detector():
    return ReconstructionOutlierDetector(PCA(2)).fit(X[:200])


def test_draws_the_report(detector):
    display = DriftDisplay.from_estimator(detector, MOVED, top=2)
    report = drift_report(detector, MOVED)
    errors, columns = display.axes_
    assert [line.get_label() for line in display.lines_] == [
        f"reference: {percent(report.reference_alarm_rate)} alarms",
        f"new: {percent(report.alarm_rate)} alarms",
    ]
    np.testing.assert_array_equal(display.lines_[1].get_xdata(), np.sort(report.errors))
    assert errors.get_xlabel() == "reconstruction error (mse)"
    assert [text.get_text() for text in columns.get_yticklabels()] == [
        f"feature {name}" for name in report.columns["feature"][:2]
    ]
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_array_equal(widths, report.columns["moved"][:2])
    pd.testing.assert_frame_equal(display.frame(), report.columns)
    assert display.figure_ is errors.figure


def test_own_axes_and_style(detector):
    _, axes = plt.subplots(1, 2)
    report = drift_report(detector, MOVED)
    display = DriftDisplay.from_report(report, ax=axes, linewidth=3)
    assert list(display.axes_) == list(axes)
    assert display.lines_[0].get_linewidth() == 3
    with pytest.raises(ValueError, match="must be 2 matplotlib axes"):
        display.plot(axes[0])


def test_of_a_detector_without_errors_of_features():
    forest = IsolationForest(n_estimators=10, random_state=0).fit(X[:200])
    display = DriftDisplay.from_estimator(forest, MOVED, X[:200])
    assert display.bars_ is None
    assert display.frame().empty


def test_bad_input(detector):
    with pytest.raises(TypeError, match="report must be what"):
        DriftDisplay.from_report(pd.DataFrame())
    with pytest.raises(ValueError, match="top must be"):
        DriftDisplay.from_estimator(detector, MOVED, top=0)
