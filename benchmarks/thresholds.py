"""Every threshold rule on ECG5000: five splits, held-out beats.

In each split the default detector is fitted on the normal training beats, min-max scaled: as it is
("default", single and ensemble: from errors of beats not trained on), and without holding beats out
for all else. The rules without labels set their threshold from the errors of the training beats, or
from out-of-fold errors: five folds, each scored by a pipeline fitted on the other four. The rules
from labels see the errors of all training beats. Prints a table and writes results/thresholds.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score
from sklearn.model_selection import KFold, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector
from skae.datasets import fetch_ecg5000
from skae.thresholds import (
    FalsePositiveRate,
    FBeta,
    InterquartileFence,
    MeanStd,
    MedianMAD,
    MinimalCost,
    PeaksOverThreshold,
    Quantile,
    Youden,
)

RESULTS = Path(__file__).parent / "results" / "thresholds.json"
GOAL = {"accuracy": 0.965, "FPR": 0.05}
WITHOUT_LABELS = [
    *(MeanStd(k=k) for k in (1.0, 2.0, 3.0)),
    *(Quantile(q=q) for q in (0.95, 0.97, 0.99)),
    MedianMAD(k=3.0),
    InterquartileFence(k=1.5),
    FalsePositiveRate(rate=0.05, confidence=None),
    *(FalsePositiveRate(rate=rate, confidence=0.95) for rate in (0.05, 0.02)),
    *(PeaksOverThreshold(rate=rate, level=0.9) for rate in (3e-2, 1e-2, 3e-3, 1e-3)),
]
FROM_LABELS = [
    Youden(),
    FBeta(beta=1.0),
    MinimalCost(false_negative_cost=1.0),
    MinimalCost(false_negative_cost=10.0),
]
DEFAULTS = {
    "default": AutoencoderOutlierDetector,
    "default, ensemble": AutoencoderEnsembleOutlierDetector,
}


def fitted(X, random_state):
    """Return a pipeline trained on all rows: its own threshold is not used."""
    detector = AutoencoderOutlierDetector(threshold="mean_std", random_state=random_state)
    return make_pipeline(MinMaxScaler(), detector).fit(X)


def out_of_fold_errors(X, random_state):
    errors = np.empty(len(X))
    for rest, fold in KFold(5, shuffle=True, random_state=random_state).split(X):
        errors[fold] = -fitted(X[rest], random_state).score_samples(X[fold])
    return errors


def thresholds(X, y, detector, random_state):
    """Yield what each threshold was set from, the rule and the threshold."""
    normal = X[y == 1]
    calibration = {
        "training": -detector.score_samples(normal),
        "out of fold": out_of_fold_errors(normal, random_state),
    }
    for source, errors in calibration.items():
        for rule in WITHOUT_LABELS:
            yield source, rule, rule.threshold(errors)
    errors = -detector.score_samples(X)
    for rule in FROM_LABELS:
        yield "labels", rule, rule.threshold(errors, y == -1)


def defaults(X_train, X_test, y_test, random_state):
    """Yield the figures of detectors with nothing set."""
    for source, detector_class in DEFAULTS.items():
        detector = make_pipeline(MinMaxScaler(), detector_class(random_state=random_state))
        errors = -detector.fit(X_train).score_samples(X_test)
        row = {"set from": source, "rule": "auto"}
        yield row | figures(errors, y_test, -detector[-1].offset_)


def figures(errors, y, threshold):
    y_pred = np.where(errors > threshold, -1, 1)
    (_, _), (false_alarms, passed) = confusion_matrix(y, y_pred, labels=[-1, 1])
    return {
        "threshold": threshold,
        "alarms": int((y_pred == -1).sum()),
        "accuracy": accuracy_score(y, y_pred),
        "precision": precision_score(y, y_pred, pos_label=-1),
        "recall": recall_score(y, y_pred, pos_label=-1),
        "FPR": false_alarms / (false_alarms + passed),
    }


def main():
    X, y = fetch_ecg5000(return_X_y=True)
    rows = []
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(X, y)
    for number, (train, test) in enumerate(splits):
        normal = X[train][y[train] == 1]
        for row in defaults(normal, X[test], y[test], number):
            rows.append({"split": number} | row)
        detector = fitted(normal, number)
        errors = -detector.score_samples(X[test])
        for source, rule, threshold in thresholds(X[train], y[train], detector, number):
            row = {"split": number, "set from": source, "rule": repr(rule)}
            rows.append(row | figures(errors, y[test], threshold))
    found = pd.DataFrame(rows)
    means = found.drop(columns="split").groupby(["set from", "rule"], sort=False).mean()
    digits = {"threshold": 2, "alarms": 1}
    print("| set from | rule |", " | ".join(means), "|")
    print("| --- " * (means.shape[1] + 2) + "|")
    for (source, rule), row in means.iterrows():
        cells = (f"{value:.{digits.get(name, 4)}f}" for name, value in row.items())
        print(f"| {source} | `{rule}` |", " | ".join(cells), "|")
    unlabeled = means.drop(index=["labels", *DEFAULTS], level="set from")
    reached = unlabeled.query("accuracy >= @GOAL['accuracy'] and FPR <= @GOAL['FPR']")
    print(
        f"\naccuracy of at least {GOAL['accuracy']} at a FPR of at most {GOAL['FPR']}, no labels: "
        f"{len(reached)} of {len(unlabeled)}"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found.to_dict(orient="list"), indent=1) + "\n")


if __name__ == "__main__":
    main()
