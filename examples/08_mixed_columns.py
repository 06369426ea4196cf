"""
Numbers, categories, dates and gaps in one table
================================================

Sensors of cold stores, with the site and the product that they belong to. In some rows one value
contradicts the others, though it is usual by itself, and many rows are incomplete. What is needed
of a detector: numbers, categories and dates on an equal footing, missing cells left out, and
alarms explained in the table's own columns. The table is synthesized; the example needs skrub.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skrub import TableVectorizer

from skae import AutoencoderOutlierDetector
from skae.datasets import make_sensor_table
from skae.displays import ExplanationDisplay
from skae.inspection import explain, threshold_report
from skae.preprocessing import ColumnGroupScaler
from skae.thresholds import FalsePositiveRate

# %%
# The table
# ---------
# In 2 % of the rows one column has the value of another row; 3 % of the cells are missing.
table, y, broken = make_sensor_table(20_000, random_state=0)
print(table.head(4).T.to_string())
gaps = table.isna().any(axis=1)
print(f"\n{np.mean(y == -1):.0%} of the rows are broken, {gaps.mean():.0%} have gaps.")
numbers = table.select_dtypes("number")
normal = numbers[y == 1]
outside = ((numbers < normal.min()) | (numbers > normal.max())).any(axis=1)
print(f"{outside[y == -1].mean():.0%} of the broken rows leave the range of a column.")

# %%
# The detector
# ------------
# `TableVectorizer` turns each column into numbers by what it holds. `ColumnGroupScaler` gives each
# column of the table a variance of 1, whatever it was turned into, and leaves missing cells
# missing: the network leaves them out of the error. Nobody has labeled the rows, so it is trained
# on all of them. The threshold is to flag 10 of 2,000.
rule = FalsePositiveRate.from_budget(alarms=10, rows=2_000, confidence=None)
network = AutoencoderOutlierDetector(threshold=rule, random_state=0)
detector = make_pipeline(ColumnGroupScaler(TableVectorizer()), network).fit(table)
scaler = detector[0]
made_of = pd.Series(scaler.get_feature_names_out()).groupby(scaler.groups_).agg(", ".join)
print("What the first columns were turned into:")
for name, features in zip(table.columns[:4], made_of, strict=False):
    print(f"{name}: {features}")

# %%
# What was found
# --------------
# Beside the usual ways. With `StandardScaler`, the rare column `site_nan` outweighs all others, and
# so do indicators of missing values: what is found is incomplete rows.
others = {
    "standardized": [StandardScaler(), network],
    "with indicators": [SimpleImputer(add_indicator=True), StandardScaler(), network],
    "IsolationForest": [IsolationForest(random_state=0)],
}
detectors = {"column groups": detector} | {
    name: clone(make_pipeline(TableVectorizer(), *steps)).fit(table)
    for name, steps in others.items()
}
errors = {name: -one.score_samples(table) for name, one in detectors.items()}
found = {}
for name, of_rows in errors.items():
    worst = np.argsort(-of_rows)[: np.sum(y == -1)]
    found[name] = {
        "average precision": average_precision_score(y == -1, of_rows),
        "broken of the worst ten": np.sum(y[worst[:10]] == -1),
        "incomplete among the worst 2 %": gaps[worst].mean(),
    }
print(pd.DataFrame(found).T.round(2).to_string())

# %%
# Why was it flagged?
# -------------------
# The values are those of the table, and so is what the network expects instead. A category is the
# most likely one; a date, which has no way back from its parts, has no expected value.
is_alarm = detector.predict(table) == -1
worst = table.index[is_alarm][np.argsort(-errors["column groups"][is_alarm])]
reasons = explain(detector, table.loc[worst], top=1).set_index("row")
print(f"{len(worst)} alarms, {np.mean(y[worst] == -1):.0%} of them broken rows. The first ten:")
for row, text in reasons["text"].head(10).items():
    print(f"row {row}: {text} (broken: {broken[row] or 'nothing'})")
true = worst[y[worst] == -1]
named = reasons.loc[true, "feature"] == broken[true]
print(f"The reason is the broken column in {named.mean():.0%} of the true alarms.")

figures = Path("figures")
figures.mkdir(exist_ok=True)

display = ExplanationDisplay.from_estimator(detector, table.loc[worst[:4]], top=4)
display.figure_.savefig(figures / "08_explanation.png", dpi=120)

# %%
# The mean share of each column in the error, by the column that is broken. Relations have two ends:
# part of the error lies with the columns that contradict the broken one.
all_broken = explain(detector, table[y == -1], top=None)
all_broken["broken"] = broken[all_broken["row"]]
shares = all_broken.pivot_table("contribution", "broken", "feature", aggfunc="sum")
columns = table.columns[1:]
shares = shares.div(shares.sum(axis=1), axis=0).loc[columns, table.columns]

figure, ax = plt.subplots(figsize=(9, 6), layout="constrained")
image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
ax.set_xticks(range(shares.shape[1]), shares.columns, rotation=45, ha="right")
ax.set_yticks(range(len(shares)), shares.index)
ax.set(xlabel="column with the error", ylabel="broken column")
for (row, column), share in np.ndenumerate(shares.to_numpy()):
    ax.text(
        column, row, f"{share:.0%}", ha="center", va="center", color="w" if share > 0.5 else "k"
    )
figure.colorbar(image, label="share of the error")
figure.savefig(figures / "08_shares.png", dpi=120)
print(f"The pictures are in {figures}.")

# %%
# How many alarms?
# ----------------
# With labels of later rows, the recall of each budget, and how certain it is: `recall_worst` and
# `recall_best` are those at the ends of the confidence interval of the threshold.
later, y_later, _ = make_sensor_table(4_000, random_state=1)
budgets = {
    f"{alarms} of 2,000": FalsePositiveRate.from_budget(alarms, 2_000, confidence=None)
    for alarms in (1, 10, 100)
}
report = threshold_report(detector, later, y_later, rules=budgets)
print(report[["threshold", "alarms", "recall", "recall_worst", "recall_best"]].round(2).to_string())
