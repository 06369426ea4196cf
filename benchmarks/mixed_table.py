"""Broken relations in a table of numbers, categories, dates and gaps.

`make_sensor_table`: 20,000 rows, in 2 % of which one column has the value of another row, 3 % of
the cells missing. Detectors are fitted on the whole table, without labels, and rank its rows.
Several ways of encoding and scaling before the default network, and IsolationForest. Three tables.
Needs skrub. Prints a table and writes results/mixed_table.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse

import numpy as np
import pandas as pd
from _timing import print_table, save
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skrub import TableVectorizer

from skae import AutoencoderOutlierDetector
from skae.datasets import make_sensor_table
from skae.inspection import explain
from skae.preprocessing import ColumnGroupScaler

SEEDS = (0, 1, 2)


def pipelines(seed):
    """Return each setting's pipeline by its name."""
    network = AutoencoderOutlierDetector(random_state=seed)
    grouped = ColumnGroupScaler(TableVectorizer())
    gaps_encoded = ColumnGroupScaler(TableVectorizer(), keep_missing=False)
    filled, indicated = SimpleImputer(), SimpleImputer(add_indicator=True)
    scaler, forest = StandardScaler(), IsolationForest(random_state=seed)
    return {
        "ColumnGroupScaler": [grouped, network],
        "ColumnGroupScaler(keep_missing=False)": [gaps_encoded, network],
        "ColumnGroupScaler, gaps filled": [grouped, filled, network],
        "StandardScaler": [TableVectorizer(), scaler, network],
        "StandardScaler, gaps filled": [TableVectorizer(), filled, scaler, network],
        "StandardScaler, gaps filled, indicators": [TableVectorizer(), indicated, scaler, network],
        "ColumnGroupScaler, IsolationForest": [grouped, forest],
        "indicators, IsolationForest": [TableVectorizer(), indicated, forest],
    }


def measured(n_rows):
    for seed in SEEDS:
        X, y, broken = make_sensor_table(n_rows, random_state=seed)
        is_incomplete = X.isna().any(axis=1).to_numpy()
        for setting, steps in pipelines(seed).items():
            pipeline = make_pipeline(*steps).fit(X)
            errors = -pipeline.score_samples(X)
            order = np.argsort(-errors)
            alarms = order[: np.sum(y == -1)]
            yield {
                "seed": seed,
                "setting": setting,
                "average_precision": average_precision_score(y == -1, errors),
                "of_top_ten": int(np.sum(y[order[:10]] == -1)),
                "incomplete_alarms": is_incomplete[alarms].mean(),
                **explained(pipeline, X, errors, broken, alarms[y[alarms] == -1]),
            }


def explained(pipeline, X, errors, broken, alarms):
    """Return how often the broken column comes first, and how far the sum is from the error."""
    if not hasattr(pipeline[-1], "reconstruct"):
        return {}
    reasons = explain(pipeline, X.iloc[alarms], top=None)
    first = reasons.groupby("row", sort=False)["feature"].first().to_numpy()
    sums = reasons.groupby("row", sort=False)["contribution"].sum().to_numpy()
    return {
        "broken_first": np.mean(first == broken[alarms]),
        "deviation_of_sum": np.max(np.abs(sums / errors[alarms] - 1)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    records = list(measured(parser.parse_args().rows))
    save("mixed_table.json", records)
    rows = []
    for setting, found in pd.DataFrame(records).groupby("setting", sort=False):
        precision, first = found["average_precision"], found["broken_first"]
        rows.append(
            (
                setting,
                f"{precision.mean():.2f} ({precision.min():.2f} to {precision.max():.2f})",
                ", ".join(map(str, found["of_top_ten"])),
                f"{found['incomplete_alarms'].mean():.0%}",
                "" if first.isna().any() else f"{first.mean():.0%}",
            )
        )
    columns = ("average precision", "of the top ten", "alarms incomplete", "broken column first")
    print_table(("before the network", *columns), rows)


if __name__ == "__main__":
    main()
