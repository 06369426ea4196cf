"""What test_scikeras.py runs in separate processes: `python scikeras_script.py PART FOLDER`.

scikeras patches Keras for the whole process when it is imported. Its first seeded fit leaves
TensorFlow's op determinism on, unless TensorFlow looked at that setting before, as it does when
skae trains a network. Each part leaves what it found in FOLDER for the tests to judge.
"""

import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning

PARTS = {}


def part(function):
    PARTS[function.__name__] = function
    return function


def network(meta, latent_dim):
    import keras

    rows = keras.Input((meta["n_features_in_"],))
    code = keras.layers.Dense(latent_dim, name="latent")(rows)
    return keras.Model(rows, keras.layers.Dense(meta["n_features_in_"])(code))


def regressor():
    from scikeras.wrappers import KerasRegressor

    return KerasRegressor(
        model=network,
        model__latent_dim=2,
        optimizer="adam",
        optimizer__learning_rate=0.01,
        loss="mse",
        epochs=15,
        verbose=0,
        random_state=0,
    )


def beats():
    from skae.datasets import make_heartbeats

    X, y = make_heartbeats(200, anomaly_share=0.2, random_state=0)
    X = (X - X.min()) / (X.max() - X.min())
    return X.astype(np.float32), y


def op_determinism():
    # The only place where TensorFlow shows it.
    from tensorflow.python.framework import config

    return config.is_op_determinism_enabled()


def own_detectors():
    """Return the scores and the pickle of detectors that have nothing to do with scikeras."""
    import keras

    from skae import AutoencoderOutlierDetector, ReconstructionOutlierDetector

    def dense(units, name, seed):
        return keras.layers.Dense(
            units, name=name, kernel_initializer=keras.initializers.GlorotUniform(seed)
        )

    rows = keras.Input((140,), name="rows")
    model = keras.Model(rows, dense(140, "output", 1)(dense(2, "latent", 0)(rows)), name="model")
    few = {"epochs": 3, "random_state": 0}
    detectors = {
        "built-in": AutoencoderOutlierDetector(**few, dropout=0.1, noise=0.1, batch_norm=True),
        "template": AutoencoderOutlierDetector(**few, architecture=model),
        "trained": ReconstructionOutlierDetector(model),
    }
    X, _ = beats()
    AutoencoderOutlierDetector(epochs=1, dropout=0.1).fit(X)  # without a seed
    fitted = {name: detector.fit(X) for name, detector in detectors.items()}
    return {name: (one.score_samples(X), pickle.dumps(one)) for name, one in fitted.items()}


@part
def before_skae(folder):
    """Import scikeras first; use it for all that it is good for; then use skae without it."""
    import scikeras.wrappers  # noqa: F401
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit

    from skae import ReconstructionOutlierDetector

    X, y = beats()
    detector = ReconstructionOutlierDetector(regressor()).fit(X[y == 1])
    scores = detector.score_samples(X)
    bytes_ = pickle.dumps(detector)
    (folder / "regressor.pickle").write_bytes(bytes_)

    search = GridSearchCV(
        ReconstructionOutlierDetector(regressor()),
        [
            {"estimator__model__latent_dim": [1], "estimator__optimizer__learning_rate": [1e-6]},
            {"estimator__model__latent_dim": [3], "estimator__optimizer__learning_rate": [0.02]},
        ],
        scoring=lambda fitted, rows, labels: roc_auc_score(labels, fitted.score_samples(rows)),
        cv=StratifiedShuffleSplit(1, random_state=0),
        error_score="raise",
    ).fit(X, y)
    best = search.best_estimator_.estimator_.model_
    return {
        "scores": scores,
        "y": y,
        "prediction": detector.predict(X),
        "offset": detector.offset_,
        "scores of float64": detector.score_samples(X.astype(np.float64)),
        "by hand": -((X - detector.estimator_.model_.predict(X, verbose=0)) ** 2).mean(axis=1),
        "scores after pickling": pickle.loads(bytes_).score_samples(X),
        "found": search.cv_results_["mean_test_score"],
        "best": search.best_params_,
        "best units": best.get_layer("latent").units,
        "best learning rate": float(best.optimizer.learning_rate),
        "op determinism": op_determinism(),
        "own": own_detectors(),
    }


@part
def after_skae(folder):
    """Use skae; load what scikeras fitted elsewhere; fit with scikeras; use skae again."""
    from skae import AutoencoderOutlierDetector

    X, y = beats()
    AutoencoderOutlierDetector(hidden_layer_sizes=8, epochs=1, random_state=0).fit(X)
    assert "scikeras" not in sys.modules
    detector = pickle.loads((folder / "regressor.pickle").read_bytes())
    scores = detector.score_samples(X)
    detector.fit(X[y == 1])
    pickle.dumps(detector)  # which registers Keras' own classes under other names
    return {
        "scores of the regressor": scores,
        "scores after another fit": detector.score_samples(X),
        "op determinism": op_determinism(),
        "own": own_detectors(),
    }


@part
def without_scikeras(folder):
    """Make scikeras impossible to import; load what the other processes left; use skae."""
    sys.modules["scikeras"] = None
    X, _ = beats()
    loaded = {}
    for other in ("before_skae", "after_skae"):
        own = joblib.load(folder / other)["own"]
        loaded[other] = {
            name: pickle.loads(bytes_).score_samples(X) for name, (_, bytes_) in own.items()
        }
    return {"loaded": loaded, "own": own_detectors()}


if __name__ == "__main__":
    warnings.simplefilter("error")
    # A few epochs make a quick test and a poor network.
    warnings.simplefilter("ignore", ConvergenceWarning)
    # Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates. Look again in
    # 2027-06, as at the same filter in pyproject.toml.
    warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy")
    name, folder = sys.argv[1], Path(sys.argv[2])
    joblib.dump(PARTS[name](folder), folder / name)
