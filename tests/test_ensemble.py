"""The ensemble: its members, what it makes of their errors, and all that a detector can do."""

import copy
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae._detectors.calibration
import skae._detectors.trained
import skae._engines.keras.forward
import skae._engines.keras.trainer
from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    FitOnInliers,
)
from skae._detectors.trained import Extent, TrainingData
from skae._engines.keras.architectures.dense_members import build
from skae._engines.keras.losses import trimmed
from skae._engines.keras.trainer import Trainer
from skae._engines.options import Layout, Sizes
from skae._network import feeding
from skae._network.feeding import Feed
from skae.inspection import explain
from skae.metrics import anomaly_scorer
from skae.model_selection import StratifiedOutlierKFold

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

T = np.random.default_rng(0).random((400, 1), dtype=np.float32)
X = np.hstack([T, T**2, 1 - T, np.sqrt(T), T * (1 - T)])
OUTLIERS = np.random.default_rng(1).random((40, 5), dtype=np.float32)
SIZES = {"hidden_layer_sizes": (8,), "latent_dim": 2, "learning_rate": 0.02, "random_state": 0}
ARCHITECTURE = {
    "hidden_layer_sizes": (40,),
    "latent_dim": 20,
    "activation": "relu",
    "latent_activation": "linear",
    "output_activation": "linear",
    "dropout": 0.0,
    "batch_norm": False,
    "latent_l1": 0.0,
}


def build_members(n_features, n_members, seed, l2=0.0):
    return build(Layout((n_features,), n_members), Sizes(l2=l2, **ARCHITECTURE), seed=seed)


def detector(n_estimators=3, **params):
    return AutoencoderEnsembleOutlierDetector(n_estimators, **SIZES | {"epochs": 3} | params)


def single(**params):
    return AutoencoderOutlierDetector(**SIZES | {"epochs": 3} | params)


def members_make(fitted, rows=X):
    """Return what the public model makes of rows, with the members as first axis."""
    given = np.repeat(rows[:, None], fitted.n_estimators, axis=1)
    return np.moveaxis(np.asarray(fitted.autoencoder_(given)), 1, 0)


@pytest.fixture(scope="module")
def fitted():
    return detector(epochs=20).fit(X)


@pytest.fixture(
    scope="module", params=["mse", "mae", "msle", "callable", "standardized", "mahalanobis"]
)
def measured(request):
    error = (lambda X, R: np.abs(X - R) ** 3) if request.param == "callable" else request.param
    return detector(error=error, threshold="mean_std").fit(X)


@pytest.fixture
def traces(monkeypatch):
    """Collect the signatures of all graphs that are traced."""
    made = []
    compiled = skae._engines.keras.trainer.compiled

    def counting(function, *signature):
        made.append(signature)
        return compiled(function, *signature)

    for module in (skae._engines.keras.trainer, skae._engines.keras.forward):
        monkeypatch.setattr(module, "compiled", counting)
    return made


