"""The detector: what goes in, what comes out, what it refuses."""

import pickle
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import roc_auc_score

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector
from skae._engines.keras.loading import check_activation
from skae._engines.keras.training import train
from skae._errors import row_errors
from skae.thresholds import FalsePositiveRate, MeanStd, Quantile

# Three epochs make a quick test and a poor network; TestWarnings looks at the warning itself.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def own_network(input_shape, units=3):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(units), keras.layers.Dense(*input_shape)]
    )


def detector(**params):
    params = {"hidden_layer_sizes": (16,), "latent_dim": 4, "epochs": 3, "random_state": 0} | params
    return AutoencoderOutlierDetector(**params)


@pytest.fixture(scope="module")
def normal(heartbeats):
    X, y = heartbeats
    return X[y == 1]


@pytest.fixture(scope="module")
def fitted(normal):
    return detector(epochs=30, learning_rate=0.01).fit(normal)


class TestContract:
    def test_finds_the_abnormal_beats(self, fitted, heartbeats):
        X, y = heartbeats
        assert roc_auc_score(y, fitted.score_samples(X)) > 0.9

    def test_scores_are_float64_and_minus_the_error(self, fitted, normal):
        scores = fitted.score_samples(normal)
        assert scores.dtype == np.float64
        np.testing.assert_allclose(scores, -fitted.feature_errors(normal).mean(axis=1))
        by_mse = detector(error="mse").fit(normal)
        np.testing.assert_array_equal(
            by_mse.score_samples(normal), -by_mse.reconstruction_error(normal)
        )

    def test_decision_is_score_less_offset_and_prediction_its_sign(self, fitted, normal):
        decision = fitted.decision_function(normal)
        np.testing.assert_array_equal(decision, fitted.score_samples(normal) - fitted.offset_)
        np.testing.assert_array_equal(fitted.predict(normal), np.where(decision < 0, -1, 1))

    def test_errors_of_the_features_average_to_the_error_of_the_row(self, fitted, normal):
        each = fitted.reconstruction_error(normal, per_feature=True)
        assert each.shape == normal.shape
        np.testing.assert_allclose(each.mean(axis=1), fitted.reconstruction_error(normal))

    def test_reconstruction_makes_the_error(self, fitted, normal):
        squares = (normal.astype(np.float64) - fitted.reconstruct(normal)) ** 2
        np.testing.assert_allclose(squares.mean(axis=1), fitted.reconstruction_error(normal))

    @pytest.mark.parametrize("error", ["mae", "msle", lambda X, R: np.abs(X - R) ** 3])
    def test_error_is_the_measure_of_the_score(self, normal, error):
        fitted = detector(error=error).fit(normal)
        expected = row_errors(error, normal, fitted.reconstruct(normal))
        np.testing.assert_allclose(fitted.reconstruction_error(normal), expected, rtol=1e-5)
        np.testing.assert_allclose(fitted.score_samples(normal), -expected, rtol=1e-5)

    def test_codes_decode_to_the_reconstruction(self, fitted, normal):
        codes = fitted.transform(normal)
        assert codes.shape == (len(normal), 4)
        np.testing.assert_allclose(
            fitted.inverse_transform(codes), fitted.reconstruct(normal), atol=1e-6
        )

    def test_names_of_the_codes(self, fitted):
        names = fitted.get_feature_names_out()
        assert list(names) == [f"autoencoderoutlierdetector{i}" for i in range(4)]

    def test_transform_keeps_the_floating_dtype(self, fitted, normal):
        assert fitted.transform(normal).dtype == np.float32
        assert fitted.transform(normal.astype(np.float64)).dtype == np.float64
        assert fitted.transform(normal.tolist()).dtype == np.float64

    def test_a_row_scores_alone_as_among_others(self, fitted, normal):
        alone = [fitted.score_samples(row[None])[0] for row in normal[:20]]
        np.testing.assert_array_equal(alone, fitted.score_samples(normal)[:20])

    def test_more_rows_than_one_batch(self, fitted, normal):
        many = np.tile(normal, (30, 1))
        np.testing.assert_allclose(
            fitted.score_samples(many), np.tile(fitted.score_samples(normal), 30), rtol=1e-6
        )

    def test_dataframe_keeps_its_names(self, normal):
        frame = pd.DataFrame(normal, columns=[f"t{i}" for i in range(normal.shape[1])])
        fitted = detector().fit(frame)
        assert list(fitted.feature_names_in_) == list(frame.columns)
        fitted.set_output(transform="pandas")
        assert fitted.transform(frame).columns[0] == "autoencoderoutlierdetector0"
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.score_samples(frame.rename(columns={"t0": "other"}))

    def test_fitted_attributes(self, fitted, normal):
        assert fitted.n_iter_ == 30
        assert fitted.n_features_in_ == 140
        assert fitted.output_activation_ == "sigmoid"
        assert list(fitted.history_) == ["loss"]
        assert fitted.history_["loss"][-1] < fitted.history_["loss"][0]
        assert isinstance(fitted.autoencoder_, keras.Model)
        codes = fitted.encoder_(normal)
        np.testing.assert_allclose(codes, fitted.transform(normal), atol=1e-5)
        np.testing.assert_allclose(fitted.decoder_(codes), fitted.reconstruct(normal), atol=1e-5)

    def test_changing_the_public_model_changes_no_score(self, normal):
        fitted = detector().fit(normal)
        before = fitted.score_samples(normal)
        fitted.autoencoder_.set_weights([0 * w for w in fitted.autoencoder_.get_weights()])
        np.testing.assert_array_equal(fitted.score_samples(normal), before)
        assert fitted.autoencoder_ is fitted.autoencoder_

    def test_float32_data_reaches_training_uncopied(self, normal, monkeypatch):
        given = []

        def keep_and_train(trainer, feed, *args, **kwargs):
            given.append(feed._X)
            return train(trainer, feed, *args, **kwargs)

        monkeypatch.setattr("skae._engines.keras.training.train", keep_and_train)
        detector(validation_fraction=0.2).fit(normal)
        assert np.shares_memory(given[0], normal)

    def test_the_data_is_not_changed(self, normal):
        X = normal.copy()
        detector(noise=0.1, dropout=0.1).fit(X).score_samples(X)
        np.testing.assert_array_equal(X, normal)


