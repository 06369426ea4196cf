"""Without matplotlib: what the displays say, and what still works."""

import subprocess
import sys

import pandas as pd
import pytest

from skae.displays import (
    DetectionCurveDisplay,
    ErrorDistributionDisplay,
    ExplanationDisplay,
    LatentSpaceDisplay,
    PValueDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
)

FACTORIES = [
    (TrainingHistoryDisplay.from_estimator, (None,)),
    (TrainingHistoryDisplay.from_history, ({"loss": [1.0]},)),
    (ErrorDistributionDisplay.from_estimator, (None, None)),
    (ErrorDistributionDisplay.from_predictions, ([1.0],)),
    (ReconstructionDisplay.from_estimator, (None, None)),
    (ReconstructionDisplay.from_predictions, ([[1.0]], [[1.0]])),
    (LatentSpaceDisplay.from_estimator, (None, None)),
    (LatentSpaceDisplay.from_predictions, ([[1.0]],)),
    (DetectionCurveDisplay.from_estimator, (None, None, None)),
    (DetectionCurveDisplay.from_predictions, ([1.0, 2.0], [1, -1])),
    (ExplanationDisplay.from_estimator, (None, None)),
    (ExplanationDisplay.from_explanation, (None,)),
    (PValueDisplay.from_estimator, (None, None)),
    (PValueDisplay.from_predictions, ([1.0],)),
]


@pytest.fixture
def _no_matplotlib(monkeypatch):
    # None in sys.modules makes the import fail.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)


@pytest.mark.usefixtures("_no_matplotlib")
@pytest.mark.parametrize(("factory", "arguments"), FACTORIES)
def test_the_way_to_matplotlib_is_named(factory, arguments):
    with pytest.raises(ImportError, match=r"needs matplotlib to draw: pip install skae\[plot\]"):
        factory(*arguments)


@pytest.mark.usefixtures("_no_matplotlib")
def test_numbers_need_no_matplotlib():
    assert len(TrainingHistoryDisplay(history={"loss": [1.0]}).frame()) == 1
    with pytest.raises(ImportError, match="frame"):
        TrainingHistoryDisplay(history={"loss": [1.0]}).plot()


def test_importing_the_displays_loads_nothing_heavy():
    code = (
        "import skae.displays, sys\n"
        "print([name for name in ('matplotlib', 'keras', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def draw_all():
    """Draw each display once."""
    table = pd.DataFrame(
        {"row": 0, "feature": [0], "value": 1.0, "reconstruction": 2.0, "contribution": 3.0}
    )
    return [
        TrainingHistoryDisplay.from_history({"loss": [2.0, 1.0]}),
        ErrorDistributionDisplay.from_predictions([1.0, 2.0], [1, -1], threshold=1.5),
        ReconstructionDisplay.from_predictions([[1.0, 2.0]], [[1.0, 1.0]]),
        LatentSpaceDisplay.from_predictions([[1.0, 2.0], [2.0, 1.0]], errors=[1.0, 2.0]),
        DetectionCurveDisplay.from_predictions([1.0, 2.0], [1, -1], threshold=1.5),
        ExplanationDisplay.from_explanation(table),
        PValueDisplay.from_predictions([0.1, 0.2], alpha=0.5),
    ]


def test_drawing_leaves_the_style_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw_all()
    assert dict(mpl.rcParams) == before


def test_lines_and_words_stand_out_from_a_dark_background():
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgba

    with plt.style.context("dark_background"):
        *_, errors, _, _, detection, _, p_values = draw_all()
    white = to_rgba("white")
    lines = errors.threshold_line_, detection.threshold_line_, p_values.alpha_line_
    assert {to_rgba(line.get_color()) for line in lines} == {white}
