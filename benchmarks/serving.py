"""What a process costs that loads a fitted pipeline and scores one row, beside IsolationForest.

Each contender starts in a fresh process, in turns; medians of its wall time and of its peak
resident memory, as ratios to the same with IsolationForest, are printed and written to
results/serving.json. Linux and macOS only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
from _timing import print_table, save

# Not imported here: scikit-learn and TensorFlow. A process starts with the peak of the one that
# starts it.

CONTENDERS = ("IsolationForest", "single", "ensemble", "vae")
SCORE = """
import sys, joblib
from pathlib import Path
folder = Path(sys.argv[1])
detector = joblib.load(folder / sys.argv[2])
detector.score_samples(joblib.load(folder / "row"))
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def write(folder):
    import joblib
    from sklearn.ensemble import IsolationForest
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    import skae

    warnings.simplefilter("ignore")
    short = {"epochs": 5, "random_state": 0}
    detectors = (
        IsolationForest(random_state=0),
        skae.AutoencoderOutlierDetector(**short),
        skae.AutoencoderEnsembleOutlierDetector(**short),
        skae.AutoencoderOutlierDetector("vae", **short),
    )
    X, y = skae.datasets.fetch_ecg5000(return_X_y=True)
    joblib.dump(X[:1], folder / "row")
    for name, detector in zip(CONTENDERS, detectors, strict=True):
        fitted = skae.FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X, y)
        joblib.dump(fitted, folder / name)


def cost(folder, name):
    """Return the seconds and the peak mebibytes of a process that scores one row."""
    start = perf_counter()
    process = subprocess.Popen([sys.executable, "-c", SCORE, folder, name])
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return perf_counter() - start, usage.ru_maxrss / unit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", type=Path, help="only fit the contenders, into this folder")
    arguments = parser.parse_args()
    if arguments.write:
        return write(arguments.write)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--write", folder], check=True)
        rounds = range(arguments.rounds + 1)  # the first one reads the files from the disk
        costs = [[cost(folder, name) for name in CONTENDERS] for _ in rounds][1:]
    medians = np.median(costs, axis=0)
    rows = [
        {"what": name, "time": float(time), "memory": float(memory), "peak MiB": float(peak)}
        for name, (time, memory), peak in zip(
            CONTENDERS, medians / medians[0], medians[:, 1], strict=True
        )
    ]
    print_table(
        ("load and score one row", "time", "peak memory", "peak MiB"),
        [
            (row["what"], f"{row['time']:.2f}", f"{row['memory']:.2f}", f"{row['peak MiB']:.0f}")
            for row in rows
        ],
    )
    return save("serving.json", rows)


if __name__ == "__main__":
    main()
