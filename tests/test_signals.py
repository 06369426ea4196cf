"""Detectors of signals: convolutional and variational networks, rows of several channels."""

import pickle
import re

import keras
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import skae
import skae.layers
from skae import AutoencoderOutlierDetector, FitOnInliers
from skae._engines.keras.trainer import Trainer
from skae.metrics import anomaly_scorer

# Most of these trainings are too short to learn much.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = ["conv1d", "vae"]


def detector(architecture, **params):
    quick = {"epochs": 10, "batch_size": 16, "learning_rate": 0.005, "random_state": 0}
    return AutoencoderOutlierDetector(architecture, **quick | params)


@pytest.fixture(scope="module")
def normal(heartbeats):
    X, y = heartbeats
    return X[y == 1]


@pytest.fixture(scope="module", params=KINDS)
def fitted(request, normal):
    return detector(request.param).fit(normal)


class TestBoth:
    def test_find_the_abnormal_beats(self, fitted, heartbeats):
        X, y = heartbeats
        assert roc_auc_score(y, fitted.score_samples(X)) > 0.9

    def test_codes_decode_to_the_reconstruction(self, fitted, normal):
        codes = fitted.transform(normal)
        assert codes.shape == (len(normal), 6)
        np.testing.assert_array_equal(fitted.inverse_transform(codes), fitted.reconstruct(normal))

    def test_pickles_score_the_same(self, fitted, normal):
        content = pickle.dumps(fitted)
        loaded = pickle.loads(content)
        np.testing.assert_array_equal(loaded.score_samples(normal), fitted.score_samples(normal))
        assert pickle.dumps(fitted) == content

    def test_the_saved_model_loads(self, fitted, normal, tmp_path):
        fitted.autoencoder_.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        shaped = normal.reshape(-1, *fitted.autoencoder_.input_shape[1:])
        made = np.asarray(loaded(shaped)).reshape(normal.shape)
        np.testing.assert_allclose(made, fitted.reconstruct(normal), atol=1e-6)

    @pytest.mark.parametrize("architecture", KINDS)
    def test_the_same_seed_gives_the_same_scores(self, architecture, normal):
        first, second = (detector(architecture, epochs=3).fit(normal) for _ in range(2))
        np.testing.assert_array_equal(first.score_samples(normal), second.score_samples(normal))
        skae.clear_cache()
        third = detector(architecture, epochs=3).fit(normal)
        np.testing.assert_array_equal(first.score_samples(normal), third.score_samples(normal))

    @pytest.mark.parametrize("architecture", KINDS)
    def test_a_search_traces_once_for_each_shape(self, architecture, heartbeats, monkeypatch):
        made = []
        make = Trainer.__init__

        def counting(self, *args):
            made.append(args)
            make(self, *args)

        monkeypatch.setattr(Trainer, "__init__", counting)
        skae.clear_cache()
        search = GridSearchCV(
            FitOnInliers(make_pipeline(MinMaxScaler(), detector(architecture))),
            {"estimator__autoencoderoutlierdetector__latent_dim": [2, 4]},
            scoring=anomaly_scorer("roc_auc"),
            cv=3,
        ).fit(*heartbeats)
        assert search.best_score_ > 0.9
        assert len(made) == 2

    @pytest.mark.parametrize("architecture", KINDS)
    @pytest.mark.parametrize("trim_fraction", [0.0, 0.25])
    def test_weights_and_channels(self, architecture, trim_fraction, normal):
        params = {"input_shape": (70, 2), "trim_fraction": trim_fraction, "batch_size": 64}
        doubled = np.concatenate([normal, normal[:40]])
        weight = np.ones(len(doubled))
        weight[-40:] = 0
        plain = detector(architecture, **params).fit(normal)
        weighted = detector(architecture, **params).fit(doubled, sample_weight=weight)
        assert plain.autoencoder_.input_shape == (None, 70, 2)
        assert weighted.reconstruction_error(normal).mean() == pytest.approx(
            plain.reconstruction_error(normal).mean(), rel=0.5
        )


