"""Graphs of ONNX give the verdicts of the detectors that they were made of."""

import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, KernelPCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae._engines import numpy as numpy_engine
from skae.onnx import to_onnx
from skae.onnx._activations import ACTIVATIONS
from skae.onnx._graph import Graph
from skae.onnx._steps import same_shape
from skae.preprocessing import ColumnGroupScaler, GlobalMinMaxScaler

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Keras turns variables into arrays as NumPy deprecates it, when a model is copied.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SHORT = {"epochs": 3, "batch_size": 32, "hidden_layer_sizes": (8,), "random_state": 0}
# Of scores, relative to the largest: rounding of float32, as any processor does it.
TOLERANCE = 1e-4


def rows(n_features=12):
    rng = np.random.default_rng(0)
    X = rng.random((200, 2)) @ rng.random((2, n_features)) + 0.1 * rng.random((200, n_features))
    X[-10:] += rng.random((10, n_features))
    return X.astype(np.float32)


X = rows()
y = np.where(np.arange(200) < 190, 1, -1)


def single(*args, **params):
    return AutoencoderOutlierDetector(*args, **SHORT | {"latent_dim": 2} | params)


def ensemble(**params):
    return AutoencoderEnsembleOutlierDetector(3, **SHORT | {"latent_dim": (2, 3)} | params)


def pca(**params):
    return ReconstructionOutlierDetector(PCA(2), random_state=0, **params)


STEPS = {"input_shape": (4, 3)}
DETECTORS = {
    "dense": single,
    "batch_norm": lambda: single(batch_norm=True),
    "vae": lambda: single("vae"),
    "draws": lambda: single("vae", error="reconstruction_probability"),
    "conv1d": lambda: single("conv1d", **STEPS, hidden_layer_sizes=(4, 8)),
    "conv1d, long strides": lambda: single(
        "conv1d", architecture_params={"kernel_size": 2, "strides": 3}, batch_norm=True
    ),
    "lstm": lambda: single("lstm", **STEPS, batch_norm=True),
    "ensemble": ensemble,
    "ensemble, mse": lambda: ensemble(error="mse"),
    **{
        name: lambda name=name: single(error=name)
        for name in ("mse", "mae", "msle", "standardized", "mahalanobis")
    },
    "PCA": pca,
    "PCA, combined": lambda: pca(error="combined", contamination=0.1),
    "pipeline inside": lambda: ReconstructionOutlierDetector(
        make_pipeline(StandardScaler(), PCA(2, whiten=True)), random_state=0
    ),
    "Ridge": lambda: ReconstructionOutlierDetector(Ridge(), contamination=0.1),
    "inliers": lambda: FitOnInliers(make_pipeline(StandardScaler(), single())),
    "forest": lambda: FitOnInliers(IsolationForest(n_estimators=10, random_state=0)),
    "thresholded": lambda: ThresholdedOutlierDetector(single(), "youden"),
    "thresholded forest": lambda: ThresholdedOutlierDetector(
        FitOnInliers(
            make_pipeline("passthrough", IsolationForest(n_estimators=10, random_state=0))
        ),
        "quantile",
    ),
    "averaged": lambda: AveragedOutlierDetector(
        [
            ("pca", pca()),
            ("forest", IsolationForest(n_estimators=10, random_state=0)),
            ("gone", "drop"),
        ]
    ),
}


def run(model, X, **kwargs):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    inputs = X if isinstance(X, dict) else {"X": X}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def same(detector, found, X):
    """Make sure that a graph has the verdicts of a detector, in the form of scikit-learn's."""
    label, scores = found["label"], found["scores"]
    assert label.shape == scores.shape == (len(X), 1)
    assert (label.dtype, scores.dtype) == (np.int64, np.float32)
    expected = detector.decision_function(X)
    tolerance = TOLERANCE * np.abs(expected).max()
    np.testing.assert_allclose(scores[:, 0], expected, atol=tolerance)
    is_clear = np.abs(expected) > tolerance
    assert is_clear.sum() > 100
    np.testing.assert_array_equal(label[is_clear, 0], detector.predict(X)[is_clear])
    assert set(label[:, 0]) == {1, -1}


@pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
def test_same_verdicts(make):
    detector = make_pipeline(MinMaxScaler(), make()).fit(X, y)
    found = run(to_onnx(detector, X[:1], score_samples=True), X)
    assert list(found) == ["label", "scores", "score_samples"]
    same(detector, found, X)
    expected = detector.score_samples(X)
    tolerance = TOLERANCE * np.abs(expected).max()
    np.testing.assert_allclose(found["score_samples"][:, 0], expected, atol=tolerance)


def with_gaps():
    gaps = X.copy()
    gaps[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    gaps[:, 0] = X[:, 0]
    return gaps


@pytest.mark.parametrize(
    "make",
    [
        single,
        ensemble,
        *(lambda name=name: single(error=name) for name in ("mae", "mahalanobis", "standardized")),
        lambda: single("vae", error="reconstruction_probability"),
        lambda: single("lstm", **STEPS),
    ],
)
def test_missing_cells(make):
    gaps = with_gaps()
    detector = make_pipeline(StandardScaler(), make()).fit(gaps)
    same(detector, run(to_onnx(detector, gaps[:1]), gaps), gaps)
    nothing = np.full((1, X.shape[1]), np.nan, dtype=np.float32)
    found = run(to_onnx(detector, gaps[:1], score_samples=True), nothing)
    assert (found["label"], found["score_samples"]) == (-1, -np.inf)


def test_infinity_is_an_outlier():
    detector = single().fit(X)
    infinite = X[:2].copy()
    infinite[0, 0] = np.inf
    found = run(to_onnx(detector, X[:1]), infinite)
    assert found["label"][0] == -1
    assert found["scores"][0] == -np.inf


def test_skl2onnx_converts_as_it_does_a_forest():
    detector = make_pipeline(StandardScaler(), pca()).fit(X)
    forest = make_pipeline(StandardScaler(), IsolationForest(n_estimators=5, random_state=0)).fit(X)
    opsets = {"": 18, "ai.onnx.ml": 3}
    options = {ReconstructionOutlierDetector: {"score_samples": True}}
    plain, of_forest, asked_for = (
        run(skl2onnx.to_onnx(pipeline, X[:1], target_opset=opsets, **kwargs), X)
        for pipeline, kwargs in ((detector, {}), (forest, {}), (detector, {"options": options}))
    )
    same(detector, plain, X)
    assert {name: (of.dtype, of.shape) for name, of in plain.items()} == {
        name: (of.dtype, of.shape) for name, of in of_forest.items()
    }
    assert list(asked_for) == ["label", "scores", "score_samples"]


@pytest.mark.parametrize("make", [pca, single])
def test_float64(make):
    detector = make_pipeline(GlobalMinMaxScaler((-1, 1)), make()).fit(X)
    wide = X.astype(np.float64)
    model = to_onnx(detector, wide[:1])
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    same(detector, run(model, wide), wide)


@pytest.mark.parametrize("direct", [True, False])
def test_columns_of_a_frame_are_inputs(direct):
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    scaler = ColumnTransformer([("some", MinMaxScaler(), list(frame.columns[:8]))])
    detector = (pca() if direct else make_pipeline(scaler, pca())).fit(frame)
    inputs = {name: frame[[name]].to_numpy() for name in frame}
    model = to_onnx(detector, frame[:1])
    named = {each.name for each in model.graph.input}
    found = run(model, {name: inputs[name] for name in named})
    same(detector, found, frame)


def test_a_frozen_detector_and_a_search_are_opened():
    frozen = ThresholdedOutlierDetector(FrozenEstimator(pca().fit(X)), "median_mad").fit(X)
    same(frozen, run(to_onnx(frozen, X[:1]), X), X)
    search = GridSearchCV(
        pca(), {"estimator__n_components": [1, 2]}, scoring=lambda *_: 0.0, cv=2
    ).fit(X)
    same(search.best_estimator_, run(to_onnx(search, X[:1]), X), X)
    thresholded = ThresholdedOutlierDetector(search, "quantile").fit(X)
    same(thresholded, run(to_onnx(thresholded, X[:1]), X), X)


def test_versions_of_the_operators():
    detector = make_pipeline(MinMaxScaler(), single("vae")).fit(X)
    model = to_onnx(detector, X[:1], target_opset=13)
    assert {of.domain: of.version for of in model.opset_import}[""] == 13
    same(detector, run(model, X), X)
    with pytest.raises(ValueError, match="target_opset must be 13 or later, got 12"):
        to_onnx(detector, X[:1], target_opset=12)


def own_network(input_shape):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(2, name="latent"), keras.layers.Dense(12)]
    )


