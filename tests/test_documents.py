"""The code in the README and in the documentation runs as it stands."""

import re
import shlex
import subprocess
import sys
import textwrap
from importlib import import_module
from importlib.util import find_spec
from inspect import ismodule, signature
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sklearn.base import BaseEstimator

import skae
from skae._command_line import main

ROOT = Path(__file__).parents[1]
# What the documentation's build leaves there.
MODULES = [name for name in skae.__all__ if ismodule(getattr(skae, name))]
BUILT = ("_build", "_gallery", "auto_examples", "generated")


def blocks_of(text):
    """Return the blocks of Python code in a Markdown or reStructuredText document."""
    fenced = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    directives = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
    return fenced + [textwrap.dedent(block) for block in directives]


def commands_of(text):
    """Return the arguments of the commands of skae, each with what it says."""
    fenced = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    directives = re.findall(r"\.\. code-block:: console\n\n((?:    .*\n|\n)+)", text)
    blocks = fenced + [textwrap.dedent(block) for block in directives]
    found = [part.partition("\n") for block in blocks for part in block.split("$ skae ")[1:]]
    return [(shlex.split(command), said.strip()) for command, _, said in found]


def documents():
    """Return the README and the pages of the documentation that have code in them."""
    pages = sorted((ROOT / "docs").rglob("*.rst"))
    written = [page for page in pages if page.relative_to(ROOT / "docs").parts[0] not in BUILT]
    return [page for page in (ROOT / "README.md", *written) if blocks_of(page.read_text())]


def runs_alone(blocks):
    """Tell whether code imports what changes the whole process: scikeras does."""
    return any("import scikeras" in block or "from scikeras" in block for block in blocks)


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.stem)
def test_code_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of it saves files
    blocks = blocks_of(document.read_text())
    if runs_alone(blocks):
        if find_spec("scikeras") is None:
            pytest.skip("scikeras is not installed")
        command = [sys.executable, "-c", "\n".join(blocks)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    if any("from skrub" in block for block in blocks):
        pytest.importorskip("skrub")
    names = {}
    if find_spec("pyarrow") is None:
        blocks = [block for block in blocks if "pyarrow" not in block]
    for block in blocks:
        exec(block, names)
    plt.close("all")


@pytest.mark.parametrize("page", ["README.md", "docs/user_guide/command_line.rst"])
def test_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "user_guide" / "command_line.rst").read_text()
    exec(blocks_of(guide)[0], {})  # the files
    commands = commands_of((ROOT / page).read_text())
    assert [command[0] for command, _ in commands][:3] == ["fit", "score", "report"]
    for command, said in commands:
        capsys.readouterr()
        assert main(command) == (2 if "error:" in said else 0)
        streams = capsys.readouterr()
        lines = (streams.err + streams.out).splitlines()
        # Another processor rounds the scores, and then the sentences, differently.
        for line in said.splitlines():
            if not line.startswith("! row") and "are suspicious" not in line:
                assert line in lines


def test_every_block_of_python_is_found():
    for document in documents():
        text = document.read_text()
        assert text.count("code-block:: python") + text.count("```python") == len(blocks_of(text))


@pytest.mark.parametrize("module", ["", *MODULES, "layers", "onnx"])
def test_the_reference_has_every_public_name(module):
    module = import_module(f"skae.{module}".rstrip("."))
    page = (ROOT / "docs" / "api.rst").read_text()
    names = getattr(module, "__all__", ["GaussianLatent"])
    missing = [name for name in names if f" {name}\n" not in page]
    assert set(missing) <= set(MODULES)


def test_the_readme_prints_what_it_says(capsys):
    readme = (ROOT / "README.md").read_text()
    exec(blocks_of(readme)[0], {})
    shares = r"found: (\S+) false alarms: ([0-9.]+)"
    said, printed = (re.search(shares, text) for text in (readme, capsys.readouterr().out))
    # Another processor rounds differently.
    assert [float(n) for n in printed.groups()] == pytest.approx(
        [float(n) for n in said.groups()], abs=0.02
    )


def public_estimators():
    """Return the page that the reference has for each public estimator of skae, with the class."""
    modules = [skae, *(getattr(skae, name) for name in MODULES)]
    named = {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in m.__all__}
    return {
        page: found
        for page, found in named.items()
        if isinstance(found, type) and issubclass(found, BaseEstimator)
    }


@pytest.mark.parametrize(
    ("page", "estimator"),
    public_estimators().items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_html_repr_links_to_the_page_of_the_reference(page, estimator):
    detector = skae.AutoencoderOutlierDetector()
    needed = {"estimator": detector, "estimators": [("ae", detector)], "width": 20, "value": 1.0}
    needed["threshold"] = skae.streaming.AdaptiveConformal()
    parameters = signature(estimator).parameters
    required = [name for name, one in parameters.items() if one.default is one.empty]
    made = estimator(**{name: needed[name] for name in required})
    *_, address = re.findall(r'documentation = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.I)
    assert f'href="{address}/en/stable/generated/{page}.html' in made._repr_html_()


def test_html_repr_of_a_users_subclass_links_to_no_page():
    class Mine(skae.thresholds.MeanStd):
        pass

    assert "readthedocs" not in Mine()._repr_html_()