class TestConv1d:
    def test_a_row_has_one_channel_unless_said_otherwise(self, normal):
        network = detector("conv1d", epochs=1).fit(normal).autoencoder_
        assert network.input_shape == network.output_shape == (None, 140, 1)

    def test_fewer_weights_than_dense(self, normal):
        conv1d, dense = (
            detector(name, epochs=1).fit(normal).autoencoder_.count_params()
            for name in ("conv1d", "dense")
        )
        assert conv1d < dense / 2

    def test_its_own_parameters(self, normal):
        params = {"hidden_layer_sizes": (4,), "architecture_params": {"kernel_size": 5}}
        network = detector("conv1d", epochs=1, **params).fit(normal)
        kernels = [weight.shape for weight in network.encoder_.get_weights()]
        assert kernels[0] == (5, 1, 4)

    @pytest.mark.parametrize(
        ("params", "error", "message"),
        [
            ({"input_shape": (140,)}, ValueError, r"sees a row as \(n_steps, n_channels\)"),
            ({"input_shape": (70, 3)}, ValueError, "stands for 210 values per row, but X has 140"),
            ({"architecture_params": {"kernel": 3}}, ValueError, re.escape("'kernel_size', 'str")),
            ({"architecture_params": {"kernel_size": 0}}, ValueError, "kernel_size == 0, must be"),
            ({"architecture_params": {"strides": 1.5}}, TypeError, "strides must be an instance"),
            ({"architecture_params": {"strides": [2]}}, TypeError, "strides must be a number"),
        ],
    )
    def test_unfit_parameters(self, params, error, message, normal):
        with pytest.raises(error, match=message):
            detector("conv1d", **params).fit(normal)


class TestVariational:
    def test_the_loss_has_the_divergence_and_it_holds_the_codes_together(self, normal):
        spreads, losses = [], []
        for beta in (0.0, 0.03):
            params = {"architecture_params": {"beta": beta}, "metrics": ["mse"], "epochs": 40}
            network = detector("vae", **params).fit(normal)
            spreads.append(network.transform(normal).std())
            losses.append(network.history_["loss"][-1] - network.history_["mse"][-1])
        assert losses[0] == pytest.approx(0, abs=1e-8)
        assert losses[1] > 0
        assert spreads[1] < spreads[0]

    @pytest.mark.parametrize("scaler", [MinMaxScaler(), StandardScaler()])
    def test_one_beta_serves_data_on_any_scale(self, scaler, normal):
        codes = detector("vae", latent_dim=2, epochs=30).fit_transform(scaler.fit_transform(normal))
        assert np.all(codes.std(axis=0) > 0.3)

    def test_too_large_a_beta_is_told(self, normal):
        with pytest.warns(ConvergenceWarning):
            detector("vae", architecture_params={"beta": 100.0}).fit(normal)

    def test_reconstruction_probability_averages_over_codes_drawn(self, normal, heartbeats):
        X, y = heartbeats
        network = detector("vae", error="reconstruction_probability", epochs=20).fit(normal)
        plain = detector("vae", error="standardized", epochs=20).fit(normal)
        scores = network.score_samples(X)
        assert roc_auc_score(y, scores) > 0.9
        np.testing.assert_array_equal(network.score_samples(X), scores)
        np.testing.assert_array_equal(network.score_samples(X[7:8]), scores[7:8])
        np.testing.assert_allclose(
            network.reconstruction_error(X, per_feature=True).mean(axis=1), -scores
        )
        # The errors of the rows that they were learned from are one on average.
        assert network.reconstruction_error(normal).mean() == pytest.approx(1, rel=0.02)
        assert np.any(scores != plain.score_samples(X))
        loaded = pickle.loads(pickle.dumps(network))
        np.testing.assert_array_equal(loaded.score_samples(X), scores)

    def test_reconstruction_probability_is_for_it_only(self, normal):
        with pytest.raises(ValueError, match="needs architecture='vae'.*got architecture='dense'"):
            detector("dense", error="reconstruction_probability").fit(normal)

    @pytest.mark.parametrize("beta", [-1.0, "large", np.nan])
    def test_unfit_beta(self, beta, normal):
        with pytest.raises((ValueError, TypeError), match="beta"):
            detector("vae", architecture_params={"beta": beta}).fit(normal)

    def test_recurrent_layers_are_needed_to_see_more_than_the_last_step(self, normal):
        with pytest.raises(ValueError, match=r"last step only; got hidden_layer_sizes=\(\)"):
            detector("lstm", hidden_layer_sizes=()).fit(normal)

    def test_warm_start_does_not_go_on_with_another_architecture(self, normal):
        network = detector("dense", warm_start=True).fit(normal)
        network.set_params(architecture="vae", error="reconstruction_probability")
        with pytest.raises(ValueError, match="resumes dense, but architecture='vae'"):
            network.fit(normal)