class TestScores:
    def test_score_is_the_mean_of_the_members(self, measured):
        scores = measured.score_samples(X)
        assert scores.dtype == np.float64
        assert measured.member_scores(X).shape == (400, 3)
        np.testing.assert_allclose(measured.member_scores(X).mean(axis=1), scores, rtol=1e-10)

    def test_errors_of_the_features_average_to_the_error_of_the_row(self, measured):
        each = measured.reconstruction_error(X, per_feature=True)
        assert each.shape == X.shape
        np.testing.assert_allclose(each.mean(axis=1), measured.reconstruction_error(X), rtol=1e-5)
        np.testing.assert_allclose(measured.feature_errors_, each.mean(axis=0), rtol=1e-5)

    def test_members_have_the_same_mean_error(self, measured):
        usual = -measured.member_scores(X).mean(axis=0)
        np.testing.assert_allclose(usual, usual.mean(), rtol=1e-4)
        # Common to all is the scale that they have on average.
        assert (usual / measured.member_weights_).mean() == pytest.approx(usual.mean(), rel=1e-4)

    def test_prediction_is_the_sign_of_score_less_offset(self, measured):
        decision = measured.decision_function(X)
        np.testing.assert_array_equal(decision, measured.score_samples(X) - measured.offset_)
        np.testing.assert_array_equal(measured.predict(X), np.where(decision < 0, -1, 1))

    @pytest.mark.parametrize(("error", "power"), [("mse", 2), ("mae", 1)])
    def test_a_member_s_score_is_its_error_times_its_weight(self, error, power):
        fitted = detector(error=error).fit(X)
        errors = (np.abs(X - members_make(fitted)) ** power).mean(axis=2).T
        assert np.ptp(fitted.member_weights_) > 0.01
        np.testing.assert_allclose(
            -fitted.member_scores(X), errors * fitted.member_weights_, rtol=1e-4, atol=1e-9
        )

    def test_residual_errors_know_each_member_s_own_residuals(self):
        fitted = detector(error="standardized", threshold="mean_std").fit(X)
        residuals = X - members_make(fitted).astype(np.float64)
        squares = (residuals**2).mean(axis=1, keepdims=True)
        errors = residuals**2 / (squares + 1e-3 * squares.mean(axis=2, keepdims=True))
        np.testing.assert_allclose(
            -fitted.member_scores(X), errors.mean(2).T * fitted.member_weights_, rtol=1e-3
        )

    def test_weights_come_from_the_rows_that_set_the_offset(self, monkeypatch):
        drawn = []

        def spy(*args):
            drawn.append(skae._detectors.calibration.drawn(*args))
            return drawn[0]

        monkeypatch.setattr(skae._detectors.trained, "drawn", spy)
        fitted = detector(validation_fraction=0.25).fit(X)
        rows = drawn[0].held_out
        assert len(rows) == 100
        on_held_out = fitted.member_scores(X[rows]).mean(axis=0)
        np.testing.assert_allclose(on_held_out, on_held_out.mean(), rtol=1e-4)
        assert np.ptp(fitted.member_scores(X).mean(axis=0)) > 0

    @pytest.mark.parametrize("error", ["combined", "mse"])
    def test_weights_come_from_the_rows_that_a_member_left_out(self, error):
        fitted = detector(error=error).fit(X)
        usual = [
            np.delete(member, rows).mean()
            for member, rows in zip(
                fitted.member_scores(X).T, fitted.estimators_samples_, strict=True
            )
        ]
        np.testing.assert_allclose(usual, usual[0], rtol=1e-4)
        assert np.ptp(fitted.member_scores(X).mean(axis=0)) > 1e-3 * np.abs(usual[0])

    def test_another_error_counts_from_the_next_fit_on(self):
        fitted = detector().fit(X)
        before = fitted.score_samples(X)
        for error in ("mae", "mahalanobis"):
            fitted.set_params(error=error)
            np.testing.assert_array_equal(fitted.score_samples(X), before)
        expected = detector(error="mahalanobis").fit(X)
        np.testing.assert_array_equal(fitted.fit(X).score_samples(X), expected.score_samples(X))
        assert fitted.offset_ == expected.offset_

    def test_reconstruction_is_the_mean_of_the_members(self, fitted):
        reconstruction = fitted.reconstruct(X)
        assert reconstruction.shape == X.shape
        np.testing.assert_allclose(reconstruction, members_make(fitted).mean(axis=0), atol=1e-6)

    def test_finds_and_explains_outliers(self, fitted):
        y = np.repeat([1, -1], [400, 40])
        assert roc_auc_score(y, fitted.score_samples(np.vstack([X, OUTLIERS]))) > 0.9
        wrong = X[:1].copy()
        wrong[0, 4] += 2
        explanation = explain(fitted, wrong, top=None)
        assert explanation.loc[0, "feature"] == 4
        assert explanation["contribution"].sum() == pytest.approx(-fitted.score_samples(wrong)[0])

    def test_contamination_is_a_quantile_of_the_scores(self):
        assert (detector(contamination=0.1).fit_predict(X) == -1).mean() == pytest.approx(0.1)


