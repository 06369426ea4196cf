"""The code in the README and in the documentation runs as it stands."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]


def blocks_of(text):
    """Return the blocks of Python code in a Markdown or reStructuredText document."""
    fenced = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    directives = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
    return fenced + [textwrap.dedent(block) for block in directives]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_runs(document):
    blocks = blocks_of(document.read_text())
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)


def test_the_readme_finds_anomalies():
    names = {}
    exec(blocks_of(DOCUMENTS[0].read_text())[0], names)
    alarms, abnormal = names["alarms"], names["y"][1000:] == -1
    assert alarms[abnormal].mean() > 3 * alarms[~abnormal].mean()
