"""How much memory skae takes: a large table, the same one on disk, and many fits in sequence.

Each measurement is made in a process of its own and counts from the level after `import tensorflow`
on, the imports of Keras, scikit-learn and skae included. Peaks are of resident memory, the data
counted in. Prints two tables and writes results/memory.json. Linux only.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import gc
import json
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _timing import print_table, save

# Not imported here: TensorFlow, nor what imports it. A process starts with the peak of the one
# that starts it.

MIB = 2**20
MEASUREMENTS = {}
SMALL_FITS = {
    "skae": "skae_fits",
    "skae, `clear_cache()` before each": "skae_first_fits",
    "`model.fit` of a new model": "keras_fits",
}


def measurement(function):
    MEASUREMENTS[function.__name__] = function
    return function


def resident():
    """Return the resident memory in bytes, and how much of it is pages of mapped files."""
    _, pages, of_files = map(int, Path("/proc/self/statm").read_text().split()[:3])
    size = resource.getpagesize()
    return {"resident": pages * size, "of files": of_files * size}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@measurement
def write(path, level):
    from speed import large_data

    np.save(path, large_data())


@measurement
def array(path, level):
    return large_fit(np.load(path), level)


@measurement
def memmap(path, level):
    return large_fit(np.load(path, mmap_mode="r"), level)


def large_fit(X, level):
    from speed import skae_large_fit

    detector = skae_large_fit(X)
    fit_peak = peak()
    detector.score_samples(X)
    found = {"peak of fit": fit_peak, "peak": peak()}
    found = {name: (value - level["resident"]) / X.nbytes for name, value in found.items()}
    of_files = resident()["of files"] - level["of files"]
    return found | {"files at the end": of_files / X.nbytes, "data in MiB": X.nbytes / MIB}


@measurement
def imports(path, level):
    import speed  # noqa: F401

    return (resident()["resident"] - level["resident"]) / MIB


def skae_small_fit(X, latent_dim):
    from skae import AutoencoderOutlierDetector

    AutoencoderOutlierDetector(latent_dim=latent_dim, epochs=2, random_state=0).fit(X)


@measurement
def skae_fits(path, level):
    return many_fits(skae_small_fit, (100, 500), level)


@measurement
def skae_first_fits(path, level):
    import skae

    def fit(X, latent_dim):
        skae.clear_cache()
        skae_small_fit(X, latent_dim)

    return many_fits(fit, (20, 100), level)


@measurement
def keras_fits(path, level):
    from speed import keras, keras_network

    def fit(X, latent_dim):
        model = keras_network(X.shape[1], (64, 32), latent_dim, 0.0, "sigmoid")
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        model.fit(X, X, epochs=2, batch_size=128, verbose=0)

    return many_fits(fit, (20, 100), level)


def many_fits(fit, counts, level):
    """Return the resident memory in MiB after so many fits, alternating between four shapes."""
    X = np.random.default_rng(0).random((500, 10), dtype=np.float32)
    found = {}
    for number in range(1, counts[-1] + 1):
        fit(X, latent_dim=1 + number % 4)
        if number in counts:
            gc.collect()  # networks are full of cycles
            found[str(number)] = (resident()["resident"] - level["resident"]) / MIB
    first, last = counts
    growth = (found[str(last)] - found[str(first)]) / (last - first)
    return {"after fits": found, "growth a fit": growth}


def measured(name, path, rounds):
    """Return what a measurement finds, each time in a new process."""
    command = [sys.executable, __file__, "--measure", name, path]
    return [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(rounds)
    ]


def measure_here(name, path):
    import tensorflow  # noqa: F401

    warnings.simplefilter("ignore")
    print(json.dumps(MEASUREMENTS[name](path, resident())))


def median_and_range(values):
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def print_tables(found):
    columns = ("peak of fit", "peak", "files at the end")
    print_table(
        (
            "1,000,000 x 30, in multiples of the data",
            "fit",
            "fit, then scores",
            "mapped files at the end",
        ),
        [
            (kind, *(median_and_range([one[name] for one in found[kind]]) for name in columns))
            for kind in ("array", "memmap")
        ],
    )
    print(
        f"\nThe data are {found['array'][0]['data in MiB']:.0f} MiB. Peaks hold the data, and the "
        f"imports of Keras, scikit-learn and skae, {np.median(found['imports']):.0f} MiB. Goal for "
        "the array: below 3. Pages of the\nmemory-mapped file count as resident while there is "
        "room; they can be dropped at any time.\n"
    )
    print_table(
        ("small fits, four shapes in turns", "MiB after", "MiB after", "MiB a fit"),
        [
            (
                name,
                *(f"{count}: {mib:.0f}" for count, mib in one["after fits"].items()),
                f"{one['growth a fit']:.3f}",
            )
            for name, key in SMALL_FITS.items()
            for one in found[key]
        ],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_here(*arguments.measure)
        return
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "data.npy")
        measured("write", path, 1)
        rounds = dict.fromkeys(("imports", "array", "memmap"), arguments.rounds)
        rounds |= dict.fromkeys(SMALL_FITS.values(), max(1, arguments.rounds // 3))
        found = {name: measured(name, path, times) for name, times in rounds.items()}
    print_tables(found)
    save("memory.json", found)


if __name__ == "__main__":
    main()
