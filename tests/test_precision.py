"""Rows that vary by less than single precision can hold, or not at all."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)

GENERATOR = np.random.default_rng(0)
CODES = GENERATOR.normal(size=(300, 2))
# Of two dimensions but for a little noise.
X = CODES @ GENERATOR.normal(size=(2, 5)) + 0.05 * GENERATOR.normal(size=(300, 5))
OUTLIERS = 2 * GENERATOR.normal(size=(20, 5))
LOST = r"{}.*float32.*StandardScaler"


def network(**params):
    return AutoencoderOutlierDetector(epochs=2, random_state=0, **params)


def warnings_of(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in caught if "float32" in str(warning.message)]


@pytest.mark.filterwarnings("ignore:The network reconstructs", "ignore:The latent layer")
class TestLost:
    @pytest.mark.parametrize(
        "rows",
        [
            X + 1.7e9,  # seconds
            X * 1e2 + 2e9,  # a counter
            X * 10 + 5.4e6,  # a northing in meters
            101_325 + X * 1e-2,  # pascals
            1e-3 * X - 1e5,
            (1e8 + X * 10).astype(np.int64),
            1 + X * 1e-8,  # small, as MaxAbsScaler leaves seconds
        ],
        ids=["s", "counter", "meters", "pascals", "negative", "int64", "ratio"],
    )
    def test_kinds_of_columns(self, rows):
        with pytest.warns(ConvergenceWarning, match=LOST.format("features 0, 1, 2, 3, 4 ")):
            network().fit(rows)

    @pytest.mark.parametrize(
        "detector",
        [
            network(error="standardized"),
            network(error="mahalanobis"),
            network(loss="mae", validation_fraction=0.2),
            network(noise=0.0, contamination=0.1),
            AutoencoderEnsembleOutlierDetector(2, epochs=2, random_state=0),
            FitOnInliers(network()),
            ThresholdedOutlierDetector(network(), "quantile"),
            ConformalOutlierDetector(network(), random_state=0),
            WindowedOutlierDetector(network(), width=3),
            make_pipeline("passthrough", network()),
            make_pipeline(MinMaxScaler((1e6, 1e6 + 1)), network()),
        ],
        ids=lambda detector: type(detector).__name__,
    )
    def test_through_every_detector(self, detector):
        with pytest.warns(ConvergenceWarning, match=LOST.format("sees little or nothing")):
            detector.fit(X + 1.7e9)

    def test_only_the_lost_columns_are_named(self):
        table = pd.DataFrame(X, columns=list("abcde")).assign(time=1.7e9 + X[:, 0])
        with pytest.warns(ConvergenceWarning, match=LOST.format("in feature 'time' a network")):
            network().fit(table)

    def test_at_most_a_handful_is_named(self):
        with pytest.warns(ConvergenceWarning, match=r"features 0, 1, 2, 3, 4 and 3 more a network"):
            network().fit(1.7e9 + np.hstack([X, X[:, :3]]))

    @pytest.mark.parametrize("dtype", [np.float64, np.int64])
    def test_on_disk(self, tmp_path, dtype):
        rows = np.memmap(tmp_path / "rows", dtype=dtype, mode="w+", shape=X.shape)
        rows[:] = X + 1.7e9
        with pytest.warns(ConvergenceWarning, match=LOST.format("features 0")):
            network().fit(rows, X_val=rows[:50])

    def test_a_list(self):
        with pytest.warns(ConvergenceWarning, match=LOST.format("features 0")):
            network().fit((X + 1.7e9).tolist())

    def test_a_network_that_is_trained_already(self):
        model = network().fit(X).autoencoder_
        with pytest.warns(ConvergenceWarning, match=LOST.format("features 0")):
            ReconstructionOutlierDetector(model).fit(X + 1.7e9)

    def test_the_advice_finds_the_outliers(self):
        detector = AutoencoderOutlierDetector(latent_dim=2, epochs=100, random_state=0)
        advised = make_pipeline(StandardScaler(), detector)
        assert warnings_of(lambda: advised.fit(X + 1.7e9)) == []
        errors = -advised.score_samples(np.vstack([X, OUTLIERS]) + 1.7e9)
        assert np.median(errors[300:]) > np.quantile(errors[:300], 0.99)


@pytest.mark.filterwarnings("ignore:The network reconstructs", "ignore:The latent layer")
@pytest.mark.parametrize(
    "rows",
    [
        X,
        X * 1e6,
        X * 1e-6,
        X + 10,
        X.astype(np.float32),
        np.round(X * 3),
        np.hstack([X, np.full((300, 1), 1.7e9)]),  # a constant is not lost
        np.hstack([X, np.full((300, 1), 1e9 / 3) * (1 + 1e-16 * X[:, :1])]),
        np.hstack([X, np.eye(300)[:, :1]]),
        np.random.default_rng(0).integers(0, 1000, size=(300, 3)),
    ],
)
def test_nothing_is_said_where_nothing_is_lost(rows):
    assert warnings_of(lambda: network().fit(rows)) == []


@pytest.mark.filterwarnings("ignore:The network reconstructs", "ignore:The latent layer")
class TestConstant:
    @pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1.7e9])
    def test_equal_rows(self, value):
        for rows in (np.full((50, 3), value), np.tile([value, 1, 2], (50, 1))):
            with pytest.warns(ConvergenceWarning, match="All training rows are equal"):
                network().fit(rows)

    def test_through_an_ensemble_and_a_scaler(self):
        ensemble = AutoencoderEnsembleOutlierDetector(2, epochs=2, random_state=0)
        with pytest.warns(ConvergenceWarning, match="All training rows are equal"):
            make_pipeline(StandardScaler(), ensemble).fit(np.full((50, 3), 5.0))

    def test_rows_that_differ_between_those_looked_at(self):
        rows = np.zeros((10_000, 2))
        rows[1] = 1
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="All training rows")
            network(batch_size=2000).fit(rows)