class TestThreshold:
    @pytest.mark.parametrize(
        ("threshold", "rule"),
        [
            ("mean_std", MeanStd()),
            ("quantile", Quantile()),
            (MeanStd(k=3), MeanStd(k=3)),
        ],
    )
    def test_rule_sees_the_training_errors(self, normal, threshold, rule):
        fitted = detector(error="mse", threshold=threshold).fit(normal)
        assert fitted.offset_ == -rule.threshold(fitted.reconstruction_error(normal))

    @pytest.mark.parametrize(
        ("threshold", "rule"),
        [("auto", FalsePositiveRate(confidence=None)), ("fpr", FalsePositiveRate())],
    )
    def test_a_promise_sees_rows_held_out(self, normal, threshold, rule):
        assert len(normal) == 240
        seen = []

        class Listening(FalsePositiveRate):
            def _threshold(self, errors, is_outlier):
                seen.append(errors)
                return super()._threshold(errors, is_outlier)

        fitted = detector(threshold=threshold).fit(normal)
        heard = detector(threshold=Listening(**rule.get_params())).fit(normal)
        # A fifth of the rows, or up to a third where more than one is to decide.
        assert [len(errors) for errors in seen] == [48 if threshold == "auto" else 80]
        assert fitted.offset_ == heard.offset_ == -rule.threshold(seen[0])
        # They come from another network, without these rows.
        assert not np.isin(seen[0], -fitted.score_samples(normal)).any()

    def test_without_rows_to_spare_the_rule_sees_the_training_errors(self, normal):
        with pytest.warns(UserWarning, match=r"Of 19 rows none can be spared.*Give 20 rows"):
            fitted = detector(error="mse").fit(normal[:19])
        largest = fitted.reconstruction_error(normal[:19]).max()
        assert -fitted.offset_ == pytest.approx(largest, rel=1e-6)

    @pytest.mark.parametrize("contamination", [0.1, 0.5])
    @pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
    def test_contamination_is_a_quantile_of_all_rows(
        self, normal, contamination, validation_fraction
    ):
        fitted = detector(contamination=contamination, validation_fraction=validation_fraction).fit(
            normal
        )
        flagged = (fitted.predict(normal) == -1).mean()
        assert flagged == pytest.approx(contamination, abs=1 / len(normal))

    def test_rule_sees_the_held_out_rows(self, normal):
        seen = []

        class Listening(MeanStd):
            def _threshold(self, errors, is_outlier):
                seen.append(len(errors))
                return super()._threshold(errors, is_outlier)

        detector(threshold=Listening(), validation_fraction=0.25).fit(normal)
        assert seen == [len(normal) // 4]

    def test_contamination_and_threshold_exclude_each_other(self, normal):
        with pytest.raises(ValueError, match="both set the offset.*contamination=0.1.*'quantile'"):
            detector(contamination=0.1, threshold="quantile").fit(normal)

    def test_rule_that_needs_labels_is_refused(self, normal):
        class NeedsLabels(MeanStd):
            needs_labels = True

        with pytest.raises(ValueError, match="learns from labels, which Autoencoder"):
            detector(threshold=NeedsLabels()).fit(normal)


class TestTraining:
    def test_metrics_and_validation_rows_give_curves(self, normal):
        fitted = detector(metrics=["mae", keras.metrics.RootMeanSquaredError()])
        fitted.fit(normal[:100], X_val=normal[100:])
        expected = {"loss", "mae", "root_mean_squared_error"}
        assert set(fitted.history_) == expected | {f"val_{name}" for name in expected}
        assert {len(values) for values in fitted.history_.values()} == {3}

    def test_x_val_never_sets_the_threshold_nor_the_weights(self, normal):
        alone = detector().fit(normal)
        beside = detector().fit(normal, X_val=normal[:5] / 2)
        assert alone.offset_ == beside.offset_

    def test_x_val_and_validation_fraction_exclude_each_other(self, normal):
        with pytest.raises(ValueError, match="both give validation rows"):
            detector(validation_fraction=0.1).fit(normal, X_val=normal)

    def test_early_stopping_restores_the_best_weights(self, normal):
        fitted = detector(
            early_stopping=True, n_iter_no_change=2, epochs=200, learning_rate=0.1, loss="mse"
        ).fit(normal, X_val=normal)
        assert fitted.n_iter_ < 200
        best = min(fitted.history_["val_loss"])
        assert fitted.reconstruction_error(normal).mean() == pytest.approx(best, rel=1e-4)

    def test_early_stopping_without_validation_rows_looks_at_the_loss(self, normal):
        fitted = detector(early_stopping=True, n_iter_no_change=1, epochs=9, tol=1e9).fit(normal)
        assert fitted.n_iter_ == 2

    def test_warm_start_goes_on(self, normal):
        settings = {"learning_rate": 1e-3, "epochs": 5, "threshold": "mean_std"}
        fitted = detector(warm_start=True, **settings).fit(normal)
        first = fitted.history_["loss"].copy()
        fitted.fit(normal)
        assert fitted.n_iter_ == 5
        assert fitted.history_["loss"][:5] == first
        assert fitted.history_["loss"][5] < first[0]
        fitted.set_params(warm_start=False).fit(normal)
        assert fitted.history_["loss"] == first

    def test_warm_start_joins_histories_of_other_curves(self, normal):
        fitted = detector(warm_start=True).fit(normal)
        fitted.fit(normal, X_val=normal)
        assert {name: len(values) for name, values in fitted.history_.items()} == {
            "loss": 6,
            "val_loss": 6,
        }
        assert np.isnan(fitted.history_["val_loss"]).tolist() == [True] * 3 + [False] * 3

    def test_warm_start_with_other_features_is_refused(self, normal):
        fitted = detector(warm_start=True).fit(normal)
        with pytest.raises(ValueError, match=r"for rows of shape \(140,\), but.*\(100,\)"):
            fitted.fit(normal[:, :100])
        assert fitted.n_features_in_ == 140

    @pytest.mark.parametrize(
        ("first", "then", "message"),
        [
            (
                {},
                {"latent_dim": 3},
                "with latent_dim=4, but latent_dim=3: .*set latent_dim back",
            ),
            ({}, {"hidden_layer_sizes": (16, 8)}, r"hidden_layer_sizes=\(16,\), but .*\(16, 8\)"),
            ({}, {"activation": "relu"}, "activation='mish', but activation='relu'"),
            ({}, {"latent_activation": np.tanh}, "latent_activation='linear', but"),
            ({}, {"output_activation": "linear"}, "output_activation='sigmoid', but"),
            ({}, {"batch_norm": True}, "batch_norm=False, but batch_norm=True"),
            ({}, {"dropout": 0.5}, r"dropout=0\.0, but dropout=0\.5"),
            (
                {},
                {"architecture": own_network},
                "resumes dense, but architecture=<function own",
            ),
            ({"architecture": own_network}, {"architecture": "dense"}, "network of your own, but"),
            (
                {"architecture": own_network},
                {"architecture": own_network((140,))},
                "network of your own, but",
            ),
            (
                {"architecture": own_network((140,))},
                {"architecture": keras.Sequential([keras.Input((140,)), keras.layers.Dense(140)])},
                "network of your own, but",
            ),
            (
                {"architecture": own_network, "architecture_params": {"units": 5}},
                {"architecture_params": {"units": 6}},
                "architecture_params={'units': 5}, but architecture_params={'units': 6}",
            ),
            (
                {"architecture": "vae"},
                {"architecture_params": {"beta": 0.5}},
                r"architecture_params={'beta': 0\.01}, but architecture_params={'beta': 0\.5}",
            ),
        ],
    )
    def test_warm_start_with_another_network_is_refused(self, normal, first, then, message):
        fitted = detector(warm_start=True, **first).fit(normal)
        before = fitted.score_samples(normal)
        with pytest.raises(ValueError, match=message):
            fitted.set_params(**then).fit(normal)
        np.testing.assert_array_equal(fitted.score_samples(normal), before)

    @pytest.mark.parametrize(
        ("first", "then"),
        [
            ({}, {"output_activation": "sigmoid"}),
            ({"output_activation": "linear"}, {"output_activation": "auto"}),
            ({"activation": "swish"}, {"activation": keras.activations.silu}),
            ({"latent_activation": None}, {"latent_activation": "linear"}),
            ({"hidden_layer_sizes": (128, 64)}, {"hidden_layer_sizes": "auto"}),
            ({"hidden_layer_sizes": [16]}, {"hidden_layer_sizes": np.int64(16)}),
            (
                {"architecture": "conv1d"},
                {"architecture_params": {"kernel_size": 7, "strides": np.int64(2)}},
            ),
            ({"architecture": own_network}, {"architecture_params": {}}),
            ({"architecture": own_network((140,))}, {}),
            ({"learning_rate": 0.01}, {"learning_rate": "auto", "loss": "mae", "noise": 0.5}),
            ({"batch_size": 64}, {"batch_size": 32, "trim_fraction": 0.1, "optimizer": "sgd"}),
        ],
    )
    def test_warm_start_may_change_what_is_not_the_network(self, normal, first, then):
        fitted = pickle.loads(pickle.dumps(detector(warm_start=True, **first).fit(normal)))
        fitted.set_params(**then, epochs=2).fit(normal)
        assert len(fitted.history_["loss"]) == 3 + 2

    def test_sample_weight_counts_in_the_loss(self, heartbeats):
        X, y = heartbeats
        params = {"epochs": 30, "random_state": 0}
        weighted = detector(**params).fit(X, sample_weight=np.where(y == 1, 1.0, 0.0))
        clean = detector(**params).fit(X)
        share = [f.reconstruction_error(X)[y == -1].mean() for f in (weighted, clean)]
        assert share[0] > share[1]

    def test_trimming_leaves_the_worst_rows_out(self, normal):
        generator = np.random.default_rng(0)
        noise = generator.random((len(normal) // 4, 140), dtype=np.float32)
        X = np.vstack([normal, noise])
        plain = detector(epochs=40, loss="mse").fit(X)
        trimmed = detector(epochs=40, loss="mse", trim_fraction=0.25).fit(X)
        assert (
            trimmed.reconstruction_error(noise).mean() / trimmed.reconstruction_error(normal).mean()
            > plain.reconstruction_error(noise).mean() / plain.reconstruction_error(normal).mean()
        )

    def test_noise_auto_is_a_tenth_of_the_mean_standard_deviation(self, normal):
        tenth = 0.1 * normal.std(axis=0, dtype=np.float64).mean()
        chosen, given = (detector(noise=noise).fit(normal) for noise in ("auto", tenth))
        np.testing.assert_array_equal(chosen.score_samples(normal), given.score_samples(normal))
        none = detector(noise=0.0).fit(normal)
        assert np.any(chosen.score_samples(normal) != none.score_samples(normal))

    @pytest.mark.parametrize("params", [{"dropout": 0.2}, {"architecture": own_network}])
    def test_noise_auto_is_none_where_the_user_chose_other_means(self, normal, params):
        chosen, none = (detector(noise=noise, **params).fit(normal) for noise in ("auto", 0.0))
        np.testing.assert_array_equal(chosen.score_samples(normal), none.score_samples(normal))

    def test_noise_auto_of_constant_rows_is_none(self):
        with pytest.warns(ConvergenceWarning, match="All training rows are equal"):
            data = detector()._checked_data(np.ones((9, 4)), None, None)
        assert detector()._training_options(data).noise == 0

    @pytest.mark.parametrize(
        "params",
        [
            {"noise": 0.2},
            {"dropout": 0.3},
            {"l2": 0.1},
            {"latent_l1": 0.1},
            {"batch_norm": True},
            {"activation": "tanh"},
            {"latent_activation": "tanh"},
            {"latent_dim": 2},
            {"hidden_layer_sizes": 8},
            {"hidden_layer_sizes": ()},
            {"loss": "mae"},
            {"loss": keras.losses.Huber()},
            {"loss": lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 4, axis=-1)},
            {"optimizer": "sgd"},
            {"optimizer": keras.optimizers.RMSprop(1e-2)},
            {"learning_rate": 0.01},
            {"batch_size": 32},
            {"batch_size": 10_000},
            {"epochs": 4},
        ],
    )
    def test_every_parameter_does_something(self, normal, params):
        scores = detector(**params).fit(normal).score_samples(normal)
        assert np.isfinite(scores).all()
        if params != {"batch_size": 10_000}:
            assert not np.array_equal(scores, detector().fit(normal).score_samples(normal))

    def test_optimizer_instance_is_a_template(self, normal):
        optimizer = keras.optimizers.Adam(0.01)
        params = {"optimizer": optimizer, "learning_rate": "auto"}
        first = detector(**params).fit(normal).score_samples(normal)
        second = detector(**params).fit(normal).score_samples(normal)
        np.testing.assert_array_equal(first, second)
        assert not optimizer.built
        named = detector(learning_rate=0.01).fit(normal).score_samples(normal)
        # Adam by name is skae's own, which rounds differently.
        np.testing.assert_allclose(first, named, rtol=1e-3)

    def test_what_is_no_callback_is_refused(self, normal):
        for no_callback in ("x", keras.callbacks.EarlyStopping):
            with pytest.raises(TypeError, match=r"must be instances of keras.callbacks.Callback"):
                detector(callbacks=[no_callback]).fit(normal)

    def test_callbacks_are_called(self, normal):
        class Recorder(keras.callbacks.Callback):
            calls = []

            def on_train_batch_end(self, batch, logs=None):
                self.calls.append(("batch", batch))

            def on_epoch_end(self, epoch, logs=None):
                self.calls.append(("epoch", epoch, sorted(logs)))

        recorder = Recorder()
        # Of fewer than 1,000 rows, "auto" would hold a fifth out of the training that is heard.
        params = {"epochs": 2, "batch_size": 200, "threshold": "mean_std"}
        detector(callbacks=[recorder], **params).fit(normal)
        batches = [("batch", 0), ("batch", 1)]
        assert recorder.calls == [
            *batches,
            ("epoch", 0, ["loss"]),
            *batches,
            ("epoch", 1, ["loss"]),
        ]
        assert recorder.model is None

    @pytest.mark.parametrize(
        "params", [{}, {"loss": "mse"}, {"loss": "msle"}, {"loss": "mse", "trim_fraction": 0.25}]
    )
    def test_a_model_saved_by_a_callback_loads(self, normal, tmp_path, params):
        checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
        fitted = detector(callbacks=[checkpoint], epochs=2, **params).fit(normal)
        saved = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            saved.predict(normal, verbose=0), fitted.reconstruct(normal), atol=1e-6
        )

    def test_callback_can_stop_and_change_the_learning_rate(self, normal):
        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(stop_at_two, "epoch", epoch)
        )
        stop_at_two = type("Stop", (), {})()
        fitted = detector(callbacks=[halve, stop], learning_rate=0.1, epochs=5).fit(normal)
        assert stop_at_two.epoch == 4
        assert fitted.history_["learning_rate"] == pytest.approx([0.1 / 2**i for i in range(1, 6)])

    def test_silent_by_default(self, normal, capsys):
        detector().fit(normal)
        assert capsys.readouterr() == ("", "")

    def test_epochs_auto_follow_the_number_of_rows(self, normal):
        params = {"epochs": "auto", "batch_size": 2, "threshold": "mean_std"}
        few = detector(**params).fit(normal[:8]).n_iter_
        many = detector(**params).fit(normal[:200]).n_iter_
        assert few == 200
        assert many == 20


