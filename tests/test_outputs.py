"""The documentation shows what its code prints, returns and draws."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
EXTENSIONS = Path(__file__).parents[1] / "docs" / "_ext"
PAGE = """
A page
======

.. code-block:: python

    import warnings
    from pathlib import Path

    import pandas as pd

    Path("file.txt").write_text("of the block before")
    warnings.warn("not for readers")
    print("printed", 6 * 7)

.. code-block:: python

    import matplotlib.pyplot as plt
    from sklearn.decomposition import PCA

    plt.plot([1, 2])
    plt.title("A line")
    pd.DataFrame({"column": [Path("file.txt").read_text()]})

.. code-block:: python

    PCA(n_components=2)

.. rst-class:: not-run
.. code-block:: python

    raise AssertionError("has been run")
"""


def build(folder, page):
    """Build a page; return the process, and the page as it is shown."""
    (folder / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(EXTENSIONS)!r}); extensions = ['outputs']"
    )
    (folder / "index.rst").write_text(page)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", folder, folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    built = folder / "html" / "index.html"
    return done, built.read_text() if built.exists() else ""


def test_outputs_are_beneath_their_blocks(tmp_path):
    done, html = build(tmp_path, PAGE)
    assert done.returncode == 0, done.stderr
    first, second, third, last = re.split(r'<div class="[^"]*highlight-python', html)[1:]
    assert "printed 42" in first
    assert "not for readers" not in first.split("code-output")[1]
    assert '<table border="1" class="dataframe">' in second
    assert "of the block before" in second
    (image,) = re.findall(r'<img alt="Plot. A line" src="([^"]*)"', second)
    assert b"<svg" in (tmp_path / "html" / image).read_bytes()
    assert "code-output" not in third + last  # an estimator; and what is not to be run
    assert not (tmp_path / "file.txt").exists()


def test_code_that_fails_ends_the_build(tmp_path):
    done, _ = build(tmp_path, PAGE.replace("print(", "no_such_name("))
    assert done.returncode != 0
    assert re.search(r"index, line \d+: this code fails", done.stderr)
    assert "no_such_name" in done.stderr
