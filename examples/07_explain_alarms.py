"""
Explain alarms
==============

An alarm raises a question: what is wrong with this heartbeat? The error of a beat has three parts,
and is a sum over its samples, so you can see where it comes from.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import ExplanationDisplay, LatentSpaceDisplay, ReconstructionDisplay
from skae.inspection import explain
from skae.preprocessing import GlobalMinMaxScaler

# %%
# The heartbeats
# --------------
# As a table with named columns, so that the names appear in the explanations.
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
    unit = "standardized"
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
    unit = "mV"
X = pd.DataFrame(X, columns=[f"t{position:03d}" for position in range(X.shape[1])])
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=2500, stratify=y, random_state=42
)

# %%
# The detector
# ------------
# `GlobalMinMaxScaler` scales all samples alike, so that a large error is large in the picture too.
network = AutoencoderOutlierDetector(epochs=60, validation_fraction=0.2, random_state=0)
detector = FitOnInliers(make_pipeline(GlobalMinMaxScaler(), network)).fit(X_train, y_train)
flagged = detector.predict(X_test) == -1
print(
    f"{flagged.sum()} of {len(X_test)} beats are flagged, {(y_test[flagged] == 1).sum()} wrongly."
)

# %%
# Three alarms
# ------------
# The beat with the largest error, one in the middle of the alarms, and the worst false alarm.
errors = pd.Series(-detector.score_samples(X_test), index=X_test.index)
alarms = errors[flagged].sort_values(ascending=False)
false_alarms = alarms.index.difference(X_test.index[y_test == -1], sort=False)
chosen = [alarms.index[0], alarms.index[len(alarms) // 2], *false_alarms[:1]]
beats = X_test.loc[chosen]
print(detector.error_parts(beats).set_index(beats.index).round(1).to_string())

# %%
# These are the parts of the error, each relative to normal beats: how badly the beat is
# reconstructed, how unlike it is to the nearest beat that the network knows, and, counting half,
# how far its latent code lies from the others.
explanation = explain(detector, beats, top=3)
print(explanation.round(4).to_string(index=False))

# %%
# `contribution` is the part of the error due to a sample. `unusualness` compares it with what that
# sample contributes in normal beats, here those held out of training: 1 is typical. A sample that
# is always hard to reconstruct contributes much and is not unusual.
figures = Path("figures")
figures.mkdir(exist_ok=True)

display = ExplanationDisplay.from_estimator(detector, beats, top=5)
display.figure_.savefig(figures / "07_explanation.png", dpi=120)

# %%
# The same beats as signals
# -------------------------
# Neighboring samples are wrong together, so a signal says more than a list of samples. The dashed
# line is the reconstruction of the beat, the dotted one the nearest normal beat that the network
# knows.
display = ReconstructionDisplay.from_estimator(
    detector, beats, nearest=True, value_name=f"voltage\n({unit})"
)
display.axes_[-1].set_xlabel("sample of the beat")
display.figure_.savefig(figures / "07_reconstruction.png", dpi=120)

# %%
# Where abnormal beats go wrong
# -----------------------------
# The contributions of all samples, summed over parts of the beat, for all true alarms. The
# unusualness shows which parts are typical.
true_alarms = X_test[flagged & (y_test == -1)]
parts = explain(detector, true_alarms, top=None)
parts["part"] = pd.cut(
    parts["feature"].str[1:].astype(int),
    [0, 35, 70, 105, 140],
    right=False,
    labels=["samples 0-34", "samples 35-69", "samples 70-104", "samples 105-139"],
)
by_part = parts.groupby("part", observed=True)
table = pd.DataFrame(
    {
        "share of the error": by_part["contribution"].sum() / parts["contribution"].sum(),
        "median unusualness": by_part["unusualness"].median(),
    }
)
print(table.round(2).to_string())
print(f"Most of the error of abnormal beats: {table['share of the error'].idxmax()}.")

# %%
# The latent space
# ----------------
# A network with two latent codes can be drawn as it is: on the left by label, on the right by
# error. An abnormal beat may well get the codes of a normal one; then only its reconstruction gives
# it away.
plane = AutoencoderOutlierDetector(latent_dim=2, epochs=60, random_state=0)
plane = FitOnInliers(make_pipeline(GlobalMinMaxScaler(), plane)).fit(X_train, y_train)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
LatentSpaceDisplay.from_estimator(plane, X_test, y_test, ax=left)
LatentSpaceDisplay.from_estimator(plane, X_test, ax=right)
figure.savefig(figures / "07_latent_space.png", dpi=120)
print(f"The pictures are in {figures}.")

# %%
# How much do the codes alone reveal, and how much the reconstruction alone? LocalOutlierFactor
# compares codes with those of normal beats.
neighbors = LocalOutlierFactor(novelty=True).fit(plane.transform(X_train[y_train == 1]))
for name, scores in {
    "combined error": plane.score_samples(X_test),
    "reconstruction alone": -plane.reconstruction_error(X_test),
    "codes alone": neighbors.score_samples(plane.transform(X_test)),
}.items():
    print(f"ROC-AUC by {name}: {roc_auc_score(y_test == -1, -scores):.3f}")
