"""Missing cells: left out of the loss and of the errors, and never a reason to fail."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
from skae._errors import COMMON_ERRORS, feature_errors, fitted_error, mean_feature_errors
from skae._network.missing import PresentCells, deviations, extremes
from skae.inspection import explain

RNG = np.random.default_rng(0)
FACTORS = RNG.normal(size=(300, 2))
COMPLETE = FACTORS @ RNG.normal(size=(2, 6)) + 0.1 * RNG.normal(size=(300, 6))
X = np.where(RNG.random(COMPLETE.shape) < 0.15, np.nan, COMPLETE)
X[:, 0] = COMPLETE[:, 0]  # so that no row is empty, and one column complete
MEANS = np.nanmean(X, axis=0)
QUICK = {"epochs": 15, "batch_size": 16, "learning_rate": 0.01, "random_state": 0}


def single(**params):
    return AutoencoderOutlierDetector(**QUICK | {"latent_dim": 2} | params)


def ensemble(**params):
    return AutoencoderEnsembleOutlierDetector(**QUICK | {"n_estimators": 2} | params)


def own_network(input_shape):
    import keras

    layers = [keras.layers.Dense(2, name="latent"), keras.layers.Dense(input_shape[0])]
    return keras.Sequential([keras.Input(input_shape), *layers])


DETECTORS = {
    "dense": single(),
    "mse": single(error="mse", loss="mse"),
    "vae": single(architecture="vae"),
    "probability": single(architecture="vae", error="reconstruction_probability"),
    "conv1d": single(architecture="conv1d", input_shape=(3, 2), hidden_layer_sizes=(4,)),
    "lstm": single(architecture="lstm", input_shape=(3, 2), hidden_layer_sizes=(4,), epochs=3),
    "own": single(architecture=own_network),
    "ensemble": ensemble(),
    "mahalanobis": ensemble(error="mahalanobis"),
    "trimmed": single(trim_fraction=0.3, validation_fraction=0.2, early_stopping=True),
}


@pytest.fixture(scope="module", params=DETECTORS)
def fitted(request):
    with warnings.catch_warnings():
        # The smallest networks learn little, which is not what is tested.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DETECTORS[request.param].fit(X)


class TestScores:
    def test_they_are_finite_and_alike_alone_and_together(self, fitted):
        scores = fitted.score_samples(X)
        assert np.isfinite(scores).all()
        assert np.isfinite(fitted.offset_)
        if fitted is not DETECTORS["own"]:  # Keras promises nothing to the bit
            alone = np.concatenate([fitted.score_samples(row[None]) for row in X[:40]])
            np.testing.assert_array_equal(alone, scores[:40])

    def test_complete_rows_are_scored_as_without_others(self, fitted):
        with_others = fitted.score_samples(np.vstack([COMPLETE[:5], X]))[:5]
        np.testing.assert_allclose(with_others, fitted.score_samples(COMPLETE[:5]), rtol=1e-6)

    def test_missing_cells_contribute_nothing(self, fitted):
        errors = fitted.feature_errors(X)
        assert (errors[np.isnan(X)] == 0).all()
        np.testing.assert_allclose(errors.mean(axis=1), -fitted.score_samples(X), rtol=1e-6)

    def test_no_cell_is_missing_in_reconstructions_and_codes(self, fitted):
        assert np.isfinite(fitted.reconstruct(X)).all()
        if hasattr(fitted, "transform"):
            assert np.isfinite(fitted.transform(X)).all()

    def test_a_pickle_scores_alike(self, fitted):
        if fitted is not DETECTORS["own"]:
            loaded = pickle.loads(pickle.dumps(fitted))
            np.testing.assert_array_equal(loaded.score_samples(X), fitted.score_samples(X))

    def test_the_network_sees_the_means_of_the_columns(self, fitted):
        filled = np.where(np.isnan(X), MEANS, X)
        np.testing.assert_allclose(
            fitted.reconstruct(X), fitted.reconstruct(filled), rtol=1e-4, atol=1e-4
        )

    def test_the_error_is_the_mean_over_the_cells_that_are_there(self):
        detector = single(error="mse").fit(X)
        expected = np.nanmean(np.square(X - detector.reconstruct(X)), axis=1)
        np.testing.assert_allclose(-detector.score_samples(X), expected, rtol=1e-4)

    def test_the_parts_of_the_combined_error_add_up(self):
        detector = single().fit(X)
        parts = detector.error_parts(X)
        np.testing.assert_allclose(parts.sum(axis=1), -detector.score_samples(X))
        known = np.nanmean(np.square(X - detector.nearest_known(X)), axis=1)
        assert np.corrcoef(known, parts["memory"])[0, 1] > 0.999

    def test_keras_computes_the_same(self):
        detector = single(error="mse").fit(X)
        filled = np.where(np.isnan(X), MEANS, X).astype(np.float32)
        by_keras = detector.autoencoder_.predict(filled, verbose=0)
        np.testing.assert_allclose(by_keras, detector.reconstruct(X), rtol=1e-3, atol=1e-4)

    def test_a_lie_stands_out_beside_missing_cells(self):
        detector = single(epochs=60).fit(X)
        rows = COMPLETE[:100].copy()
        rows[:, 1] = np.nan
        lies = rows.copy()
        lies[:, 3] += 4 * COMPLETE[:, 3].std()
        assert (detector.score_samples(lies) < detector.score_samples(rows)).mean() > 0.95
        assert (explain(detector, lies, top=1)["feature"] == 3).mean() > 0.8

    def test_incomplete_rows_are_not_flagged_for_that(self):
        rng = np.random.default_rng(1)
        rows = rng.normal(size=(2000, 2)) @ RNG.normal(size=(2, 8))
        rows += 0.1 * rng.normal(size=rows.shape)
        incomplete = np.arange(2000) % 3 == 0
        gaps = incomplete[:, None] & (rng.random(rows.shape) < 0.25)
        gaps[:, 0] = False
        rows[gaps] = np.nan
        detector = single(epochs=30, batch_size=64).fit(rows[:1000])
        flagged = detector.predict(rows[1000:]) == -1
        assert flagged[incomplete[1000:]].mean() < 0.2


class TestTraining:
    def test_complete_rows_train_the_graph_of_before(self):
        options = [
            detector._training_options(detector._checked_data(rows, None, None))
            for detector, rows in [(single(), COMPLETE), (single(), X)]
        ]
        assert [option.stand_ins is None for option in options] == [True, False]
        assert options[0].graph_key() != options[1].graph_key()

    @pytest.mark.parametrize("loss", ["auto", "mse", "mae", "huber"])
    def test_what_is_in_missing_cells_teaches_nothing(self, loss):
        # A column that is always missing but for two rows has no part in learning the others.
        rows = COMPLETE.copy()
        rows[2:, 5] = np.nan
        detector = single(loss=loss, error="mse", epochs=60).fit(rows)
        errors = detector.reconstruction_error(rows[2:], per_feature=True)[:, :5].mean()
        assert errors < 0.5 * rows[:, :5].var()

    @pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "msle"])
    def test_the_loss_is_the_mean_over_the_cells_that_are_there(self, loss):
        import keras

        from skae._engines.keras.losses import of_present

        rows, found = RNG.random((2, 8, 3)).astype(np.float32)
        rows[0, 1:] = rows[3, 0] = np.nan
        is_present = ~np.isnan(rows)
        function = keras.losses.get(loss)
        masked = np.asarray(of_present(function, (1,)).call(rows, found))
        for position in range(len(rows)):
            if loss == "binary_crossentropy" and not is_present[position].all():
                continue  # of a cell that equals its row there is still the entropy
            cells = is_present[position]
            alone = function(rows[position : position + 1, cells], found[position, cells][None])
            np.testing.assert_allclose(masked[position], np.asarray(alone)[0], rtol=1e-5)

    @pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "msle", "poisson"])
    def test_a_missing_cell_has_no_gradient(self, loss):
        import keras
        import tensorflow as tf

        from skae._engines.keras.losses import of_present

        rows = np.float32([[0.2, np.nan, 0.7]])
        found = tf.constant([[0.4, 0.9, 0.1]])
        with tf.GradientTape() as tape:
            tape.watch(found)
            value = of_present(keras.losses.get(loss), (1,))(rows, found)
        gradient = tape.gradient(value, found).numpy()[0]
        np.testing.assert_allclose(gradient[1], 0, atol=1e-5)
        assert abs(gradient[[0, 2]]).min() > 1e-3

    def test_the_own_loss_counts_what_is_there(self):
        from skae._engines.keras.losses import Logarithmic

        rows = np.float32([[1, np.nan, 3], [1, 2, 3]])
        found = np.float32([[2, 9, 3], [1, 2, 4]])
        loss = np.asarray(Logarithmic(np.float32(2), (1,), has_gaps=True)(rows, found))
        np.testing.assert_allclose(loss, np.log1p([0.25, 1 / 6]), rtol=1e-6)

    def test_metrics_take_missing_cells_for_exact(self):
        detector = single(metrics=["mae"], loss="mae", noise=0, epochs=1, learning_rate=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            history = detector.fit(X).history_
        share = (~np.isnan(X)).mean()
        assert history["mae"][0] == pytest.approx(share * history["loss"][0], rel=0.05)

    def test_validation_rows_alone_may_lack_cells(self):
        detector = single().fit(COMPLETE, X_val=X)
        assert np.isfinite(detector.history_["val_loss"]).all()

    def test_rows_without_a_weight_are_as_if_not_given(self):
        weight = np.where(np.arange(300) < 200, 1.0, 0.0)
        weighted = single().fit(X, sample_weight=weight)
        alone = single().fit(X[:200], sample_weight=weight[:200])
        np.testing.assert_array_equal(weighted.score_samples(X), alone.score_samples(X))

    def test_weights_and_a_resumed_fit(self):
        detector = single(warm_start=True, epochs=5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            detector.fit(X, sample_weight=np.arange(300)).fit(X)
        assert len(detector.history_["loss"]) == 10
        assert np.isfinite(detector.score_samples(X)).all()

    def test_rows_on_disk(self, tmp_path):
        on_disk = np.memmap(tmp_path / "rows", dtype=np.float32, mode="w+", shape=X.shape)
        on_disk[:] = X
        in_memory = single(epochs=20).fit(X.astype(np.float32))
        detector = single(epochs=20).fit(on_disk)
        np.testing.assert_allclose(detector.offset_, in_memory.offset_, rtol=1e-4)

    def test_frames_with_missing_values_of_pandas(self):
        plain = single().fit(X)
        frame = pd.DataFrame(X, columns=list("abcdef")).convert_dtypes()
        for rows in (
            frame,
            frame.to_numpy(dtype=object),
            np.where(np.isnan(X), None, X),
            frame.astype(object),
        ):
            detector = single().fit(rows)
            np.testing.assert_allclose(
                detector.score_samples(rows), plain.score_samples(X), rtol=1e-4
            )


class TestRefusals:
    @pytest.mark.parametrize("position", [(0, 0), (150, 3), (299, 5)])
    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    @pytest.mark.parametrize("make", [single, ensemble])
    def test_infinity(self, make, position, value):
        rows = X.copy()
        rows[position] = value
        detector = make(epochs=10)
        with pytest.raises(ValueError, match="contains infinity"):
            detector.fit(rows)
        detector.fit(X)
        methods = ("score_samples", "decision_function", "predict", "reconstruct", "feature_errors")
        for method in methods:
            with pytest.raises(ValueError, match="contains infinity"):
                getattr(detector, method)(rows)

    @pytest.mark.parametrize("position", [(0, 1), (150, 3), (299, 5)])
    @pytest.mark.parametrize("make", [single, ensemble])
    def test_one_missing_cell_anywhere_is_none(self, make, position):
        rows = COMPLETE.copy()
        rows[position] = np.nan
        detector = make(epochs=10).fit(rows)
        assert get_tags(detector).input_tags.allow_nan
        assert np.isfinite(detector.score_samples(rows)).all()

    @pytest.mark.parametrize("detector", [single(), ensemble(), make_pipeline(single())])
    def test_a_column_without_values(self, detector):
        frame = pd.DataFrame(X, columns=list("abcdef")).assign(c=np.nan)
        with pytest.raises(ValueError, match="no value at all in feature 'c'.*leave it out"):
            detector.fit(frame)

    def test_a_row_without_values(self):
        rows = X.copy()
        rows[[7, 20]] = np.nan
        with pytest.raises(ValueError, match="X has 2 rows without any value: leave them out"):
            single().fit(rows)
        with pytest.raises(ValueError, match="X_val has 2 rows without any value"):
            single().fit(X, X_val=rows)

    @pytest.mark.parametrize("loss", ["hinge", "dice", "categorical_crossentropy"])
    def test_losses_of_whole_rows(self, loss):
        with pytest.raises(ValueError, match=f"{loss} cannot leave out missing cells"):
            single(loss=loss).fit(X)

    def test_a_training_step_of_the_users(self):
        import keras

        class Own(keras.Sequential):
            def train_step(self, data):
                return super().train_step(data)

        def network(input_shape):
            return Own([keras.Input(input_shape), keras.layers.Dense(2), keras.layers.Dense(6)])

        with pytest.raises(ValueError, match="train_step or metrics of its own.*SimpleImputer"):
            single(architecture=network).fit(X)

    def test_detectors_without_a_network(self):
        detector = ReconstructionOutlierDetector(PCA(2)).fit(COMPLETE)
        assert not get_tags(detector).input_tags.allow_nan
        with pytest.raises(ValueError, match="contains NaN.*SimpleImputer"):
            detector.score_samples(X)


class TestWarnings:
    def test_a_row_without_values_is_an_outlier(self):
        detector = single().fit(X)
        rows = np.vstack([X[:2], np.full((1, 6), np.nan)])
        with pytest.warns(UserWarning, match="1 of 3 rows have no value at all"):
            scores = detector.score_samples(rows)
        assert scores[2] == -np.inf
        assert np.isfinite(scores[:2]).all()
        with pytest.warns(UserWarning, match="no value at all"):
            assert detector.predict(rows)[2] == -1

    def test_a_column_that_was_complete_in_training(self):
        frame = pd.DataFrame(COMPLETE, columns=list("abcdef"))
        detector = single().fit(frame)
        gaps = frame.copy()
        gaps.loc[:50, ["b", "d"]] = np.nan
        with pytest.warns(UserWarning, match="missing in features 'b', 'd'") as caught:
            scores = detector.score_samples(gaps)
        assert len(caught) == 1
        assert np.isfinite(scores).all()

    def test_none_for_columns_that_lacked_values_before(self):
        single().fit(X).score_samples(X)  # warnings are errors


class TestMetaEstimators:
    def test_labels_and_pipelines(self):
        y = np.where(np.arange(300) % 10 == 0, -1, 1)
        detector = FitOnInliers(make_pipeline(StandardScaler(), single())).fit(X, y)
        assert np.isfinite(detector.score_samples(X)).all()
        assert get_tags(FitOnInliers(single())).input_tags.allow_nan

    @pytest.mark.parametrize("params", [{}, {"cv": 3}])
    def test_thresholds(self, params):
        detector = ThresholdedOutlierDetector(single(), "quantile", **params).fit(X)
        assert (detector.predict(X) == -1).mean() < 0.3

    def test_p_values(self):
        detector = ConformalOutlierDetector(single(), random_state=0).fit(X)
        p_values = detector.p_values(X)
        assert ((p_values > 0) & (p_values <= 1)).all()

    def test_averages(self):
        detector = AveragedOutlierDetector([("a", single()), ("b", ensemble())]).fit(X)
        assert get_tags(detector).input_tags.allow_nan
        assert np.isfinite(detector.score_samples(X)).all()
        forest = AveragedOutlierDetector([("a", single()), ("b", IsolationForest())])
        assert (
            get_tags(forest).input_tags.allow_nan
            == get_tags(IsolationForest()).input_tags.allow_nan
        )

    def test_explanations(self):
        explanation = explain(single().fit(X), X[:20], top=None)
        sums = explanation.groupby("row")["contribution"].sum()
        np.testing.assert_allclose(sums, -single().fit(X).score_samples(X[:20]), rtol=1e-6)
        missing = explanation[explanation["value"].isna()]
        assert len(missing) == np.isnan(X[:20]).sum()
        assert (missing["contribution"] == 0).all()


class TestErrors:
    @pytest.mark.parametrize("error", COMMON_ERRORS)
    def test_of_complete_rows_beside_incomplete_ones(self, error):
        rows, found = RNG.random((2, 50, 4))
        fitted = fitted_error(error, rows, found)
        expected = feature_errors(fitted, rows[1:], found[1:])
        rows[0, 2] = np.nan
        errors = feature_errors(fitted, rows, found)
        np.testing.assert_array_equal(errors[1:], expected)
        assert errors[0, 2] == 0

    def test_a_function_sees_no_missing_cell(self):
        def absolute(rows, found):
            assert not np.isnan(rows).any()
            return np.abs(rows - found)

        rows, found = np.array([[1.0, np.nan], [1.0, 2.0]]), np.array([[3.0, 5.0], [1.0, 4.0]])
        np.testing.assert_array_equal(feature_errors(absolute, rows, found), [[4, 0], [0, 2]])

    def test_learned_scales_count_what_is_there(self):
        rows = RNG.normal(size=(4000, 2))
        found = np.zeros_like(rows)
        rows[: 3 * 1000, 1] = np.nan
        fitted = fitted_error("standardized", rows, found)
        errors = feature_errors(fitted, np.ones((1, 2)), np.zeros((1, 2)))
        expected = 1 / (np.nanmean(np.square(rows), axis=0) + 1e-3)
        np.testing.assert_allclose(errors[0], expected, rtol=1e-3)

    def test_means_over_the_rows_that_have_a_feature(self):
        errors = np.array([[1.0, 0.0], [3.0, 4.0], [np.inf, 6.0]])
        rows = np.array([[0.0, np.nan], [0.0, 0.0], [0.0, 0.0]])
        np.testing.assert_array_equal(mean_feature_errors(errors, rows), [2, 5])


class TestPresentCells:
    def test_counts_and_means(self):
        rows = np.vstack([X] * 30).astype(np.float32)  # more than are read at once
        present = PresentCells(rows)
        np.testing.assert_array_equal(present.counts, (~np.isnan(rows)).sum(axis=0))
        np.testing.assert_allclose(present.means, MEANS, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(present.has_gaps, [False, *[True] * 5])
        assert present.n_empty_rows == 0

    def test_empty_rows_far_apart(self):
        rows = np.ones((20000, 2), dtype=np.float32)
        rows[[17, 18000]] = np.nan
        assert PresentCells(rows).n_empty_rows == 2

    def test_deviations_and_extremes(self):
        np.testing.assert_allclose(deviations(X), np.nanstd(X, axis=0))
        rows = np.array([[1.0, np.nan], [5.0, np.nan]])
        np.testing.assert_array_equal(deviations(rows), [2, 0])
        assert extremes(rows) == (1, 5)
        np.testing.assert_array_equal(extremes(rows, axis=0), [[1, np.nan], [5, np.nan]])
