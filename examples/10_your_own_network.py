"""
Your own network
================

The built-in networks are not the only ones. A detector takes a function that returns a Keras model,
a model as a template, a model that is already trained, or a regressor of scikeras.
"""

from importlib.util import find_spec
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.datasets import fetch_ecg5000, make_heartbeats
from skae.displays import ReconstructionDisplay
from skae.metrics import anomaly_scorers
from skae.model_selection import StratifiedOutlierKFold

# %%
# The heartbeats
# --------------
try:
    X, y = fetch_ecg5000(return_X_y=True, n_retries=0)
    unit = "standardized"
except (OSError, ValueError) as error:
    print(f"The real heartbeats are unavailable ({error}); synthesized ones are used instead.")
    X, y = make_heartbeats(5000, anomaly_share=0.4, random_state=0)
    unit = "mV"
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1500, stratify=y, random_state=42
)
fitted = {}  # what is made below, to be compared at the end

# %%
# A function, and a search over its parameters
# --------------------------------------------
# It is called as `architecture(input_shape, **architecture_params)` in each fit. A layer named
# "latent" shows where the network can be cut in two; without one there is no `transform`.


def skipping(input_shape, latent_dim=4, units=16):
    """Return a dense autoencoder whose decoder has a linear path beside the nonlinear one."""
    beat = keras.Input(input_shape)
    hidden = keras.layers.Dense(units, activation="silu")(beat)
    code = keras.layers.Dense(latent_dim, name="latent")(hidden)
    bent = keras.layers.Dense(units, activation="silu")(code)
    bent = keras.layers.Dense(*input_shape)(bent)
    straight = keras.layers.Dense(*input_shape, use_bias=False)(code)
    return keras.Model(beat, keras.layers.Add()([bent, straight]))


# %%
# `architecture_params` is a parameter like any other, so a search takes a list of them. Your
# own functions are compiled anew in each fit, so such a search takes longer than one over built-in
# networks.
few = {"epochs": 60, "learning_rate": 0.005, "random_state": 0}
pipeline = make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(skipping, **few))
search = GridSearchCV(
    FitOnInliers(pipeline),
    {
        "estimator__autoencoderoutlierdetector__architecture_params": [
            {"latent_dim": 2},
            {"latent_dim": 8, "units": 64},
        ]
    },
    scoring=anomaly_scorers(["roc_auc", "average_precision"]),
    refit="average_precision",
    cv=StratifiedOutlierKFold(n_splits=2, random_state=0),
)
search.fit(X_train, y_train)
results = pd.DataFrame(search.cv_results_)
params = "param_estimator__autoencoderoutlierdetector__architecture_params"
columns = {
    params: "architecture_params",
    "mean_test_roc_auc": "ROC-AUC",
    "mean_test_average_precision": "PR-AUC",
}
print(results[list(columns)].rename(columns=columns).round(3).to_string(index=False))
print(f"chosen: {results.loc[search.best_index_, params]}")
fitted["function, searched"] = search

# %%
# A subclassed model
# ------------------
# A function may return any `keras.Model`; the class itself can serve as that function. The
# attributes `encoder` and `decoder` show the two halves.


class Halves(keras.Model):
    """Two small networks, one after the other."""

    def __init__(self, input_shape, latent_dim):
        super().__init__()
        dense = keras.layers.Dense
        self.encoder = keras.Sequential([dense(64, activation="silu"), dense(latent_dim)])
        self.decoder = keras.Sequential([dense(64, activation="silu"), dense(*input_shape)])

    def call(self, beats):
        return self.decoder(self.encoder(beats))


subclassed = AutoencoderOutlierDetector(Halves, architecture_params={"latent_dim": 2}, **few)
subclassed = FitOnInliers(make_pipeline(MinMaxScaler(), subclassed)).fit(X_train, y_train)
fitted["subclassed"] = subclassed
print(f"{X_test.shape[1]} samples become {subclassed.transform(X_test).shape[1]} latent codes")

