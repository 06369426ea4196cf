"""The NumPy engine: what Keras computes, the same to the bit in any company, without TensorFlow."""

import subprocess
import sys

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from threadpoolctl import threadpool_limits

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae._engines import numpy as numpy_engine
from skae._engines.keras import forward as keras_engine
from skae._network.scorer import Scorer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
T = RANDOM.random((600, 1))
X = np.hstack([T, T**2, 1 - T, np.sqrt(T), T * (1 - T), RANDOM.random((600, 6))])
X = X.astype(np.float32)
FEW = {"epochs": 3, "random_state": 0, "learning_rate": 0.01}

DETECTORS = {
    "dense": AutoencoderOutlierDetector(**FEW),
    "batch norm": AutoencoderOutlierDetector(batch_norm=True, dropout=0.1, **FEW),
    "without hidden layers": AutoencoderOutlierDetector(hidden_layer_sizes=(), **FEW),
    "wide": AutoencoderOutlierDetector(hidden_layer_sizes=(200, 150), latent_dim=7, **FEW),
    "vae": AutoencoderOutlierDetector("vae", **FEW),
    "conv1d": AutoencoderOutlierDetector("conv1d", hidden_layer_sizes=(4, 6), **FEW),
    "conv1d with batch norm": AutoencoderOutlierDetector(
        "conv1d", hidden_layer_sizes=(4, 6), batch_norm=True, **FEW
    ),
    "conv1d of long strides": AutoencoderOutlierDetector(
        "conv1d",
        hidden_layer_sizes=(4, 6),
        architecture_params={"kernel_size": 2, "strides": 3},
        **FEW,
    ),
    "conv1d without hidden layers": AutoencoderOutlierDetector(
        "conv1d", hidden_layer_sizes=(), **FEW
    ),
    "lstm": AutoencoderOutlierDetector("lstm", hidden_layer_sizes=(5, 4), **FEW),
    "lstm with batch norm": AutoencoderOutlierDetector(
        "lstm", hidden_layer_sizes=5, batch_norm=True, **FEW
    ),
    "ensemble": AutoencoderEnsembleOutlierDetector(3, **FEW),
}


@pytest.fixture(scope="module", params=DETECTORS)
def fitted(request):
    return DETECTORS[request.param].fit(X)


class ByKeras:
    """The same network with Keras as its engine."""

    dtype = np.float32

    def __init__(self, network):
        self.n_members = network.n_members
        parts = (network.blueprint, network.layout, network.weights)
        self.forward = keras_engine.forward(*parts)


def fitted_scorer(model, error):
    scorer = Scorer(model, error)
    scorer.fit(X, random=np.random.RandomState(0))
    return scorer


