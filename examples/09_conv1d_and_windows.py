"""
Signals: convolutions, and windows of a long series
===================================================

A convolutional autoencoder sees which samples of a heartbeat are neighbors, and needs fewer
weights than a dense one. A long electrocardiogram is not cut into beats at all: windows slide over
it, and every time step gets the mean error of the windows that contain it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    FitOnInliers,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.datasets import fetch_ecg5000, make_ecg_strip, make_heartbeats
from skae.displays import SeriesDisplay
from skae.metrics import event_recall_score, false_alarms_per_unit
from skae.thresholds import Quantile

# %%
# One beat per row: dense, convolutional, variational
# ---------------------------------------------------
# The architecture is a parameter; X stays a table. For "conv1d" a row of 140 values is a signal of
# 140 steps with one channel. All three are scored by the mean squared error here, which is the
# default of the last two. (Few epochs here; the benchmarks train to the end.)
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, stratify=y, random_state=42
)
rows = []
for architecture in ("dense", "conv1d", "vae"):
    network = AutoencoderOutlierDetector(
        architecture, loss="mse", error="mse", epochs=15, random_state=0
    )
    detector = FitOnInliers(make_pipeline(MinMaxScaler(), network)).fit(X_train, y_train)
    errors = -detector.score_samples(X_test)
    rows.append(
        {
            "architecture": architecture,
            "weights": detector.autoencoder_.count_params(),
            "ROC-AUC": roc_auc_score(y_test == -1, errors),
            "PR-AUC": average_precision_score(y_test == -1, errors),
        }
    )
print(pd.DataFrame(rows).set_index("architecture").round(3).to_string())

# %%
# A long strip
# ------------
# Half an hour of normal heartbeats to learn from, three hours of them for the threshold, and an
# hour with a few abnormal beats to find; 125 samples per second. The strips are synthesized.
SAMPLE_RATE = 125
normal, _ = make_ecg_strip(1800, anomaly_share=0, random_state=0)
calibration, _ = make_ecg_strip(3 * 3600, anomaly_share=0, random_state=1)
strip, labels = make_ecg_strip(3600, anomaly_share=0.02, random_state=2)

# %%
# A window of 70 samples, about two thirds of a beat, moves on by 10. The largest error in three
# hours of normal signal is the threshold: it is set without training again, as the detector is
# frozen. A false alarm is a stretch of flagged samples farther than a window from every abnormal
# beat.
WIDTH = 70
network = AutoencoderEnsembleOutlierDetector(random_state=0)
detectors = {
    "autoencoders": make_pipeline(MinMaxScaler(), network),
    "IsolationForest": IsolationForest(random_state=0),
}
judged = {}
for name, detector in detectors.items():
    windowed = WindowedOutlierDetector(detector, width=WIDTH, stride=10, reduce="mean").fit(normal)
    judged[name] = ThresholdedOutlierDetector(FrozenEstimator(windowed), Quantile(q=1.0))
    judged[name].fit(calibration)
    predicted = judged[name].predict(strip)
    found = event_recall_score(labels, predicted)
    n_false = false_alarms_per_unit(
        labels, predicted, steps_per_unit=3600 * SAMPLE_RATE, tolerance=WIDTH
    )
    print(f"{name}: {found:.0%} of the abnormal beats, {n_false:.0f} false alarms in an hour")

# %%
# On the time axis
# ----------------
# Ten seconds around an abnormal beat: the error rises where the beat is.
detector = judged["autoencoders"]
middle = int(np.flatnonzero(labels == -1)[np.sum(labels == -1) // 2])
shown = slice(middle - 4 * SAMPLE_RATE, middle + 6 * SAMPLE_RATE)
times = pd.to_timedelta(np.arange(shown.start, shown.stop) / SAMPLE_RATE, "s")
display = SeriesDisplay.from_predictions(
    pd.DataFrame(strip[shown], columns=["voltage (mV)"], index=times),
    detector.score_samples(strip)[shown],
    labels[shown],
    threshold=-detector.offset_,
)
path = Path("figures") / "09_strip.png"
path.parent.mkdir(exist_ok=True)
display.figure_.savefig(path, dpi=120)
print(f"saved {path}")
