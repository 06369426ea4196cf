"""Interleaved timing and its summaries, shared by the benchmarks."""

import json
from pathlib import Path
from time import perf_counter

import numpy as np

RESULTS = Path(__file__).parent / "results"


def seconds(function, repeats):
    start = perf_counter()
    for _ in range(repeats):
        function()
    return (perf_counter() - start) / repeats


def interleaved(tasks, rounds):
    """Return, for each task, its seconds in each round; `tasks` name -> (function, repeats)."""
    times = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, (function, repeats) in tasks.items():
            times[name].append(seconds(function, repeats))
    return times


def comparison(title, times, ours, theirs):
    ratios = np.divide(times[theirs], times[ours])
    return {
        "what": title,
        "against": theirs,
        "times as fast": float(np.median(times[theirs]) / np.median(times[ours])),
        "lowest": float(ratios.min()),
        "highest": float(ratios.max()),
        "rounds": len(ratios),
    }


def print_comparisons(rows, digits=1):
    print_table(
        ("what", "against", "times as fast", "lowest to highest"),
        [
            (
                row["what"],
                row["against"],
                f"{row['times as fast']:.{digits}f}",
                f"{row['lowest']:.{digits}f} to {row['highest']:.{digits}f}",
            )
            for row in rows
        ],
    )


def print_table(header, rows):
    for cells in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(cells)} |")


def save(name, found):
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(found, indent=1) + "\n")