class TestNetworks:
    def test_template_is_cloned_with_fresh_weights(self, normal):
        template = keras.Sequential(
            [
                keras.Input((140,)),
                keras.layers.Dense(3, name="latent"),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(140, activation="sigmoid"),
            ]
        )
        before = [w.copy() for w in template.get_weights()]
        first, second = (
            detector(architecture=template).fit(normal).score_samples(normal) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)
        for kept, now in zip(before, template.get_weights(), strict=True):
            np.testing.assert_array_equal(kept, now)
        other = detector(architecture=template, random_state=1).fit(normal)
        assert not np.array_equal(first, other.score_samples(normal))
        assert other.transform(normal).shape == (len(normal), 3)
        np.testing.assert_allclose(
            other.inverse_transform(other.transform(normal)), other.reconstruct(normal), atol=1e-6
        )

    def test_function_with_parameters(self, normal):
        def narrow(input_shape, units):
            return keras.Sequential(
                [keras.Input(input_shape), keras.layers.Dense(units), keras.layers.Dense(140)]
            )

        params = {"architecture": narrow, "architecture_params": {"units": 5}}
        fitted = detector(**params).fit(normal)
        assert fitted.autoencoder_.layers[0].units == 5
        np.testing.assert_array_equal(
            fitted.score_samples(normal), detector(**params).fit(normal).score_samples(normal)
        )
        assert not hasattr(fitted, "transform")
        assert not hasattr(fitted, "encoder_")

    def test_subclassed_model_with_halves(self, normal):
        class Halves(keras.Model):
            def __init__(self):
                super().__init__()
                self.encoder = keras.Sequential([keras.layers.Dense(4, activation="relu")])
                self.decoder = keras.Sequential([keras.layers.Dense(140, activation="sigmoid")])

            def call(self, rows):
                return self.decoder(self.encoder(rows))

        fitted = detector(architecture=lambda input_shape: Halves()).fit(normal)
        np.testing.assert_allclose(
            fitted.inverse_transform(fitted.transform(normal)),
            fitted.reconstruct(normal),
            atol=1e-6,
        )
        assert isinstance(fitted.encoder_, keras.Model)
        with pytest.raises(ValueError, match="Keras cannot clone.*Give a function"):
            detector(architecture=Halves()).fit(normal[:, :100])

    def test_function_that_cannot_be_called_so(self, normal):
        with pytest.raises(TypeError) as caught:
            detector(architecture=lambda: None).fit(normal)
        assert "architecture(input_shape, **architecture_params)" in caught.value.__notes__[0]

    def test_rows_laid_out_as_a_signal(self, normal):
        def convolutional(input_shape):
            return keras.Sequential(
                [
                    keras.Input(input_shape),
                    keras.layers.Conv1D(2, 5, padding="same"),
                    keras.layers.Conv1D(1, 5, padding="same"),
                ]
            )

        fitted = detector(architecture=convolutional, input_shape=(140, 1)).fit(normal)
        assert fitted.reconstruct(normal).shape == normal.shape
        dense = detector(input_shape=(70, 2)).fit(normal)
        assert dense.autoencoder_.output_shape == (None, 70, 2)

    @pytest.mark.parametrize(
        ("params", "error", "message"),
        [
            ({"input_shape": (139, 1)}, ValueError, "stands for 139 values per row.*140 features"),
            ({"architecture": lambda shape: None}, TypeError, "must return a keras.Model; .*None"),
            (
                {"architecture": lambda shape: keras.Sequential([keras.layers.Dense(3)])},
                ValueError,
                r"expected output shape \(140,\), got \(3,\)",
            ),
            (
                {"architecture": keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])},
                ValueError,
                r"does not take rows of shape \(140,\)",
            ),
            ({"architecture_params": {"units": 3}}, ValueError, "takes no architecture_params"),
            ({"architecture": "gru"}, ValueError, "'architecture' parameter"),
            ({"hidden_layer_sizes": (3, 0)}, ValueError, "must be positive integers"),
        ],
    )
    def test_unfit_networks_are_refused(self, normal, params, error, message):
        with pytest.raises(error, match=message):
            detector(**params).fit(normal)


