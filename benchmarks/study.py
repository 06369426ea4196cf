"""How each default of the detectors was chosen: settings compared, one changed at a time.

On every second of the ADBench sets (the rest are for confirming) and on ECG5000, by the protocols
of adbench.py, one seed. Prints a row a setting and writes results/study.json after each; what is
there already is not measured again.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from _timing import RESULTS, print_table
from adbench import ECG, PROTOCOLS, ecg_cases, figures, tabular_case

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector

SETTINGS = {
    "defaults": {},
    "noise 0": {"noise": 0.0},
    "noise 0.2": {"noise": 0.2},
    "64-32-6": {"hidden_layer_sizes": (64, 32)},
    "relu": {"activation": "relu"},
    "silu": {"activation": "silu"},
    "gelu": {"activation": "gelu"},
    "tanh": {"activation": "tanh"},
    "elu": {"activation": "elu"},
    "batches of 64": {"batch_size": 64},
    "batches of 128": {"batch_size": 128},
    "latent 4": {"latent_dim": 4},
    "latent 8": {"latent_dim": 8},
    "l2 1e-5": {"l2": 1e-5},
    "l2 1e-4": {"l2": 1e-4},
    "loss mse": {"loss": "mse"},
    "error mse": {"error": "mse"},
    "error mahalanobis": {"error": "mahalanobis"},
    "error standardized": {"error": "standardized"},
    "trim 0.1": {"trim_fraction": 0.1},
    "trim 0.2": {"trim_fraction": 0.2},
    "trim 0.3": {"trim_fraction": 0.3},
    "trim 0.4": {"trim_fraction": 0.4},
    "trim auto (0.5)": {"trim_fraction": "auto"},
    "trim 0.3, noise 0.2": {"trim_fraction": 0.3, "noise": 0.2},
    "learning rate constant": {"learning_rate": 1e-3},
}
CLASSES = {
    "single": AutoencoderOutlierDetector,
    "ensemble": AutoencoderEnsembleOutlierDetector,
}


def mean_roc_auc(paths, protocol, detector_class, params):
    """Return the mean over sets, or over the splits of ECG5000 where there are no sets."""

    def make(n_features, seed):
        return detector_class(random_state=seed, **params)

    if protocol == ECG:
        cases = ((case, "novelty", number) for number, case in ecg_cases())
    else:
        cases = ((tabular_case(path, protocol, 0, 4000), protocol, 0) for path in paths)
    return np.mean([figures(make, *case)["roc_auc"] for case in cases])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=folder, help="of .npz sets")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    protocols = [*PROTOCOLS, ECG]
    parser.add_argument("--protocols", nargs="+", choices=protocols, default=protocols)
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=list(CLASSES))
    args = parser.parse_args()
    paths = sorted(args.folder.glob("*.npz"))[::2]
    if not paths:
        parser.error(f"no .npz files in {args.folder}: give --folder, or set SKAE_DATA")
    warnings.simplefilter("ignore")
    columns = [(name, protocol) for name in args.classes for protocol in args.protocols]
    results = RESULTS / "study.json"
    found = json.loads(results.read_text()) if results.exists() else {}
    for setting in args.settings:
        for name, protocol in columns:
            key = f"{setting}; {name}; {protocol}"
            if key not in found:
                found[key] = mean_roc_auc(paths, protocol, CLASSES[name], SETTINGS[setting])
                results.write_text(json.dumps(found, indent=1) + "\n")
    rows = [
        (setting, *(f"{found[f'{setting}; {name}; {protocol}']:.4f}" for name, protocol in columns))
        for setting in args.settings
    ]
    print_table(("mean ROC-AUC", *(f"{name}, {protocol}" for name, protocol in columns)), rows)


if __name__ == "__main__":
    main()
