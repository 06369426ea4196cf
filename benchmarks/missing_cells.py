"""How well rows are ranked when cells are missing, over a folder of ADBench sets.

Protocol "novelty" of adbench.py, with cells taken out of training and test rows: at random, or,
with --patterns anomalies, three times as often in anomalies as in normal rows. Beside it
SimpleImputer (means) and IterativeImputer (each column from the 20 nearest, five rounds) before the
same detector. Prints means over the sets; results/missing_cells.json holds the figures of each.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from _timing import RESULTS
from adbench import tabular_case
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector

DETECTORS = {
    "single": AutoencoderOutlierDetector,
    "ensemble": AutoencoderEnsembleOutlierDetector,
}
IMPUTERS = {
    "none": None,
    "mean": lambda: SimpleImputer(keep_empty_features=True),
    "iterative": lambda: IterativeImputer(
        n_nearest_features=20, max_iter=5, tol=0.1, keep_empty_features=True, random_state=0
    ),
}
# Share of cells that are missing in normal rows and in anomalies.
PATTERNS = {
    "complete": (0.0, 0.0),
    "10 %": (0.1, 0.1),
    "30 %": (0.3, 0.3),
    "anomalies": (0.1, 0.3),
}
CASES = [
    ("complete", "none"),
    ("10 %", "none"),
    ("10 %", "mean"),
    ("10 %", "iterative"),
    ("30 %", "none"),
    ("anomalies", "none"),
    ("anomalies", "mean"),
]


def with_gaps(X, shares, rng):
    """Return rows with cells missing at random, but no row and no column without any value."""
    X = X.copy()
    gaps = rng.random(X.shape) < np.reshape(shares, (-1, 1))
    gaps[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    gaps[rng.integers(len(X), size=X.shape[1]), np.arange(X.shape[1])] = False
    X[gaps] = np.nan
    return X


def figures(path, seed, detector_name, pattern, imputer):
    train, test, y = tabular_case(path, "novelty", seed, 4000)
    of_normal, of_anomalies = PATTERNS[pattern]
    rng = np.random.default_rng(seed)
    train = with_gaps(train, np.full(len(train), of_normal), rng)
    test = with_gaps(test, np.where(y == 1, of_anomalies, of_normal), rng)
    detector = DETECTORS[detector_name](random_state=seed)
    if IMPUTERS[imputer]:
        detector = make_pipeline(IMPUTERS[imputer](), detector)
    detector.fit(train)
    alarms = detector.predict(test) == -1
    return {
        "roc_auc": round(roc_auc_score(y, -detector.score_samples(test)), 5),
        "false_alarms": round(float(alarms[y == 0].mean()), 5),
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=folder, help="of .npz sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--results", type=Path, default=RESULTS / "missing_cells.json")
    return parser.parse_args()


def main():
    args = arguments()
    records = []
    for path in sorted(args.folder.glob("*.npz")):
        for seed in args.seeds:
            for detector in args.detectors:
                for pattern, imputer in CASES:
                    key = {
                        "set": path.stem,
                        "seed": seed,
                        "detector": detector,
                        "missing": pattern,
                        "imputer": imputer,
                    }
                    records.append(key | figures(path, seed, detector, pattern, imputer))
        args.results.write_text(json.dumps(records, indent=0) + "\n")
    table = pd.DataFrame(records)
    keys = ["detector", "missing", "imputer"]
    print(table.groupby(keys, sort=False)[["roc_auc", "false_alarms"]].mean().round(4))


if __name__ == "__main__":
    main()