class TestComputesWhatKerasDoes:
    def test_scores_for_each_error(self, fitted):
        assert isinstance(fitted._network.forward.engine, numpy_engine.Forward)
        errors = ["mse", "mae", "msle", "standardized", "mahalanobis", "combined"]
        if getattr(fitted, "architecture", None) == "vae":
            errors.append("reconstruction_probability")
        for error in errors:
            scores = fitted_scorer(fitted._network, error).row_errors(X)
            expected = fitted_scorer(ByKeras(fitted._network), error).row_errors(X)
            # The learned errors divide by small residuals, or standardize codes, which magnifies
            # what is rounded.
            tolerance = 1e-5 if error in ("mse", "mae", "msle") else 1e-4
            np.testing.assert_allclose(
                scores, expected, rtol=0, atol=tolerance * expected.max(), err_msg=error
            )

    def test_reconstructions_are_those_of_the_public_model(self, fitted):
        rows = X.reshape(-1, *fitted._network.layout.input_shape)
        if isinstance(fitted, AutoencoderEnsembleOutlierDetector):
            made = np.asarray(fitted.autoencoder_(np.repeat(rows[:, None], 3, axis=1)))
            expected = made.mean(axis=1)
        else:
            expected = np.asarray(fitted.autoencoder_(rows)).reshape(X.shape)
        np.testing.assert_allclose(fitted.reconstruct(X), expected, rtol=0, atol=1e-5)

    def test_codes_and_back(self, fitted):
        if not hasattr(fitted, "transform"):
            assert isinstance(fitted, AutoencoderEnsembleOutlierDetector)
            return  # each member has a latent space of its own
        rows = X.reshape(-1, *fitted._network.layout.input_shape)
        codes = fitted.transform(X)
        np.testing.assert_allclose(codes, np.asarray(fitted.encoder_(rows)), rtol=1e-4, atol=1e-5)
        back = np.asarray(fitted.decoder_(codes)).reshape(X.shape)
        np.testing.assert_allclose(fitted.inverse_transform(codes), back, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("name", sorted(set(numpy_engine.ACTIVATIONS) - {None}))
    def test_activations(self, name):
        steps = np.linspace(-30, 30, 601, dtype=np.float32)
        x = np.concatenate([steps, [-1e4, -90, 90, 1e4], np.float32(1e-3) * steps])
        x = np.stack([x, x[::-1]]).astype(np.float32)
        with np.errstate(all="ignore"):
            found = numpy_engine.ACTIVATIONS[name](x.copy())
        expected = np.asarray(keras.activations.get(name)(x))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)

    @pytest.mark.parametrize("name", ["relu", "gelu", "softmax", "selu", "sparse_plus"])
    def test_a_network_with_any_activation(self, name):
        activation = keras.activations.get(name)
        by_name, by_function = (
            AutoencoderOutlierDetector(activation=given, error="mse", **FEW).fit(X)
            for given in (name, activation)
        )
        assert numpy_engine.can_compute(by_name._network.blueprint) == (
            name in numpy_engine.ACTIVATIONS
        )
        assert not numpy_engine.can_compute(by_function._network.blueprint)
        expected = by_function.score_samples(X)
        np.testing.assert_allclose(
            by_name.score_samples(X), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
        )

    def test_rows_beyond_float32_arithmetic_are_outliers_without_a_word(self):
        fitted = DETECTORS["dense"].fit(X)
        rows = X[:3].copy()
        rows[1] = 3e38
        scores = fitted.score_samples(rows)
        assert np.isneginf(scores[1])
        np.testing.assert_array_equal(scores[[0, 2]], fitted.score_samples(X[[0, 2]]))


COMPANIES = (1, 2, 15, 16, 17, 31, 32, 33, 64, 500)


class TestAnyCompany:
    """By construction: no operation's order depends on the other rows."""

    @pytest.mark.parametrize("error", ["mse", "mae", "mahalanobis", "combined"])
    def test_batches_of_any_size(self, fitted, error):
        scorer = fitted_scorer(fitted._network, error)
        expected = scorer.row_errors(X)
        for size in COMPANIES:
            found = [scorer.row_errors(X[i : i + size]) for i in range(0, len(X), size)]
            np.testing.assert_array_equal(np.concatenate(found), expected, err_msg=str(size))

    def test_order_layout_and_dtype(self, fitted):
        expected = fitted.score_samples(X)
        order = np.random.default_rng(1).permutation(len(X))
        np.testing.assert_array_equal(fitted.score_samples(X[order]), expected[order])
        for rows in (np.asfortranarray(X), X.astype(np.float64), X[::-1].copy()[::-1]):
            np.testing.assert_array_equal(fitted.score_samples(rows), expected)

    def test_memory_that_begins_anywhere(self, fitted):
        expected = fitted.score_samples(X)
        memory = np.empty(X.size + 16, dtype=np.float32)
        for start in (1, 2, 3, 5, 11):
            rows = memory[start : start + X.size].reshape(X.shape)
            rows[...] = X
            np.testing.assert_array_equal(fitted.score_samples(rows), expected)

    def test_many_blocks_and_threads(self, fitted, monkeypatch):
        many = np.tile(X, (5, 1))
        expected = np.tile(fitted.score_samples(X), 5)
        for n_threads in (1, 3):
            monkeypatch.setenv("OMP_NUM_THREADS", str(n_threads))
            np.testing.assert_array_equal(fitted.score_samples(many), expected)

    def test_codes_and_feature_errors(self, fitted):
        for method in (fitted.feature_errors, lambda X: fitted.reconstruction_error(X, True)):
            alone = [method(row[None])[0] for row in X[:20]]
            np.testing.assert_array_equal(alone, method(X)[:20])
        if hasattr(fitted, "transform"):
            codes = fitted.transform(X)
            np.testing.assert_array_equal(
                [fitted.transform(row[None])[0] for row in X[:20]], codes[:20]
            )

    def test_windows(self):
        inner = AutoencoderOutlierDetector(**FEW)
        series = np.sin(np.arange(900) / 7)[:, None]
        fitted = WindowedOutlierDetector(inner, width=20).fit(series)
        scores = fitted.score_samples(series)
        part = fitted.score_samples(series[:333])
        # The last steps of the part lie in fewer windows.
        np.testing.assert_array_equal(part[: 333 - 19], scores[: 333 - 19])


