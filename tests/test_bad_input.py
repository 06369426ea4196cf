"""Unfit input is refused before training: what came, why not, and what to give instead."""

from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.inspection import explain

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(100, 4))
UNIT = GENERATOR.random((100, 4))
Y = np.repeat([1, -1], [80, 20])
TABLE = pd.DataFrame(X, columns=list("abcd"))


def network(**params):
    return AutoencoderOutlierDetector(**{"epochs": 1, "random_state": 0} | params)


def pca(**params):
    return ReconstructionOutlierDetector(PCA(2), **params)


DETECTORS = [
    network(),
    AutoencoderEnsembleOutlierDetector(2, epochs=1, random_state=0),
    pca(),
    FitOnInliers(pca()),
    ThresholdedOutlierDetector(pca(), "youden", cv=3),
    ConformalOutlierDetector(pca(), random_state=0),
    WindowedOutlierDetector(pca(), width=3),
]
every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: type(d).__name__)


@pytest.fixture
def no_training(monkeypatch):
    """Make whatever would train fail with another error."""
    monkeypatch.setattr("skae._detectors.trained.train_network", None)
    monkeypatch.setattr("sklearn.decomposition.PCA.fit", None)


class LazyFrame:
    """As polars has it: columns, but no rows yet."""

    columns = ("a", "b")

    def collect(self):
        """Compute the rows."""

    def __len__(self):
        raise TypeError("not supported")


class TestErrorCallable:
    @pytest.mark.parametrize("make", [network, pca], ids=["network", "pca"])
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (np.subtract, "which are zero or above.*got -"),
            (lambda rows, found: -abs(rows - found), "which are zero or above.*got -"),
            (lambda rows, found: np.emath.sqrt(rows - found), "real numbers.*dtype complex"),
            (lambda rows, found: np.full(rows.shape, "x"), "real numbers.*dtype <U1"),
            (lambda rows, found: rows * np.nan, "100 are not finite.*error=<function"),
            (lambda rows, found: None, r"of the shape of X.*got shape \(\)"),
        ],
    )
    def test_refused(self, make, error, message):
        for params in ({}, {"contamination": 0.1}):
            with pytest.raises(ValueError, match=message):
                make(error=error, **params).fit(X)

    def test_at_scoring_too(self):
        fitted = pca(error=lambda rows, found: np.where(rows > 50, -1.0, 1.0)).fit(X)
        with pytest.raises(ValueError, match="zero or above.*got -1"):
            fitted.score_samples(np.full((1, 4), 60.0))

    @pytest.mark.parametrize("dtype", [bool, int, np.float32])
    def test_other_numbers(self, dtype):
        def far(rows, found):
            return (abs(rows - found) > 0.1).astype(dtype)

        fitted = pca(error=far).fit(X)
        expected = (abs(X - fitted.reconstruct(X)) > 0.1).mean(axis=1)
        assert fitted.reconstruction_error(X) == pytest.approx(expected)


