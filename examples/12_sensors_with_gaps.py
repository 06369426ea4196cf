"""
Several sensors, with gaps
==========================

Three weeks of a plant, one row a minute, five sensors, and times at which nothing was recorded. The
index tells where the gaps are; events tell which sensor it was; and a threshold is set such that
there are at most two false alarms a day.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import AutoencoderOutlierDetector, WindowedOutlierDetector
from skae.displays import SeriesDisplay
from skae.inspection import explain

DAY = 1440
UNITS = {"flow": "m³/h", "pressure": "bar", "level": "m", "power": "kW", "heat": "°C"}


def plant(n_days, start, random_state):
    """Return a recording of a plant whose load varies, without the minutes of some stops."""
    random = np.random.default_rng(random_state)
    minutes = np.arange(n_days * DAY)
    load = np.sin(2 * np.pi * minutes / DAY)
    cycle = np.sin(2 * np.pi * minutes / 45)
    mixing = [[1, 0.6, 0, 0.8, 0.3], [0.3, 0.8, 1, 0, 0.5]]
    values = np.stack([load, cycle], axis=1) @ mixing
    values += 0.1 * random.standard_normal(values.shape)
    values = values * [3, 1, 0.2, 40, 7] + [20, 5, 1, 300, 60]
    index = pd.date_range(start, periods=len(minutes), freq="min")
    table = pd.DataFrame(values, columns=list(UNITS), index=index)
    stops = random.choice(n_days * DAY - 200, n_days // 2, replace=False)
    return table.drop(index=index[np.unique(np.add.outer(stops, np.arange(150)))])


# %%
# Two weeks to learn from, three days for the number of alarms, and four days with two faults: a
# sensor that sticks for two hours, and one that is off by two standard deviations for one.
train = plant(14, "2026-03-01", 0)
other = plant(3, "2026-03-15", 1)
new = plant(4, "2026-03-18", 2)
stuck = new.index[(new.index >= "2026-03-19 10:00") & (new.index < "2026-03-19 12:00")]
new.loc[stuck, "level"] = new.loc[stuck[0], "level"]
offset = new.index[(new.index >= "2026-03-20 15:00") & (new.index < "2026-03-20 16:00")]
new.loc[offset, "flow"] += 2 * train["flow"].std()

# %%
# A window of an hour spans a cycle. It crosses no gap: a step in the index that is longer than
# three usual ones. Stretches shorter than an hour would have no score, and be counted in a warning.
network = AutoencoderOutlierDetector(random_state=0)
detector = WindowedOutlierDetector(
    make_pipeline(StandardScaler(), network), width=60, stride=5, random_state=0
).fit(train)
events = detector.events(new, merge_within=60)
print(events.to_string(float_format="%.2f"))

# %%
# Which sensor was it? Each event names the one that adds most to its errors beyond what is usual.
# Of single minutes, `explain` lists several.
worst = events.loc[events["score"].idxmin()]
print(
    explain(detector, new, top=2)
    .query("row == @worst.peak")
    .to_string(index=False, float_format="%.2f")
)

# %%
# At most two false alarms a day
# ------------------------------
# The default threshold counts minutes, not alarms. To count alarms, look at normal days that the
# detector has not seen, and take the lowest threshold that leaves as many as are allowed.
allowed = 2 * 3


def n_alarms(threshold):
    return len(detector.events(other, merge_within=60, threshold=threshold))


errors = -detector.score_samples(other)
candidates = np.nanquantile(errors, np.linspace(0.9, 1, 101))
threshold = next(each for each in candidates if n_alarms(each) <= allowed)
print(f"default threshold: {-detector.offset_:.2f}, {n_alarms(-detector.offset_)} alarms in 3 days")
print(f"chosen threshold:  {threshold:.2f}, {n_alarms(threshold)} alarms in 3 days")
print(len(detector.events(new, merge_within=60, threshold=threshold)), "events in the new days")

# %%
# The picture: gaps are gaps, events are shaded.
display = SeriesDisplay.from_estimator(detector, new)
for panel, (sensor, unit) in zip(display.axes_, UNITS.items(), strict=False):
    panel.set_ylabel(f"{sensor}\n({unit})")
path = Path("figures") / "12_sensors_with_gaps.png"
path.parent.mkdir(exist_ok=True)
display.figure_.savefig(path, dpi=120)
print(f"saved {path}")

# %%
# A trend
# -------
# A level that drifts away over weeks makes everything abnormal, sooner or later. Subtract a running
# mean of the day before in a step before the windows. `set_output` keeps the index, and with it the
# gaps.


def without_trend(table):
    return table - table.rolling(f"{DAY}min", min_periods=1).mean()


drift = pd.Series(
    np.linspace(0, 12, 21 * DAY), pd.date_range("2026-03-01", periods=21 * DAY, freq="min")
)
rising, rising_on = (part.add(drift.reindex(part.index), axis=0) for part in (train, other))
for name, steps in (
    ("as it is", [detector]),
    ("without its trend", [FunctionTransformer(without_trend), detector]),
):
    fitted = make_pipeline(*steps).fit(rising[DAY:])
    share = (fitted.predict(rising_on)[DAY // 2 :] == -1).mean()
    print(f"normal minutes flagged in the drifting series {name}: {share:.1%}")
