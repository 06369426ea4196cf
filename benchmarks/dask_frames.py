"""Ten million rows of 20 numbers scored by Dask, on a cluster of two workers with a thread each.

The rows lie on disk as Parquet files of 50,000; Dask reads, scores and writes them. For each
detector, in turns: rows per second of the workers' processor time, as a ratio to what
`score_samples` reaches in the same two processes on rows in memory, and to IsolationForest in the
same cluster; the peak of the resident memory of a worker; and how long a fresh worker takes for its
first 1,000 rows. Of the last round, the scores are compared with those of one process, bit by bit.

Needs the environment of `make scale`, and Linux. Prints a table and writes
results/dask_frames.json.
"""

import argparse
import os
import pickle
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import dask.dataframe as dd
import numpy as np
import pandas as pd
from _timing import print_table, save
from distributed import Client, LocalCluster, wait
from sklearn.ensemble import IsolationForest

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector
from skae.streaming import frame_scorer

N_FEATURES, FRAME, FOREST = 20, 50_000, "IsolationForest"
DETECTORS = {
    FOREST: IsolationForest(random_state=0),
    'single, error="mse"': AutoencoderOutlierDetector(error="mse", random_state=0),
    "single": AutoencoderOutlierDetector(random_state=0),
    "ensemble": AutoencoderEnsembleOutlierDetector(random_state=0),
}


def frame(number, n_rows=FRAME):
    """Return rows in which half of the columns follow from the other half."""
    generator = np.random.default_rng(number)
    X = generator.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    X[:, 10:] = X[:, :10] + 0.1 * X[:, 10:]
    return pd.DataFrame(X, columns=[f"column_{column}" for column in range(N_FEATURES)])


def write(folder, n_frames):
    folder.mkdir()
    for number in range(n_frames):
        frame(number).to_parquet(folder / f"{number:05}.parquet")


def first_rows(scorer):
    """Return the seconds that a worker takes for its first rows, from the pickle on."""
    rows = frame(0, 1000)
    start = perf_counter()
    pickle.loads(scorer)(rows)
    return perf_counter() - start


def peak_mib():
    # Of this program alone: getrusage counts what the process was before it started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def in_cluster(detector, rows, scores):
    """Score a folder into another; return what `main` reports."""
    scorer = frame_scorer(detector)
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**settings) as cluster, Client(cluster) as client:
        started = max(client.run(first_rows, pickle.dumps(scorer)).values())
        table = dd.read_parquet(rows)
        scored = table.map_partitions(scorer, meta=scorer(table.head(0)))
        start = sum(client.run(process_time).values())
        wait(client.compute(scored.to_parquet(scores, compute=False)))
        seconds = sum(client.run(process_time).values()) - start
        peak = max(client.run(peak_mib).values())
        # On both at the same time, as cores may share what they compute with.
        plain = np.mean(list(client.run(alone, detector).values()))
    return table.npartitions * FRAME / seconds, peak, started, plain


def alone(detector, n_rows=500_000):
    """Return the rows per second that `score_samples` reaches."""
    X = np.concatenate([frame(number).to_numpy() for number in range(n_rows // FRAME)])
    X = pd.DataFrame(X, columns=frame(0, 1).columns)
    start = process_time()
    detector.score_samples(X)
    return n_rows / (process_time() - start)


def n_differing(detector, n_frames, scores):
    """Return how many scores of a folder are not those of this process to the bit."""
    found = dd.read_parquet(scores)
    assert found.npartitions == n_frames
    differing = 0
    for number in range(n_frames):
        part = found.get_partition(number).compute()
        expected = detector.score_samples(frame(number))
        differing += int((part["score"].to_numpy() != expected).sum())
    return differing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    n_frames = arguments.rows // FRAME
    fitted = {name: detector.fit(frame(2**32 - 1, 2000)) for name, detector in DETECTORS.items()}
    measured = {name: [] for name in fitted}
    with tempfile.TemporaryDirectory() as folder:
        rows, scores = Path(folder) / "rows", Path(folder) / "scores"
        write(rows, n_frames)
        for _ in range(arguments.rounds):
            for name, detector in fitted.items():
                measured[name].append(in_cluster(detector, rows, scores / name))
        differing = {
            name: n_differing(detector, n_frames, scores / name)
            for name, detector in fitted.items()
        }
    rounds = {name: np.array(found) for name, found in measured.items()}
    forest = rounds[FOREST]
    report = [
        {
            "detector": name,
            "rows": n_frames * FRAME,
            "rows per second and core": float(np.median(found[:, 0])),
            "to score_samples": float(np.median(found[:, 0] / found[:, 3])),
            "to IsolationForest": float(np.median(found[:, 0] / forest[:, 0])),
            "lowest": float(np.min(found[:, 0] / forest[:, 0])),
            "highest": float(np.max(found[:, 0] / forest[:, 0])),
            "worker MiB": float(np.median(found[:, 1])),
            "memory to IsolationForest": float(np.median(found[:, 1] / forest[:, 1])),
            "first rows, seconds": float(np.median(found[:, 2])),
            "scores that differ": differing[name],
        }
        for name, found in rounds.items()
    ]
    print_table(list(report[0]), [[shown(value) for value in row.values()] for row in report])
    return save("dask_frames.json", report)


def shown(value):
    return f"{value:.3g}" if isinstance(value, float) and value < 1000 else str(value)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # also of the process that scores alone
    main()