SCORE_ONE = """
import sys, joblib
detector = joblib.load("detector.joblib")
X = joblib.load("X.joblib")
row = X[:{n_rows}]
scores = detector.score_samples(row)
detector.predict(row), detector.decision_function(row)
heavy = [name for name in ("keras", "tensorflow") if name in sys.modules]
print(heavy, scores.tobytes().hex())
"""

SERVED = {
    "single": AutoencoderOutlierDetector(**FEW),
    "ensemble": AutoencoderEnsembleOutlierDetector(2, **FEW),
    "vae": AutoencoderOutlierDetector("vae", **FEW),
    "mahalanobis": AutoencoderOutlierDetector(error="mahalanobis", **FEW),
    "windowed": WindowedOutlierDetector(AutoencoderOutlierDetector(**FEW), width=4),
    "conformal": ConformalOutlierDetector(AutoencoderOutlierDetector(**FEW), random_state=0),
    "thresholded": ThresholdedOutlierDetector(AutoencoderOutlierDetector(**FEW), "quantile"),
    "pca": ReconstructionOutlierDetector(PCA(2)),
}


@pytest.mark.parametrize("name", SERVED)
def test_a_process_that_only_scores_loads_no_tensorflow(name, tmp_path):
    pipeline = make_pipeline(MinMaxScaler(), SERVED[name])
    n_rows = 50 if name == "windowed" else 1
    detector = FitOnInliers(pipeline).fit(X.astype(np.float64))
    joblib.dump(detector, tmp_path / "detector.joblib")
    joblib.dump(X.astype(np.float64), tmp_path / "X.joblib")
    code = SCORE_ONE.format(n_rows=n_rows)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    heavy, scores = done.stdout.strip().split("] ")
    assert heavy == "["
    expected = detector.score_samples(X[:n_rows].astype(np.float64))
    assert scores == expected.tobytes().hex()


def test_meta_estimators_offer_over_a_pipeline_what_they_offer_over_a_detector():
    alone = FitOnInliers(AutoencoderOutlierDetector(**FEW))
    scaler = MinMaxScaler().fit(X)
    alone.fit(scaler.transform(X))
    over = FitOnInliers(make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(**FEW))).fit(X)
    scaled = scaler.transform(X)
    np.testing.assert_array_equal(
        over.reconstruction_error(X, per_feature=True),
        alone.reconstruction_error(scaled, per_feature=True),
    )
    np.testing.assert_allclose(
        over.reconstruct(X), scaler.inverse_transform(alone.reconstruct(scaled)), rtol=1e-6
    )
    np.testing.assert_array_equal(over.transform(X), alone.transform(scaled))
    assert over.offset_ == alone.offset_
    members = FitOnInliers(
        make_pipeline(MinMaxScaler(), AutoencoderEnsembleOutlierDetector(2, **FEW))
    ).fit(X)
    np.testing.assert_allclose(members.member_scores(X).mean(axis=1), members.score_samples(X))
    assert not hasattr(over, "member_scores")


def test_forest_has_no_reconstruction_to_offer():
    fitted = FitOnInliers(make_pipeline(MinMaxScaler(), IsolationForest(n_estimators=5))).fit(X)
    assert not hasattr(fitted, "reconstruct")


