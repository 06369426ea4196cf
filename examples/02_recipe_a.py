"""
Recipe A: a scaler and a network, three thresholds, kept for tomorrow
=====================================================================

A published recipe for abnormal heartbeats, step by step: a dense autoencoder with dropout is
trained on normal beats, a beat is scored by its mean squared error, and the threshold is the mean
plus one standard deviation of the training errors. Two other thresholds are tried without training
again, and the network and its scaler are saved and turned back into a detector.
"""

from pathlib import Path

import joblib
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import (
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import (
    ErrorDistributionDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
)

# %%
# The heartbeats
# --------------
# 140 samples per beat; +1 is a normal beat, -1 an abnormal one. If the real ones are unavailable,
# synthesized ones are used.
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
    unit = "standardized"
    print(f"{len(X)} real heartbeats of ECG5000.")
except (OSError, ValueError) as error:
    print(f"The real heartbeats of ECG5000 are unavailable ({error}).")
    print("Synthesized heartbeats are used instead: the figures below say nothing about real ones.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
    unit = "mV"

X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, stratify=y, random_state=42
)
print(f"{(y_train == 1).sum()} normal beats to train on, {len(y_test)} beats to judge.")

# %%
# A normal beat of the training rows:
output = Path("figures")
output.mkdir(exist_ok=True)

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(X_train[y_train == 1][0])
ax.set(title="A beat labeled normal", xlabel="sample of the beat", ylabel=f"voltage ({unit})")
figure.savefig(output / "02_sample_beat.png", dpi=120)

# %%
# The detector
# ------------
# `FitOnInliers` gives the whole pipeline, including its scaler, the rows labeled normal. The rows
# for the validation curves pass through the scaler like the training rows: scikit-learn's metadata
# routing takes them to the detector, which requests `X_val`, and `transform_input` tells the
# pipeline to transform them on the way.
with sklearn.config_context(enable_metadata_routing=True):
    network = AutoencoderOutlierDetector(
        hidden_layer_sizes=(64, 32, 16),
        dropout=0.1,
        latent_dim=8,
        activation="relu",
        latent_activation="relu",
        output_activation="sigmoid",
        loss="msle",
        metrics=["mse"],
        error="mse",
        learning_rate=1e-3,
        epochs=30,
        batch_size=128,
        threshold="mean_std",
        random_state=0,
    ).set_fit_request(X_val=True)
    detector = FitOnInliers(make_pipeline(MinMaxScaler(), network, transform_input=["X_val"]))
    detector.fit(X_train, y_train, X_val=X_test)

# %%
# The three models
# ----------------
# The detector offers what the pipeline inside has learned: the encoder, the decoder and both
# together, each a `keras.Model`.
detector.encoder_.summary()
detector.decoder_.summary()
detector.autoencoder_.summary()

# %%
# Training curves
# ---------------
# The validation rows include abnormal ones, so their curve ends above that of the training rows.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for ax, quantity in zip(axes, ("loss", "mse"), strict=True):
    TrainingHistoryDisplay.from_estimator(detector, quantity=quantity, ax=ax)
figure.suptitle("Training on normal beats, validation on all test beats")
figure.savefig(output / "02_training.png", dpi=120)

# %%
# Three thresholds, one training
# ------------------------------
# `FrozenEstimator` keeps the fitted detector as it is, so only the threshold is set. The first two
# rules see the errors of the normal training beats. Youden's J, the point of the ROC curve where
# the true-positive rate exceeds the false-positive rate most, needs labels: it sees all training
# beats, including the abnormal ones that the network never saw. The test beats set no threshold.
frozen = FrozenEstimator(detector)
rules = {
    "mean + 1 std": FitOnInliers(ThresholdedOutlierDetector(frozen, "mean_std")),
    "95th percentile": FitOnInliers(ThresholdedOutlierDetector(frozen, "quantile")),
    "Youden's J": ThresholdedOutlierDetector(frozen, "youden"),
}
for rule in rules.values():
    rule.fit(X_train, y_train)

# %%
# The first one is the threshold that the detector already has.
print(f"{rules['mean + 1 std'].offset_:.6f} is {detector.offset_:.6f}")

display = ErrorDistributionDisplay.from_estimator(detector, X_test, y_test)
for (name, rule), style in zip(list(rules.items())[1:], (":", "-."), strict=True):
    threshold = -rule.offset_
    display.ax_.axvline(threshold, color="gray", ls=style, label=f"{name} {threshold:.3g}")
display.ax_.legend()
display.ax_.set_title("Errors of the test beats, and the threshold at mean + 1 std")
display.figure_.savefig(output / "02_errors.png", dpi=120)

# %%
# What was found
# --------------
# The abnormal beat is positive: precision is the share of alarms that are right, recall the share
# of abnormal beats that raise one.
rows = {}
for name, rule in rules.items():
    y_pred = rule.predict(X_test)
    rows[name] = {
        "threshold": -rule.offset_,
        "accuracy": accuracy_score(y_test, y_pred),
        "precision": precision_score(y_test, y_pred, pos_label=-1),
        "recall": recall_score(y_test, y_pred, pos_label=-1),
        "F1": f1_score(y_test, y_pred, pos_label=-1),
    }
table = pd.DataFrame(rows).T
print(table.round(4).to_string())

# %%
# These two do not depend on a threshold:
errors = -detector.score_samples(X_test)
roc_auc = roc_auc_score(y_test == -1, errors)
pr_auc = average_precision_score(y_test == -1, errors)
print(f"ROC-AUC {roc_auc:.4f}, PR-AUC {pr_auc:.4f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for ax, (name, rule) in zip(axes, rules.items(), strict=True):
    ConfusionMatrixDisplay.from_predictions(
        y_test,
        rule.predict(X_test),
        display_labels=["abnormal", "normal"],
        colorbar=False,
        cmap="Blues",
        ax=ax,
    )
    ax.set(title=name, xlabel="called", ylabel="labeled")
figure.savefig(output / "02_confusion.png", dpi=120)

# %%
# Original, reconstruction and residual
# -------------------------------------
# A normal and an abnormal beat, in the units of the heartbeats: the display inverts the scaling.
# The error in the title is that of the scaled beat, to which the threshold applies.
beats = pd.DataFrame(
    [X_test[y_test == label][0] for label in (1, -1)], index=["labeled normal", "labeled abnormal"]
)
display = ReconstructionDisplay.from_estimator(
    detector, beats, value_name=f"voltage ({unit})", residual=True
)
for panel in display.axes_[-1]:
    panel.set_xlabel("sample of the beat")
display.figure_.savefig(output / "02_reconstruction.png", dpi=120)
print(f"The pictures are in {output}.")

# %%
# Saved, and loaded again
# -----------------------
# The network is an ordinary Keras model and the scaler an ordinary scikit-learn estimator: each is
# saved in its own format, which other programs can read too.
detector.autoencoder_.save(output / "02_autoencoder.keras")
joblib.dump(detector.estimator_["minmaxscaler"], output / "02_scaler.joblib")
print(f"saved {output / '02_autoencoder.keras'} and {output / '02_scaler.joblib'}")

# %%
# Loaded, the two make a detector again. Nothing is trained: the scaler is frozen, and
# `ReconstructionOutlierDetector` uses a trained `keras.Model` as it is. Only the threshold is set,
# on the normal rows, by the same rule.
loaded = make_pipeline(
    FrozenEstimator(joblib.load(output / "02_scaler.joblib")),
    ReconstructionOutlierDetector(
        keras.saving.load_model(output / "02_autoencoder.keras"), threshold="mean_std"
    ),
)
loaded.fit(X_train[y_train == 1])

difference = np.abs(loaded.score_samples(X_test) - detector.score_samples(X_test)).max()
n_changed = np.count_nonzero(loaded.predict(X_test) != detector.predict(X_test))
print(f"The scores differ by at most {difference:.2g}, the verdicts on {n_changed} beats.")
