"""The list of types to trust names all that a fitted detector consists of, and nothing else."""

import keras
import numpy as np
import pytest
import skops.io
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

import skae
from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
    thresholds,
)
from skae.preprocessing import ColumnGroupScaler, GlobalMinMaxScaler
from skae.streaming import AdaptiveConformal, QuantileReservoir, StreamingOutlierDetector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((600, 6), dtype=np.float32)
y = np.where(np.arange(600) % 10 == 0, -1, 1)


def own_network(input_shape):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(2), keras.layers.Dense(6)]
    )


def single(architecture="dense", **params):
    return AutoencoderOutlierDetector(architecture, epochs=1, random_state=0, **params)


def rules():
    """Return one of each public rule."""
    needed = {"FixedThreshold": (1.0,), "FalsePositiveRate": (0.1,)}
    names = set(thresholds.__all__) - {"ThresholdRule", "as_rule"}
    return [getattr(thresholds, name)(*needed.get(name, ())) for name in sorted(names)]


def pca():
    return ReconstructionOutlierDetector(PCA(2))


def quick(rule):
    return ThresholdedOutlierDetector(pca(), rule)


DETECTORS = {
    **{name: lambda name=name: single(name) for name in ("dense", "conv1d", "lstm", "vae")},
    **{name: lambda name=name: single(error=name) for name in ("mae", "mse", "msle")},
    **{name: lambda name=name: single(error=name) for name in ("mahalanobis", "standardized")},
    "draws": lambda: single("vae", error="reconstruction_probability"),
    "template": lambda: single(own_network((6,))),
    "optimizer": lambda: single(optimizer=keras.optimizers.Adam(0.01)),
    "ensemble": lambda: AutoencoderEnsembleOutlierDetector(2, epochs=1, random_state=0),
    "transformer": pca,
    "regressor": lambda: ReconstructionOutlierDetector(Ridge()),
    "network": lambda: ReconstructionOutlierDetector(own_network((6,))),
    "pipeline": lambda: make_pipeline(GlobalMinMaxScaler(), single()),
    "column groups": lambda: make_pipeline(ColumnGroupScaler(StandardScaler()), single()),
    "inliers": lambda: FitOnInliers(make_pipeline(StandardScaler(), single())),
    "thresholded": lambda: ThresholdedOutlierDetector(single(), "youden"),
    "averaged": lambda: AveragedOutlierDetector([("ae", single()), ("pca", pca())]),
    "conformal": lambda: ConformalOutlierDetector(single()),
    "out of bag": lambda: ConformalOutlierDetector(
        AutoencoderEnsembleOutlierDetector(3, epochs=1, random_state=0), calibration="oob"
    ),
    "windowed": lambda: WindowedOutlierDetector(single(), width=8),
    **{type(rule).__name__: lambda rule=rule: quick(rule) for rule in rules()},
}


def untrusted(detector):
    return set(skops.io.get_untrusted_types(data=skops.io.dumps(detector)))


@pytest.fixture(scope="module")
def fitted():
    """Each detector, fitted."""
    return {name: make().fit(*fitting_rows(name)) for name, make in DETECTORS.items()}


def fitting_rows(name):
    return (X[:, :1],) if name == "windowed" else (X, y)


def test_every_detector_loads(fitted):
    for name, detector in fitted.items():
        loaded = skops.io.loads(skops.io.dumps(detector), trusted=skae.TRUSTED_TYPES)
        rows = fitting_rows(name)[0]
        np.testing.assert_array_equal(loaded.score_samples(rows), detector.score_samples(rows))


def streams(detector):
    """Return a detector of each kind that has seen a chunk."""
    for threshold in (QuantileReservoir(), AdaptiveConformal()):
        stream = StreamingOutlierDetector(detector, threshold)
        stream.update(X[:50])
        yield stream
    yield single().partial_fit(X)


def test_no_name_is_missing_or_too_many(fitted):
    function = single(own_network).fit(X)
    own = f"{own_network.__module__}.own_network"
    found = set().union(*map(untrusted, [*fitted.values(), *streams(fitted["dense"])]))
    found |= untrusted(function)
    assert found - {own} == set(skae.TRUSTED_TYPES)


def test_a_function_of_the_users_is_trusted_by_name():
    data = skops.io.dumps(single(own_network).fit(X))
    own = f"{own_network.__module__}.own_network"
    with pytest.raises(UntrustedTypesFoundException, match="own_network"):
        skops.io.loads(data, trusted=skae.TRUSTED_TYPES)
    skops.io.loads(data, trusted=[*skae.TRUSTED_TYPES, own]).score_samples(X)


def test_every_name_is_that_of_a_class_where_it_is_defined():
    assert list(skae.TRUSTED_TYPES) == sorted(set(skae.TRUSTED_TYPES))
    for name in skae.TRUSTED_TYPES:
        assert name.startswith("skae.")
        module, _, class_name = name.rpartition(".")
        found = getattr(__import__(module, fromlist=[class_name]), class_name)
        assert isinstance(found, type)
        assert found.__module__ == module
