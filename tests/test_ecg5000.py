"""The main job on the real heartbeats."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers


def roc_auc(detector, X, y):
    return roc_auc_score(y, detector.score_samples(X))


def test_default_detector_over_five_splits(ecg5000):
    X, y = ecg5000
    found = {"autoencoder": [], "forest": []}
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(X, y)
    for train, test in splits:
        for name, inner in {
            "autoencoder": AutoencoderOutlierDetector(random_state=0),
            "forest": IsolationForest(random_state=0),
        }.items():
            detector = FitOnInliers(make_pipeline(MinMaxScaler(), inner))
            found[name].append(roc_auc(detector.fit(X[train], y[train]), X[test], y[test]))
    print({name: np.round(values, 4) for name, values in found.items()})
    assert np.mean(found["autoencoder"]) >= 0.975
    assert np.mean(found["autoencoder"]) > np.mean(found["forest"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_picks_the_same_winner_with_one_process_and_with_two(ecg5000_split):
    X, _, y, _ = ecg5000_split
    pipeline = make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(epochs=5, random_state=0))
    results = []
    for n_jobs in (1, 2):
        search = GridSearchCV(
            FitOnInliers(pipeline),
            {"estimator__autoencoderoutlierdetector__latent_dim": [2, 16]},
            scoring=roc_auc,
            cv=StratifiedShuffleSplit(2, test_size=0.3, random_state=0),
            n_jobs=n_jobs,
        ).fit(X[:1000], y[:1000])
        results.append((search.best_params_, list(search.cv_results_["mean_test_score"])))
    assert results[0] == results[1]
