"""Detection quality over a folder of ADBench sets, and on ECG5000, beside other detectors.

A set is an .npz file of X and y (0 normal, 1 anomaly), of which each seed draws at most 4,000 rows.
Novelty: trained on a random half of the normal rows, tested on the other half and all anomalies.
Contaminated: trained and tested on everything. Rows are standard-scaled on the training rows,
scaled test values clipped to +-10,000. ECG5000: five stratified splits, trained on normal beats,
min-max scaled. Prints tables; results/adbench.json holds the figures of each set and is written as
they come: --resume goes on from it. --figure draws docs/images/adbench.svg.

In several processes, each with --sets of its own and a file of its own in --results; then --merge
joins these files. PyOD's autoencoders are measured only if --detectors names them; --resume and
--merge keep the figures that they have.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from _detectors import MEASURED, NAMES, PYOD_AUTOENCODERS, alarms_of, errors_of, makers
from _report import ECG, PROTOCOLS, draw, report
from _timing import RESULTS, seconds
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from skae.datasets import fetch_ecg5000

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "adbench.svg"
KEY = ["set", "protocol", "seed", "detector"]
FIGURES = [
    "roc_auc",
    "pr_auc",
    "seconds",
    "score_seconds",
    "false_alarms",
    "recall",
    "n_normal",
]
LARGEST = np.finfo(np.float64).max


def novelty(X, y, rng):
    normal = rng.permutation(np.flatnonzero(y == 0))
    train, held_out = np.split(normal, [len(normal) // 2])
    test = np.concatenate([held_out, np.flatnonzero(y)])
    return X[train], X[test], y[test]


def tabular_case(path, protocol, seed, most_rows):
    """Return scaled training rows, scaled test rows and their labels."""
    rng = np.random.default_rng(seed)
    with np.load(path) as file:
        X, y = file["X"].astype(np.float64), file["y"].astype(int)
    rows = rng.permutation(len(X))[:most_rows]
    X, y = X[rows], y[rows]
    train, test, y = novelty(X, y, rng) if protocol == "novelty" else (X, X, y)
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -1e4, "a_max": 1e4})
    scaler = make_pipeline(StandardScaler(), clip).fit(train)
    return scaler.transform(train), scaler.transform(test), y


def ecg_cases():
    X, y = fetch_ecg5000(return_X_y=True)
    splits = StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(X, y)
    for number, (train, test) in enumerate(splits):
        normal = X[train][y[train] == 1]
        scaler = MinMaxScaler().fit(normal)
        yield number, (scaler.transform(normal), scaler.transform(X[test]), y[test] == -1)


def figures(maker, case, protocol, seed):
    """Fit a detector and return how well it ranks the test rows, what it flags, and its times."""
    train, test, is_anomaly = case
    is_training = protocol == "contaminated"
    is_anomaly = np.asarray(is_anomaly, dtype=bool)
    detector = maker(train.shape[1], seed)
    fit_seconds = seconds(lambda: detector.fit(train), 1)
    errors = errors_of(detector, test, is_training)
    errors = np.nan_to_num(np.asarray(errors, dtype=np.float64), nan=LARGEST)
    # The fastest of three: other load can only add to it.
    times = [seconds(lambda: errors_of(detector, test, is_training), 1) for _ in range(3)]
    alarms = None if is_training else alarms_of(detector, test)
    return {
        "roc_auc": round(roc_auc_score(is_anomaly, errors), 5),
        "pr_auc": round(average_precision_score(is_anomaly, errors), 5),
        "seconds": round(fit_seconds, 4),
        "score_seconds": round(min(times), 6),
        "false_alarms": None if alarms is None else round(float(alarms[~is_anomaly].mean()), 5),
        "recall": None if alarms is None else round(float(alarms[is_anomaly].mean()), 5),
        "n_normal": int((~is_anomaly).sum()),
    }


def sets(args):
    """Yield, for each set, its name and an iterator over protocols, seeds and cases."""
    for path in sorted(args.folder.glob("*.npz")):
        if path.stem in args.sets:
            yield (
                path.stem,
                (
                    (protocol, seed, tabular_case(path, protocol, seed, args.most_rows))
                    for protocol in args.protocols
                    for seed in args.seeds
                ),
            )
    if ECG in args.sets:
        yield ECG, (("novelty", number, case) for number, case in ecg_cases())


def key_of(record):
    return tuple(record[name] for name in KEY)


def measure(args, records):
    """Add missing results to `records`, and write them after each protocol and seed."""
    done = {key_of(record) for record in records}
    chosen = {name: maker for name, maker in makers().items() if name in args.detectors}
    for name, cases in sets(args):
        for protocol, seed, case in cases:
            for detector, maker in chosen.items():
                key = (name, protocol, seed, detector)
                if key not in done:
                    found = figures(maker, case, protocol, seed)
                    records.append(dict(zip(KEY, key, strict=True)) | found)
            write(args, records)


def write(args, records):
    lines = ",\n".join(json.dumps(record) for record in records)
    args.results.parent.mkdir(exist_ok=True)
    unfinished = args.results.with_suffix(".part")
    unfinished.write_text(f'{{"most_rows": {args.most_rows}, "figures": [\n{lines}\n]}}\n')
    unfinished.replace(args.results)


def read(paths, args):
    """Return the records of files, the first of each set, protocol, seed and detector."""
    joined = {}
    for path in paths:
        found = json.loads(path.read_text())
        if found["most_rows"] != args.most_rows:
            raise SystemExit(f"{path} was measured with --most-rows {found['most_rows']}.")
        for record in filter(None, (current(record, args) for record in found["figures"])):
            joined.setdefault(key_of(record), record)
    return list(joined.values())


def current(record, args):
    """Return a record, or None if its figures are incomplete and have to be measured again.

    PyOD's autoencoders keep what they have unless they are measured now: it does not depend on
    skae. Their times do not count, as the other detectors' were measured in another run.
    """
    if all(name in record for name in FIGURES):
        return record
    is_kept = record["detector"] in PYOD_AUTOENCODERS and record["detector"] not in args.detectors
    return record | {"seconds": None} if is_kept else None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=folder, help="of .npz sets")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help=f"of the folder, or {ECG}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--most-rows", type=int, default=4000, help="of a set")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--detectors", nargs="+", choices=NAMES, default=MEASURED, metavar="NAME")
    parser.add_argument("--results", type=Path, default=RESULTS / "adbench.json")
    parser.add_argument("--resume", action="store_true", help="keep what the results hold")
    parser.add_argument(
        "--merge",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing, and write the figures of these files to the results",
    )
    parser.add_argument("--figure", action="store_true", help=f"draw docs/images/{FIGURE.name}")
    args = parser.parse_args()
    stems = [path.stem for path in args.folder.glob("*.npz")]
    if args.sets is None and not stems and not args.merge:
        parser.error(f"no .npz files in {args.folder}: give --folder, or set SKAE_DATA")
    args.sets = args.sets or [*stems, ECG]
    if unknown := set(args.sets) - {*stems, ECG}:
        parser.error(f"no set {', '.join(sorted(unknown))} in {args.folder}")
    return args


def main():
    args = arguments()
    if args.merge:
        records = read(args.merge, args)
        write(args, records)
    else:
        records = read([args.results] if args.resume and args.results.exists() else [], args)
        measure(args, records)
    table = pd.DataFrame(records)
    table[FIGURES] = table[FIGURES].astype(float)  # nothing measured is NaN
    tables = report(table)
    if args.figure and tables:
        draw(tables, FIGURE)


if __name__ == "__main__":
    main()