class TestBadInput:
    @pytest.mark.parametrize(
        ("X", "error", "message"),
        [
            (np.full((5, 2), np.nan), ValueError, "X has 5 rows without any value"),
            (np.full((5, 2), np.inf), ValueError, "Input X contains infinity"),
            (np.full((5, 2), 1e300), ValueError, "too large for dtype"),
            (np.empty((0, 2)), ValueError, r"0 sample\(s\)"),
            (np.empty((5, 0)), ValueError, r"0 feature\(s\)"),
            (np.ones((1, 2)), ValueError, r"1 sample\(s\).*minimum of 2"),
            (np.ones(5), ValueError, "Expected 2D array"),
            (np.ones((5, 4, 2)), ValueError, r"X must be 2-D.*input_shape=\(4, 2\)"),
            (scipy.sparse.eye(5, format="csr"), TypeError, "Sparse data was passed"),
            (np.array([["a", "b"]] * 5, dtype=object), ValueError, "could not convert string"),
            (np.ones((5, 2), dtype=complex), ValueError, "Complex data not supported"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:overflow encountered in cast")
    def test_data(self, X, error, message):
        with pytest.raises(error, match=message):
            detector().fit(X)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"contamination": 0.0}, "'contamination' parameter"),
            ({"contamination": 0.6}, "'contamination' parameter"),
            ({"loss": "msee"}, "keras.losses has nothing called 'msee'. Did you mean .*'mse'"),
            (
                {"optimizer": "adm"},
                "keras.optimizers has nothing called 'adm'. Did you mean 'Adam'",
            ),
            (
                {"metrics": ["maee"]},
                "keras.metrics has nothing called 'maee'. Did you mean .*'mae'",
            ),
            ({"activation": "rellu"}, "keras.activations has nothing called 'rellu'.*'relu'"),
            ({"latent_activation": "rellu"}, "latent_activation: keras.activations has nothing"),
            ({"error": "rmse"}, "'error' parameter"),
            ({"threshold": "median"}, "'threshold' parameter"),
            ({"threshold": np.nan}, "'threshold' parameter"),
            ({"epochs": 0}, "'epochs' parameter"),
            ({"validation_fraction": 0.999}, "leaves none of the"),
            ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ],
    )
    def test_parameters(self, normal, params, message):
        with pytest.raises(ValueError, match=message):
            detector(**params).fit(normal)

    @pytest.mark.parametrize("name", ["activation", "latent_activation", "output_activation"])
    def test_activations_that_cannot_stand_behind_a_layer(self, normal, name):
        for activation, reason in [
            ("glu", "halves the width.*give 'silu'"),
            ("GLU", "halves the width"),
            ("threshold", "needs arguments: give lambda"),
            (keras.activations.threshold, "needs arguments"),
        ]:
            with pytest.raises(ValueError, match=f"(?s)^{name}=.* {reason}"):
                detector(**{name: activation}).fit(normal)

    def test_every_activation_of_keras_works_or_is_refused(self):
        values = np.zeros((2, 4), dtype=np.float32)
        for name in dir(keras.activations):
            if name in ("deserialize", "get", "serialize") or name.startswith("_"):
                continue
            try:
                check_activation("activation", name)
            except ValueError:
                assert name in ("glu", "threshold")
                continue
            assert keras.activations.get(name)(values).shape == values.shape, name

    def test_wrong_width_when_scoring(self, fitted, normal):
        with pytest.raises(ValueError, match="100 features, but .* expecting 140"):
            fitted.score_samples(normal[:, :100])
        with pytest.raises(ValueError, match="have 4 columns, got 3"):
            fitted.inverse_transform(np.ones((2, 3)))

    @pytest.mark.parametrize(
        "method", ["score_samples", "predict", "transform", "reconstruct", "decision_function"]
    )
    def test_not_fitted(self, method, normal):
        with pytest.raises(NotFittedError):
            getattr(detector(), method)(normal)
        assert not hasattr(detector(), "autoencoder_")

    @pytest.mark.parametrize("loss", ["msle", keras.losses.MeanSquaredLogarithmicError()])
    def test_msle_refuses_negative_values(self, normal, loss):
        with pytest.raises(ValueError, match=r"msle.*needs X >= 0, but.* -0\."):
            detector(loss=loss).fit(normal - 0.5)
        fitted = detector(loss="msle", error="msle").fit(normal, X_val=normal - 0.5)
        assert np.isfinite(fitted.score_samples(normal - 0.5)).all()

    @pytest.mark.parametrize("weight", [np.zeros(5), -np.ones(5), np.ones(4)])
    def test_sample_weight(self, normal, weight):
        with pytest.raises(ValueError, match=r"(?i)weight"):
            detector().fit(normal[:5], sample_weight=weight)

    def test_what_works_all_the_same(self):
        generator = np.random.default_rng(0)
        one_column = generator.normal(size=(20, 1))
        constant = np.column_stack([generator.normal(size=20), np.ones(20)])
        for X in (
            one_column,
            constant,
            np.ones((20, 3)),
            constant.astype(object),
            [[0, 1], [1, 0]],
        ):
            assert np.isfinite(detector(threshold="mean_std").fit(X).score_samples(X)).all()


