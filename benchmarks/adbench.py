"""Detection quality over a folder of ADBench sets, and on ECG5000, beside other detectors.

A set is an .npz file of X and y (0 normal, 1 anomaly), of which each seed draws at most 4,000 rows.
Novelty: trained on a random half of the normal rows, tested on the other half and all anomalies.
Contaminated: trained and tested on everything. Rows are standard-scaled on the training rows,
scaled test values clipped to +-10,000. ECG5000: five stratified splits, trained on normal beats,
min-max scaled. Prints tables; results/adbench.json holds the figures of each set and is written as
they come: --resume goes on from it. --figure draws docs/images/adbench.png.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from _detectors import FOREST, NAMES, NEIGHBORS, PYOD_AUTOENCODERS, SKAE, errors_of, makers
from _timing import RESULTS, print_table
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from skae.datasets import fetch_ecg5000

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "adbench.png"
PROTOCOLS = ["novelty", "contaminated"]
ECG = "ECG5000"
BEST = f"PyOD AutoEncoder, best of {len(PYOD_AUTOENCODERS)}"
KEY = ["set", "protocol", "seed", "detector"]
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
    train, test, is_anomaly = case
    detector = maker(train.shape[1], seed)
    start = perf_counter()
    detector.fit(train)
    seconds = perf_counter() - start
    errors = errors_of(detector, test, is_training=protocol == "contaminated")
    errors = np.nan_to_num(np.asarray(errors, dtype=np.float64), nan=LARGEST)
    return {
        "roc_auc": round(roc_auc_score(is_anomaly, errors), 5),
        "pr_auc": round(average_precision_score(is_anomaly, errors), 5),
        "seconds": round(seconds, 4),
    }


def sets(args):
    """Yield, for each set, its name and an iterator over protocols, seeds and cases."""
    for path in sorted(args.folder.glob("*.npz")):
        yield (
            path.stem,
            (
                (protocol, seed, tabular_case(path, protocol, seed, args.most_rows))
                for protocol in args.protocols
                for seed in args.seeds
            ),
        )
    if args.ecg:
        yield ECG, (("novelty", number, case) for number, case in ecg_cases())


def measure(args, records):
    """Add missing results to `records`, and write them after each protocol and seed."""
    done = {tuple(record[key] for key in KEY) for record in records}
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


def read(args):
    if not (args.resume and args.results.exists()):
        return []
    found = json.loads(args.results.read_text())
    if found["most_rows"] != args.most_rows:
        raise SystemExit(f"{args.results} was measured with --most-rows {found['most_rows']}.")
    return found["figures"]


def by_set(records, protocol, measure):
    """Return the mean over seeds: a row for each set that all detectors have, a column for each."""
    kept = records[(records["protocol"] == protocol) & (records["set"] != ECG)]
    names = [name for name in NAMES if name in set(kept["detector"])]
    return kept.pivot_table(measure, "set", "detector").reindex(columns=names).dropna()


def compared(records, protocol):
    """Return ROC-AUC, PR-AUC and fit time by set, and which of PyOD's settings was its best."""
    found = {name: by_set(records, protocol, name) for name in ("roc_auc", "pr_auc", "seconds")}
    settings = [name for name in PYOD_AUTOENCODERS if name in found["roc_auc"]]
    if len(settings) < 2:
        return found, None
    best = found["roc_auc"][settings].mean().idxmax()
    not_shown = [name for name in settings if name != "PyOD AutoEncoder"]
    found = {
        name: table.assign(**{BEST: table[best]}).drop(columns=not_shown)
        for name, table in found.items()
    }
    return found, best


def bootstrap_interval(values):
    """Return the 95 % interval of the mean over sets, of 10,000 resamples."""
    drawn = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    return np.percentile(np.asarray(values)[drawn].mean(axis=1), [2.5, 97.5])


def print_means(found):
    roc, pr, seconds = found.values()
    rivals = roc.drop(columns=BEST, errors="ignore")  # chosen in hindsight: it does not compete
    ranks = rivals.rank(axis=1, ascending=False).mean()
    wins = rivals.eq(rivals.max(axis=1), axis=0).sum()
    medians = seconds.median()
    times = medians / medians.get(FOREST, np.nan)
    print_table(
        ("detector", "ROC-AUC", "PR-AUC", "mean rank", "wins", f"fit time / {FOREST}'s"),
        [
            (
                name,
                f"{roc[name].mean():.4f}",
                f"{pr[name].mean():.4f}",
                f"{ranks[name]:.1f}" if name in ranks else "",
                str(wins.get(name, "")),
                f"{times[name]:.2f}",
            )
            for name in roc
        ],
    )


