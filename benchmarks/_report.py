"""The tables and the figure of adbench.py, from its records."""

from textwrap import fill

import numpy as np
import pandas as pd
from _detectors import (
    ENSEMBLE,
    FOREST,
    MSE,
    NAMES,
    NEIGHBORS,
    PYOD_AUTOENCODERS,
    SINGLE,
    SKAE,
    TRIMMED,
)
from _timing import print_table

PROTOCOLS = ["novelty", "contaminated"]
TITLES = {
    "novelty": "trained on normal rows",
    "contaminated": "trained on rows with outliers among them",
}
# The palette of skae.displays; the markers tell the two apart without color, too.
SKAE_STYLE = {"color": "#D55E00", "marker": "o", "markersize": 7}
OTHER_STYLE = {"color": "#0072B2", "marker": "s", "markersize": 6}
ECG = "ECG5000"
BEST = f"PyOD AutoEncoder, best of {len(PYOD_AUTOENCODERS)}"
# Of fewer normal rows a share is too uncertain to be the largest of all.
MIN_NORMAL = 100
SUMMARY = {
    ENSEMBLE: "four autoencoders (`AutoencoderEnsembleOutlierDetector`)",
    SINGLE: "one autoencoder (`AutoencoderOutlierDetector`)",
    NEIGHBORS: "five nearest neighbors",
    FOREST: "IsolationForest",
}


def by_set(records, protocol, figure):
    """Return the mean over seeds: a row for each set that all detectors have, a column for each."""
    is_kept = (records["protocol"] == protocol) & (records["set"] != ECG) & records[figure].notna()
    kept = records[is_kept]
    names = [name for name in NAMES if name in set(kept["detector"])]
    return kept.pivot_table(figure, "set", "detector").reindex(columns=names).dropna()


def compared(records, protocol):
    """Return ROC-AUC, PR-AUC and times by set, and which of PyOD's settings was its best."""
    found = {name: by_set(records, protocol, name) for name in ("roc_auc", "pr_auc")}
    for name in ("seconds", "score_seconds"):
        found[name] = by_set(records, protocol, name).reindex(columns=list(found["roc_auc"]))
    settings = [name for name in PYOD_AUTOENCODERS if name in found["roc_auc"]]
    if len(settings) < 2:
        return found, None
    best = found["roc_auc"][settings].mean().idxmax()
    not_shown = [name for name in settings if name != "PyOD AutoEncoder"]
    found = {
        name: table.assign(**{BEST: table[best]}).drop(columns=not_shown)
        for name, table in found.items()
    }
    return found, best


def bootstrap_interval(values):
    """Return the 95 % interval of the mean over sets, of 10,000 resamples."""
    drawn = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    return np.percentile(np.asarray(values)[drawn].mean(axis=1), [2.5, 97.5])


def cell(number, form):
    """Return a number for a table, or nothing if it was not measured."""
    return "" if pd.isna(number) else format(number, form)


def percent(share):
    return "" if pd.isna(share) else f"{100 * share:.1f} %"


def print_means(found, protocol):
    roc, pr = found["roc_auc"], found["pr_auc"]
    rivals = roc.drop(columns=BEST, errors="ignore")  # chosen in hindsight: it does not compete
    ranks = rivals.rank(axis=1, ascending=False).mean()
    wins = rivals.eq(rivals.max(axis=1), axis=0).sum()
    fit, score = found["seconds"].median(), found["score_seconds"].median()
    ratios = {
        f"fit time / {FOREST}'s": fit / fit.get(FOREST, np.nan),
        f"fit time / {MSE}'s": fit / fit.get(MSE, np.nan),
    }
    if protocol == "novelty":  # elsewhere neighbors are known from the fit, and cost no time
        ratios[f"score time / {MSE}'s"] = score / score.get(MSE, np.nan)
    print_table(
        ("detector", "ROC-AUC", "PR-AUC", "mean rank", "wins", *ratios),
        [
            (
                name,
                f"{roc[name].mean():.4f}",
                f"{pr[name].mean():.4f}",
                cell(ranks.get(name), ".1f"),
                cell(wins.get(name), "d"),
                *(cell(ratio[name], ".2f") for ratio in ratios.values()),
            )
            for name in roc
        ],
    )


def print_leads(found):
    rivals = [name for name in (NEIGHBORS, FOREST, MSE) if name in found["roc_auc"]]
    rows = []
    for name in SKAE:
        for title, table in (("ROC-AUC", found["roc_auc"]), ("PR-AUC", found["pr_auc"])):
            if name in table and rivals:
                rows.append((name, title, *(lead(table, name, other) for other in rivals)))
    print_table(("lead, 95 % interval", "", *(f"over {name}" for name in rivals)), rows)


