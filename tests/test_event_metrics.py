"""Metrics that count events, not time steps."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin

from skae.metrics import (
    anomaly_scorer,
    event_precision_score,
    event_recall_score,
    false_alarms_per_unit,
)

#        event        event        none
TRUE = [1, -1, -1, 1, 1, -1, 1, 1, 1, 1, 1, 1]
FOUND = [1, 1, -1, -1, 1, 1, 1, 1, -1, -1, 1, -1]


def test_a_touch_finds_an_event():
    assert event_recall_score(TRUE, FOUND) == 0.5
    assert event_recall_score(TRUE, np.full(12, -1)) == 1
    assert event_recall_score(TRUE, np.ones(12)) == 0


def test_alarms_that_touch_an_event_are_right():
    assert event_precision_score(TRUE, FOUND) == pytest.approx(1 / 3)
    assert event_precision_score(TRUE, FOUND, tolerance=2) == pytest.approx(1 / 3)
    assert event_precision_score(TRUE, FOUND, tolerance=3) == pytest.approx(2 / 3)
    assert event_precision_score(TRUE, np.ones(12)) == 0


def test_false_alarms_are_counted_per_unit_of_normal_time():
    assert false_alarms_per_unit(TRUE, FOUND, steps_per_unit=90) == 2 * 90 / 9
    assert false_alarms_per_unit(TRUE, FOUND, steps_per_unit=90, tolerance=3) == 90 / 9
    assert false_alarms_per_unit(TRUE, np.ones(12), steps_per_unit=90) == 0


def test_no_event_reaches_across_a_gap():
    y = np.full(6, -1)
    predicted = [-1, 1, 1, 1, 1, 1]
    assert event_recall_score(y, predicted) == 1
    assert event_recall_score(y, predicted, groups=[0, 0, 0, 1, 1, 2]) == pytest.approx(1 / 3)
    y, predicted = [-1, 1, 1, 1], [1, 1, -1, -1]
    assert event_precision_score(y, predicted, tolerance=9) == 1
    assert event_precision_score(y, predicted, tolerance=9, groups=[0, 0, 1, 1]) == 0
    assert false_alarms_per_unit(y, predicted, steps_per_unit=3, groups=[0, 0, 0, 1]) == 2


def test_labels_by_name():
    y = ["ok", "bad", "bad", "ok"]
    assert event_recall_score(y, [1, -1, 1, 1], outlier_label="bad") == 1
    assert event_precision_score(y, [-1, 1, 1, 1], inlier_label="ok") == 0


class Known(OutlierMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return X[:, 0]


def test_as_scorers():
    X = np.array(FOUND)[:, None]
    assert anomaly_scorer("event_recall")(Known(), X, TRUE) == 0.5
    assert anomaly_scorer("event_precision")(Known(), X, TRUE) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="Events have no weights"):
        anomaly_scorer("event_recall")(Known(), X, TRUE, sample_weight=np.ones(12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: event_recall_score([1, 1], [1, -1]), "no outlier among its 2 time steps"),
        (lambda: event_recall_score([1, -1], [0, 1]), r"\+1 for inliers and -1 .* got \[0, 1\]"),
        (lambda: event_recall_score([1, -1], [1, -1, 1]), "inconsistent numbers of samples"),
        (lambda: event_recall_score([1, 0], [1, -1]), "label"),
        (lambda: event_precision_score([1, -1], [1, 1], tolerance=-1), "tolerance must be"),
        (lambda: event_precision_score([1, -1], [1, 1], tolerance=0.5), "tolerance must be"),
        (
            lambda: false_alarms_per_unit([1, -1], [1, 1], steps_per_unit=0),
            "steps_per_unit must be a number above 0; got 0",
        ),
        (
            lambda: false_alarms_per_unit([-1, -1], [1, 1], steps_per_unit=1),
            "labels no time step normal",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
