"""The detectors that adbench.py compares, each made anew for a seed."""

from importlib.util import find_spec

from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ReconstructionOutlierDetector,
)

SKAE = ["skae", "skae, trimmed", "skae ensemble", "skae ensemble, trimmed"]
# Spelled as in the stored results.
FOREST, NEIGHBORS = "IsolationForest", "5 nearest neighbors"
PYOD_AUTOENCODERS = {
    "PyOD AutoEncoder": {},
    "PyOD AutoEncoder, 50 epochs": {"epoch_num": 50, "dropout_rate": 0.0},
    "PyOD AutoEncoder, 50 epochs, 128-64-8": {
        "epoch_num": 50,
        "dropout_rate": 0.0,
        "hidden_neuron_list": [128, 64, 8],
    },
}
NAMES = [
    *SKAE,
    FOREST,
    "LocalOutlierFactor",
    "OneClassSVM",
    NEIGHBORS,
    "PCA",
    "ECOD (PyOD)",
    *PYOD_AUTOENCODERS,
]


class MeanNeighborDistance(OutlierMixin, BaseEstimator):
    """Scores a row by its mean distance to the nearest training rows."""

    def __init__(self, n_neighbors=5):
        self.n_neighbors = n_neighbors

    def fit(self, X, y=None):
        """Keep the rows."""
        self.neighbors_ = NearestNeighbors(n_neighbors=self.n_neighbors).fit(X)
        return self

    def score_samples(self, X=None):
        """Return minus the distance; without X of the training rows, each left out itself."""
        return -self.neighbors_.kneighbors(X)[0].mean(axis=1)


def pca(n_features, seed):
    """Return a PCA that always leaves something out: of few features it keeps all but one."""
    n_components = max(1, min(8, n_features - 1))
    return ReconstructionOutlierDetector(PCA(n_components, random_state=seed))


def ecod(n_features, seed):
    from pyod.models.ecod import ECOD

    return ECOD()


def pyod_autoencoder(settings):
    def make(n_features, seed):
        from pyod.models.auto_encoder import AutoEncoder

        return AutoEncoder(random_state=seed, verbose=0, **settings)

    return make


def makers():
    """Return, by name, functions of the number of features and the seed; PyOD's if installed."""
    single, ensemble = AutoencoderOutlierDetector, AutoencoderEnsembleOutlierDetector
    found = {
        "skae": lambda d, seed: single(random_state=seed),
        "skae, trimmed": lambda d, seed: single(trim_fraction="auto", random_state=seed),
        "skae ensemble": lambda d, seed: ensemble(random_state=seed),
        "skae ensemble, trimmed": lambda d, seed: ensemble(trim_fraction="auto", random_state=seed),
        FOREST: lambda d, seed: IsolationForest(random_state=seed),
        "LocalOutlierFactor": lambda d, seed: LocalOutlierFactor(novelty=True),
        "OneClassSVM": lambda d, seed: OneClassSVM(),
        NEIGHBORS: lambda d, seed: MeanNeighborDistance(),
        "PCA": pca,
    }
    if find_spec("pyod"):
        found["ECOD (PyOD)"] = ecod
    if find_spec("pyod") and find_spec("torch"):
        found |= {name: pyod_autoencoder(each) for name, each in PYOD_AUTOENCODERS.items()}
    return found


def errors_of(detector, X, is_training):
    """Return how abnormal rows are; a neighbor-based detector does not count the row itself."""
    if is_training and isinstance(detector, MeanNeighborDistance):
        return -detector.score_samples()
    if is_training and isinstance(detector, LocalOutlierFactor):
        return -detector.negative_outlier_factor_  # what it is with novelty=False, too
    if hasattr(detector, "score_samples"):
        return -detector.score_samples(X)
    return detector.decision_function(X)  # PyOD's sign
