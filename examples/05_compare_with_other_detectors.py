"""
Compare with other detectors
============================

Seven detectors score the same heartbeats in the same folds. Each learns from normal beats only, and
is evaluated on held-out beats of both kinds. The table says which finds the most, how long it
takes, and whether the differences are more than chance.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import OneClassSVM

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
)
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.model_selection import compare_detectors

# %%
# The heartbeats
# --------------
# Some of them, to keep the example short.
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
X, _, y, _ = train_test_split(X, y, train_size=1500, stratify=y, random_state=42)
print(f"{(y == 1).sum()} normal beats, {(y == -1).sum()} abnormal ones.")

# %%
# The detectors
# -------------
# `PCA` is not a detector, but it reconstructs rows: `ReconstructionOutlierDetector` makes it one.
# The ensemble trains four autoencoders with codes of several sizes in one graph, and averages their
# errors.
detectors = {
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "OneClassSVM": OneClassSVM(nu=0.05),
    "PCA, 2 components": ReconstructionOutlierDetector(PCA(2, random_state=0)),
    "PCA, 6 components": ReconstructionOutlierDetector(PCA(6, random_state=0)),
    "autoencoder": AutoencoderOutlierDetector(epochs=60, random_state=0),
    "ensemble of four": AutoencoderEnsembleOutlierDetector(epochs=30, random_state=0),
}

# %%
# The same folds for all
# ----------------------
# The scaler is fitted in each fold, on its normal beats, as `FitOnInliers` is around the pipeline.
# The first metric ranks. The p-values are from a test that allows for folds sharing training rows.
comparison = compare_detectors(
    {name: FitOnInliers(make_pipeline(MinMaxScaler(), one)) for name, one in detectors.items()},
    X,
    y,
    cv=5,
    scoring=["roc_auc", "average_precision"],
    baseline="IsolationForest",
)
print(comparison)

# %%
# What was found
# --------------
table = comparison.frame()
best = table.index[0]
differ = table.index[table["p_value_roc_auc"] < 0.05]
print(f"\nBest by ROC-AUC: {best}.")
print(f"Differ from IsolationForest (p < 0.05): {', '.join(differ) or 'none'}.")

# %%
# There is one test for each of the other detectors. With the limit divided by their number
# (Bonferroni), at most one such comparison in twenty finds a difference where there is none.
limit = 0.05 / table["p_value_roc_auc"].count()
differ = table.index[table["p_value_roc_auc"] < limit]
print(f"With p < {limit:.4f}: {', '.join(differ) or 'none'}.")

# %%
# Every fold
# ----------
# A point is a fold. The first fit of an autoencoder compiles its network; the other folds reuse it.
times = comparison.scores.pivot(index="fold", columns="detector", values="fit_time")
print(times[["autoencoder", "ensemble of four"]].round(2).to_string())

figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for ax, metric in zip(axes, comparison.metrics, strict=True):
    comparison.plot(ax, metric=metric)
axes[1].set_ylabel("")
path = Path("figures") / "05_comparison.png"
path.parent.mkdir(exist_ok=True)
figure.savefig(path, dpi=120)
print(f"saved {path}")
