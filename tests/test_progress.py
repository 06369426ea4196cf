"""Progress reads well wherever it is shown."""

import io
import re
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from skae import (
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae._progress import Progress
from skae.inspection import threshold_report
from skae.model_selection import compare_detectors, cross_val_scores

X = np.random.default_rng(0).normal(size=(40, 3))
LAST = "[AutoencoderOutlierDetector] epoch 30/30 - loss "


def train(verbose):
    detector = AutoencoderOutlierDetector(epochs=30, threshold="mean_std", random_state=0)
    detector.set_params(verbose=verbose).fit(X)


def test_a_training_for_the_threshold_only_says_so(capsys):
    AutoencoderOutlierDetector(epochs=30, verbose=1, random_state=0).fit(X)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[AutoencoderOutlierDetector, for the threshold] epoch 30/30 - loss ")
    assert second.startswith(LAST)


def test_a_file_has_the_last_line_only(capsys):
    train(verbose=1)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(LAST)


def test_a_file_has_every_epoch_if_asked(capsys):
    train(verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert lines[-1].startswith(LAST)


def test_a_terminal_has_one_line_that_is_written_again(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("skae._engines.keras.progress.SECONDS_BETWEEN_UPDATES", -1.0)
    train(verbose=1)
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    before, *lines = shown.split("\r")
    assert before == ""
    assert len(lines) == 32
    assert lines[0].rstrip() == "[AutoencoderOutlierDetector] tracing"
    assert lines[-1].startswith(LAST)


def test_a_terminal_is_not_written_to_all_the_time(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("skae._engines.keras.progress.SECONDS_BETWEEN_UPDATES", 1e6)
    train(verbose=1)
    assert terminal.getvalue().count("\r") == 2  # tracing, and the end


class TestManySteps:
    """Work that is made of parts shows which one it does, and how much time is left."""

    y = np.where(np.arange(40) % 5, 1, -1)
    pca = ReconstructionOutlierDetector(PCA(1))

    def test_comparison(self, capsys):
        detectors = {"pca": self.pca, "forest": IsolationForest(n_estimators=3)}
        compare_detectors(detectors, X, self.y, cv=2, scoring=["roc_auc"], verbose=2)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "[compare_detectors] 0 of 4 done - pca, fold 1 of 2"
        assert any(
            re.search(r"3 of 4 done - forest, fold 2 of 2 - about \d+ s left", line)
            for line in lines
        )
        assert lines[-1].startswith("[compare_detectors] 4 of 4 done in ")

    def test_it_changes_no_result(self):
        told = cross_val_scores(self.pca, X, self.y, cv=3, n_jobs=2, verbose=1)
        assert np.array_equal(told, cross_val_scores(self.pca, X, self.y, cv=3))

    def test_a_file_has_one_line(self, capsys):
        cross_val_scores(self.pca, X, cv=3, verbose=1)
        ThresholdedOutlierDetector(self.pca, cv=4, verbose=1).fit(X)
        ConformalOutlierDetector(self.pca, alpha=0.2, verbose=1, random_state=0).fit(X)
        threshold_report(self.pca.fit(X), X, rules=["mean_std", "quantile"], verbose=1)
        lines = capsys.readouterr().out.splitlines()
        assert [line.rpartition(" in ")[0] for line in lines] == [
            "[cross_val_scores] 3 of 3 done",
            "[ThresholdedOutlierDetector] 4 of 4 done",
            "[ConformalOutlierDetector] 2 of 2 phases done",
            "[threshold_report] 2 of 2 done",
        ]

    def test_phases_of_conformal(self, capsys):
        ConformalOutlierDetector(self.pca, alpha=0.2, verbose=2, random_state=0).fit(X)
        lines = capsys.readouterr().out
        assert "training on 32 rows" in lines
        assert "calibrating with 8 rows" in lines

    def test_what_fails_ends_the_line(self, capsys):
        with pytest.raises(ValueError, match="n_components"):
            cross_val_scores(ReconstructionOutlierDetector(PCA(99)), X, cv=2, verbose=1)
        assert capsys.readouterr().out == "[cross_val_scores] 0 of 2 done - fold 1 of 2\n"

    def test_silent_by_default(self, capsys):
        cross_val_scores(self.pca, X, cv=2)
        ThresholdedOutlierDetector(self.pca, cv=2).fit(X)
        ConformalOutlierDetector(self.pca, alpha=0.2).fit(X)
        threshold_report(self.pca.fit(X), X)
        assert capsys.readouterr().out == ""

    def test_the_time_left(self, monkeypatch):
        now = iter([0.0, *[10.0] * 20])
        monkeypatch.setattr("skae._progress.monotonic", lambda: next(now))
        with Progress("work", 4, 2) as progress:
            progress.n_done = 1
            assert progress._line() == "[work] 1 of 4 done - about 30 s left"
            progress.n_steps = 1000
            assert progress._line().endswith("about 2.8 h left")


CODE = f"""
import contextlib, io
import numpy as np
from skae import AutoencoderOutlierDetector

X = np.array({X.round(3).tolist()})

def train(verbose):
    detector = AutoencoderOutlierDetector(epochs=30, threshold="mean_std", random_state=0)
    detector.set_params(verbose=verbose).fit(X)
"""


def outputs_of(cell):
    """Return what a cell displayed, and the lines that it printed, which arrive in any pieces."""
    displayed = [output["data"]["text/plain"] for output in cell.outputs if "data" in output]
    printed = [output["text"] for output in cell.outputs if output.get("name") == "stdout"]
    return displayed, "".join(printed).split("\n")[:-1]


def test_a_notebook_keeps_what_is_worth_keeping():
    every = "import skae._engines.keras.progress as p; p.SECONDS_BETWEEN_UPDATES = -1.0"
    captured = """
with contextlib.redirect_stdout(io.StringIO()) as file:
    train(1)
print(file.getvalue(), end="")
"""
    cells = [CODE, every, "train(1)", "train(2)", captured]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=300).execute()
    for cell, n_displays, n_lines in zip(notebook.cells[2:], (1, 0, 0), (1, 30, 1), strict=True):
        displayed, lines = outputs_of(cell)
        assert displayed == [""] * n_displays
        assert len(lines) == n_lines
        assert lines[-1].startswith(LAST)
