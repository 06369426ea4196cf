"""The built-in architectures on ECG5000: what they find, their size, their cost.

Five stratified splits, trained on normal beats, min-max scaled on these. The time is that of fits
after the first, of which each traces its graph once. Prints a table and writes
results/architectures.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json

import numpy as np
from _timing import RESULTS, print_table
from adbench import ecg_cases, figures

from skae import AutoencoderOutlierDetector

ARCHITECTURES = {
    "dense": {},
    "conv1d": {"architecture": "conv1d"},
    "vae": {"architecture": "vae"},
    "vae, reconstruction probability": {
        "architecture": "vae",
        "error": "reconstruction_probability",
    },
}


def measured(params, cases):
    """Return the figures of each split, and how many weights the network has."""
    detectors = []

    def make(n_features, seed):
        detectors.append(AutoencoderOutlierDetector(random_state=seed, **params))
        return detectors[-1]

    found = [figures(make, case, "novelty", number) for number, case in cases]
    columns = {name: [split[name] for split in found] for name in found[0]}
    return columns | {"parameters": detectors[-1].autoencoder_.count_params()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    names = parser.parse_args().names
    cases = list(ecg_cases())
    found = {name: measured(ARCHITECTURES[name], cases) for name in names}
    seconds = {name: np.median(columns["seconds"][1:]) for name, columns in found.items()}
    print_table(
        ("ECG5000", "ROC-AUC", "PR-AUC", "parameters", f"fit time / {names[0]}'s"),
        [
            (
                name,
                *(
                    f"{np.mean(columns[m]):.4f} ± {np.std(columns[m]):.4f}"
                    for m in ("roc_auc", "pr_auc")
                ),
                f"{columns['parameters']:,}",
                f"{seconds[name] / seconds[names[0]]:.1f}",
            )
            for name, columns in found.items()
        ],
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "architectures.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