class TestMembers:
    def test_differ_by_weights_and_scores(self, fitted):
        for weight in fitted.autoencoder_.get_weights():
            assert not np.array_equal(weight[0], weight[1])
            assert not np.array_equal(weight[1], weight[2])
        correlations = np.corrcoef(fitted.member_scores(X).T)[np.triu_indices(3, 1)]
        assert np.all(correlations < 0.999)

    def test_see_the_rows_in_orders_of_their_own(self):
        orders = Feed(X, Layout((5,), 3)).shuffled(np.random.default_rng(0), 400)
        assert orders.shape == (400, 3)
        np.testing.assert_array_equal(np.sort(orders, axis=0), np.arange(400)[:, None] + [0, 0, 0])
        assert (orders[:, 0] == orders[:, 1]).mean() < 0.05
        assert (orders[:, 1] == orders[:, 2]).mean() < 0.05

    def test_start_as_single_networks_do(self):
        model = build_members(50, 4, seed=0)
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                limit = np.sqrt(6 / sum(layer.kernel.shape[1:]))
                largest = np.abs(layer.kernel).max(axis=(1, 2))
                assert np.all((largest > 0.95 * limit) & (largest <= limit))
                assert not np.any(layer.bias)

    def test_penalty_is_the_mean_of_the_members_own(self):
        model = build_members(50, 4, seed=0, l2=0.1)
        kernels = [weight for weight in model.get_weights() if weight.ndim == 3]
        own = [0.1 * sum((kernel[member] ** 2).sum() for kernel in kernels) for member in range(4)]
        assert sum(float(loss) for loss in model.losses) == pytest.approx(np.mean(own))

    @pytest.mark.parametrize("params", [{}, {"l2": 1e-3}], ids=["plain", "l2"])
    def test_one_trains_as_a_single_network(self, params):
        alone = single(epochs=30, **params).fit(X)
        ensemble = detector(1, epochs=30, batch_size=128, **params).fit(X)
        np.testing.assert_allclose(
            ensemble.history_["loss"], alone.history_["loss"], rtol=0.02, atol=1e-5
        )
        assert ensemble.offset_ == pytest.approx(alone.offset_, rel=0.05)
        np.testing.assert_array_equal(ensemble.member_weights_, [1])

    def test_several_train_as_well_as_single_networks(self):
        params = {"epochs": 20, "loss": "mse", "threshold": "mean_std"}
        fitted = detector(**params).fit(X)
        alone = [single(random_state=seed, **params).fit(X) for seed in range(1, 9)]
        losses = [one.history_["loss"][-1] for one in alone]
        assert 0.9 * min(losses) < fitted.history_["loss"][-1] < max(losses)

    @pytest.mark.parametrize("loss", ["auto", "mse"])
    @pytest.mark.parametrize(
        ("params", "weighted"),
        [
            ({}, False),
            ({"l2": 0.01, "trim_fraction": 0.25}, True),
            ({"trim_fraction": (0.5, 0.25)}, False),
        ],
        ids=["plain", "penalized-trimmed-weighted", "trimmed otherwise"],
    )
    def test_do_not_feel_each_other(self, loss, params, weighted):
        # The gradient is half as large for one member of two, which Adam does not notice but for
        # its epsilon.
        adam = keras.optimizers.Adam(epsilon=1e-30)
        params = {"noise": 0.0, "optimizer": adam, "loss": loss, **params}
        together, alone = (
            build_members(5, n_members, seed=1, l2=params.get("l2", 0.0)) for n_members in (2, 1)
        )
        initial = together.get_weights()
        alone.set_weights([weight[1:] for weight in initial])
        rows = X[:64]
        described = TrainingData(X, None, None, Extent.of(X), present=None, has_gaps=False)
        data = (rows, np.linspace(0, 1, 64, dtype=np.float32)) if weighted else (rows,)
        orders = [np.random.default_rng(0).permuted(np.arange(64)[:, None] + [0, 0], axis=0)] * 20
        for model, columns in ((together, slice(None)), (alone, slice(1, None))):
            n_members = model.input_shape[1]
            if n_members == 1 and "trim_fraction" in params:
                params["trim_fraction"] = 0.25
            fresh = detector(n_members, **params)
            options = fresh._training_options(described).resolved(64)
            trainer = Trainer(model, options, Layout((5,), n_members))
            trainer.restart(options, 20)
            trainer.bind(options, 0)
            trainer.run_epochs(data, [order[:, columns] for order in orders])
        for before, both, one in zip(
            initial, together.get_weights(), alone.get_weights(), strict=True
        ):
            assert np.abs(both[1:] - one).max() < 1e-3 * np.abs(one - before[1:]).max()

    def test_each_leaves_out_its_own_worst_rows(self):
        errors = np.array([[1.0, 5.0], [2.0, 8.0], [3.0, 7.0], [4.0, 6.0]], dtype=np.float32)
        rows = np.zeros((4, 2, 3), np.float32)
        made = np.sqrt(errors)[..., None].repeat(3, 2)
        loss = trimmed(keras.losses.MeanSquaredError(), (0.25, 0.25), (2,))
        expected = np.array([[1, 5], [2, 0], [3, 7], [0, 6]]) * 4 / 3
        np.testing.assert_allclose(loss.call(rows, made), expected, rtol=1e-5)
        # And its own share of them.
        loss = trimmed(keras.losses.MeanSquaredError(), (0.0, 0.5), (2,))
        expected = np.array([[1, 10], [2, 0], [3, 0], [4, 12]])
        np.testing.assert_allclose(loss.call(rows, made), expected, rtol=1e-5)


