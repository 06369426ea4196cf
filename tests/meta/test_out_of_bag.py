"""ConformalOutlierDetector(calibration="oob"): by hand, what it promises, and what is refused."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
)
from skae._meta import conformal
from skae._meta.delegation import split_pipeline
from skae.displays import PValueDisplay

# Few rows and epochs, after which the networks may have learned little.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_FEATURES = 20
PLANE = np.random.default_rng(0).normal(size=(3, N_FEATURES))


def rows_near_a_plane(generator, n_rows):
    noise = 0.5 * generator.normal(size=(n_rows, N_FEATURES))
    return generator.normal(size=(n_rows, 3)) @ PLANE + noise


X = rows_near_a_plane(np.random.default_rng(1), 80)
LABELS = np.repeat([1, -1], [60, 20])
# Like those of X, less and less.
NEW = rows_near_a_plane(np.random.default_rng(2), 600)
NEW += np.random.default_rng(3).normal(size=NEW.shape) * np.linspace(0, 1, 600)[:, None]


class NoTraining(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        raise AssertionError("training has begun")


def ensemble(n_estimators=3, **params):
    few = {"hidden_layer_sizes": 32, "latent_dim": 8, "batch_size": 16, "learning_rate": 0.01}
    return AutoencoderEnsembleOutlierDetector(
        n_estimators, **few | {"epochs": 5, "random_state": 0} | params
    )


def out_of_bag(inner, **params):
    return ConformalOutlierDetector(inner, calibration="oob", **params)


def compared(detector, new):
    """Return the calibration errors, and those of new rows to compare each of them with."""
    transforms, inside = split_pipeline(detector)
    for transform in transforms:
        new = transform.transform(new)
    errors, members = -inside.oob_score_samples_, -inside.member_scores(new)
    left_out = [
        [row not in trained_on for trained_on in map(set, inside.estimators_samples_)]
        for row in range(len(errors))
    ]
    used = np.flatnonzero(np.any(left_out, axis=1))
    errors, left_out = errors[used], np.array(left_out)[used]
    own = [np.mean(members[:, mask], axis=1) for mask in left_out]
    return errors, np.stack(own, axis=1)


@pytest.fixture(scope="module", params=[3, 4, 8])
def fitted(request):
    return out_of_bag(ensemble(request.param), alpha=0.1).fit(X)


class TestByHand:
    def test_p_values(self, fitted):
        errors, own = compared(fitted, NEW)
        np.testing.assert_array_equal(fitted.calibration_errors_, np.sort(errors))
        expected = (1 + np.sum(errors >= own, axis=1)) / 81
        np.testing.assert_array_equal(fitted.p_values(NEW), expected)
        assert np.ptp(expected) > 0.9

    def test_decision(self, fitted):
        errors, own = compared(fitted, NEW)
        # Of 81 rows, 8.1 may be as large: fewer than 8 calibration errors.
        by_hand = np.sort(errors - own, axis=1)[:, -8]
        decision = fitted.decision_function(NEW)
        # Each error is raised by 4.8e-7 of it, against rounding.
        np.testing.assert_allclose(decision, by_hand, rtol=0, atol=1e-6 * errors.max())
        assert -fitted.offset_ == pytest.approx(np.sort(errors)[-8], rel=1e-6)
        scores = fitted.score_samples(NEW)
        np.testing.assert_array_equal(decision, scores - fitted.offset_)

    @pytest.mark.parametrize("alpha", [0.05, 0.1, 1 / 3, 0.7, 0.99])
    def test_flagged_exactly_where_the_p_value_is_at_most_alpha(self, fitted, alpha):
        frozen = FrozenEstimator(fitted.estimator_)
        detector = out_of_bag(frozen, alpha=alpha).fit(X)
        for rows in (NEW, X):
            is_outlier = detector.p_values(rows) <= alpha
            np.testing.assert_array_equal(detector.predict(rows), np.where(is_outlier, -1, 1))
        assert is_outlier.any() or alpha < 0.7
        # Also where the offset is so large that a margin vanishes in rounding.
        for offset in (-1e20, -1e6, 0.0, 1e20):
            detector.offset_ = offset
            np.testing.assert_array_equal(detector.predict(rows), np.where(is_outlier, -1, 1))

    def test_rounding_decides_on_no_row(self, fitted):
        alone = [fitted.decision_function(row[None])[0] for row in NEW[:50]]
        np.testing.assert_allclose(fitted.decision_function(NEW)[:50], alone, rtol=1e-9)
        alone = [fitted.p_values(row[None])[0] for row in NEW[:50]]
        np.testing.assert_array_equal(fitted.p_values(NEW)[:50], alone)

    def test_in_batches(self, fitted, monkeypatch):
        expected = fitted.score_samples(NEW)
        for at_once in (1, 500):
            monkeypatch.setattr(conformal, "_MAX_COMPARISONS", at_once)
            np.testing.assert_array_equal(fitted.score_samples(NEW), expected)

    def test_randomized_ties(self, fitted):
        detector = out_of_bag(
            FrozenEstimator(fitted.estimator_), alpha=0.1, randomized_ties=True, random_state=0
        ).fit(X)
        drawn, plain = detector.p_values(NEW), fitted.p_values(NEW)
        # Nothing ties but the row with itself.
        assert kstest((plain - drawn) * 81, "uniform").pvalue > 0.01
        np.testing.assert_array_equal(detector.predict(NEW), fitted.predict(NEW))

    def test_infinite_errors(self, fitted):
        far = np.full((1, N_FEATURES), 1e30)
        assert fitted.predict(far) == [-1]
        assert fitted.p_values(far) == [1 / 81]


class TestPromises:
    """Of new normal rows, on average over training and new rows, with fixed seeds."""

    @staticmethod
    def flagged(seed, alpha):
        """Return the shares flagged by out-of-bag errors and by training errors."""
        generator = np.random.default_rng(seed)
        training, new = rows_near_a_plane(generator, 80), rows_near_a_plane(generator, 300)
        detector = out_of_bag(ensemble(epochs=40, random_state=seed), alpha=alpha).fit(training)
        by_training_errors = ConformalOutlierDetector(
            FrozenEstimator(detector.estimator_), alpha=alpha
        ).fit(training)
        return [np.mean(one.predict(new) == -1) for one in (detector, by_training_errors)]

    def check(self, n_repetitions, alpha):
        shares = np.array([self.flagged(seed, alpha) for seed in range(n_repetitions)])
        (rate, trained), error = shares.mean(axis=0), shares.std(axis=0) / np.sqrt(n_repetitions)
        print(f"of normal rows at {alpha}: {rate:.4f}, training errors {trained:.4f}, +- {error}")
        proved = 2 * alpha + 2 * (1 - alpha) * (3 - 1) / (80 + 3)
        # In practice less than is proved. Three standard errors of the mean leave room for chance.
        assert rate <= alpha + 3 * error[0]
        assert rate > alpha / 4  # not by being shy
        assert trained - 3 * error[1] > proved

    def test_few_normal_rows_are_flagged(self):
        self.check(12, alpha=0.1)

    @pytest.mark.slow
    @pytest.mark.parametrize("alpha", [0.05, 0.2])
    def test_few_normal_rows_are_flagged_in_many_repetitions(self, alpha):
        self.check(200, alpha)


class TestFit:
    def test_all_rows_are_trained_on_and_calibrate(self):
        detector = out_of_bag(ensemble(), calibration_size=1).fit(X)
        by_hand = ensemble().fit(X)
        np.testing.assert_array_equal(
            detector.calibration_errors_, np.sort(-by_hand.oob_score_samples_)
        )
        np.testing.assert_array_equal(detector.member_scores(NEW), by_hand.member_scores(NEW))

    @pytest.mark.parametrize("is_frozen", [False, True])
    def test_many_rows(self, is_frozen):
        many = rows_near_a_plane(np.random.default_rng(0), 300)
        # For its own threshold, an ensemble spares fewer of so many rows.
        inner = FrozenEstimator(ensemble().fit(many)) if is_frozen else ensemble()
        detector = out_of_bag(inner, alpha=0.1).fit(many)
        errors, own = compared(detector, NEW)
        assert len(errors) == (100 if is_frozen else 300)
        assert np.isfinite(errors).all()
        expected = (1 + np.sum(errors >= own, axis=1)) / (len(errors) + 1)
        np.testing.assert_array_equal(detector.p_values(NEW), expected)
        np.testing.assert_array_equal(detector.predict(NEW) == -1, expected <= 0.1)
        assert inner.threshold == "auto"

    @pytest.mark.parametrize(
        "nest",
        [
            lambda inner: out_of_bag(make_pipeline(StandardScaler(), "passthrough", inner)),
            lambda inner: FitOnInliers(out_of_bag(make_pipeline(StandardScaler(), inner))),
            lambda inner: out_of_bag(FitOnInliers(make_pipeline(StandardScaler(), inner))),
            lambda inner: out_of_bag(make_pipeline(StandardScaler(), FitOnInliers(inner))),
        ],
    )
    def test_nested(self, nest):
        detector = nest(ensemble()).fit(X, LABELS)
        errors, own = compared(detector, NEW)
        assert len(errors) in (60, 80)
        expected = (1 + np.sum(errors >= own, axis=1)) / (len(errors) + 1)
        np.testing.assert_array_equal(detector.p_values(NEW), expected)
        np.testing.assert_array_equal(detector.predict(NEW) == -1, expected <= 0.05)

    def test_rows_of_weight_zero_do_not_calibrate(self):
        weights = np.where(LABELS == 1, 2.0, 0.0)
        detector = out_of_bag(ensemble()).fit(X, sample_weight=weights)
        assert len(detector.calibration_errors_) == 60
        errors, own = compared(detector, NEW)
        expected = (1 + np.sum(errors >= own, axis=1)) / 61
        np.testing.assert_array_equal(detector.p_values(NEW), expected)
        pipeline = out_of_bag(make_pipeline("passthrough", ensemble()))
        name = "autoencoderensembleoutlierdetector__sample_weight"
        pipeline.fit(X, **{name: weights})
        np.testing.assert_array_equal(pipeline.p_values(NEW), expected)

    def test_metadata_routing(self):
        with config_context(enable_metadata_routing=True):
            inner = ensemble().set_fit_request(sample_weight="weight", X_val=True)
            detector = out_of_bag(inner).fit(X, weight=(LABELS == 1).astype(float), X_val=X[:10])
        assert len(detector.calibration_errors_) == 60
        assert "val_loss" in detector.history_

    def test_kinds_of_data(self):
        expected = out_of_bag(ensemble()).fit(X).p_values(NEW)
        named = pd.DataFrame(X).add_prefix("feature_")
        new = pd.DataFrame(NEW, columns=named.columns)
        np.testing.assert_array_equal(out_of_bag(ensemble()).fit(named).p_values(new), expected)
        again = out_of_bag(ensemble()).fit(X.tolist())
        np.testing.assert_array_equal(again.p_values(NEW.tolist()), expected)

    def test_a_frozen_ensemble_is_not_trained_again(self):
        trained = FitOnInliers(make_pipeline(StandardScaler(), ensemble())).fit(X, LABELS)
        detector = out_of_bag(FrozenEstimator(trained)).fit(X)
        assert detector.estimator_.estimator is trained
        assert len(detector.calibration_errors_) == 60
        by_hand = out_of_bag(clone(trained)).fit(X, LABELS)
        np.testing.assert_array_equal(detector.p_values(NEW), by_hand.p_values(NEW))

    def test_refitted_with_a_split(self, fitted):
        detector = clone(fitted).fit(X)
        detector.set_params(calibration="split", calibration_size=19, random_state=0)
        np.testing.assert_array_equal(detector.predict(NEW), fitted.predict(NEW))  # not yet
        detector.fit(X)
        assert len(detector.calibration_errors_) == 19
        scores = detector.estimator_.score_samples(NEW)
        np.testing.assert_array_equal(detector.score_samples(NEW), scores)
        assert detector.predict_fdr(NEW).shape == (600,)


def test_copies(fitted):
    again = clone(fitted)
    assert again.calibration == "oob"
    np.testing.assert_array_equal(again.fit(X).p_values(NEW), fitted.p_values(NEW))
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.p_values(NEW), fitted.p_values(NEW))
    np.testing.assert_array_equal(loaded.score_samples(NEW), fitted.score_samples(NEW))


def test_can_be_searched():
    search = GridSearchCV(
        ConformalOutlierDetector(ensemble(), alpha=0.2, random_state=0),
        {"calibration": ["split", "oob"]},
        scoring=lambda detector, X: len(detector.calibration_errors_),
        cv=2,
    ).fit(X)
    assert search.best_params_ == {"calibration": "oob"}


def test_display_has_no_line_for_discoveries(fitted):
    display = PValueDisplay.from_estimator(fitted, NEW)
    np.testing.assert_array_equal(display.p_values, fitted.p_values(NEW))
    assert display.alpha is None
    assert display.alpha_line_ is None
    assert display.frame()["discovery"].isna().all()


class TestRefused:
    @pytest.mark.parametrize(
        "inner",
        [
            IsolationForest(),
            AutoencoderOutlierDetector(),
            make_pipeline(StandardScaler(), AutoencoderOutlierDetector()),
            FitOnInliers(AutoencoderOutlierDetector()),
            GridSearchCV(ensemble(), {"epochs": [1, 2]}, scoring="accuracy"),
        ],
    )
    def test_no_ensemble(self, inner):
        detector = out_of_bag(inner)
        message = "needs an AutoencoderEnsembleOutlierDetector.* got .*: give such an ensemble, or"
        with pytest.raises(ValueError, match=message):
            detector.fit(X)
        assert not hasattr(detector, "estimator_")

    @pytest.mark.parametrize(
        ("params", "n_rows", "got"),
        [
            ({"n_estimators": 2}, 80, "got n_estimators=2"),
            ({"threshold": "mean_std"}, 80, "got .*threshold='mean_std'"),
            ({"threshold": 3.0}, 80, "got .*threshold=3.0"),
            ({"contamination": 0.1}, 80, "got .*contamination=0.1"),
            ({"validation_fraction": 0.2}, 80, "got .*validation_fraction=0.2"),
            ({}, 19, "got .*n_samples=19. Change what differs, or give calibration='split'"),
        ],
    )
    @pytest.mark.parametrize(
        "nest",
        [lambda inner: inner, lambda inner: FitOnInliers(make_pipeline("passthrough", inner))],
    )
    def test_no_row_left_out_before_training(self, nest, params, n_rows, got):
        inner = ensemble(**params, callbacks=[NoTraining()])
        with pytest.raises(ValueError, match="whose members leave out some of the rows.*" + got):
            out_of_bag(nest(inner), alpha=0.1).fit(X[:n_rows])

    def test_invalid_parameters_have_their_own_messages(self):
        with pytest.raises(ValueError, match="'n_estimators' parameter"):
            out_of_bag(ensemble("three")).fit(X)
        with pytest.raises(ValueError, match="learns from labels"):
            out_of_bag(ensemble(threshold="youden")).fit(X)
        with pytest.raises(ValueError, match="'calibration' parameter"):
            ConformalOutlierDetector(ensemble(), calibration="bag").fit(X)

    def test_no_row_left_out_after_training(self):
        detector = out_of_bag(FitOnInliers(ensemble()), alpha=0.1)
        with (
            pytest.warns(UserWarning, match="Of 15 rows none can be spared"),
            pytest.raises(ValueError, match=r"20 rows or more \(with a weight\)"),
        ):
            detector.fit(X[:60], np.repeat([1, -1], [15, 45]))
        assert not hasattr(detector, "estimator_")
        frozen = FrozenEstimator(ensemble(threshold="mean_std").fit(X))
        with pytest.raises(ValueError, match="got .*threshold='mean_std'"):
            out_of_bag(frozen).fit(X)

    def test_too_few_rows_for_alpha(self):
        with pytest.raises(ValueError, match="80 calibration rows are too few.* At least 99 are"):
            out_of_bag(ensemble(callbacks=[NoTraining()]), alpha=0.01).fit(X)
        weights = (LABELS == 1).astype(float)
        with pytest.raises(ValueError, match="60 calibration rows are too few.* give fit more"):
            out_of_bag(ensemble(), alpha=1 / 80).fit(X, sample_weight=weights)

    def test_false_discovery_rate(self, fitted):
        with pytest.raises(ValueError, match="needs calibration='split', but .* use predict, or"):
            fitted.predict_fdr(NEW)
        with pytest.raises(NotFittedError):
            out_of_bag(ensemble()).predict_fdr(NEW)

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            out_of_bag(FrozenEstimator(ensemble())).fit(X)
        with pytest.raises(NotFittedError):
            out_of_bag(ensemble()).score_samples(X)

    def test_without_score_samples(self):
        with pytest.raises(TypeError, match="outlier detector with score_samples"):
            out_of_bag(LogisticRegression()).fit(X)

    def test_unfit_rows(self, fitted):
        with pytest.raises(ValueError, match="19 features"):
            fitted.p_values(NEW[:, 1:])
        holes = X.copy()
        holes[0, 0] = np.inf
        with pytest.raises(ValueError, match="contains infinity"):
            out_of_bag(ensemble()).fit(holes)
