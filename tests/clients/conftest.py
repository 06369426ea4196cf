"""The recipes of the documentation, run with the packages that they are for: `make clients`."""

import runpy
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "docs" / "user_guide" / "clients"


@pytest.fixture
def run_recipe(tmp_path, monkeypatch):
    """Return a function that runs a recipe in an empty folder and returns its names."""
    monkeypatch.chdir(tmp_path)
    # A store of plain files: MLflow's own default, a database, needs packages that skae does not.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return lambda name: runpy.run_path(str(RECIPES / name))
