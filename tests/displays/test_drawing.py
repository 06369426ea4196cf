"""Without matplotlib: what the displays say, and what still works."""

import subprocess
import sys

import pytest

from skae.displays import ErrorDistributionDisplay, ReconstructionDisplay, TrainingHistoryDisplay

FACTORIES = [
    (TrainingHistoryDisplay.from_estimator, (None,)),
    (TrainingHistoryDisplay.from_history, ({"loss": [1.0]},)),
    (ErrorDistributionDisplay.from_estimator, (None, None)),
    (ErrorDistributionDisplay.from_predictions, ([1.0],)),
    (ReconstructionDisplay.from_estimator, (None, None)),
    (ReconstructionDisplay.from_predictions, ([[1.0]], [[1.0]])),
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


def test_drawing_leaves_the_style_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    TrainingHistoryDisplay.from_history({"loss": [2.0, 1.0]})
    ErrorDistributionDisplay.from_predictions([1.0, 2.0], [1, -1], threshold=1.5)
    ReconstructionDisplay.from_predictions([[1.0, 2.0]], [[1.0, 1.0]])
    assert dict(mpl.rcParams) == before
