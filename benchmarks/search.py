"""A search over latent sizes on ECG5000, beside other detectors: five splits, held-out beats.

In each split GridSearchCV chooses the latent size on the training beats (three folds, refit on the
average precision); every detector is then scored on the beats held out. Prints a table and writes
results/search.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000
from skae.metrics import anomaly_scorers
from skae.model_selection import StratifiedOutlierKFold

RESULTS = Path(__file__).parent / "results" / "search.json"
SIZES = [2, 4, 8, 16, 32]


def searched(random_state):
    detector = AutoencoderOutlierDetector(
        hidden_layer_sizes=(64, 32), activation="relu", noise=0.05, random_state=random_state
    )
    return GridSearchCV(
        FitOnInliers(Pipeline([("scaler", MinMaxScaler()), ("ae", detector)])),
        {"estimator__ae__latent_dim": SIZES},
        scoring=anomaly_scorers(["roc_auc", "average_precision"]),
        refit="average_precision",
        cv=StratifiedOutlierKFold(n_splits=3, random_state=0),
    )


def on_inliers(detector):
    return FitOnInliers(make_pipeline(MinMaxScaler(), detector))


def detectors(split):
    return {
        "searched autoencoder": searched(split),
        "default autoencoder": on_inliers(AutoencoderOutlierDetector(random_state=split)),
        "IsolationForest": on_inliers(IsolationForest(random_state=split)),
        "LocalOutlierFactor": on_inliers(LocalOutlierFactor(novelty=True)),
        "OneClassSVM": on_inliers(OneClassSVM(nu=0.05)),
    }


def main():
    X, y = fetch_ecg5000(return_X_y=True)
    found, chosen = {}, []
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(X, y)
    for number, (train, test) in enumerate(splits):
        for name, detector in detectors(number).items():
            errors = -detector.fit(X[train], y[train]).score_samples(X[test])
            abnormal = y[test] == -1
            figures = roc_auc_score(abnormal, errors), average_precision_score(abnormal, errors)
            found.setdefault(name, []).append(figures)
            if isinstance(detector, GridSearchCV):
                chosen.append(detector.best_params_["estimator__ae__latent_dim"])
    print("| detector | ROC-AUC | PR-AUC |\n| --- | --- | --- |")
    for name, figures in found.items():
        (roc, pr), (roc_spread, pr_spread) = np.mean(figures, axis=0), np.std(figures, axis=0)
        print(f"| {name} | {roc:.4f} ± {roc_spread:.4f} | {pr:.4f} ± {pr_spread:.4f} |")
    print(f"\nlatent sizes chosen: {chosen}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"chosen": chosen, "figures": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