LARGE = {
    "dense": (AutoencoderOutlierDetector(hidden_layer_sizes=(512,), **FEW), 1000),
    "conv1d": (AutoencoderOutlierDetector("conv1d", **FEW), 1000),
    "lstm": (
        AutoencoderOutlierDetector("lstm", hidden_layer_sizes=64, input_shape=(100, 3), **FEW),
        300,
    ),
    "ensemble": (AutoencoderEnsembleOutlierDetector(2, hidden_layer_sizes=(300,), **FEW), 1200),
    "mahalanobis": (AutoencoderOutlierDetector(error="mahalanobis", **FEW), 400),
    "wide": (AutoencoderOutlierDetector(**FEW), 20_001),
}


@pytest.mark.parametrize(("detector", "n_features"), LARGE.values(), ids=LARGE)
def test_the_number_of_threads_moves_no_bit_of_large_layers(detector, n_features):
    rows = np.random.default_rng(0).random((20, n_features), dtype=np.float32)
    detector.set_params(epochs=1).fit(rows)
    found = []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads):
            found.append(detector.score_samples(rows))
    alone = [detector.score_samples(row[None])[0] for row in rows]
    np.testing.assert_array_equal(found, [alone] * 3)


class TestMetasOfferTheSame:
    @pytest.mark.parametrize("way", ["frozen", "nested", "searched", "meta in meta"])
    def test_over_any_nesting(self, way):
        scaled = MinMaxScaler().fit(X).transform(X)
        pipeline = make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(**FEW)).fit(X)
        plain = pipeline[-1]
        if way == "frozen":
            over = ThresholdedOutlierDetector(FrozenEstimator(pipeline)).fit(X)
        elif way == "nested":
            over = FitOnInliers(make_pipeline("passthrough", clone(pipeline))).fit(X)
        elif way == "searched":
            folds = [(np.arange(len(X)), np.arange(50))]
            grid = {"autoencoderoutlierdetector__latent_dim": [6]}
            score = lambda estimator, X, y=None: 0.0  # noqa: E731
            search = GridSearchCV(clone(pipeline), grid, scoring=score, cv=folds)
            over = FitOnInliers(search).fit(X)
        else:
            over = FitOnInliers(ThresholdedOutlierDetector(clone(pipeline))).fit(X)
        np.testing.assert_array_equal(
            over.reconstruction_error(X), plain.reconstruction_error(scaled)
        )
        np.testing.assert_allclose(
            over.reconstruct(X),
            pipeline[0].inverse_transform(plain.reconstruct(scaled)),
            rtol=1e-6,
            atol=1e-7,
        )
        assert over.history_ == plain.history_
        assert np.isfinite(over.offset_)

    def test_no_reconstruction_in_other_units_than_said(self):
        steps = FunctionTransformer(np.exp), AutoencoderOutlierDetector(**FEW)
        over = FitOnInliers(make_pipeline(*steps)).fit(X)
        assert over.reconstruction_error(X).shape == (len(X),)
        with pytest.raises(ValueError, match="cannot be inverted"):
            over.reconstruct(X)

    def test_numbers_of_numpy(self):
        params = {"latent_dim": np.int64(2), "l2": np.float32(0.1), "dropout": np.float64(0.1)}
        params |= {"learning_rate": np.float32(0.01), "architecture": "conv1d"}
        params |= {"architecture_params": {"kernel_size": np.int64(3), "strides": np.int64(2)}}
        fitted = AutoencoderOutlierDetector(**{**FEW, **params}).fit(X)
        assert fitted.transform(X).shape == (len(X), 2)

    def test_float32_frames_keep_their_dtype(self):
        frame = pd.DataFrame(X, columns=[f"f{number}" for number in range(X.shape[1])])
        fitted = AutoencoderOutlierDetector(**FEW).fit(frame)
        assert fitted.transform(frame).dtype == np.float32
        codes = fitted.transform(frame.astype(np.float64))
        assert codes.dtype == np.float64
        assert fitted.inverse_transform(codes).dtype == np.float64
