"""
Numbers and categories in one table
===================================

Machines report their sensors and the mode they are in. Some readings are fine in one mode and a
fault in another, so the detector needs both: numbers scaled, categories one-hot encoded, and alarms
explained by column name. The table is synthesized, with faults planted in it.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skae import AutoencoderOutlierDetector
from skae.displays import ExplanationDisplay
from skae.inspection import explain
from skae.thresholds import FalsePositiveRate

# %%
# The machines
# ------------
# Milling machines idle, rough, or finish, in steel or aluminum. Speed and load follow from that;
# current and temperature follow from speed and load; vibration grows with the speed. Speeds are in
# rpm, currents in A, temperatures in °C, vibrations in mm/s.
MODES = {"idle": (0.0, 0.0), "roughing": (0.45, 0.8), "finishing": (0.9, 0.3)}  # speed, load


def make_machines(n_rows, seed):
    """Return readings of healthy machines."""
    random = np.random.default_rng(seed)
    mode = random.choice(list(MODES), n_rows, p=[0.2, 0.5, 0.3])
    material = random.choice(["steel", "aluminum"], n_rows)
    usual = np.array([MODES[name] for name in mode])
    is_soft = material == "aluminum"
    speed = usual[:, 0] * np.where(is_soft, 1.3, 1.0) * random.normal(1, 0.05, n_rows)
    load = usual[:, 1] * np.where(is_soft, 0.6, 1.0) * random.normal(1, 0.1, n_rows)
    ambient = random.normal(22, 2, n_rows)
    return pd.DataFrame(
        {
            "mode": mode,
            "material": material,
            "speed": 10_000 * speed,
            "current": 3 + 20 * load + 4 * speed + random.normal(0, 0.4, n_rows),
            "temperature": ambient + 35 * load + 10 * speed + random.normal(0, 1, n_rows),
            "ambient": ambient,
            "vibration": 0.3 + 2 * speed + load + random.gamma(4, 0.05, n_rows),
        },
        index=[f"M{number:04d}" for number in range(n_rows)],
    )


# %%
# Three kinds of faults, 40 rows each. Hardly any value is out of its column's range; it is the
# combination that is wrong.
train = make_machines(4000, seed=0)
test = make_machines(2000, seed=1)
print(train.head().round(2).to_string())

kind = pd.Series("healthy", index=test.index)
random = np.random.default_rng(2)
cutting = random.permutation(test.index[test["mode"] != "idle"])
idle = random.permutation(test.index[test["mode"] == "idle"])
for name, rows in {
    "worn bearing": cutting[:40],
    "no coolant": cutting[40:80],
    "runs while idle": idle[:40],
}.items():
    kind[rows] = name
test.loc[kind == "worn bearing", "vibration"] += 0.5
test.loc[kind == "no coolant", "temperature"] += 6
categories = ["mode", "material"]
numbers = [name for name in test.columns if name not in categories]
test.loc[kind == "runs while idle", numbers] = test.loc[cutting[80:120], numbers].to_numpy()
outside = (test[numbers] > train[numbers].max()) | (test[numbers] < train[numbers].min())
print(
    f"\n{outside.any(axis=1)[kind != 'healthy'].mean():.0%} of the faults leave a column's range."
)

# %%
# The detector
# ------------
# A category becomes a column of 0 and 1 for each of its values. A value never seen in training is
# 0 in all of them (`handle_unknown="ignore"`). `set_output` keeps the column names through the
# pipeline. All training rows are healthy: the threshold is set to flag 2 % of new rows like them.
one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
columns = ColumnTransformer(
    [
        ("numbers", StandardScaler(), numbers),
        ("categories", one_hot, categories),
    ],
    verbose_feature_names_out=False,
).set_output(transform="pandas")
network = AutoencoderOutlierDetector(
    hidden_layer_sizes=(64, 32),
    latent_dim=4,
    epochs=40,
    threshold=FalsePositiveRate(0.02, confidence=None),
    random_state=0,
)
detector = make_pipeline(columns, network).fit(train)
print(f"What the network sees: {', '.join(detector[-1].feature_names_in_)}")

# %%
# What was found
# --------------
# Compared with the same network without the categories, and IsolationForest with them.
detectors = {
    "autoencoder": detector,
    "numbers only": make_pipeline(StandardScaler(), clone(network)).fit(train[numbers]),
    "IsolationForest": make_pipeline(
        clone(columns), IsolationForest(contamination=0.02, random_state=0)
    ).fit(train),
}
errors, flagged = {}, {}
for name, one in detectors.items():
    rows = test[numbers] if name == "numbers only" else test
    errors[name], flagged[name] = -one.score_samples(rows), one.predict(rows) == -1
print("Share of rows flagged:")
print(pd.DataFrame(flagged, index=test.index).groupby(kind).mean().round(2).to_string())
print("\nROC-AUC against healthy rows:")
healthy = kind == "healthy"
for fault in kind[~healthy].unique():
    rows = healthy | (kind == fault)
    aucs = {name: roc_auc_score(~healthy[rows], e[rows]) for name, e in errors.items()}
    print(f"{fault:>16}: " + ", ".join(f"{name} {auc:.3f}" for name, auc in aucs.items()))

# %%
# Why was it flagged?
# -------------------
# The row of each kind with the largest error. A `ColumnTransformer` cannot be inverted, so values
# and reconstructions are those that the network sees: numbers in standard deviations from their
# mean, 0 and 1 for categories. The names are those of the columns.
worst = pd.Series(errors["autoencoder"], index=test.index)[~healthy].groupby(kind).idxmax()
print(test.loc[worst].assign(fault=worst.index).round(2).to_string())
print(explain(detector, test.loc[worst], top=2).round(2).to_string(index=False))

figures = Path("figures")
figures.mkdir(exist_ok=True)


def save(figure, name):
    path = figures / f"{name}.png"
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


display = ExplanationDisplay.from_estimator(detector, test.loc[worst], top=4)
for panel, (fault, row) in zip(display.axes_, worst.items(), strict=True):
    panel.set_title(f"{row}: {fault}", loc="left", fontsize="medium")
save(display.figure_, "08_explanation")

# %%
# The mean share of each column in the error, for each kind of fault. The columns of a category
# belong together, so their contributions are added up.
reasons = explain(detector, test[~healthy], top=None)
reasons["column"] = reasons["feature"].str.replace(r"_\w+$", "", regex=True)
reasons["fault"] = kind[reasons["row"]].to_numpy()
shares = reasons.pivot_table("contribution", "fault", "column", aggfunc="sum")[test.columns]
shares = shares.div(shares.sum(axis=1), axis=0)
print(shares.round(2).to_string())

figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(shares.shape[1]), shares.columns)
ax.set_yticks(range(len(shares)), shares.index)
for (row, column), share in np.ndenumerate(shares.to_numpy()):
    ax.text(
        column, row, f"{share:.0%}", ha="center", va="center", color="w" if share > 0.5 else "k"
    )
figure.colorbar(image, label="share of the error")
save(figure, "08_shares")

# %%
# A mode never seen before
# ------------------------
# A new value of a category is 0 in all of its columns, which no training row is.
new = test[healthy].head(200).assign(mode="drilling")
print(f"{(detector.predict(new) == -1).mean():.0%} of rows in a new mode are flagged.")
top = explain(detector, new, top=1)["feature"].value_counts().index[0]
print(f"What the network misses in them, mostly: {top}.")
