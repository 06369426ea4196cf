"""A campaign of `tests/test_fuzz.py`: how often each outcome comes out of any input and parameters.

Prints each fault with the case that shows it, then a table, which is written to results/fuzz.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

from _timing import print_table, save
from hypothesis import given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_fuzz import QUIET, cases, judge

_MAX_SECONDS_PER_CASE = 60


def outcome(case):
    start = monotonic()
    try:
        found = judge(case)
    except AssertionError as fault:
        found = "unclear error" if str(fault).startswith("unclear") else "silently wrong"
        print(f"{found}: {str(fault).strip().splitlines()[0]}\n    {case}", flush=True)
    except Exception as fault:  # of what is called after a fit that went well
        found = "crash"
        print(f"crash: {type(fault).__name__}: {fault}\n    {case}", flush=True)
    return "hang" if monotonic() - start > _MAX_SECONDS_PER_CASE else found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = Counter()

    @seed(arguments.seed)
    @settings(QUIET, max_examples=arguments.cases, derandomize=False)
    @given(cases())
    def campaign(case):
        counts[outcome(case)] += 1

    campaign()
    names = ("right", "warned", "clear error", "unclear error", "silently wrong", "crash", "hang")
    print_table(
        ("cases", *names),
        [[str(n) for n in (sum(counts.values()), *(counts[name] for name in names))]],
    )
    save("fuzz.json", {name: counts[name] for name in names})


if __name__ == "__main__":
    main()
