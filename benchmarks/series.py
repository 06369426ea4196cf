"""Long series: the share of normal steps that is flagged, and planted faults that are found.

Six kinds of normal series, five seeds each: trained on the first half, judged on the second, with
the defaults of WindowedOutlierDetector around a standard-scaled autoencoder. Then faults are
planted in the second half of those without a trend, and found beside IsolationForest on the same
windows. A step counts as a minute. An event is found if an alarm touches it; an alarm farther than
a window from each fault is a false event. Where the package vus is installed, scores are judged by
VUS-PR (Paparrizos et al., 2022), too. Prints tables and writes results/series.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections import defaultdict

import numpy as np
import pandas as pd
from _timing import print_table, save
from scipy.signal import lfilter
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector, WindowedOutlierDetector
from skae.datasets import make_ecg_strip
from skae.metrics import event_recall_score

N_STEPS, WIDTH, PERIOD = 40_000, 60, 60
DAY = 1440
STRIDES_OF_PERIOD = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
CHANNELS = ["flow", "pressure", "level", "power", "heat"]


def one_period(random, n_steps=N_STEPS):
    phase = 2 * np.pi * (np.arange(n_steps) / PERIOD)
    wave = np.sin(phase) + 0.5 * np.sin(2 * phase + 1) + 0.3 * np.sin(5 * phase)
    return (wave + 0.1 * random.standard_normal(n_steps))[:, None]


def two_periods(random, n_steps=N_STEPS):
    steps = np.arange(n_steps)
    wave = np.sin(2 * np.pi * steps / 37) + 0.8 * np.sin(2 * np.pi * steps / 310.7)
    return (wave + 0.1 * random.standard_normal(n_steps))[:, None]


def trend(random):
    """Return a series behind the step that takes its trend out: differences."""
    X = one_period(random) + np.linspace(0, 40, N_STEPS)[:, None]
    return np.diff(X, axis=0)


def noise(random):
    return lfilter([1], [1, -1.2, 0.5], random.standard_normal(N_STEPS + 100))[100:, None]


def ecg(random):
    X, _ = make_ecg_strip(N_STEPS / 125, anomaly_share=0, random_state=random)
    return X


def sensors(random):
    """Return five channels of a plant whose load varies, a row a minute, with gaps."""
    steps = np.arange(N_STEPS + 2000)
    slow = lfilter([0.02], [1, -0.98], random.standard_normal((2, len(steps)))) * 7
    daily = np.sin(2 * np.pi * steps / DAY)
    cycle = np.sin(2 * np.pi * steps / 97)
    sources = np.stack([daily, cycle, *slow])
    mixing = np.array(
        [
            [1, 0.3, 0.5, 0],
            [0.6, 0.8, 0, 0.4],
            [0, 1, 0.3, 0.3],
            [0.8, 0, 0.6, 0.2],
            [0.3, 0.5, 0, 1],
        ]
    )
    X = (mixing @ sources).T + 0.1 * random.standard_normal((len(steps), 5))
    X = X * [3, 1, 0.2, 40, 7] + [20, 5, 1, 300, 60]
    keep = np.ones(len(steps), dtype=bool)
    for start in np.linspace(3000, len(steps) - 3000, 8).astype(int):
        keep[start + random.randint(1000) :][:250] = False
    index = pd.date_range("2026-01-01", periods=len(steps), freq="min")
    return pd.DataFrame(X, columns=CHANNELS, index=index)[keep]


KINDS = {
    "two periods": two_periods,
    "trend, differenced": trend,
    "autocorrelated noise": noise,
    "ECG strip": ecg,
    "five channels, gaps": sensors,
}
RUNS = {
    **{f"one period, stride {stride}": (one_period, stride) for stride in STRIDES_OF_PERIOD},
    **{name: (make, 5) for name, make in KINDS.items()},
}


def offset(values, scale, random):
    values += random.choice([-1, 1]) * 1.5 * scale


def stuck(values, scale, random):
    values[:] = values[0]


def drift(values, scale, random):
    values += random.choice([-1, 1]) * np.linspace(0, 3 * scale, len(values))


def missing_beat(values, scale, random):
    values[:] = np.linspace(values[0], values[-1], len(values))


FAULTS = {"offset": (offset, 30), "stuck": (stuck, 120), "drift": (drift, 240)}
MISSING = {"one period": PERIOD, "ECG strip": 107, "two periods": 37}


def planted(X, kind, random):
    """Return a series with faults, and for each its name, start, end and channels."""
    X = X.copy()
    values = X.to_numpy(copy=True) if hasattr(X, "iloc") else X
    scale = values.std(axis=0)
    faults = dict(FAULTS)
    for name, length in MISSING.items():
        if kind.startswith(name):
            faults["missing beat"] = (missing_beat, length)
    if values.shape[1] > 1:
        faults["channel swap"] = (None, 120)
    found = []
    names = list(faults) * 4
    for place, name in zip(np.linspace(500, len(values) - 1500, len(names)), names, strict=True):
        function, length = faults[name]
        start = int(place) + random.randint(300)
        steps = slice(start, start + length)
        if function is None:
            channels = random.choice(values.shape[1], 2, replace=False)
            scaled = (values[steps][:, channels] - values.mean(axis=0)[channels]) / scale[channels]
            values[steps, channels] = (
                scaled[:, ::-1] * scale[channels] + values.mean(axis=0)[channels]
            )
        else:
            channels = [random.randint(values.shape[1])]
            function(values[steps, channels[0]], scale[channels[0]], random)
        found.append((name, start, start + length, [int(channel) for channel in channels]))
    if hasattr(X, "iloc"):
        X = pd.DataFrame(values, columns=X.columns, index=X.index)
    return X, found


def detectors(seed):
    network = AutoencoderOutlierDetector(random_state=seed)
    return {
        "skae": make_pipeline(StandardScaler(), network),
        "IsolationForest": IsolationForest(random_state=seed),
    }


def judged(detector, X, faults):
    """Return which faults are found, whether their channel is named right, and false events."""
    events = detector.events(X)
    index = X.index if hasattr(X, "iloc") else pd.RangeIndex(len(X))
    starts = index.get_indexer(events["start"])
    stops = starts + 1 + (index.get_indexer(events["peak"]) - starts)
    stops = np.maximum(stops, np.searchsorted(index, events["end"]))
    found = []
    is_false = np.ones(len(events), dtype=bool)
    for name, start, stop, channels in faults:
        touches = (starts < stop) & (stops > start)
        is_false &= ~((starts < stop + WIDTH) & (stops > start - WIDTH))
        right = None
        if touches.any() and len(CHANNELS) == np.shape(X)[1]:
            worst = events[touches].sort_values("score").iloc[0]
            right = worst["channel"] in [CHANNELS[channel] for channel in channels]
        found.append((name, bool(touches.any()), right))
    labels, flags = np.ones(len(X), dtype=int), detector.predict(X)
    for _, start, stop, _ in faults:
        labels[start:stop] = -1
    assert np.isclose(event_recall_score(labels, flags), np.mean([hit for _, hit, _ in found]))
    return found, int(is_false.sum())


def vus_pr(detector, X, faults):
    """Return the volume under the surface of precision and recall; NaN without the package."""
    try:
        from vus.metrics import get_metrics
    except ImportError:
        return float("nan")
    labels = np.zeros(len(X), dtype=int)
    for _, start, stop, _ in faults:
        labels[start:stop] = 1
    errors = -detector.score_samples(X)
    found = get_metrics(errors, labels, metric="vus", slidingWindow=WIDTH)
    return float(found["VUS_PR"])


def one_run(name, seed, with_forest=True):
    make, stride = RUNS[name]
    random = np.random.RandomState(seed)
    X = make(random)
    half = len(X) // 2
    train, rest = X[:half], X[half:]
    with_faults = name in ("one period, stride 5", *KINDS) and "trend" not in name
    faulty, faults = planted(rest, name, random) if with_faults else (None, None)
    results = {}
    for which, inner in detectors(seed).items():
        if which != "skae" and not with_forest:
            continue
        detector = WindowedOutlierDetector(inner, width=WIDTH, stride=stride, random_state=seed)
        detector.fit(train)
        results[which] = {"flagged": float((detector.predict(rest) == -1).mean())}
        if with_faults:
            found, n_false = judged(detector, faulty, faults)
            results[which] |= {"faults": found, "false a day": n_false / (len(rest) / DAY)}
            results[which]["VUS-PR"] = vus_pr(detector, faulty, faults)
    return results


def flagged_table(results, which):
    rows = []
    kinds = defaultdict(list)
    for name, runs in results.items():
        kinds[name].extend(run[which]["flagged"] for run in runs)
    for name, shares in kinds.items():
        rows.append(
            (name, f"{np.mean(shares):.2%}", f"{np.min(shares):.2%}", f"{np.max(shares):.2%}")
        )
    print_table((f"normal steps flagged, {which}", "mean", "lowest", "highest"), rows)


def faults_table(results):
    rows = []
    for name, runs in results.items():
        for which in runs[0]:
            if "faults" not in runs[0][which]:
                continue
            by_fault, right = defaultdict(list), []
            for run in runs:
                for fault, is_found, is_right in run[which]["faults"]:
                    by_fault[fault].append(is_found)
                    right += [] if is_right is None else [is_right]
            hits = ", ".join(f"{fault} {np.mean(found):.0%}" for fault, found in by_fault.items())
            false = np.mean([run[which]["false a day"] for run in runs])
            channel = f"{np.mean(right):.1%}" if right else ""
            volume = f"{np.mean([run[which]['VUS-PR'] for run in runs]):.2f}"
            rows.append((name, which, hits, f"{false:.2f}", channel, volume))
    columns = ("series", "detector", "found", "false events a day", "channel right", "VUS-PR")
    print_table(columns, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--kinds", nargs="+", choices=RUNS, default=list(RUNS))
    arguments = parser.parse_args()
    results = {}
    for name in arguments.kinds:
        results[name] = [one_run(name, seed) for seed in arguments.seeds]
        shares = [round(run["skae"]["flagged"], 4) for run in results[name]]
        print(f"{name}: {shares}", flush=True)
    for which in ("skae", "IsolationForest"):
        flagged_table(results, which)
    faults_table(results)
    save("series.json", results)


if __name__ == "__main__":
    main()
