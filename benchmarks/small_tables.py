"""How many normal rows thresholds flag on tables of a few hundred rows.

Those ADBench sets of which half of the normal rows are at most 640, and two tables of scikit-learn:
trained on half of the normal rows, judged on the other half and all anomalies, standard-scaled,
three seeds. The defaults and "quantile" aim at 5 % of new normal rows. Prints a table and writes
results/small_tables.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from _timing import print_table, save
from adbench import novelty, tabular_case
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ThresholdedOutlierDetector,
)

SEEDS = (0, 1, 2)
MOST_ROWS = 640


def detectors(seed):
    """Return each setting's detector by its name."""

    def network(**settings):
        return AutoencoderOutlierDetector(random_state=seed, **settings)

    # With "quantile" all rows are trained on once, and the threshold comes from other clones.
    thresholded = ThresholdedOutlierDetector(network(threshold="quantile"), "quantile", cv=5)
    return {
        "defaults": network(),
        "defaults, ensemble": AutoencoderEnsembleOutlierDetector(random_state=seed),
        "mean_std of the training errors": network(threshold="mean_std"),
        "quantile of the training errors": network(threshold="quantile"),
        "quantile of a fifth held out": network(threshold="quantile", validation_fraction=0.2),
        "quantile out of fold, cv=5": thresholded,
        "IsolationForest": IsolationForest(random_state=seed),
    }


def cases(folder, seed):
    """Yield a set's name, its scaled training and test rows, and which of these are anomalies."""
    for path in sorted(folder.glob("*.npz")):
        train, test, y = tabular_case(path, "novelty", seed, most_rows=4000)
        if len(train) <= MOST_ROWS:
            yield path.stem, train, test, y == 1
    for name, load in (("breast cancer", load_breast_cancer), ("wine", load_wine)):
        X, y = load(return_X_y=True)
        # The first class of either is small enough to be called abnormal.
        train, test, y = novelty(X, (y == 0).astype(int), np.random.default_rng(seed))
        scaler = StandardScaler().fit(train)
        yield name, scaler.transform(train), scaler.transform(test), y == 1


def measured(folder):
    for seed in SEEDS:
        for name, train, test, is_anomaly in cases(folder, seed):
            for setting, detector in detectors(seed).items():
                scores = detector.fit(train).score_samples(test)
                flagged = scores < detector.offset_
                yield {
                    "set": name,
                    "rows": len(train),
                    "seed": seed,
                    "setting": setting,
                    "roc_auc": roc_auc_score(is_anomaly, -scores),
                    "false_alarms": flagged[~is_anomaly].mean(),
                    "recall": flagged[is_anomaly].mean(),
                }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=default, help="of .npz sets")
    records = list(measured(parser.parse_args().folder))
    save("small_tables.json", records)
    by_set = pd.DataFrame(records).groupby(["setting", "set"], sort=False).mean(numeric_only=True)
    rows = []
    for setting, found in by_set.groupby("setting", sort=False):
        alarms = found["false_alarms"]
        rows.append(
            (
                setting,
                f"{found['roc_auc'].mean():.3f}",
                f"{alarms.mean():.1%} ({alarms.min():.1%} to {alarms.max():.1%})",
                f"{found['recall'].mean():.1%}",
            )
        )
    print(f"{by_set.index.get_level_values('set').nunique()} sets")
    print_table(
        ("detector and threshold", "ROC-AUC", "new normal rows flagged", "anomalies flagged"), rows
    )


if __name__ == "__main__":
    main()
