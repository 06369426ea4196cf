"""Training chunk by chunk, and thresholds of streams.

- "ECG5000": 20 passes over the normal training beats in chunks of 500, against `fit`, on the splits
  of thresholds.py: ROC-AUC on the test beats, and false alarms among the normal ones.
- "rates": the share of errors that streaming thresholds flag on stationary streams, over 100
  repetitions. Errors are mean squares of five normally distributed features. All of the first 2,000
  are learned from, 4,000 more are not counted.
- "recovery": after how many rows the rate is back, for good, within half of the promised one, when
  the mean of every feature jumps by 1, or their scale doubles, at row 10,000 of 40,000.
- "memory": the memory of a process that trains on generated rows, chunk by chunk.
- "frames": how many rows of 20 numbers `frame_scorer` scores in a second of processor time, in
  frames of 50,000, and `score_samples` at once.

Prints tables and writes results/partial_fit.json, where parts that were not run stay as they are.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from _timing import RESULTS, print_table, save
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector
from skae.datasets import fetch_ecg5000
from skae.streaming import AdaptiveConformal, QuantileReservoir, frame_scorer

DETECTORS = {
    "single": AutoencoderOutlierDetector,
    "ensemble": AutoencoderEnsembleOutlierDetector,
}
N_PASSES, CHUNK = 20, 500
RATE, CHANGE_AT, N_ROWS, BLOCK = 0.05, 10_000, 40_000, 500
THRESHOLDS = {
    "QuantileReservoir": lambda seed: QuantileReservoir(RATE, random_state=seed),
    "AdaptiveConformal": lambda seed: AdaptiveConformal(RATE),
}
CHANGES = {"mean jumps by 1": lambda X: X + 1, "scale doubles": lambda X: 2 * X}


def ecg_rows(n_splits):
    """Yield for each split and detector what `fit` and a stream reach."""
    X, y = fetch_ecg5000(return_X_y=True)
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(X, y)
    for seed, (train, test) in zip(range(n_splits), splits, strict=False):
        normal = X[train][y[train] == 1]
        scaler = MinMaxScaler().fit(normal)
        normal, rows, is_inlier = scaler.transform(normal), scaler.transform(X[test]), y[test] == 1
        for name, detector in DETECTORS.items():
            found = {}
            for way in ("fit", "partial_fit"):
                start = perf_counter()
                fitted = trained(detector(random_state=seed), normal, way)
                found[way] = {
                    "seconds": perf_counter() - start,
                    "ROC-AUC": roc_auc_score(is_inlier, fitted.score_samples(rows)),
                    "false alarms": float((fitted.predict(rows[is_inlier]) == -1).mean()),
                }
            yield {"split": seed, "detector": name, **found}


def trained(detector, X, way):
    if way == "fit":
        return detector.fit(X)
    X = np.random.default_rng(0).permutation(X)
    for _ in range(N_PASSES):
        for start in range(0, len(X), CHUNK):
            detector.partial_fit(X[start : start + CHUNK])
    return detector


def errors_of(X):
    return np.square(X).mean(axis=1)


def rates(n_repetitions):
    """Return the mean rate of each threshold, and its standard error."""
    found = []
    for name, make in THRESHOLDS.items():
        for learn_flagged in (True, False):
            shares = []
            for seed in range(n_repetitions):
                errors = errors_of(np.random.default_rng(seed).normal(size=(12_000, 5)))
                threshold = make(seed)
                threshold.update(errors[:2000])
                flagged = threshold.update(errors[2000:], learn_flagged=learn_flagged)
                shares.append(flagged[4000:].mean())
            found.append(
                {
                    "threshold": name,
                    "learns from flagged": learn_flagged,
                    "rate": float(np.mean(shares)),
                    "standard error": float(np.std(shares, ddof=1) / n_repetitions**0.5),
                }
            )
    return found


def recovery(n_repetitions):
    """Return after how many rows the rate is back; None if it never is."""
    found = []
    for change, changed in CHANGES.items():
        for name, make in THRESHOLDS.items():
            for learn_flagged in (True, False):
                flagged = np.zeros(N_ROWS)
                for seed in range(n_repetitions):
                    X = np.random.default_rng(seed).normal(size=(N_ROWS, 5))
                    X[CHANGE_AT:] = changed(X[CHANGE_AT:])
                    threshold, errors = make(seed), errors_of(X)
                    threshold.update(errors[:2000])
                    new = threshold.update(errors[2000:], learn_flagged=learn_flagged)
                    flagged[2000:] += new / n_repetitions
                after = flagged[CHANGE_AT:].reshape(-1, BLOCK).mean(axis=1)
                off = np.flatnonzero(np.abs(after - RATE) > RATE / 2)
                rows = BLOCK * (1 + int(off[-1])) if len(off) else 0
                found.append(
                    {
                        "change": change,
                        "threshold": name,
                        "learns from flagged": learn_flagged,
                        "rate of the first 500 rows": float(after[0]),
                        "rows until it is back": rows if rows < N_ROWS - CHANGE_AT else None,
                        "rate at the end": float(after[-10:].mean()),
                    }
                )
    return found


def memory(gigabytes, n_rows=50_000, n_features=200):
    """Return the memory of this process, in MiB, while it trains on generated rows."""
    detector = AutoencoderOutlierDetector(batch_size=2048, random_state=0)
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(8, n_features)).astype(np.float32)
    n_chunks = int(gigabytes * 1e9 / (4 * n_rows * n_features))
    resident, start = [], perf_counter()
    for _ in range(n_chunks):
        codes = generator.standard_normal((n_rows, 8), dtype=np.float32)
        noise = generator.standard_normal((n_rows, n_features), dtype=np.float32)
        detector.partial_fit(codes @ mix + 0.1 * noise)
        resident.append(resident_mib())
    return {
        "gigabytes": n_chunks * 4 * n_rows * n_features / 1e9,
        "rows": n_chunks * n_rows,
        "features": n_features,
        "chunk, MiB": 4 * n_rows * n_features / 2**20,
        "MiB after 5 chunks": max(resident[:5]),
        "MiB at most": max(resident),
        "MiB at the end": resident[-1],
        "seconds": perf_counter() - start,
    }


def resident_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def frames(n_rows=100_000, n_rounds=3):
    """Return how many rows a second of processor time scores, the median of some rounds."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, 20))
    X[:, 10:] = X[:, :10] + 0.1 * X[:, 10:]
    X = pd.DataFrame(X, columns=[f"column_{number}" for number in range(20)])
    detectors = {
        "IsolationForest": IsolationForest(random_state=0),
        'single, error="mse"': AutoencoderOutlierDetector(error="mse", random_state=0),
        "single": AutoencoderOutlierDetector(random_state=0),
        "ensemble": AutoencoderEnsembleOutlierDetector(random_state=0),
    }
    pieces = [X[start : start + 50_000] for start in range(0, n_rows, 50_000)]
    seconds = {name: [] for name in detectors}
    for detector in detectors.values():
        detector.fit(X[:2000])
    for _ in range(n_rounds):
        for name, detector in detectors.items():
            score = frame_scorer(detector)
            start = process_time()
            for piece in pieces:
                score(piece)
            middle = process_time()
            detector.score_samples(X)
            seconds[name].append((middle - start, process_time() - middle))
    return [
        {
            "detector": name,
            "rows a second, in frames": n_rows / float(np.median([first for first, _ in found])),
            "at once": n_rows / float(np.median([second for _, second in found])),
        }
        for name, found in seconds.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parts = {
        "memory": lambda: memory(args.gigabytes),
        "rates": lambda: rates(args.repetitions),
        "recovery": lambda: recovery(args.repetitions),
        "ECG5000": lambda: list(ecg_rows(args.splits)),
        "frames": frames,
    }
    parser.add_argument("--parts", nargs="*", choices=parts, default=list(parts))
    args = parser.parse_args()
    path = RESULTS / "partial_fit.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in args.parts:
        found[name] = parts[name]()
        save(path.name, found)
        rows = [found[name]] if isinstance(found[name], dict) else found[name]
        print(f"\n{name}\n")
        print_table(list(rows[0]), [[shown(value) for value in row.values()] for row in rows])


def shown(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(one)}" for name, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
