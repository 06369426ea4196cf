"""How long a search over latent sizes takes through skae, through scikeras, and written by hand.

The same GridSearchCV over recipe A's network on ECG5000: five latent sizes, five folds and a refit,
26 fits. Searches take turns, each way in a process of its own, because scikeras patches Keras and
Keras' memory grows. Imports and TensorFlow's own start are not timed, but those of new workers are.
A search is long enough for other work on the machine to come and go; processor time minds it less.
Prints a table and writes results/grid_search.json.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from multiprocessing import get_context
from time import process_time

import keras
import numpy as np
from _timing import comparison, interleaved, print_comparisons, save
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from speed import RECIPE_A, SIZES, keras_network

import skae
from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.datasets import fetch_ecg5000
from skae.metrics import anomaly_scorer
from skae.model_selection import StratifiedOutlierKFold

LATENT_SIZES = [2, 4, 8, 16, 32]


class ByHand(OutlierMixin, BaseEstimator):
    """A hand-written estimator around Keras, without a threshold."""

    def __init__(self, latent_dim=8):
        self.latent_dim = latent_dim

    def fit(self, X, y=None):
        """Train the network of recipe A."""
        self.model_ = keras_network(X.shape[1], SIZES, self.latent_dim, 0.1, "sigmoid")
        self.model_.compile(keras.optimizers.Adam(1e-3), "msle", metrics=["mse"])
        self.model_.fit(X, X, epochs=30, batch_size=128, verbose=0)
        return self

    def score_samples(self, X):
        """Return minus the mean squared error of each row."""
        return -np.mean((X - self.model_.predict(X, verbose=0)) ** 2, axis=1)


def scikeras_network(meta, latent_dim):
    return keras_network(meta["n_features_in_"], SIZES, latent_dim, 0.1, "sigmoid")


def through_scikeras():
    from scikeras.wrappers import KerasRegressor  # patches Keras when it is imported

    # Without a seed, which would make TensorFlow's operations deterministic and slow.
    regressor = KerasRegressor(
        model=scikeras_network,
        model__latent_dim=8,
        optimizer="adam",
        optimizer__learning_rate=1e-3,
        loss="msle",
        metrics=["mse"],
        epochs=30,
        batch_size=128,
        verbose=0,
    )
    return ReconstructionOutlierDetector(regressor)


# Name: the detector, and its parameter that is the latent size.
WAYS = {
    "skae": (lambda: AutoencoderOutlierDetector(**RECIPE_A), "latent_dim"),
    "scikeras": (through_scikeras, "estimator__model__latent_dim"),
    "by hand": (ByHand, "latent_dim"),
}

beats = cache(fetch_ecg5000)


def prepare(way):
    """Do once per process what no search should be charged with."""
    warnings.simplefilter("ignore")
    beats(return_X_y=True)
    WAYS[way][0]()
    keras_network(2, (2,), 1, 0.0, "linear")(np.zeros((1, 2)))


def search(way, n_jobs=1):
    make, latent_size = WAYS[way]
    GridSearchCV(
        FitOnInliers(Pipeline([("scaler", MinMaxScaler()), ("ae", make())])),
        {f"estimator__ae__{latent_size}": LATENT_SIZES},
        scoring=anomaly_scorer("average_precision"),
        cv=StratifiedOutlierKFold(random_state=0),
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(*beats(return_X_y=True))


def first_search(n_jobs=1):
    skae.clear_cache()
    search("skae", n_jobs)


# Name: the way, whose process it runs in, and the call.
SEARCHES = {
    "skae": ("skae", first_search),
    "skae, again": ("skae", search, "skae"),
    "skae, new workers": ("skae", first_search, 2),
    "skae, same workers": ("skae", search, "skae", 2),
    "scikeras": ("scikeras", search, "scikeras"),
    "by hand": ("by hand", search, "by hand"),
}


def processor_seconds(function, *arguments):
    """Return what a call uses in this process; its workers are not counted."""
    start = process_time()
    function(*arguments)
    return process_time() - start


def tasks(names, processes, used):
    """Return what `interleaved` takes turns at; what each uses of the processor goes in `used`."""

    def task(name, way, function, *arguments):
        def run():
            waited_for = processes[way].submit(processor_seconds, function, *arguments)
            used[name] = waited_for.result()

        return run, 1

    return {name: task(name, *SEARCHES[name]) for name in names}


def one_round(names):
    """Return seconds and processor seconds of each search, in processes that are new to it."""
    with ExitStack() as stack:
        processes, used = {}, {}
        for way in WAYS:
            if way not in names:
                continue
            process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            processes[way] = stack.enter_context(process)
            process.submit(prepare, way).result()
        times = interleaved(tasks(names, processes, used), 1)
    return {name: taken for name, (taken,) in times.items()}, used


def by_name(rounds):
    return {name: [one[name] for one in rounds] for name in rounds[0]}


def comparisons(times, used):
    first, workers = "search of 26 fits", "n_jobs=2, the same workers again"
    wanted = [
        (first, times, "skae", "scikeras"),
        (first, times, "skae", "by hand"),
        (f"{first}, processor time", used, "skae", "scikeras"),
        (f"{first}, processor time", used, "skae", "by hand"),
        ("n_jobs=2, new workers", times, "skae, new workers", "skae"),
        (workers, times, "skae, same workers", "skae"),
        (workers, times, "skae, same workers", "skae, again"),
    ]
    return [comparison(*row) for row in wanted if {row[2], row[3]} <= set(times)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--searches", nargs="+", default=list(SEARCHES), choices=SEARCHES)
    arguments = parser.parse_args()
    rounds = [one_round(arguments.searches) for _ in range(arguments.rounds)]
    times, used = (by_name(found) for found in zip(*rounds, strict=True))
    rows = comparisons(times, used)
    print_comparisons(rows)
    save("grid_search.json", {"rows": rows, "seconds": times, "processor seconds": used})


if __name__ == "__main__":
    main()
