"""
Find the abnormal heartbeats
============================

An autoencoder learns to reconstruct normal heartbeats. Beats that it reconstructs badly are
flagged. scikit-learn's IsolationForest scores the same held-out beats.
"""

from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import (
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

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import ErrorDistributionDisplay, ReconstructionDisplay

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
    print(f"The real heartbeats of ECG5000 are unavailable: {error}\n")
    print("Synthesized heartbeats are used instead; the numbers below say nothing about real ones.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
    unit = "mV"

X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, stratify=y, random_state=42
)
print(f"{(y_train == 1).sum()} normal beats to train on, {len(y_test)} beats to judge.")

# %%
# Two detectors, fitted on the normal beats
# -----------------------------------------
# `FitOnInliers` gives the whole pipeline, including its scaler, the rows labeled normal.
detectors = {
    "autoencoder": AutoencoderOutlierDetector(random_state=0, verbose=1),
    "IsolationForest": IsolationForest(random_state=0),
}
fitted, rows = {}, []
for name, detector in detectors.items():
    pipeline = FitOnInliers(make_pipeline(MinMaxScaler(), detector))
    start = perf_counter()
    pipeline.fit(X_train, y_train)
    trained = perf_counter()
    scores = pipeline.score_samples(X_test)
    scored = perf_counter()
    flagged, abnormal = pipeline.predict(X_test) == -1, y_test == -1
    fitted[name] = pipeline
    rows.append(
        {
            "detector": name,
            "ROC-AUC": roc_auc_score(abnormal, -scores),
            "PR-AUC": average_precision_score(abnormal, -scores),
            "accuracy": accuracy_score(abnormal, flagged),
            "precision": precision_score(abnormal, flagged),
            "recall": recall_score(abnormal, flagged),
            "F1": f1_score(abnormal, flagged),
            "fit [s]": trained - start,
            "score [s]": scored - trained,
        }
    )

# %%
# What was found
# --------------
# The abnormal beat is positive: precision is the share of alarms that are right, recall the share
# of abnormal beats that raise one.
print()
print(pd.DataFrame(rows).set_index("detector").round(3).to_string())
flagged = fitted["autoencoder"].predict(X_test) == -1
print(
    f"\nThe autoencoder flagged {flagged.sum()} of {len(y_test)} beats, and "
    f"{(flagged & (y_test == -1)).sum()} of the {(y_test == -1).sum()} abnormal ones among them; "
    f"{(flagged & (y_test == 1)).sum()} alarms are false."
)

# %%
# Pictures
# --------
figures = Path("figures")
figures.mkdir(exist_ok=True)

some = [np.flatnonzero(y_test == label)[0] for label in (1, -1)]
beats = pd.DataFrame(X_test[some], index=["labeled normal", "labeled abnormal"])
display = ReconstructionDisplay.from_estimator(
    fitted["autoencoder"], beats, value_name=f"voltage ({unit})"
)
display.axes_[-1].set_xlabel("sample of the beat")
display.figure_.savefig(figures / "01_reconstruction.png", dpi=120)

# %%
# The errors of all scored beats, and the threshold of each detector:
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for ax, (name, detector) in zip(axes, fitted.items(), strict=True):
    ErrorDistributionDisplay.from_estimator(detector, X_test, y_test, ax=ax)
    ax.set_title(name)
figure.savefig(figures / "01_errors.png", dpi=120)
print(f"The pictures are in {figures}.")