def lead(table, name, other):
    if name == other:
        return ""
    differences = table[name] - table[other]
    low, high = bootstrap_interval(differences)
    return f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def false_alarms(records):
    """Return, for each detector with a threshold, what it flags in novelty detection."""
    shares = by_set(records, "novelty", "false_alarms")
    n_normal = records[records["protocol"] == "novelty"].groupby("set")["n_normal"].min()
    large = shares[n_normal.reindex(shares.index) >= MIN_NORMAL]
    found = {
        "mean": shares.mean(),
        "largest": large.max(),
        "of": large.idxmax() if len(large) else None,
        "recall": by_set(records, "novelty", "recall").mean(),
    }
    return pd.DataFrame(found, index=list(shares)), len(shares), len(large)


def print_false_alarms(records):
    found, n_sets, n_large = false_alarms(records)
    header = (
        "detector",
        f"new normal rows flagged, mean of {n_sets} sets",
        f"largest of the {n_large} sets with {MIN_NORMAL} or more",
        "anomalies flagged",
    )
    rows = [
        (
            name,
            percent(row["mean"]),
            f"{percent(row['largest'])} ({row['of']})" if n_large else "",
            percent(row["recall"]),
        )
        for name, row in found.iterrows()
    ]
    print_table(header, rows)


def print_trimming(tables):
    """Print skae's mean ROC-AUC in each protocol, with and without trimming."""
    columns = [(protocol, end) for protocol in tables for end in ("", TRIMMED)]
    means = {protocol: table.mean() for protocol, table in tables.items()}
    rows = [
        (name, *(cell(means[protocol].get(name + end), ".4f") for protocol, end in columns))
        for name in (SINGLE, ENSEMBLE)
    ]
    print_table(("mean ROC-AUC", *(protocol + end for protocol, end in columns)), rows)


def print_ecg(records):
    by_detector = records[records["set"] == ECG].groupby("detector")
    figures = by_detector[["roc_auc", "pr_auc"]]
    means, spreads = figures.mean(), figures.std(ddof=0)
    alarms = by_detector["false_alarms"].mean()
    print_table(
        (ECG, "ROC-AUC", "PR-AUC", "normal beats flagged"),
        [
            (
                name,
                *(f"{means[m][name]:.4f} ± {spreads[m][name]:.4f}" for m in means),
                percent(alarms[name]),
            )
            for name in NAMES
            if name in means.index
        ],
    )


def print_summary(tables, records):
    """Print the table of the project's README: a few detectors with nothing set."""
    means = {protocol: table.mean() for protocol, table in tables.items()}
    alarms = false_alarms(records)[0]
    print_table(
        ("", *(TITLES[protocol] for protocol in means), "new normal rows flagged (largest)"),
        [
            (
                title,
                *(cell(each.get(name), ".3f") for each in means.values()),
                f"{percent(alarms['mean'][name])} ({percent(alarms['largest'][name])})"
                if name in alarms.index
                else "",
            )
            for name, title in SUMMARY.items()
        ],
    )


def report(records):
    """Print the tables and return, by protocol, the ROC-AUC of each set and detector."""
    tables = {}
    for protocol in PROTOCOLS:
        found, best = compared(records, protocol)
        if found["roc_auc"].empty:
            continue
        tables[protocol] = found["roc_auc"]
        print(f"\n### {protocol.capitalize()}, {len(tables[protocol])} sets\n")
        print_means(found, protocol)
        if best:
            print(f"\nPyOD's best setting, by mean ROC-AUC: {best}.")
        print()
        print_leads(found)
    if tables:
        print("\n### Trimming\n")
        print_trimming(tables)
    if "novelty" in tables:
        print("\n### False alarms\n")
        print_false_alarms(records)
    if (records["set"] == ECG).any():
        print(f"\n### {ECG}\n")
        print_ecg(records)
    if tables:
        print("\n### The table of the README\n")
        print_summary(tables, records)
    return tables


def draw(tables, path):
    """Draw the mean ROC-AUC of each detector with its interval, a panel for each protocol."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    means = pd.concat([table.mean() for table in tables.values()], axis=1).mean(axis=1)
    names = means.sort_values().index
    figure, panels = plt.subplots(
        1, len(tables), sharex=True, sharey=True, figsize=(8, 4.8), layout="constrained"
    )
    for panel, (protocol, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        for height, name in enumerate(names):
            if name in table:
                low, high = bootstrap_interval(table[name])
                style = SKAE_STYLE if name in SKAE else OTHER_STYLE
                panel.plot([low, high], [height, height], color=style["color"], linewidth=1.5)
                panel.plot(table[name].mean(), height, **style)
        title = f"{fill(TITLES[protocol], 30)}\n({len(table)} sets)"
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel("mean ROC-AUC, 95 % interval")
        panel.set_yticks(
            range(len(names)), [name.replace("mse", "squared error") for name in names]
        )
        panel.grid(axis="x", alpha=0.3)
    np.atleast_1d(panels)[0].set_ylabel("detector")
    handles = [Line2D([], [], **style) for style in (SKAE_STYLE, OTHER_STYLE)]
    figure.legend(handles, ["skae", "others"], loc="outside upper right", ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "skae"}):  # the same file each time
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