class TestLoss:
    SPELLINGS = (
        "binary_crossentropy",
        "BinaryCrossentropy",
        "bce",
        "BCE",
        keras.losses.BinaryCrossentropy(name="own"),
        keras.losses.BinaryCrossentropy,
        keras.losses.binary_crossentropy,
        partial(keras.losses.binary_crossentropy, label_smoothing=0.1),
    )

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize("loss", SPELLINGS)
    def test_any_spelling(self, loss):
        for rows in (X, UNIT * 2, UNIT - 0.5):
            with pytest.raises(
                ValueError, match=r"binary_crossentropy needs values in \[0, 1\].*M"
            ):
                network(loss=loss).fit(rows)

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize(
        ("loss", "rows", "message"),
        [
            ("binary_focal_crossentropy", X, r"values in \[0, 1\].*MinMaxScaler"),
            ("dice", X, r"values in \[0, 1\]"),
            ("Tversky", X, r"values in \[0, 1\]"),
            ("categorical_crossentropy", X, "rows that are distributions"),
            ("categorical_crossentropy", UNIT, "rows that are distributions"),
            ("CategoricalFocalCrossentropy", UNIT, "rows that are distributions"),
            ("kld", UNIT, "rows that are distributions"),
            ("KLDivergence", X, "rows that are distributions"),
            ("poisson", X, "counts, X >= 0"),
            ("poisson", 9 * UNIT, "output_activation='softplus'.*would be 'linear'"),
            ("mape", X, "X > 0, as it divides"),
            ("hinge", X, "values of -1 and 1 only"),
            ("hinge", np.sign(X), "output_activation='tanh'"),
            ("SquaredHinge", UNIT, "values of -1 and 1 only"),
            ("categorical_hinge", X, "classes or sequences"),
            ("sparse_categorical_crossentropy", X, "classes or sequences"),
            ("Circle", X, "classes or sequences"),
            ("CTC", X, "classes or sequences"),
            (keras.losses.MeanSquaredLogarithmicError(name="own"), X, "msle needs X >= 0"),
            (keras.losses.BinaryCrossentropy(from_logits=True), UNIT, "from_logits=True"),
            (partial(keras.losses.binary_crossentropy, from_logits=True), UNIT, "from_logits=True"),
        ],
    )
    def test_refused(self, loss, rows, message):
        with pytest.raises(ValueError, match=message):
            network(loss=loss).fit(rows)
        with pytest.raises(ValueError, match=message):
            AutoencoderEnsembleOutlierDetector(2, loss=loss).fit(rows)

    @pytest.mark.usefixtures("no_training")
    def test_output_that_cannot_follow(self):
        with pytest.raises(ValueError, match="needs output_activation='sigmoid'.*'linear'"):
            network(loss="bce", output_activation="linear").fit(UNIT)
        with pytest.raises(ValueError, match="needs output_activation='softmax'.*'sigmoid'"):
            network(loss="kld").fit(UNIT / UNIT.sum(axis=1, keepdims=True))

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            ("cosine_similarity", "ignores the size of rows.*error='mse'"),
            (keras.losses.CosineSimilarity(), "ignores the size of rows"),
            ("dice", "for rows of zeros and ones"),
            ("binary_focal_crossentropy", "for rows of zeros and ones"),
        ],
    )
    def test_warned_of(self, loss, message):
        with pytest.warns(UserWarning, match=message):
            network(loss=loss).fit(UNIT)

    @pytest.mark.parametrize(
        ("loss", "rows", "output"),
        [
            ("mae", X, "auto"),
            ("huber", X, "auto"),
            ("log_cosh", X, "auto"),
            (lambda actual, found: keras.ops.mean((actual - found) ** 4, axis=-1), X, "auto"),
            ("binary_crossentropy", UNIT, "auto"),
            ("binary_crossentropy", UNIT, keras.activations.sigmoid),
            ("dice", (UNIT > 0.5).astype(float), "auto"),
            ("kld", UNIT / UNIT.sum(axis=1, keepdims=True), "softmax"),
            ("poisson", np.floor(9 * UNIT), "softplus"),
            ("mape", 1 + UNIT, "auto"),
            ("hinge", np.sign(X), "tanh"),
        ],
    )
    def test_what_suits_is_taken(self, loss, rows, output):
        fitted = network(loss=loss, output_activation=output).fit(rows)
        assert np.isfinite(fitted.score_samples(rows)).all()

    def test_own_networks_decide_on_their_output(self):
        def own(input_shape):
            return keras.Sequential(
                [keras.Input(input_shape), keras.layers.Dense(4, activation="softmax")]
            )

        shares = UNIT / UNIT.sum(axis=1, keepdims=True)
        assert network(architecture=own, loss="kld").fit(shares).offset_ < 0

    def test_an_error_that_ignores_sizes_too(self):
        def angle(rows, found):
            norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(found, axis=1)
            return np.repeat(1 - (rows * found).sum(axis=1, keepdims=True) / norms[:, None], 4, 1)

        assert network(loss="cosine_similarity", error=lambda *both: abs(angle(*both))).fit(X)


def test_explaining_behind_columns_without_names():
    steps = [
        ("scaled", StandardScaler(), [2, 0]),
        ("squared", FunctionTransformer(np.square), [1, 3]),  # does not name its columns
    ]
    fitted = make_pipeline(ColumnTransformer(steps), pca()).fit(X)
    explanation = explain(fitted, X[:2], top=None)
    assert sorted(explanation["feature"][:4]) == [0, 1, 2, 3]
    squared = explanation[(explanation["row"] == 0) & (explanation["feature"] == 2)]
    assert squared["value"].item() == pytest.approx(X[0, 1] ** 2)