def own_error(X, reconstruction):
    return np.abs(X - reconstruction)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: single(own_network, hidden_layer_sizes="auto", latent_dim=6), "architecture="),
        (lambda: single(error=own_error), "error=<function own_error"),
        (lambda: single(activation=keras.activations.relu), "activation=<function relu"),
        (lambda: ReconstructionOutlierDetector(own_network((12,))), "keras.Model 'sequential"),
        (lambda: pca(error=own_error), "error=<function own_error"),
        (
            lambda: ReconstructionOutlierDetector(
                KernelPCA(2, kernel="rbf", fit_inverse_transform=True)
            ),
            "KernelPCA cannot be converted",
        ),
        (lambda: FitOnInliers(single(error=own_error)), "error=<function own_error"),
    ],
)
def test_what_cannot_be_converted_is_named(make, named):
    with pytest.raises(TypeError, match=named):
        to_onnx(make().fit(X), X[:1])


@pytest.mark.parametrize("around", [lambda scaled: scaled, FitOnInliers])
def test_columns_with_text_are_refused_by_the_name_of_the_scaler(around):
    table = pd.DataFrame(X[:, :2], columns=["a", "b"]).assign(site=["Oslo", "Bern"] * (len(X) // 2))
    encoder = make_column_transformer((OneHotEncoder(), ["site"]), remainder="passthrough")
    detector = around(make_pipeline(ColumnGroupScaler(encoder), pca())).fit(table, np.ones(len(X)))
    with pytest.raises(TypeError, match="ColumnGroupScaler cannot be converted to ONNX"):
        to_onnx(detector, table[:1])


def test_another_meta_estimator_is_named():
    conformal = ConformalOutlierDetector(pca()).fit(X)
    with pytest.raises(Exception, match="ConformalOutlierDetector"):
        to_onnx(conformal, X[:1])


def test_bad_input():
    with pytest.raises(NotFittedError):
        to_onnx(single(), X[:1])
    with pytest.raises(ValueError, match="2-D; got shape"):
        to_onnx(pca().fit(X), X[0])


def test_without_the_packages_the_import_says_what_to_install():
    code = "import sys; sys.modules['skl2onnx'] = None; import skae.onnx"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install skae[onnx]" in done.stderr.splitlines()[-1]


class Activation(TransformerMixin, BaseEstimator):
    def __init__(self, name=None):
        self.name = name

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self


def convert_activation(scope, operator, container):
    graph = Graph(scope, container)
    activate = ACTIVATIONS[operator.raw_operator.name]
    value = activate(graph, operator.inputs[0].full_name)
    graph("Identity", value, output=operator.outputs[0].full_name)


def test_there_is_each_activation_of_the_other_engine():
    assert set(ACTIVATIONS) == set(numpy_engine.ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_the_other_engine(name):
    skl2onnx.update_registered_converter(Activation, "Activation", same_shape, convert_activation)
    values = np.linspace(-30, 30, 1203, dtype=np.float32).reshape(-1, 3)
    (found,) = run(skl2onnx.to_onnx(Activation(name).fit(values), values[:1]), values).values()
    expected = numpy_engine.ACTIVATIONS[name](values.copy())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
