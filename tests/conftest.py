"""Data and detectors that several test files use."""

import os

import pytest
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000, make_heartbeats


@pytest.fixture(scope="session")
def ecg5000():
    """The 5,000 real heartbeats and their labels, +1 for normal."""
    if not os.environ.get("SKAE_DATA"):
        pytest.skip("SKAE_DATA names no folder with ecg5000.npz")
    return fetch_ecg5000(return_X_y=True)


@pytest.fixture(scope="session")
def ecg5000_split(ecg5000):
    X, y = ecg5000
    return train_test_split(X, y, test_size=0.2, stratify=y, random_state=42)


@pytest.fixture(scope="session")
def heartbeats():
    """A few synthesized heartbeats, float32, scaled into [0, 1]."""
    X, y = make_heartbeats(300, anomaly_share=0.2, random_state=0)
    X = (X - X.min()) / (X.max() - X.min())
    return X.astype("float32"), y


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
