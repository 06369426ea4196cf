"""Detectors to draw, and figures that are closed after each test."""

import matplotlib as mpl
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector, FitOnInliers

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def make_detector():
    def make(**params):
        # Small batches, so that a few epochs are enough to learn something.
        few_epochs = {"epochs": 10, "batch_size": 16, "learning_rate": 0.01, "random_state": 0}
        return AutoencoderOutlierDetector(**few_epochs | params)

    return make


@pytest.fixture(scope="session")
def detector(heartbeats, make_detector):
    """A bare detector with validation curves and a metric."""
    X, y = heartbeats
    return make_detector(validation_fraction=0.2, metrics=["mae"]).fit(X[y == 1])


@pytest.fixture(scope="session")
def scaled_detector(heartbeats, make_detector):
    """`FitOnInliers` around a pipeline of a scaler and a detector."""
    return FitOnInliers(make_pipeline(StandardScaler(), make_detector())).fit(*heartbeats)
