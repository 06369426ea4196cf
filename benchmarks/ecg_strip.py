"""Abnormal beats in long synthesized electrocardiograms, found by windows that slide over them.

Trained on half an hour of normal signal; the threshold is the largest error in three hours of it;
judged on two hours with 2 % abnormal beats. Each seed has strips of its own. A beat is found if any
sample of it is flagged. A false alarm is a stretch of flagged samples farther than a window from
every abnormal beat. Prints a table and writes results/ecg_strip.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from math import ceil
from time import perf_counter

import numpy as np
from _timing import RESULTS, print_table
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    WindowedOutlierDetector,
)
from skae.datasets import make_ecg_strip

HOUR = 3600
WIDTH, STRIDE = 70, 10
DETECTORS = {
    "skae": lambda seed: AutoencoderOutlierDetector(random_state=seed),
    "skae ensemble": lambda seed: AutoencoderEnsembleOutlierDetector(random_state=seed),
    "skae, conv1d": lambda seed: AutoencoderOutlierDetector("conv1d", random_state=seed),
    "IsolationForest": lambda seed: IsolationForest(random_state=seed),
}


def stretches(flags):
    """Return the start and the end (exclusive) of each stretch of true values."""
    return np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)


def found_and_false(errors, threshold, labels):
    """Return the share of abnormal beats found, and the false alarms per hour of normal signal."""
    is_abnormal = labels == -1
    found = [errors[start:stop].max() > threshold for start, stop in stretches(is_abnormal)]
    near = np.convolve(is_abnormal, np.ones(2 * WIDTH + 1), mode="same") > 0.5
    false = [not near[start:stop].any() for start, stop in stretches(errors > threshold)]
    hours = (~is_abnormal).sum() / 125 / HOUR
    return np.mean(found), sum(false) / hours


def one_seed(make, seed):
    normal, calibration, judged = (
        make_ecg_strip(duration, anomaly_share=share, random_state=10 * number + seed)
        for number, (duration, share) in enumerate(
            [(HOUR / 2, 0), (3 * HOUR, 0), (2 * HOUR, 0.02)], start=1
        )
    )
    detector = WindowedOutlierDetector(
        make_pipeline(MinMaxScaler(), make(seed)), width=WIDTH, stride=STRIDE, reduce="mean"
    )
    start = perf_counter()
    detector.fit(normal[0])
    seconds = perf_counter() - start
    errors, labels = -detector.score_samples(judged[0]), judged[1]
    highest = sorted(errors[a:b].max() for a, b in stretches(labels == -1))
    # The highest threshold that misses at most one beat in twenty.
    of_labels = np.nextafter(highest[len(highest) - ceil(0.95 * len(highest))], -np.inf)
    threshold = -detector.score_samples(calibration[0]).min()
    found, false = found_and_false(errors, threshold, labels)
    return {
        "found": found,
        "false an hour": false,
        "false an hour where 95 % are found": found_and_false(errors, of_labels, labels)[1],
        "seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    arguments = parser.parse_args()
    results = {
        name: [one_seed(DETECTORS[name], seed) for seed in arguments.seeds]
        for name in arguments.detectors
    }
    columns = list(next(iter(results.values()))[0])[:-1]
    print_table(
        ("detector", *columns),
        [
            (
                name,
                *(
                    f"{np.mean([seed[c] for seed in found]):.3g} "
                    f"({', '.join(f'{seed[c]:.3g}' for seed in found)})"
                    for c in columns
                ),
            )
            for name, found in results.items()
        ],
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ecg_strip.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
