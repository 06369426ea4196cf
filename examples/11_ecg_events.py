"""
From an electrocardiogram to events
===================================

A long electrocardiogram is not cut into beats: windows slide over the raw signal, and what comes
out is a list of events, each with its start, its end and its peak.
"""

from pathlib import Path

import pandas as pd
from sklearn.pipeline import make_pipeline

from skae import AutoencoderOutlierDetector, WindowedOutlierDetector
from skae.datasets import make_ecg_strip
from skae.displays import SeriesDisplay
from skae.metrics import event_precision_score, event_recall_score, false_alarms_per_unit
from skae.preprocessing import GlobalMinMaxScaler
from skae.streaming import SeriesScorer

# %%
# The signal
# ----------
# The strips are synthesized: 125 samples a second, ten minutes of normal beats to learn from, and
# five minutes with a few abnormal ones to find. The records of PhysioNet come in through the wfdb
# package: ``record = wfdb.rdrecord("100", pn_dir="mitdb")`` has the signal in ``record.p_signal``
# (one row per sample, one column per lead) and the rate in ``record.fs``; the index below is then
# ``pd.to_timedelta(np.arange(record.sig_len) / record.fs, "s")``.
RATE = 125


def as_table(signal):
    """Return a signal as a table whose index is the time since the start."""
    index = pd.timedelta_range(0, periods=len(signal), freq=pd.Timedelta(seconds=1 / RATE))
    return pd.DataFrame(signal, columns=["lead II (mV)"], index=index)


normal = as_table(make_ecg_strip(600, anomaly_share=0, random_state=0)[0])
signal, labels = make_ecg_strip(300, anomaly_share=0.03, random_state=1)
strip = as_table(signal)

# %%
# The detector
# ------------
# A window spans most of a beat, and moves on by a tenth of that. The scaler and the network see
# windows. The threshold lets 1 % of normal samples be flagged; it comes from blocks of the normal
# strip that the network has not seen.
network = AutoencoderOutlierDetector(random_state=0)
detector = WindowedOutlierDetector(
    make_pipeline(GlobalMinMaxScaler(), network), width=80, stride=8, random_state=0
).fit(normal)
print(f"threshold of the error: {-detector.offset_:.2f}")

# %%
# The events
# ----------
# A beat may raise two alarms, so those within half a second of each other are one.
events = detector.events(strip, merge_within=RATE // 2)
print(events[["start", "end", "peak", "score"]].to_string(float_format="%.2f"))

# %%
# How good are they? An event counts as found if an alarm touches it. The windows reach a beat
# further than what is abnormal in them.
predicted = detector.predict(strip)
print(f"abnormal beats found: {event_recall_score(labels, predicted):.0%}")
print(f"alarms near one:      {event_precision_score(labels, predicted, tolerance=80):.0%}")
rate = false_alarms_per_unit(labels, predicted, steps_per_unit=3600 * RATE, tolerance=80)
print(f"false alarms an hour: {rate:.0f}")

# %%
# On the time axis
# ----------------
# Ten seconds around the worst event.
peak = strip.index.get_loc(events.loc[events["score"].idxmin(), "peak"])
shown = slice(max(peak - 5 * RATE, 0), peak + 5 * RATE)
display = SeriesDisplay.from_estimator(detector, strip[shown], labels[shown])
path = Path("figures") / "11_ecg_events.png"
path.parent.mkdir(exist_ok=True)
display.figure_.savefig(path, dpi=120)
print(f"saved {path}")

# %%
# As it arrives
# -------------
# The same scores, second by second: a sample has its final score when no window to come can
# contain it, here less than a second later.
stream = SeriesScorer(detector)
seconds = [stream.update(strip[start : start + RATE]) for start in range(0, len(strip), RATE)]
seconds.append(stream.flush())
alarms = [second for second, scores in enumerate(seconds) if (scores < stream.offset_).any()]
print(f"seconds with an alarm: {len(alarms)}, the first is second {alarms[0]}")
