"""Progress reads well wherever it is shown."""

import io
import sys

import nbformat
import numpy as np
from nbclient import NotebookClient

from skae import AutoencoderOutlierDetector

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
    monkeypatch.setattr("skae._engines.keras.progress._SECONDS_BETWEEN_UPDATES", -1.0)
    train(verbose=1)
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    before, *lines = shown.split("\r")
    assert before == ""
    assert len(lines) == 31
    assert lines[-1].startswith(LAST)


def test_a_terminal_is_not_written_to_all_the_time(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("skae._engines.keras.progress._SECONDS_BETWEEN_UPDATES", 1e6)
    train(verbose=1)
    assert terminal.getvalue().count("\r") == 1


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
    every = "import skae._engines.keras.progress as p; p._SECONDS_BETWEEN_UPDATES = -1.0"
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
