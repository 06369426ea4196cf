"""Figures that can be read: labeled axes, names that fit, one scale, many rows as a density."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from skae import ReconstructionOutlierDetector
from skae.displays import (
    DetectionCurveDisplay,
    DriftDisplay,
    ErrorDistributionDisplay,
    ExplanationDisplay,
    LatentSpaceDisplay,
    PValueDisplay,
    ReconstructionDisplay,
    SeriesDisplay,
    TrainingHistoryDisplay,
)
from skae.displays._words import axis_label, column_name, in_lines, set_log_scale
from skae.model_selection import compare_detectors

random = np.random.default_rng(0)
N_MANY = 5_000
LONG_NAMES = [f"measurement_of_sensor_{i}_in_hall_{i % 3}_of_the_northern_plant" for i in range(12)]
TABLE = pd.DataFrame(random.normal(size=(200, 12)) @ np.diag(np.arange(1, 13)), columns=LONG_NAMES)
LABELS = np.where(np.arange(200) < 20, -1, 1)
MANY_CODES = random.normal(size=(N_MANY, 2))
MANY_ERRORS = random.lognormal(size=N_MANY)
MANY_LABELS = np.where(np.arange(N_MANY) < 600, -1, 1)


@pytest.fixture(scope="module")
def detector():
    return ReconstructionOutlierDetector(PCA(4), random_state=0).fit(TABLE)


def comparison():
    detectors = {
        name: ReconstructionOutlierDetector(PCA(i + 1), random_state=0)
        for i, name in enumerate(LONG_NAMES[:3])
    }
    detectors["forest"] = IsolationForest(n_estimators=5, random_state=0)
    scores = {"scoring": ["average_precision", "roc_auc"], "baseline": "forest"}
    return compare_detectors(detectors, TABLE, LABELS, cv=2, **scores).plot()


def series(n_channels, index=None):
    values = TABLE.iloc[:, :n_channels]
    table = values if index is None else values.set_index(index)
    return SeriesDisplay.from_predictions(table, -np.abs(values.iloc[:, 0]), LABELS, threshold=1.5)


DRAWN = {
    "comparison": lambda _: comparison(),
    "curve": lambda one: DetectionCurveDisplay.from_estimator(one, TABLE, LABELS),
    "drift": lambda one: DriftDisplay.from_estimator(one, TABLE + 1, top=8),
    "errors": lambda one: ErrorDistributionDisplay.from_estimator(one, TABLE, LABELS),
    "explanation": lambda one: ExplanationDisplay.from_estimator(one, TABLE[:3]),
    "codes": lambda _: LatentSpaceDisplay.from_predictions(TABLE, LABELS),
    "cells of errors": lambda _: LatentSpaceDisplay.from_predictions(
        MANY_CODES, errors=MANY_ERRORS
    ),
    "cells of rows": lambda _: LatentSpaceDisplay.from_predictions(MANY_CODES, MANY_LABELS),
    "one code": lambda _: LatentSpaceDisplay.from_predictions(
        MANY_CODES[:, :1], errors=MANY_ERRORS
    ),
    "p-values": lambda _: PValueDisplay.from_predictions(
        random.uniform(1e-6, 1, N_MANY), MANY_LABELS, alpha=0.1
    ),
    "signals": lambda one: ReconstructionDisplay.from_estimator(one, TABLE[:2]),
    "few features": lambda _: ReconstructionDisplay.from_predictions(
        TABLE.iloc[:2, :3], TABLE.iloc[:2, :3] + 1
    ),
    "residuals": lambda one: ReconstructionDisplay.from_estimator(one, TABLE[:2], residual=True),
    "series": lambda _: series(3, pd.date_range("2026-03-01", periods=200, freq="min")),
    "many channels": lambda _: series(12, pd.timedelta_range(0, periods=200, freq="8ms")),
    "training": lambda _: TrainingHistoryDisplay.from_history(
        {"mean_absolute_error": [1e4, 1e-3]}, quantity="mean_absolute_error", log_y=True
    ),
}


@pytest.fixture(params=DRAWN)
def figure(request, detector):
    figure = DRAWN[request.param](detector).figure_
    figure.canvas.draw()
    return figure


def panels_of(figure):
    return [panel for panel in figure.axes if panel.axison]


def test_every_axis_is_labeled(figure):
    for panel in panels_of(figure):
        is_colorbar = panel.get_label() == "<colorbar>"
        grid = panel.get_subplotspec()
        is_lowest = grid is None or grid.is_last_row()
        is_first = grid is None or grid.is_first_col()
        assert panel.get_xlabel() or is_colorbar or not is_lowest
        assert panel.get_ylabel() or not is_first


def test_no_name_is_one_of_a_program(figure):
    texts = [text.get_text() for panel in panels_of(figure) for text in written_on(panel)]
    made_up = [text for text in texts if "_" in text and "sensor" not in text and "$" not in text]
    assert made_up == []


def written_on(panel):
    return [panel.xaxis.label, panel.yaxis.label, panel.title, *panel.get_yticklabels()]


def test_all_words_are_inside_the_figure(figure):
    inside = figure.bbox.padded(2)
    for panel in panels_of(figure):
        box = panel.get_tightbbox()
        assert box.x0 >= inside.x0
        assert box.x1 <= inside.x1
        assert box.y0 >= inside.y0
        assert box.y1 <= inside.y1


def test_ticks_do_not_overlap(figure):
    for panel in panels_of(figure):
        for axis, at in ((panel.xaxis, "x"), (panel.yaxis, "y")):
            boxes = [
                text.get_window_extent()
                for text in axis.get_ticklabels(which="both")
                if text.get_visible() and text.get_text()
            ]
            ends = sorted((getattr(box, f"{at}0"), getattr(box, f"{at}1")) for box in boxes)
            assert all(first[1] <= second[0] + 1 for first, second in pairwise(ends))


def test_names_are_no_formulas():
    table = TABLE.iloc[:, :2].set_axis(["a$b$", r"$\nothing$"], axis=1)
    detector = ReconstructionOutlierDetector(PCA(1), random_state=0).fit(table)
    series = SeriesDisplay.from_predictions(table, np.zeros(200))
    series.figure_.canvas.draw()
    assert series.axes_[0].yaxis.label.get_parse_math() is False
    for display in (
        ExplanationDisplay.from_estimator(detector, table[:2]),
        ReconstructionDisplay.from_estimator(detector, table[:2]),
        DriftDisplay.from_estimator(detector, table + 1),
    ):
        display.figure_.canvas.draw()  # where formulas that are wrong raise


class TestManyRows:
    def test_errors_are_medians_of_cells_below_the_largest(self):
        display = LatentSpaceDisplay.from_predictions(MANY_CODES, errors=MANY_ERRORS)
        assert 100 < len(display.cells_.get_array()) < N_MANY / 4
        assert display.cells_.get_array().max() <= MANY_ERRORS.max()
        (largest,) = display.points_
        np.testing.assert_array_equal(largest.get_array(), np.sort(MANY_ERRORS)[-50:])
        assert largest.norm is display.cells_.norm
        assert display.colorbar_.ax.get_ylabel() == "error\n(cells: median, points: the 50 largest)"

    def test_inliers_are_counted_and_outliers_are_points(self):
        display = LatentSpaceDisplay.from_predictions(MANY_CODES, MANY_LABELS)
        assert display.cells_.get_array().sum() == N_MANY - 600
        np.testing.assert_array_equal(display.points_[0].get_offsets(), MANY_CODES[:600:2])
        (words,) = display.ax_.get_legend().get_texts()
        assert words.get_text() == "outliers (one of 2 shown)"

    @pytest.mark.parametrize(("label", "name"), [(1, "inliers"), (-1, "outliers")])
    def test_one_class(self, label, name):
        display = LatentSpaceDisplay.from_predictions(MANY_CODES, np.full(N_MANY, label))
        assert display.cells_.get_array().sum() == N_MANY
        assert display.points_ == []
        assert display.colorbar_.ax.get_ylabel() == f"number of {name} in a cell"

    def test_all_codes_alike(self):
        codes = np.zeros((N_MANY, 2))
        display = LatentSpaceDisplay.from_predictions(codes, errors=MANY_ERRORS)
        display.figure_.canvas.draw()
        assert len(display.cells_.get_array()) == 1

    def test_a_style_draws_each_row(self):
        display = LatentSpaceDisplay.from_predictions(MANY_CODES, errors=MANY_ERRORS, s=1)
        assert display.cells_ is None
        assert len(display.points_[0].get_offsets()) == N_MANY
        display = PValueDisplay.from_predictions(np.linspace(0.1, 1, N_MANY), s=1)
        assert len(display.points_[0].get_offsets()) == N_MANY

    @pytest.mark.parametrize("log", [True, False])
    def test_p_values_are_a_sample_at_equal_distances(self, log):
        p_values = random.uniform(1e-9, 1, N_MANY)
        display = PValueDisplay.from_predictions(p_values, alpha=0.1, log=log)
        drawn = np.asarray(display.points_[0].get_offsets())
        drawn = drawn[np.argsort(drawn[:, 0])]
        assert 100 < len(drawn) <= 200
        assert drawn[[0, -1], 0].tolist() == [1, N_MANY]
        np.testing.assert_array_equal(drawn[:, 1], np.sort(p_values)[drawn[:, 0].astype(int) - 1])
        places = np.log(drawn[100:, 0]) if log else drawn[:, 0]
        assert np.diff(places).max() < 2 * np.diff(places).min()

    def test_of_either_class_of_p_values_there_is_a_sample(self):
        display = PValueDisplay.from_predictions(random.uniform(1e-9, 1, N_MANY), MANY_LABELS)
        assert all(100 < len(points.get_offsets()) <= 200 for points in display.points_)

    def test_a_few_outliers_among_p_values_are_all_drawn(self):
        labels = np.ones(N_MANY)
        labels[[10, 500, 900]] = -1
        display = PValueDisplay.from_predictions(random.uniform(0.1, 1, N_MANY), labels)
        assert len(display.points_[0].get_offsets()) <= 200
        assert len(display.points_[1].get_offsets()) == 3


class TestWords:
    def test_long_names_are_broken_where_words_end(self):
        assert in_lines("short name") == "short name"
        assert in_lines("a_rather_long_name_of_a_column", 16) == "a_rather_long_\nname_of_a_column"
        assert in_lines("ReconstructionOutlierDetector", 20) == "Reconstruction\nOutlierDetector"
        assert in_lines("x" * 50, 20) == "x" * 20 + "\n" + "x" * 20 + "\n" + "x" * 10

    def test_the_middle_of_what_is_still_longer_is_left_out(self):
        lines = in_lines("begin_" + "x_" * 200 + "end", 20).split("\n")
        assert len(lines) <= 4
        assert max(map(len, lines)) <= 20
        assert lines[0].startswith("begin_")
        assert lines[-1].endswith("end")
        assert sum("…" in line for line in lines) == 1

    def test_numbers_say_of_what(self):
        assert column_name(3) == "feature 3"
        assert column_name("3", "channel") == "channel 3"
        assert column_name("t3") == "t3"
        assert axis_label("one two\nthree", 5) == "one\ntwo\nthree"

    @pytest.mark.parametrize(
        ("limits", "ticks"),
        [
            ((0.02, 300), ["0.1", "1", "10", "100"]),
            ((0.3, 0.8), ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]),
            ((1.15, 1.45), ["1.15", "1.2", "1.25"]),
            ((0.5, 9), ["0.5", "1", "2", "5"]),
            ((300, 9000), ["500", "1,000", "2,000", "5,000"]),
            ((1e-7, 0.5), ["$10^{-7}$", "$10^{-6}$", "$10^{-5}$"]),
        ],
    )
    def test_logarithmic_ticks(self, limits, ticks):
        _, ax = plt.subplots()
        ax.plot(limits, limits)
        set_log_scale(ax, "x")
        ax.set_xlim(limits)
        ax.figure.canvas.draw()
        at = {
            tick.get_loc(): tick.label1.get_text()
            for tick in (*ax.xaxis.get_major_ticks(), *ax.xaxis.get_minor_ticks())
            if limits[0] <= tick.get_loc() <= limits[1] * 1.001
        }
        written = [text for _, text in sorted(at.items()) if text]
        assert written[: len(ticks)] == ticks
