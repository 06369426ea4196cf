"""How long `from skae import AutoencoderOutlierDetector` takes beside IsolationForest's import.

Whole processes, interleaved; prints the median ratio and writes results/import_time.json.
"""

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

RESULTS = Path(__file__).parent / "results" / "import_time.json"
STATEMENTS = {
    "skae": "from skae import AutoencoderOutlierDetector",
    "scikit-learn": "from sklearn.ensemble import IsolationForest",
    "Keras": "import keras",
}
ROUNDS = 9


def seconds(statement):
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
    return perf_counter() - start


def main():
    times = {name: [] for name in STATEMENTS}
    for number in range(ROUNDS + 1):
        for name, statement in STATEMENTS.items():
            if number:
                times[name].append(seconds(statement))
            else:
                seconds(statement)  # reads the files from the disk
    ratios = {
        name: float(np.median(np.divide(times["skae"], times[name])))
        for name in ("scikit-learn", "Keras")
    }
    for name, ratio in ratios.items():
        print(f"{STATEMENTS['skae']}: {ratio:.2f} x the time of {STATEMENTS[name]}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(ratios, indent=1) + "\n")


if __name__ == "__main__":
    main()
