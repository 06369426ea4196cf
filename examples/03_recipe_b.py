"""
Recipe B: a network of your own, one scale for the whole beat
=============================================================

A published recipe for abnormal heartbeats, step by step: one minimum and one maximum scale all
samples of all beats, a small network written as a subclass of `keras.Model` learns the normal ones
by their mean absolute error, and beats more than one standard deviation above the mean training
error are called abnormal.
"""

from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import accuracy_score, precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import (
    ErrorDistributionDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
)
from skae.preprocessing import GlobalMinMaxScaler

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

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=21)
print(f"{(y_train == 1).sum()} normal beats to train on, {len(y_test)} beats to judge.")

# %%
# A normal and an abnormal beat of the test rows:
figures = Path("figures")
figures.mkdir(exist_ok=True)

beats = np.stack([X_test[y_test == label][0] for label in (1, -1)])
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True, layout="constrained")
for ax, beat, label in zip(axes, beats, ("normal", "abnormal"), strict=True):
    ax.plot(beat)
    ax.set(title=f"A beat labeled {label}", xlabel="sample of the beat")
axes[0].set_ylabel(f"voltage ({unit})")
figure.savefig(figures / "03_beats.png", dpi=120)


# %%
# The network
# -----------
# Any function that returns a `keras.Model` is an architecture. This one returns a subclass, whose
# attributes `encoder` and `decoder` the detector finds by their names.
class HeartbeatAutoencoder(keras.Model):
    def __init__(self, n_features):
        super().__init__()
        self.encoder = keras.Sequential(
            [keras.layers.Dense(units, activation="relu") for units in (32, 16, 8)]
        )
        self.decoder = keras.Sequential(
            [keras.layers.Dense(units, activation="relu") for units in (16, 32)]
            + [keras.layers.Dense(n_features, activation="sigmoid")]
        )

    def call(self, row):
        return self.decoder(self.encoder(row))


def heartbeat_autoencoder(input_shape):
    return HeartbeatAutoencoder(*input_shape)


# %%
# The detector
# ------------
# The scaler learns from all training rows, so it is outside `FitOnInliers`; the network learns from
# the normal ones. The test rows are scaled on their way to the validation curves. Three batches per
# epoch make 120 gradient steps: few, but enough for the real heartbeats. For the synthesized ones
# they are too few, and a warning says so.
with sklearn.config_context(enable_metadata_routing=True):
    network = AutoencoderOutlierDetector(
        heartbeat_autoencoder,
        loss="mae",
        error="mae",
        learning_rate=1e-3,
        epochs=40,
        batch_size=1024,
        threshold="mean_std",
        random_state=0,
    ).set_fit_request(X_val=True)
    detector = make_pipeline(GlobalMinMaxScaler(), FitOnInliers(network), transform_input=["X_val"])
    detector.fit(X_train, y_train, X_val=X_test)

# %%
# Training curves
# ---------------
# The validation rows include abnormal ones, so their curve ends above that of the training rows.
display = TrainingHistoryDisplay.from_estimator(detector)
display.ax_.set_title("Training on normal beats, validation on all test beats")
display.figure_.savefig(figures / "03_training.png", dpi=120)

# %%
# Reconstructions, their error shaded
# -----------------------------------
# The normal and the abnormal beat from above, in the units of the heartbeats. The error in the
# title is that of the scaled beat, to which the threshold applies.
named = pd.DataFrame(beats, index=["labeled normal", "labeled abnormal"])
display = ReconstructionDisplay.from_estimator(detector, named, value_name=f"voltage\n({unit})")
display.axes_[-1].set_xlabel("sample of the beat")
display.figure_.savefig(figures / "03_reconstruction.png", dpi=120)

# %%
# Errors and the threshold
# ------------------------
# The threshold is set on the normal training beats; most abnormal test beats lie beyond it.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharex=True, layout="constrained")
for ax, title, X_shown, y_shown in (
    (axes[0], "Normal training beats", X_train[y_train == 1], y_train[y_train == 1]),
    (axes[1], "Abnormal test beats", X_test[y_test == -1], y_test[y_test == -1]),
):
    ErrorDistributionDisplay.from_estimator(detector, X_shown, y_shown, log_x=False, ax=ax)
    ax.set_title(title)
figure.savefig(figures / "03_errors.png", dpi=120)
print(f"The pictures are in {figures}.")

# %%
# What was found
# --------------
# As in the published recipe, the *normal* beat is positive: precision is the share of beats called
# normal that are normal, recall the share of normal beats that are called normal.
y_pred = detector.predict(X_test)
here = {
    "accuracy": accuracy_score(y_test, y_pred),
    "precision": precision_score(y_test, y_pred),
    "recall": recall_score(y_test, y_pred),
}
published = {"accuracy": 0.939, "precision": 0.994, "recall": 0.896}
print(pd.DataFrame({"here": here, "published": published}).T.round(3).to_string())
