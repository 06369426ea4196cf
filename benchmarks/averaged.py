"""Unlike detectors, alone and averaged on several scales, over a folder of ADBench sets.

The sets, the protocols and the scaling of rows are those of adbench.py, with at most 2,000 rows.
The scale was chosen on every second set, from the first; the others confirm it. Prints tables and
writes results/averaged.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from _timing import print_table, save
from adbench import PROTOCOLS, tabular_case
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from skae import AutoencoderOutlierDetector, AveragedOutlierDetector

AVERAGED = "averaged"
MEASURES = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}


def detectors(seed):
    return {
        "autoencoder": AutoencoderOutlierDetector(
            epochs=20, error="mse", loss="mse", random_state=seed
        ),
        "IsolationForest": IsolationForest(random_state=seed),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    }


def errors_by_method(averaged, train, test):
    """Yield the errors of the test rows by each detector, and averaged on each scale."""
    training, errors = (
        np.column_stack([-member.score_samples(X) for member in averaged.estimators_])
        for X in (train, test)
    )
    yield from zip(averaged.named_estimators_, errors.T, strict=True)
    yield AVERAGED, -averaged.score_samples(test)
    low, lower, median, upper, high = np.quantile(training, [0.1, 0.25, 0.5, 0.75, 0.9], axis=0)
    deviation = np.median(np.abs(training - median), axis=0)
    for scale, center, spread in (
        ("mean, standard deviation", training.mean(axis=0), training.std(axis=0)),
        ("median, quartiles", median, upper - lower),
        ("median, deciles", median, high - low),
        ("median, absolute deviation", median, deviation),
    ):
        spread = np.where(spread > 0, spread, training.std(axis=0))
        yield f"{AVERAGED}: {scale}", ((errors - center) / spread).mean(axis=1)
    pairs = zip(training.T, errors.T, strict=True)
    ranks = [np.searchsorted(np.sort(known), new) / len(known) for known, new in pairs]
    yield f"{AVERAGED}: ranks", np.mean(ranks, axis=0)
    yield f"{AVERAGED}: not scaled", errors.mean(axis=1)


def measured(path, protocol, seed, most_rows):
    train, test, is_anomaly = tabular_case(path, protocol, seed, most_rows)
    averaged = AveragedOutlierDetector(list(detectors(seed).items())).fit(train)
    is_flagged = averaged.predict(test) == -1
    for method, errors in errors_by_method(averaged, train, test):
        record = {"set": path.stem, "protocol": protocol, "seed": seed, "method": method}
        record["roc_auc"] = round(roc_auc_score(is_anomaly, errors), 5)
        record["pr_auc"] = round(average_precision_score(is_anomaly, errors), 5)
        if method == AVERAGED:
            record["flagged"] = round(is_flagged[is_anomaly == 0].mean(), 5)
        yield record


def means(records):
    """Return the means over sets and seeds, and of ROC-AUC also over each half of the sets."""
    table = records.pivot_table(list(MEASURES), "method", "protocol", sort=False)
    columns = {
        f"{protocol}, {title}": table[measure, protocol]
        for protocol in PROTOCOLS
        for measure, title in MEASURES.items()
    }
    names = sorted(records["set"].unique())
    for title, half in (("chosen on", names[::2]), ("confirmed on", names[1::2])):
        kept = records[records["set"].isin(half)]
        columns[f"ROC-AUC, sets {title}"] = kept.groupby("method")["roc_auc"].mean()
    return pd.DataFrame(columns)


def report(records):
    table = means(records)
    rows = [(name, *(f"{value:.4f}" for value in row)) for name, *row in table.itertuples()]
    print_table(("detector", *table), rows)
    flagged = records.groupby("protocol")["flagged"].mean()
    print(f"\nNormal rows flagged: {flagged.round(4).to_dict()}")
    by_set = records.pivot_table("roc_auc", ["set", "protocol"], "method")
    alone = by_set[list(detectors(0))]
    for name in (AVERAGED, *alone):
        lead = by_set[name] - alone.max(axis=1)
        print(f"{name}, less the best alone: mean {lead.mean():+.3f}, lowest {lead.min():+.3f}")
    is_above = by_set[AVERAGED] > alone.min(axis=1)
    print(f"{AVERAGED} is above the worst alone in {is_above.sum()} of {len(by_set)}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(os.environ.get("SKAE_DATA", "."), "adbench")
    parser.add_argument("--folder", type=Path, default=folder, help="of .npz sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--most-rows", type=int, default=2000, help="of a set")
    args = parser.parse_args()
    records = [
        record
        for path in sorted(args.folder.glob("*.npz"))
        for protocol in PROTOCOLS
        for seed in args.seeds
        for record in measured(path, protocol, seed, args.most_rows)
    ]
    if not records:
        parser.error(f"no .npz files in {args.folder}: give --folder, or set SKAE_DATA")
    save("averaged.json", records)
    report(pd.DataFrame(records))


if __name__ == "__main__":
    main()
