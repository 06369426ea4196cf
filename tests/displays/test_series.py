"""SeriesDisplay: a series with its errors, the threshold and the events."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from skae import (
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.displays import SeriesDisplay

plt = pytest.importorskip("matplotlib.pyplot")
mdates = pytest.importorskip("matplotlib.dates")

MINUTES = pd.date_range("2026-01-01", periods=600, freq="min")
WAVES = np.stack([np.sin(np.arange(600) / 5), np.cos(np.arange(600) / 8)], axis=1)
TABLE = pd.DataFrame(
    WAVES + 0.1 * np.random.default_rng(0).standard_normal((600, 2)),
    columns=["volt", "ampere"],
    index=MINUTES,
)
FAULTY = TABLE.copy()
FAULTY.iloc[300:310, 1] += 3
GAPPY = FAULTY.drop(index=MINUTES[100:150])
LABELS = np.where((np.arange(550) >= 250) & (np.arange(550) < 260), -1, 1)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    inside = ReconstructionOutlierDetector(PCA(4))
    return WindowedOutlierDetector(inside, width=10, random_state=0).fit(TABLE)


def test_what_is_drawn(fitted):
    display = SeriesDisplay.from_estimator(fitted, GAPPY, LABELS)
    assert len(display.axes_) == 3
    assert [line.get_label() for line in display.axes_[2].lines][:1] == ["error"]
    assert display.axes_[0].get_ylabel() == "volt"
    assert display.threshold == pytest.approx(-fitted.offset_)
    assert display.threshold_line_.get_ydata()[0] == display.threshold
    events = fitted.events(GAPPY)
    assert [len(spans) for spans in display.spans_] == [len(events)] * 3


def test_a_gap_is_shown_as_one(fitted):
    display = SeriesDisplay.from_estimator(fitted, GAPPY)
    for line in (*display.lines_, display.error_line_):
        missing = np.flatnonzero(np.isnan(line.get_ydata()))
        assert missing.tolist() == [100]


def test_frame_has_the_numbers(fitted):
    frame = SeriesDisplay.from_estimator(fitted, GAPPY, LABELS).frame()
    assert frame.columns.to_list() == ["volt", "ampere", "error", "is_flagged", "stretch", "label"]
    assert frame.index.equals(GAPPY.index)
    np.testing.assert_array_equal(frame["error"], -fitted.score_samples(GAPPY))
    np.testing.assert_array_equal(frame["is_flagged"], fitted.predict(GAPPY) == -1)
    assert frame["stretch"].to_list() == [0] * 100 + [1] * 450
    assert (frame["label"] == "outlier").sum() == 10


def test_groups_and_steps_without_a_score(fitted):
    groups = np.repeat([0, 1, 2], [300, 4, 296])
    with pytest.warns(UserWarning, match="4 of 600 time steps"):
        display = SeriesDisplay.from_estimator(fitted, FAULTY, groups=groups)
    frame = display.frame()
    assert frame["error"].isna().sum() == 4
    assert not frame["is_flagged"][300:304].any()
    assert frame["label"].isna().all()


def test_the_threshold_is_that_of_what_is_around(fitted):
    outer = ThresholdedOutlierDetector(fitted, 0.5).fit(TABLE)
    display = SeriesDisplay.from_estimator(outer, FAULTY)
    assert display.threshold == pytest.approx(0.5)


@pytest.mark.parametrize("n_channels", [1, 6, 7, 30])
def test_any_number_of_channels(n_channels):
    X = np.random.default_rng(0).random((50, n_channels))
    display = SeriesDisplay.from_predictions(X, -X[:, 0], threshold=0.9)
    assert len(display.lines_) == n_channels
    assert len(display.axes_) == (n_channels + 1 if n_channels <= 6 else 2)
    assert len(display.spans_[0]) == (np.diff(np.r_[0, X[:, 0] > 0.9]) == 1).sum()


def test_given_axes_and_style(fitted):
    figure, axes = plt.subplots(3)
    display = SeriesDisplay.from_estimator(fitted, FAULTY, ax=axes, color="k")
    assert display.figure_ is figure
    assert display.lines_[0].get_color() == "k"
    with pytest.raises(ValueError, match="ax must be 3 matplotlib axes, got 2"):
        display.plot(axes[:2])


@pytest.mark.parametrize("index", [MINUTES - MINUTES[0], MINUTES.to_period("min"), np.arange(600)])
def test_other_indexes(index):
    table = TABLE.set_index(index)
    display = SeriesDisplay.from_predictions(table, -np.arange(600.0), threshold=590.5)
    assert len(display.spans_[0]) == 1
    display.figure_.canvas.draw()
    assert display.frame().index.equals(table.index)


@pytest.mark.parametrize(
    ("step", "label", "last"),
    [
        ("1ms", "time (ms)", 599),
        ("8ms", "time (s)", 599 * 0.008),
        ("1s", "time (min)", 599 / 60),
        ("1min", "time (h)", 599 / 60),
        ("1h", "time (days)", 599 / 24),
    ],
)
def test_a_duration_has_a_unit(step, label, last):
    index = pd.timedelta_range(0, periods=600, freq=step)
    display = SeriesDisplay.from_predictions(TABLE.set_index(index), np.zeros(600))
    assert display.axes_[-1].get_xlabel() == label
    assert display.lines_[0].get_xdata()[-1] == pytest.approx(last)


def test_the_horizontal_axis_has_the_name_of_the_index():
    table = TABLE.rename_axis(index="local time")
    display = SeriesDisplay.from_predictions(table, np.zeros(600))
    assert display.axes_[-1].get_xlabel() == "local time"
    assert SeriesDisplay.from_predictions(WAVES, np.zeros(600)).axes_[-1].get_xlabel() == "step"


def test_the_legend_hides_no_data_of_our_own_figure():
    display = SeriesDisplay.from_predictions(TABLE, np.zeros(600), threshold=1.0)
    display.figure_.canvas.draw()
    (legend,) = display.figure_.legends
    assert legend.get_window_extent().y0 >= display.axes_[0].get_window_extent().y1


class TestBadInput:
    def test_detectors_of_rows(self):
        forest = IsolationForest(n_estimators=2).fit(WAVES)
        with pytest.raises(TypeError, match="draws the time steps .* IsolationForest scores each"):
            SeriesDisplay.from_estimator(forest, WAVES)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"scores": np.zeros(7)}, "inconsistent numbers of samples"),
            ({"y": np.ones(7)}, "inconsistent numbers of samples"),
            ({"threshold": np.nan}, "threshold must be a finite number"),
            ({"is_flagged": np.zeros(7)}, "inconsistent numbers of samples"),
        ],
    )
    def test_predictions(self, params, message):
        with pytest.raises(ValueError, match=message):
            SeriesDisplay.from_predictions(**{"X": WAVES, "scores": np.zeros(600)} | params)


def test_the_hours_are_those_of_the_time_zone():
    hours = pd.date_range("2024-07-01 08:00", periods=50, freq="h", tz="America/New_York")
    display = SeriesDisplay.from_predictions(
        pd.DataFrame({"load": np.arange(50.0)}, index=hours), -np.arange(50.0)
    )
    axis = display.axes_[-1].xaxis
    display.figure_.canvas.draw()
    shown = [tick.get_text() for tick in axis.get_ticklabels() if ":" in tick.get_text()]
    found = [mdates.num2date(place, tz=hours.tz) for place in axis.get_ticklocs()]
    assert shown
    assert set(shown) <= {f"{time:%H:%M}" for time in found}