# %%
# A model as a template
# ---------------------
# A functional or sequential model needs no function. Each fit trains a clone of it with fresh
# weights, and the template stays as it is; its compile settings are ignored.
template = keras.Sequential(
    [
        keras.Input(X.shape[1:]),
        keras.layers.Reshape((X.shape[1], 1)),
        keras.layers.Conv1D(8, 9, strides=4, padding="same", activation="silu"),
        keras.layers.Flatten(),
        keras.layers.Dense(4, name="latent"),
        keras.layers.Dense(64, activation="silu"),
        keras.layers.Dense(X.shape[1], activation="sigmoid"),
    ],
    name="convolutions",
)
detector = AutoencoderOutlierDetector(template, **few)
fitted["template"] = FitOnInliers(make_pipeline(MinMaxScaler(), detector)).fit(X_train, y_train)

# %%
# A model that is already trained
# -------------------------------
# Trained with plain Keras, here or long ago: `ReconstructionOutlierDetector` uses it as it is, and
# `fit` only sets the threshold. Its scaler is already fitted too: `FrozenEstimator` keeps it so.
X_normal = X_train[y_train == 1]
scaler = MinMaxScaler().fit(X_normal)
keras.utils.set_random_seed(0)
trained = keras.models.clone_model(template)
trained.compile(optimizer=keras.optimizers.Adam(0.005), loss="mse")
X_scaled = scaler.transform(X_normal)
trained.fit(X_scaled, X_scaled, epochs=60, batch_size=128, verbose=0)

detector = make_pipeline(FrozenEstimator(scaler), ReconstructionOutlierDetector(trained))
fitted["trained before"] = detector.fit(X_normal)
print(f"threshold set from {len(X_normal)} normal beats: {-detector[-1].offset_:.4f}")

# %%
# A regressor of scikeras
# -----------------------
# A `KerasRegressor` learns to predict the beats from the beats. This comes last: importing scikeras
# changes how Keras models are pickled in the whole process.


def network(meta, latent_dim):
    """Return the model that scikeras compiles and trains."""
    n_features = meta["n_features_in_"]
    return skipping((n_features,), latent_dim)


if find_spec("scikeras") is None:
    print("scikeras is not installed: its regressor is left out (pip install skae[scikeras]).")
else:
    from scikeras.wrappers import KerasRegressor

    regressor = KerasRegressor(
        model=network,
        model__latent_dim=4,
        loss="mse",
        optimizer="adam",
        optimizer__learning_rate=0.005,
        epochs=60,
        batch_size=128,
        verbose=0,
        random_state=0,
    )
    detector = make_pipeline(MinMaxScaler(), ReconstructionOutlierDetector(regressor))
    fitted["scikeras"] = FitOnInliers(detector).fit(X_train, y_train)

# %%
# What was found
# --------------
# Networks of a few lines, trained for a few epochs: this compares ways to write them, not the best
# that each can achieve.
rows = []
for name, detector in fitted.items():
    errors = -detector.score_samples(X_test)
    rows.append(
        {
            "network": name,
            "ROC-AUC": roc_auc_score(y_test == -1, errors),
            "PR-AUC": average_precision_score(y_test == -1, errors),
        }
    )
print(pd.DataFrame(rows).set_index("network").round(3).to_string())

# %%
# One abnormal beat, as each of them reconstructs it:
beat = X_test[y_test == -1][:1]
figure, axes = plt.subplots(
    len(fitted),
    sharex=True,
    sharey=True,
    figsize=(7, 1 + 1.6 * len(fitted)),
    layout="constrained",
)
for ax, (name, detector) in zip(axes, fitted.items(), strict=True):
    ReconstructionDisplay.from_estimator(detector, beat, ax=[ax])
    ax.set(xlabel="", ylabel=f"voltage\n({unit})")
    ax.set_title(f"{name}: error {-detector.score_samples(beat)[0]:.3g}", loc="left")
    ax.get_legend().remove()
axes[-1].set_xlabel("sample of the beat")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside upper center", ncols=3)
path = Path("figures") / "10_reconstructions.png"
path.parent.mkdir(exist_ok=True)
figure.savefig(path, dpi=120)
print(f"saved {path}")
