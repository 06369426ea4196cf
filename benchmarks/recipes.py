"""Recipes A and B through skae and written by hand in Keras, on the same splits, side by side.

python benchmarks/recipes.py

prints a table and writes every number behind it into results/recipes.json beside this file.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers
from skae.datasets import fetch_ecg5000
from skae.preprocessing import GlobalMinMaxScaler

N_SEEDS = 5
ABNORMAL, NORMAL = -1, 1
PUBLISHED = {"accuracy": 0.939, "precision": 0.994, "recall": 0.896}
RESULTS = Path(__file__).parent / "results" / "recipes.json"


class Recipe:
    """What both ways of a recipe share: the split, and what counts as positive."""

    def split(self, X, y, seed):
        """Return the training and the test rows, and their labels."""
        stratify = y if self.stratified else None
        return train_test_split(
            X, y, test_size=0.2, stratify=stratify, random_state=self.first_seed + seed
        )

    def through_skae(self, X_train, X_test, y_train, seed):
        """Return errors of the test rows, threshold, history and the seconds of the fit."""
        with sklearn.config_context(enable_metadata_routing=True):
            start = perf_counter()
            detector = self.detector(seed).fit(X_train, y_train, X_val=X_test)
            seconds = perf_counter() - start
        fitted = detector if isinstance(detector, FitOnInliers) else detector[-1]
        return -detector.score_samples(X_test), -fitted.offset_, fitted.history_, seconds

    def by_hand(self, X_train, X_test, y_train, seed):
        """Return the same, by hand."""
        keras.utils.set_random_seed(seed)
        start = perf_counter()
        X_normal, X_test = self.scaled(X_train, X_test, y_train)
        model = self.model(X_normal.shape[1])
        model.compile(optimizer=keras.optimizers.Adam(1e-3), **self.compiling)
        history = model.fit(
            X_normal, X_normal, validation_data=(X_test, X_test), verbose=0, **self.training
        ).history
        errors = self.errors(X_normal, model.predict(X_normal, verbose=0))
        threshold = errors.mean() + errors.std()
        seconds = perf_counter() - start
        return self.errors(X_test, model.predict(X_test, verbose=0)), threshold, history, seconds


class RecipeA(Recipe):
    """Dense 64-32-16-8 with dropout, trained by MSLE, scored by MSE."""

    first_seed, stratified, positive = 42, True, ABNORMAL
    compiling = {"loss": "msle", "metrics": ["mse"]}
    training = {"epochs": 30, "batch_size": 128}

    def detector(self, seed):
        """Return the recipe in skae, with its error and its threshold."""
        network = AutoencoderOutlierDetector(
            hidden_layer_sizes=(64, 32, 16),
            dropout=0.1,
            latent_dim=8,
            activation="relu",
            latent_activation="relu",
            error="mse",
            threshold="mean_std",
            learning_rate=1e-3,
            random_state=seed,
            **self.compiling,
            **self.training,
        ).set_fit_request(X_val=True)
        return FitOnInliers(make_pipeline(MinMaxScaler(), network, transform_input=["X_val"]))

    def scaled(self, X_train, X_test, y_train):
        """Return the normal training rows and the test rows, scaled."""
        scaler = MinMaxScaler().fit(X_train[y_train == NORMAL])
        return scaler.transform(X_train[y_train == NORMAL]), scaler.transform(X_test)

    def model(self, n_features):
        """Return a new network."""
        dense, dropout = keras.layers.Dense, keras.layers.Dropout
        x = row = keras.Input((n_features,))
        for units in (64, 32, 16):
            x = dropout(0.1)(dense(units, activation="relu")(x))
        x = dense(8, activation="relu", name="latent")(x)
        for units in (16, 32, 64):
            x = dropout(0.1)(dense(units, activation="relu")(x))
        return keras.Model(row, dense(n_features, activation="sigmoid")(x))

    def errors(self, X, reconstruction):
        """Return the error of each row."""
        return np.square(X - reconstruction).mean(axis=1)


class HandWritten(keras.Model):
    """The network of recipe B."""

    def __init__(self, n_features):
        super().__init__()
        dense = keras.layers.Dense
        self.encoder = keras.Sequential([dense(units, activation="relu") for units in (32, 16, 8)])
        self.decoder = keras.Sequential(
            [dense(units, activation="relu") for units in (16, 32)]
            + [dense(n_features, activation="sigmoid")]
        )

    def call(self, row):
        """Return the reconstruction of rows."""
        return self.decoder(self.encoder(row))


def hand_written(input_shape):
    return HandWritten(*input_shape)


class RecipeB(Recipe):
    """A subclassed model, 32-16-8, trained and scored by MAE."""

    first_seed, stratified, positive = 21, False, NORMAL
    compiling = {"loss": "mae"}
    training = {"epochs": 40, "batch_size": 1024}

    def detector(self, seed):
        """Return the recipe in skae, with its error and its threshold."""
        network = AutoencoderOutlierDetector(
            hand_written,
            error="mae",
            threshold="mean_std",
            learning_rate=1e-3,
            random_state=seed,
            **self.compiling,
            **self.training,
        ).set_fit_request(X_val=True)
        return make_pipeline(GlobalMinMaxScaler(), FitOnInliers(network), transform_input=["X_val"])

    def scaled(self, X_train, X_test, y_train):
        """Return the normal training rows and the test rows, scaled."""
        low, high = X_train.min(), X_train.max()
        return (X_train[y_train == NORMAL] - low) / (high - low), (X_test - low) / (high - low)

    def model(self, n_features):
        """Return a new network."""
        return HandWritten(n_features)

    def errors(self, X, reconstruction):
        """Return the error of each row."""
        return np.abs(X - reconstruction).mean(axis=1)


def figures(recipe, errors, threshold, history, y_test):
    y_pred = np.where(errors > threshold, ABNORMAL, NORMAL)
    return {
        "ROC-AUC": roc_auc_score(y_test == ABNORMAL, errors),
        "PR-AUC": average_precision_score(y_test == ABNORMAL, errors),
        "accuracy": accuracy_score(y_test, y_pred),
        "precision": precision_score(y_test, y_pred, pos_label=recipe.positive),
        "recall": recall_score(y_test, y_pred, pos_label=recipe.positive),
        "F1": f1_score(y_test, y_pred, pos_label=recipe.positive),
        "threshold": threshold,
        "last loss": history["loss"][-1],
        "last val_loss": history["val_loss"][-1],
    }


def measure(recipe, X, y):
    """Return the figures of each way and seed, and of each seed the ratio of the fit times."""
    found, ratios = {"skae": [], "keras": []}, []
    for seed in range(N_SEEDS):
        X_train, X_test, y_train, y_test = recipe.split(X, y, seed)
        seconds = {}
        # Neither way is always the first of the two.
        ways = {"skae": recipe.through_skae, "keras": recipe.by_hand}
        for way in sorted(ways, reverse=seed % 2 == 0):
            *result, seconds[way] = ways[way](X_train, X_test, y_train, seed)
            found[way].append(figures(recipe, *result, y_test))
        ratios.append(seconds["skae"] / seconds["keras"])
        print(f"{type(recipe).__name__}, seed {seed}: done", flush=True)
    return {way: pd.DataFrame(rows) for way, rows in found.items()}, ratios


def mean_and_spread(values):
    digits = 4 if values.mean() > 0.1 else 5
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def table(recipe, found, ratios):
    """Return the lines of a Markdown table."""
    name = type(recipe).__name__[-1]
    positive = "abnormal" if recipe.positive == ABNORMAL else "normal"
    lines = [
        f"| recipe {name} (positive: the {positive} beat) | skae | plain Keras | published "
        "| within the spread |",
        "| --- | --- | --- | --- | --- |",
    ]
    for figure in found["skae"]:
        ours, theirs = found["skae"][figure], found["keras"][figure]
        # The spread is the standard deviation over the seeds.
        agree = abs(ours.mean() - theirs.mean()) <= max(ours.std(), theirs.std())
        published = PUBLISHED.get(figure, "") if name == "B" else ""
        lines.append(
            f"| {figure} | {mean_and_spread(ours)} | {mean_and_spread(theirs)} | {published} "
            f"| {'yes' if agree else 'NO'} |"
        )
    ratio = pd.Series(ratios)
    lines.append(
        f"| time of a fit, skae / Keras | {ratio.mean():.2f} ± {ratio.std():.2f} | 1 | | |"
    )
    return lines


def main():
    X, y = fetch_ecg5000(return_X_y=True)
    # TensorFlow's startup belongs to neither way.
    warm_up = keras.Sequential([keras.layers.Dense(1)])
    warm_up.compile(loss="mse")
    warm_up.fit(X[:8], X[:8, :1], verbose=0)

    packages = ("keras", "numpy", "scikit-learn", "skae", "tensorflow")
    results = {
        "n_seeds": N_SEEDS,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "recipes": {},
    }
    lines = []
    for recipe in (RecipeA(), RecipeB()):
        found, ratios = measure(recipe, X, y)
        lines += ["", *table(recipe, found, ratios)]
        results["recipes"][type(recipe).__name__[-1]] = {
            **{way: frame.to_dict(orient="list") for way, frame in found.items()},
            "fit_time_skae_over_keras": ratios,
        }
    print(*lines, sep="\n")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