def print_leads(found):
    rivals = [name for name in (NEIGHBORS, FOREST) if name in found["roc_auc"]]
    rows = []
    for name in SKAE:
        for title, table in (("ROC-AUC", found["roc_auc"]), ("PR-AUC", found["pr_auc"])):
            if name in table and rivals:
                rows.append((name, title, *(lead(table[name] - table[other]) for other in rivals)))
    print_table(("lead, 95 % interval", "", *(f"over {name}" for name in rivals)), rows)


def lead(differences):
    low, high = bootstrap_interval(differences)
    return f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def print_trimming(tables):
    """Print skae's mean ROC-AUC in each protocol, with and without trimming."""
    columns = [(protocol, end) for protocol in tables for end in ("", ", trimmed")]
    rows = [
        (
            detector,
            *(
                f"{tables[protocol].mean().get(detector + end, np.nan):.4f}"
                for protocol, end in columns
            ),
        )
        for detector in ("skae", "skae ensemble")
    ]
    print_table(("mean ROC-AUC", *(protocol + end for protocol, end in columns)), rows)


def print_ecg(records):
    kept = records[records["set"] == ECG].groupby("detector")[["roc_auc", "pr_auc"]]
    means, spreads = kept.mean(), kept.std(ddof=0)
    print_table(
        (ECG, "ROC-AUC", "PR-AUC"),
        [
            (name, *(f"{means[m][name]:.4f} ± {spreads[m][name]:.4f}" for m in means))
            for name in NAMES
            if name in means.index
        ],
    )


def report(records):
    """Print the tables and return, by protocol, the ROC-AUC of each set and detector."""
    tables = {}
    for protocol in PROTOCOLS:
        found, best = compared(records, protocol)
        if found["roc_auc"].empty:
            continue
        tables[protocol] = found["roc_auc"]
        print(f"\n## {protocol.capitalize()}, {len(tables[protocol])} sets\n")
        print_means(found)
        if best:
            print(f"\nPyOD's best setting, by mean ROC-AUC: {best}.")
        print()
        print_leads(found)
    if tables:
        print("\n## Trimming\n")
        print_trimming(tables)
    if (records["set"] == ECG).any():
        print(f"\n## {ECG}\n")
        print_ecg(records)
    return tables


def draw(tables, path):
    """Draw the mean ROC-AUC of each detector with its interval, a panel for each protocol."""
    import matplotlib.pyplot as plt

    means = pd.concat([table.mean() for table in tables.values()], axis=1).mean(axis=1)
    names = means.sort_values().index
    figure, panels = plt.subplots(
        1, len(tables), sharex=True, sharey=True, figsize=(8, 4.2), layout="constrained"
    )
    for panel, (protocol, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        for height, name in enumerate(names):
            if name in table:
                low, high = bootstrap_interval(table[name])
                color = "#c4451c" if name in SKAE else "#4a5a6a"
                panel.plot([low, high], [height, height], color=color, linewidth=2, alpha=0.55)
                panel.plot(table[name].mean(), height, "o", color=color, markersize=7)
        panel.set_title(f"{protocol} ({len(table)} sets)", fontsize=11)
        panel.set_xlabel("mean ROC-AUC, 95 % interval")
        panel.set_yticks(range(len(names)), names)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    np.atleast_1d(panels)[0].set_ylabel("detector")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=folder, help="of .npz sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--most-rows", type=int, default=4000, help="of a set")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--detectors", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--no-ecg", dest="ecg", action="store_false", help=f"leave out {ECG}")
    parser.add_argument("--results", type=Path, default=RESULTS / "adbench.json")
    parser.add_argument("--resume", action="store_true", help="keep what the results hold")
    parser.add_argument("--figure", action="store_true", help=f"draw docs/images/{FIGURE.name}")
    args = parser.parse_args()
    if not any(args.folder.glob("*.npz")):
        parser.error(f"no .npz files in {args.folder}: give --folder, or set SKAE_DATA")
    return args


def main():
    args = arguments()
    records = read(args)
    measure(args, records)
    tables = report(pd.DataFrame(records))
    if args.figure and tables:
        draw(tables, FIGURE)


if __name__ == "__main__":
    main()
