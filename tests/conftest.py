"""Data that several test files use."""

import os

import pytest
from sklearn.model_selection import train_test_split

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
    """A few synthesised heartbeats, float32, scaled into [0, 1]."""
    X, y = make_heartbeats(300, anomaly_share=0.2, random_state=0)
    X = (X - X.min()) / (X.max() - X.min())
    return X.astype("float32"), y
