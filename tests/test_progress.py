"""Progress reads well wherever it is shown."""

import io
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from skae import AutoencoderOutlierDetector

X = np.random.default_rng(0).normal(size=(40, 3))
LAST = "[AutoencoderOutlierDetector] epoch 30/30 - loss "


def train(verbose):
    AutoencoderOutlierDetector(epochs=30, verbose=verbose, random_state=0).fit(X)


def test_a_file_has_the_last_line_only(capsys):
    train(verbose=1)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(LAST)


def test_a_terminal_has_one_line_that_is_written_again(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("skae.progress._SECONDS_BETWEEN_UPDATES", -1.0)
    train(verbose=1)
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    before, *lines = shown.split("\r")
    assert before == ""
    assert len(lines) == 31
    assert lines[-1].startswith(LAST)


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_notebook_keeps_what_is_worth_keeping(verbose):
    code = (
        "import numpy as np\n"
        "from skae import AutoencoderOutlierDetector\n"
        f"X = np.array({X.round(3).tolist()})\n"
        f"_ = AutoencoderOutlierDetector(epochs=30, verbose={verbose}, random_state=0).fit(X)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=300).execute()
    shown = [output for output in notebook.cells[0].outputs if output.get("name") != "stderr"]
    if verbose == 1:
        (display,) = shown
        assert display["data"]["text/plain"].startswith(LAST)
    else:
        lines = "".join(output["text"] for output in shown).splitlines()
        assert len(lines) == 30
        assert lines[-1].startswith(LAST)
        assert "\r" not in "".join(lines)
