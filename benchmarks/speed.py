"""How fast skae trains and scores beside Keras, IsolationForest and PyOD, in one run.

Repetitions are interleaved; medians, and smallest to largest ratio, are printed as a table and
written to results/speed.json. Times are those of the machine at hand: only ratios say anything.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import warnings
from functools import partial
from importlib.util import find_spec

import keras
import numpy as np
from _timing import comparison, interleaved, print_comparisons, save, seconds
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import MinMaxScaler

import skae
from skae import AutoencoderOutlierDetector
from skae.datasets import fetch_ecg5000

SIZES = (64, 32, 16)
RECIPE_A = {
    "hidden_layer_sizes": SIZES,
    "latent_dim": 8,
    "activation": "relu",
    "latent_activation": "relu",
    "dropout": 0.1,
    "loss": "msle",
    "metrics": ["mse"],
    "learning_rate": 1e-3,
    "epochs": 30,
    "batch_size": 128,
    "random_state": 0,
}


def keras_network(n_features, sizes, latent_dim, dropout, output_activation):
    layers = keras.layers
    model = keras.Sequential([keras.Input((n_features,))])
    for number, units in enumerate((*sizes, latent_dim, *sizes[::-1])):
        model.add(layers.Dense(units, activation="relu"))
        if dropout and number != len(sizes):
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(n_features, activation=output_activation))
    return model


def keras_fit(X):
    model = keras_network(X.shape[1], SIZES, 8, 0.1, "sigmoid")
    model.compile(keras.optimizers.Adam(1e-3), "msle", metrics=["mse"])
    model.fit(X, X, epochs=30, batch_size=128, verbose=0)
    return model


def skae_first_fit(X):
    skae.clear_cache()
    return skae_fit(X)


def skae_fit(X):
    return AutoencoderOutlierDetector(**RECIPE_A).fit(X)


def pyod_fit(X):
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(
        hidden_neuron_list=[*SIZES, 8],
        epoch_num=30,
        batch_size=128,
        dropout_rate=0.1,
        batch_norm=False,
        verbose=0,
    ).fit(X)


def large_data(n_rows=1_000_000, n_features=30):
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(n_rows, 5)).astype(np.float32)
    mixing = generator.normal(size=(5, n_features)).astype(np.float32)
    return codes @ mixing


def keras_large_fit(X):
    model = keras_network(X.shape[1], (64, 32), 8, 0.0, "linear")
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    model.fit(X, X, epochs=1, batch_size=1024, verbose=0)


def skae_large_fit(X):
    skae.clear_cache()
    return AutoencoderOutlierDetector(
        hidden_layer_sizes=(64, 32),
        latent_dim=8,
        activation="relu",
        latent_activation="relu",
        noise=0.0,
        learning_rate=1e-3,
        epochs=1,
        batch_size=1024,
        random_state=0,
    ).fit(X)


def fits(X, rounds):
    tasks = {
        "first fit": (partial(skae_first_fit, X), 1),
        "later fit": (partial(skae_fit, X), 1),
        "model.fit": (partial(keras_fit, X), 1),
    }
    rows = []
    if find_spec("pyod") and find_spec("torch"):
        tasks["PyOD, first fit"] = (partial(pyod_fit, X), 1)
        first_of_pyod = seconds(*tasks["PyOD, first fit"])
        tasks["PyOD, later fit"] = tasks.pop("PyOD, first fit")
    times = interleaved(tasks, rounds)
    rows.append(comparison("first fit, recipe A, 30 epochs", times, "first fit", "model.fit"))
    rows.append(comparison("later fits of that shape", times, "later fit", "model.fit"))
    if "PyOD, later fit" in times:
        times["PyOD, first fit"] = [first_of_pyod] * rounds
        rows.append(comparison("the same against PyOD", times, "first fit", "PyOD, first fit"))
        rows.append(comparison("the same against PyOD", times, "later fit", "PyOD, later fit"))
    return rows


def scores(X, everything, rounds):
    detector, model = skae_fit(X), keras_fit(X)
    forest = IsolationForest(random_state=0).fit(X)
    rows = []
    for title, rows_scored, repeats in (
        ("one row", everything[:1], 200),
        ("5,000 rows", everything, 10),
    ):
        tasks = {
            "skae": (partial(detector.score_samples, rows_scored), repeats),
            "model.predict": (
                partial(model.predict, rows_scored, verbose=0),
                max(2, repeats // 20),
            ),
            "IsolationForest": (partial(forest.score_samples, rows_scored), max(2, repeats // 10)),
        }
        interleaved(tasks, 1)
        times = interleaved(tasks, rounds)
        rows += [
            comparison(f"score_samples, {title}", times, "skae", other)
            for other in ("model.predict", "IsolationForest")
        ]
    return rows


def large(rounds):
    X = large_data()
    tasks = {
        "skae": (partial(skae_large_fit, X), 1),
        "model.fit": (partial(keras_large_fit, X), 1),
    }
    times = interleaved(tasks, rounds)
    return [comparison("1,000,000 x 30, one epoch, batch 1,024", times, "skae", "model.fit")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    X, y = fetch_ecg5000(return_X_y=True)
    normal = np.flatnonzero(y == 1)[:2335]
    scaler = MinMaxScaler().fit(X[normal])
    everything = scaler.transform(X).astype(np.float32)
    # TensorFlow's startup is not part of a fit.
    keras_network(2, (2,), 1, 0.0, "linear")(np.zeros((1, 2)))
    rows = fits(everything[normal], rounds)
    rows += scores(everything[normal], everything, rounds)
    rows += large(max(2, rounds // 2))
    print_comparisons(rows)
    save("speed.json", rows)


if __name__ == "__main__":
    main()