class TestReproducibility:
    def test_random_state(self):
        first, second = (detector().fit(X).score_samples(X) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(detector(random_state=1).fit(X).score_samples(X), first)

    def test_a_second_fit_traces_nothing_and_gives_the_same_bits(self, traces):
        first = detector().fit(X)
        scores = first.score_samples(X)
        detector(random_state=5, epochs=2, batch_size=64).fit(X[:100]).score_samples(X)
        traces.clear()
        again = detector().fit(X)
        np.testing.assert_array_equal(again.score_samples(X), scores)
        assert traces == []
        for before, after in zip(first._network.weights, again._network.weights, strict=True):
            np.testing.assert_array_equal(before, after)
        assert first.history_ == again.history_
        np.testing.assert_array_equal(first.score_samples(X), scores)
        detector(2).fit(X)
        assert traces

    def test_pickle_deepcopy_and_clone(self):
        fitted = detector(error="mahalanobis").fit(X)
        dumped = pickle.dumps(fitted)
        for again in (pickle.loads(dumped), copy.deepcopy(fitted), clone(fitted).fit(X)):
            np.testing.assert_array_equal(again.member_scores(X), fitted.member_scores(X))
            np.testing.assert_array_equal(again.reconstruct(X), fitted.reconstruct(X))
            np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
            np.testing.assert_allclose(members_make(again), members_make(fitted))
        assert pickle.dumps(fitted) == dumped
        assert clone(fitted).get_params() == fitted.get_params()
        assert not hasattr(clone(fitted), "offset_")

    def test_changing_the_public_model_changes_no_score(self):
        fitted = detector().fit(X)
        before = fitted.score_samples(X)
        fitted.autoencoder_.set_weights([0 * w for w in fitted.autoencoder_.get_weights()])
        np.testing.assert_array_equal(fitted.score_samples(X), before)

    def test_a_row_scores_alone_as_among_others(self, fitted):
        alone = np.concatenate([fitted.member_scores(row[None]) for row in X[:20]])
        np.testing.assert_allclose(alone, fitted.member_scores(X)[:20], rtol=1e-5)
        many = np.tile(X, (12, 1))
        np.testing.assert_allclose(
            fitted.member_scores(many), np.tile(fitted.member_scores(X), (12, 1)), rtol=1e-5
        )


class TestTraining:
    def test_attributes(self, fitted):
        assert fitted.n_iter_ == 20
        assert fitted.n_features_in_ == 5
        assert fitted.output_activation_ == "sigmoid"
        assert fitted.autoencoder_.input_shape == (None, 3, 5)
        assert list(fitted.history_) == ["loss"]
        assert fitted.history_["loss"][-1] < fitted.history_["loss"][0]
        assert detector(np.int64(3), hidden_layer_sizes=8).fit(X).member_weights_.shape == (3,)

    @pytest.mark.parametrize(
        "name",
        ["transform", "inverse_transform", "get_feature_names_out", "encoder_", "decoder_"],
    )
    def test_there_is_no_latent_space(self, fitted, name):
        assert not hasattr(fitted, name)

    @pytest.mark.parametrize(
        "params",
        [
            {"noise": 0.2},
            {"l2": 0.1},
            {"trim_fraction": 0.25},
            {"loss": "mae"},
            {"latent_activation": "tanh"},
            {"batch_size": 32},
            {"learning_rate": 0.01},
        ],
    )
    def test_every_parameter_does_something(self, params):
        scores = detector(**params).fit(X).score_samples(X)
        assert np.isfinite(scores).all()
        assert not np.array_equal(scores, detector().fit(X).score_samples(X))
        np.testing.assert_array_equal(detector(**params).fit(X).score_samples(X), scores)

    def test_trimming_keeps_anomalies_out_of_the_loss(self):
        both = np.vstack([X, OUTLIERS])
        params = {"epochs": 60}
        contrasts = []
        for trim_fraction in (0.0, 0.25):
            fitted = detector(trim_fraction=trim_fraction, **params).fit(both)
            errors = [fitted.reconstruction_error(rows).mean() for rows in (OUTLIERS, X)]
            contrasts.append(errors[0] / errors[1])
        assert contrasts[1] > contrasts[0]

    def test_sample_weight_counts_in_the_loss(self):
        both = np.vstack([X, OUTLIERS])
        weight = np.repeat([1.0, 0.0], [400, 40])
        plain, equal, weighted = (
            detector(epochs=20, batch_size=64).fit(both, sample_weight=given)
            for given in (None, np.ones(440), weight)
        )
        np.testing.assert_allclose(
            equal.history_["loss"], plain.history_["loss"], rtol=0.05, atol=1e-4
        )
        found = [f.reconstruction_error(OUTLIERS).mean() for f in (equal, weighted)]
        assert found[1] > found[0]

    def test_validation_rows_give_curves(self):
        beside = detector(loss="mse", metrics=["mae"]).fit(X, X_val=X)
        assert set(beside.history_) == {"loss", "mae", "val_loss", "val_mae"}
        for name, power in (("val_loss", 2), ("val_mae", 1)):
            expected = (np.abs(X - members_make(beside)) ** power).mean()
            assert beside.history_[name][-1] == pytest.approx(expected, rel=1e-4)
        alone = detector(loss="mse", metrics=["mae"]).fit(X)
        np.testing.assert_array_equal(beside.score_samples(X), alone.score_samples(X))
        with pytest.raises(ValueError, match="both give validation rows"):
            detector(validation_fraction=0.1).fit(X, X_val=X)

    def test_early_stopping_restores_the_best_weights(self):
        params = {"early_stopping": True, "n_iter_no_change": 2, "epochs": 200}
        # All rows set the scale of the members.
        params |= {"loss": "mse", "threshold": "mean_std"}
        fitted = detector(learning_rate=0.1, **params).fit(X, X_val=X)
        assert fitted.n_iter_ < 200
        best = min(fitted.history_["val_loss"])
        assert best < fitted.history_["val_loss"][-1]
        assert fitted.reconstruction_error(X).mean() == pytest.approx(best, rel=1e-4)

    def test_warm_start_goes_on(self):
        fitted = detector(warm_start=True).fit(X)
        first = fitted.history_["loss"].copy()
        fitted.fit(X)
        assert fitted.n_iter_ == 3
        assert fitted.history_["loss"][:3] == first
        assert fitted.history_["loss"][3] < first[0]
        fitted.set_params(warm_start=False).fit(X)
        assert fitted.history_["loss"] == first

    def test_warm_start_with_another_shape_is_refused(self):
        fitted = detector(warm_start=True).fit(X)
        before = fitted.score_samples(X)
        with pytest.raises(ValueError, match=r"for rows of shape \(5,\), but.*\(4,\)"):
            fitted.fit(X[:, :4])
        with pytest.raises(ValueError, match="resumes 3 autoencoders, but n_estimators=2"):
            fitted.set_params(n_estimators=2).fit(X)
        with pytest.raises(ValueError, match="with latent_dim=2, but latent_dim=3"):
            fitted.set_params(n_estimators=3, latent_dim=3).fit(X)
        np.testing.assert_array_equal(fitted.score_samples(X), before)

    def test_callbacks_are_copied_and_called(self):
        calls = []

        class Recorder(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                calls.append(("batch", batch))

            def on_epoch_end(self, epoch, logs=None):
                calls.append(("epoch", epoch, sorted(logs)))

        recorder = Recorder()
        with_listener = detector(callbacks=[recorder], epochs=2, batch_size=200).fit(X)
        epoch = [("batch", 0), ("batch", 1)]
        assert calls == [*epoch, ("epoch", 0, ["loss"]), *epoch, ("epoch", 1, ["loss"])]
        assert recorder.model is None
        no_listener = detector(epochs=2, batch_size=200).fit(X)
        np.testing.assert_allclose(
            with_listener.history_["loss"], no_listener.history_["loss"], rtol=1e-4
        )
        np.testing.assert_allclose(
            with_listener.score_samples(X), no_listener.score_samples(X), rtol=1e-2
        )

    def test_a_callback_can_change_the_learning_rate_and_stop(self):
        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 1

        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        fitted = detector(callbacks=[halve, Stop()], learning_rate=0.1, epochs=5).fit(X)
        assert fitted.history_["learning_rate"] == pytest.approx([0.05, 0.025])

    @pytest.mark.parametrize("weighted", [False, True])
    def test_chunks_from_memory_and_from_disk(self, tmp_path, monkeypatch, weighted):
        weight = np.linspace(0.5, 1, 400) if weighted else None
        params = {"epochs": 20, "loss": "mse"}
        whole = detector(**params).fit(X, sample_weight=weight)
        for name, n_rows in {
            "MAX_BYTES_AT_ONCE": 150,
            "_BYTES_PER_CHUNK": 130,
            "_BYTES_PER_BLOCK": 20,
        }.items():
            monkeypatch.setattr(feeding, name, n_rows * 20)
        array = np.memmap(tmp_path / "rows", X.dtype, "w+", shape=X.shape)
        array[:] = X
        from_memory, from_disk = (
            detector(**params).fit(rows, sample_weight=weight, X_val=rows) for rows in (X, array)
        )
        np.testing.assert_array_equal(from_memory.score_samples(X), from_disk.score_samples(array))
        assert from_memory.history_ == from_disk.history_
        assert from_memory.history_["loss"][-1] < 1.5 * whole.history_["loss"][-1]
        expected = ((X - members_make(from_memory)) ** 2).mean()
        assert from_memory.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-4)

    def test_verbose(self, capsys):
        detector(verbose=1).fit(X)
        assert "[AutoencoderEnsembleOutlierDetector] epoch 3/3 - loss 0." in capsys.readouterr().out

    def test_loss_that_turns_nan_is_an_error(self):
        with pytest.raises(ValueError, match=r"loss became (nan|inf) in epoch.*learning_rate"):
            detector(optimizer="sgd", learning_rate=1e9, epochs=50).fit(X * 1e6)


class TestAround:
    def test_fit_on_inliers_and_search(self):
        rows, y = np.vstack([X, OUTLIERS]), np.repeat([1, -1], [400, 40])
        search = GridSearchCV(
            FitOnInliers(make_pipeline(MinMaxScaler(), detector(epochs=10))),
            {
                "estimator__autoencoderensembleoutlierdetector__n_estimators": [2, 3],
                "estimator__autoencoderensembleoutlierdetector__error": ["mse", "standardized"],
            },
            scoring=anomaly_scorer("roc_auc"),
            cv=StratifiedOutlierKFold(n_splits=2, random_state=0),
        ).fit(rows, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.best_score_ > 0.8
        assert set(search.predict(rows)) == {1, -1}

    def test_beats_the_forest_on_real_heartbeats(self, ecg5000_split):
        X_train, X_test, y_train, y_test = ecg5000_split
        found = []
        for inner in (
            AutoencoderEnsembleOutlierDetector(epochs=15, random_state=0),
            IsolationForest(random_state=0),
        ):
            fitted = FitOnInliers(make_pipeline(MinMaxScaler(), inner)).fit(X_train, y_train)
            found.append(roc_auc_score(y_test, fitted.score_samples(X_test)))
        assert found[0] >= found[1]


class TestBadInput:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"n_estimators": 0}, "'n_estimators' parameter"),
            ({"n_estimators": 2.5}, "'n_estimators' parameter"),
            ({"n_estimators": None}, "'n_estimators' parameter"),
            ({"hidden_layer_sizes": (3, 0)}, "must be positive integers"),
            ({"latent_dim": 0}, "'latent_dim' parameter"),
            ({"trim_fraction": 0.6}, "'trim_fraction' parameter"),
            ({"l2": -1}, "'l2' parameter"),
            ({"error": "rmse"}, "'error' parameter"),
            ({"contamination": 0.1, "threshold": "iqr"}, "both set the offset"),
            ({"activation": "rellu"}, "keras.activations has nothing called 'rellu'.*'relu'"),
            ({"loss": "msee"}, "keras.losses has nothing called 'msee'"),
        ],
    )
    def test_parameters(self, params, message):
        with pytest.raises(ValueError, match=message):
            detector(**params).fit(X)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (np.full((5, 2), np.nan), "X has 5 rows without any value"),
            (np.full((5, 2), np.inf), "Input X contains infinity"),
            (np.empty((5, 0)), r"0 feature\(s\)"),
            (np.ones((1, 2)), r"1 sample\(s\).*minimum of 2"),
            (np.ones(5), "Expected 2D array"),
            (np.ones((5, 4, 2)), "X must be 2-D"),
        ],
    )
    def test_rows_of_fit(self, rows, message):
        with pytest.raises(ValueError, match=message):
            detector().fit(rows)

    @pytest.mark.parametrize("method", ["score_samples", "member_scores", "reconstruct"])
    def test_rows_to_score(self, fitted, method):
        with pytest.raises(ValueError, match="4 features, but .* expecting 5"):
            getattr(fitted, method)(X[:, :4])
        with pytest.raises(ValueError, match="contains infinity"):
            getattr(fitted, method)(np.full((2, 5), np.inf))
        with pytest.raises(NotFittedError):
            getattr(detector(), method)(X)
        assert not hasattr(detector(), "autoencoder_")

    @pytest.mark.parametrize("error", ["combined", "mse", "mahalanobis"])
    def test_what_works_all_the_same(self, error):
        half_constant = X.copy()
        half_constant[:, 2:] = 1
        for rows in (X[:, :1], half_constant, np.ones((20, 5)), X[:2], (X * 1e6).tolist()):
            fitted = detector(error=error, threshold="mean_std").fit(rows)
            assert np.isfinite(fitted.member_scores(rows)).all()
            assert np.isfinite(fitted.member_weights_).all()

    def test_a_score_beyond_numbers_is_minus_infinity(self, fitted):
        rows = np.vstack([X[:1], np.full((1, 5), 3e38)])
        for scores in (fitted.score_samples(rows), fitted.member_scores(rows)[:, 0]):
            assert np.isfinite(scores[0])
            assert scores[1] < -1e70
        assert fitted.predict(rows)[1] == -1