class TestWarnings:
    @pytest.mark.parametrize(
        ("scale", "first"),
        [(1, "Try a smaller learning_rate"), (1e6, r"X has .*e\+0[56] .* scale X")],
    )
    def test_loss_that_turns_nan_is_an_error(self, normal, scale, first):
        params = {"optimizer": "sgd", "learning_rate": 1e6, "output_activation": "linear"}
        message = rf"loss became (nan|inf) in epoch \d+\. {first}.*, or another loss"
        with pytest.raises(ValueError, match=message):
            detector(epochs=50, **params).fit(normal * scale)

    def test_one_large_column_is_the_likely_cause(self):
        X = np.random.default_rng(0).normal(size=(200, 3))
        X[:, 0] = 1.7e12 + 1e3 * np.arange(200)  # milliseconds of an epoch
        with pytest.raises(ValueError, match=r"X has values of up to 1\.7e\+12 in size.*: scale X"):
            detector(loss="mse").fit(X)

    def test_network_no_better_than_the_mean(self, normal):
        with pytest.warns(ConvergenceWarning, match="no better than their mean"):
            detector(learning_rate=1e-12, epochs=1).fit(normal)

    def test_dead_latent_layer(self, normal):
        dead = {"latent_activation": lambda tensor: keras.ops.relu(tensor - 1e6)}

        def architecture(input_shape):
            return keras.Sequential(
                [
                    keras.Input(input_shape),
                    keras.layers.Dense(2, activation=dead["latent_activation"], name="latent"),
                    keras.layers.Dense(140, bias_initializer=keras.initializers.Constant(0.5)),
                ]
            )

        with pytest.warns(ConvergenceWarning, match="latent layer is dead"):
            detector(architecture=architecture, epochs=20).fit(normal)

    def test_sigmoid_on_other_data(self, normal):
        with pytest.warns(UserWarning, match=r"between 0 and 1 only, but X lies in \[.*MinMax"):
            detector(output_activation="sigmoid").fit(normal * 2)

    def test_validation_rows_that_were_not_scaled(self, normal):
        with pytest.warns(UserWarning, match=r"100% of the rows of X_val.*transform_input"):
            detector().fit(normal, X_val=normal * 100)

    def test_output_activation_auto(self, normal):
        reached = normal / normal.max() * np.float32(1.0000001)
        assert detector().fit(reached).output_activation_ == "sigmoid"
        assert detector().fit(normal * 2).output_activation_ == "linear"
        assert detector().fit(normal - 0.5).output_activation_ == "linear"

    def test_a_trained_network_warns_of_nothing(self, normal):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            detector(epochs=100, learning_rate=0.01).fit(normal)


@pytest.mark.parametrize(
    "make", [AutoencoderOutlierDetector, AutoencoderEnsembleOutlierDetector], ids=["one", "four"]
)
def test_a_resumed_fit_sets_its_threshold_by_the_rows_first_spared(make):
    X = np.random.default_rng(0).normal(size=(60, 4))
    spared = []
    detector = make(epochs=1, warm_start=True, random_state=np.random.RandomState(0))
    for _ in range(2):
        detector.fit(X)
        _, held_out, _, left_out = detector._resumed_calibration
        spared.append(held_out.tolist() if left_out is None else left_out.tolist())
    assert spared[0] == spared[1] != []
