"""Searching over everything that a user would try."""

import keras
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import AutoencoderOutlierDetector, FitOnInliers, ThresholdedOutlierDetector
from skae.metrics import anomaly_scorer
from skae.model_selection import StratifiedOutlierKFold
from skae.thresholds import MeanStd, Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CV = StratifiedOutlierKFold(n_splits=2, random_state=0)
DETECTOR = AutoencoderOutlierDetector(
    hidden_layer_sizes=(8,), latent_dim=2, epochs=2, random_state=0
)


def pipeline(detector=DETECTOR):
    return Pipeline([("scaler", MinMaxScaler()), ("ae", detector)])


def bottleneck(input_shape, units=2):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(units), keras.layers.Dense(input_shape[0])]
    )


@pytest.mark.parametrize(
    "grid",
    [
        {"ae__latent_dim": [2, 4], "ae__hidden_layer_sizes": [(8,), (16, 8)]},
        {"ae__activation": ["relu", "tanh"], "ae__dropout": [0.0, 0.1]},
        {"ae__learning_rate": ["auto", 0.01, 0.1]},
        {"ae__loss": ["mse", "mae"], "ae__error": ["mse", "mae"]},
        {"ae__optimizer": ["adam", "sgd", keras.optimizers.RMSprop(0.01)]},
        {
            "ae__architecture": [bottleneck],
            "ae__architecture_params": [{"units": 2}, {"units": 4}],
        },
        {"ae__threshold": ["mean_std", Quantile(q=0.9), MeanStd(k=2)]},
        {"scaler": [MinMaxScaler(), StandardScaler(), "passthrough"]},
        {"ae__batch_size": [16, 64], "ae__noise": [0.0, 0.1], "ae__trim_fraction": [0.0, 0.2]},
    ],
    ids=lambda grid: "-".join(grid),
)
def test_grid(heartbeats, grid):
    X, y = heartbeats
    search = GridSearchCV(
        FitOnInliers(pipeline()),
        {f"estimator__{name}": values for name, values in grid.items()},
        scoring=anomaly_scorer("balanced_accuracy"),
        cv=CV,
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    for name, value in search.best_params_.items():
        chosen = search.best_estimator_.get_params()[name]
        assert chosen is value or repr(chosen) == repr(value) or type(chosen) is type(value)


def test_rule_of_a_thresholded_detector(heartbeats):
    X, y = heartbeats
    search = GridSearchCV(
        ThresholdedOutlierDetector(FitOnInliers(pipeline()), MeanStd()),
        {"threshold__k": [-5.0, 1.0, 50.0]},
        scoring=anomaly_scorer("f1"),
        cv=CV,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {"threshold__k": 1.0}


def test_halving_over_epochs(heartbeats):
    X, y = heartbeats
    search = HalvingGridSearchCV(
        FitOnInliers(pipeline()),
        {"estimator__ae__latent_dim": [2, 4]},
        resource="estimator__ae__epochs",
        min_resources=2,
        max_resources=4,
        factor=2,
        scoring=anomaly_scorer("roc_auc"),
        cv=CV,
        error_score="raise",
        random_state=0,
    ).fit(X, y)
    assert search.n_resources_ == [2, 4]
    assert search.best_estimator_.n_iter_ == 4


def test_randomized_search_with_two_processes(heartbeats):
    X, y = heartbeats
    # Workers that have not used TensorFlow before: joblib will mistake its import for a leak.
    Parallel(n_jobs=2)(delayed(sum)([number]) for number in range(20))
    results = [
        RandomizedSearchCV(
            FitOnInliers(pipeline()),
            {"estimator__ae__latent_dim": [2, 3, 4]},
            n_iter=2,
            scoring=anomaly_scorer("roc_auc"),
            cv=CV,
            random_state=0,
            n_jobs=n_jobs,
        )
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(results[0], results[1])
