"""
Thresholds and p-values
=======================

A score only orders heartbeats. A threshold decides what is flagged. Several rules set one from the
same errors, p-values replace it, and held-out beats show what each would cost.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, ConformalOutlierDetector, ThresholdedOutlierDetector
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import DetectionCurveDisplay, PValueDisplay
from skae.inspection import threshold_report
from skae.thresholds import FalsePositiveRate, MinimalCost

# %%
# The heartbeats
# --------------
# Normal beats to train on, labeled beats to choose a threshold with, and others to check the
# choice.
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
X_train, X_rest, y_train, y_rest = train_test_split(
    X, y, train_size=2400, stratify=y, random_state=42
)
X_train = X_train[y_train == 1]
X_choose, X_test, y_choose, y_test = train_test_split(
    X_rest, y_rest, test_size=0.6, stratify=y_rest, random_state=42
)
print(f"{len(X_train)} normal beats to train on, {len(X_choose)} to choose, {len(X_test)} to test.")

# %%
# What would each rule cost?
# --------------------------
# The network is trained once. Each rule then sets its threshold on the errors of beats that the
# network has not seen; those that need no labels see the normal ones among them.
network = make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(epochs=40, random_state=0))
network.fit(X_train)
report = threshold_report(network, X_choose, y_choose, X_train=X_train)
columns = ["threshold", "alarms", "precision", "recall", "fpr", "fpr_high", "ratio"]
print(report[columns].round(4).to_string(na_rep="-", line_width=100))

# %%
# "fpr" is the share of normal beats that are flagged, "fpr_high" the upper end of its 95 %
# interval. "ratio" is the threshold over the rule's threshold from the training errors: above 1,
# the training errors overpromise. `PeaksOverThreshold` aims at one false alarm in 10,000 normal
# beats; its recall is the price. A rule that cannot be used on these beats says so in a note.
print(f"\nErrors of new normal beats, over training errors: {report.attrs['error_ratio']:.2f}")
for rule, note in report["note"].items():
    if note:
        print(f"{rule}: {note}")

# %%
# Which threshold to use
# ----------------------
# The picture behind that table: every possible threshold. Below the fitted one, more is found, and
# more alarms are false.
figures = Path("figures")
figures.mkdir(exist_ok=True)

display = DetectionCurveDisplay.from_estimator(network, X_choose, y_choose)
display.figure_.savefig(figures / "06_detection_curve.png", dpi=120)

# %%
# A threshold that keeps its promise
# ----------------------------------
# The default threshold flags 5 % of normal beats on average: it is set on beats that the network
# was not trained on, about 100 of them here. Another rate is another number. One beat in a hundred
# is too few for 1 %, so `validation_fraction` holds out more of them.
#
# "At most 5 %" can be promised too, with a confidence of 95 %. Around any detector, `cv=3` has each
# training beat judged once by a network that has not seen it; the network that is kept is trained
# on all of them. Those three saw fewer beats and have larger errors, so this threshold is
# conservative: fewer false alarms, more beats missed. A threshold from errors of beats trained on
# is too low to keep a promise.
#
# If there are labels and mistakes have a price, the cheapest threshold is learned from them. A
# frozen network is not trained again.


def judged(predictions, labels):
    """Tell how good the alarms are."""
    flagged, abnormal = predictions == -1, labels == -1
    return {
        "alarms": int(flagged.sum()),
        "precision": precision_score(abnormal, flagged, zero_division=np.nan),
        "recall": recall_score(abnormal, flagged),
        "flagged of the normal beats": flagged[~abnormal].mean(),
    }


frozen = FrozenEstimator(network)
one_percent = FalsePositiveRate(rate=0.01, confidence=None)
careful = clone(network).set_params(
    autoencoderoutlierdetector__threshold=one_percent,
    autoencoderoutlierdetector__validation_fraction=0.3,
)
at_most = FalsePositiveRate(rate=0.05, confidence=0.95)
cheapest = MinimalCost(false_positive_cost=1, false_negative_cost=20)
moved = ThresholdedOutlierDetector(frozen, cheapest)
detectors = {
    "5 % on average, the default": network,
    "1 % on average": careful.fit(X_train),
    "at most 5 %, held-out errors": ThresholdedOutlierDetector(network, at_most, cv=3).fit(X_train),
    "at most 5 %, training errors": ThresholdedOutlierDetector(frozen, at_most).fit(X_train),
    "mean plus one standard deviation": ThresholdedOutlierDetector(frozen, "mean_std").fit(X_train),
    "a miss costs 20 false alarms": moved.fit(X_choose, y_choose),
}
table = {name: judged(one.predict(X_test), y_test) for name, one in detectors.items()}
print(pd.DataFrame.from_dict(table, orient="index").round(3).to_string())

# %%
# When outliers are rare
# ----------------------
# Two of five beats here are abnormal. Usually outliers are rare, and then the false alarms of many
# normal beats outnumber them. So one abnormal beat is kept for twenty normal ones. Recall and the
# flagged share of the normal beats do not change; precision does.
normal, abnormal = np.flatnonzero(y_test == 1), np.flatnonzero(y_test == -1)
rare = np.concatenate([normal, abnormal[: len(normal) // 20]])
X_rare, y_rare = X_test[rare], y_test[rare]
table = {name: judged(one.predict(X_rare), y_rare) for name, one in detectors.items()}
print(pd.DataFrame.from_dict(table, orient="index").round(3).to_string())

# %%
# p-values
# --------
# A p-value says how unusual a beat is among normal beats that were set aside: 0.01 means that one
# in a hundred has as large an error. `predict` flags p-values up to alpha: that share of the
# normal beats. This holds on average over the beats set aside, not exactly for one set of them.
conformal = ConformalOutlierDetector(network, alpha=0.1, calibration_size=600, random_state=0)
conformal.fit(X_train)
print(f"p-values of four normal beats: {conformal.p_values(X_rare[:4]).round(3)}")
print(f"p-values of four abnormal beats: {conformal.p_values(X_rare[-4:]).round(3)}")

# %%
# `predict_fdr` makes another promise: of the *alarms*, at most the share alpha is false on average.
# For that it looks at all beats together. If many are abnormal it can flag nearly as many as
# `predict`. If few are, hardly any beat may be unusual enough, and it flags none (precision: "-")
# rather than break the promise.
table = {
    "predict, two of five abnormal": judged(conformal.predict(X_test), y_test),
    "predict_fdr, two of five abnormal": judged(conformal.predict_fdr(X_test), y_test),
    "predict, one of twenty": judged(conformal.predict(X_rare), y_rare),
    "predict_fdr, one of twenty": judged(conformal.predict_fdr(X_rare), y_rare),
}
print(pd.DataFrame.from_dict(table, orient="index").round(3).to_string(na_rep="-"))

# %%
# On the left, normal beats alone: their p-values follow the diagonal. On the right, all test beats:
# the abnormal ones gather at the lower end, and `predict_fdr` flags everything to the left of the
# last crossing with the dashed line.
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
is_normal = y_test == 1
PValueDisplay.from_estimator(conformal, X_test[is_normal], y_test[is_normal], log=False, ax=left)
PValueDisplay.from_estimator(conformal, X_test, y_test, ax=right)
left.set_title("normal beats")
right.set_title("normal and abnormal beats")
figure.savefig(figures / "06_p_values.png", dpi=120)
print(f"The pictures are in {figures}.")
