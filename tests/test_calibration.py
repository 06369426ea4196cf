"""Rows that set the threshold are not trained on, and so the promise of false alarms is kept."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ReconstructionOutlierDetector,
)
from skae.thresholds import FalsePositiveRate

# A few epochs make a quick test and a poor network.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MIXING = np.random.default_rng(0).normal(size=(3, 8))
SMALL = {"hidden_layer_sizes": (8,), "learning_rate": 0.01, "epochs": 5, "batch_size": 32}


def normal_rows(n_rows, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_rows, 3)) @ MIXING + 0.3 * random.normal(size=(n_rows, 8))
    return rows.astype(np.float32)


def single(**params):
    return AutoencoderOutlierDetector(**SMALL | {"latent_dim": 3, "random_state": 0} | params)


def ensemble(n_estimators=4, **params):
    params = SMALL | {"latent_dim": (2, 4, 3, 3), "random_state": 0} | params
    return AutoencoderEnsembleOutlierDetector(n_estimators, **params)


def pca(**params):
    return ReconstructionOutlierDetector(PCA(3), **params)


class TestPromise:
    """Of new normal rows 5 % are flagged, on average over samples and rows."""

    @pytest.mark.parametrize(
        ("make", "n_rows", "n_samples"),
        [
            *[(pca, n_rows, 300) for n_rows in (30, 100, 400, 1500)],
            *[(single, n_rows, 60) for n_rows in (30, 100)],
            *[(ensemble, n_rows, 60) for n_rows in (30, 100)],
            *[(single, n_rows, 20) for n_rows in (400, 1500)],
            *[(ensemble, n_rows, 20) for n_rows in (400, 1500)],
        ],
    )
    def test_is_kept(self, make, n_rows, n_samples):
        rates = []
        for seed in range(n_samples):
            detector = make(random_state=seed).fit(normal_rows(n_rows, seed))
            rates.append((detector.predict(normal_rows(2000, 1000 + seed)) == -1).mean())
        assert 0.02 < np.mean(rates) < 0.07

    def test_is_not_kept_by_training_errors(self):
        # Small networks learn 100 rows by heart, so that new ones look like outliers.
        params = {"hidden_layer_sizes": (64,), "latent_dim": 6, "epochs": 200}
        rule = FalsePositiveRate(confidence=None)
        rows, new = normal_rows(100, 0), normal_rows(2000, 1)
        detector = single(threshold="quantile", error="mse", **params).fit(rows)
        naive = rule.threshold(-detector.score_samples(rows))
        assert (-detector.score_samples(new) > naive).mean() > 0.1
        kept = single(error="mse", **params).fit(rows)
        assert (kept.predict(new) == -1).mean() < 0.1


class Seen(keras.layers.Layer):
    """Tells of the rows that pass it in training."""

    def __init__(self, tell):
        super().__init__()
        self.tell = tell

    def call(self, inputs, training=False):
        if not training:
            return inputs

        def passed_on(batch):
            self.tell(np.array(batch))
            return batch

        passed = tf.numpy_function(passed_on, [inputs], tf.float32)
        return tf.ensure_shape(passed, inputs.shape)


class Heard(FalsePositiveRate):
    """Keeps the errors that it sees."""

    heard = []

    def _threshold(self, errors, is_outlier):
        self.heard.append(errors)
        return super()._threshold(errors, is_outlier)


class TestSingle:
    @pytest.mark.parametrize(
        ("n_rows", "n_held_out", "refits"),
        [(20, 10, True), (100, 33, True), (999, 199, True), (1000, 100, False), (3000, 150, False)],
    )
    def test_rows_that_set_the_threshold_are_not_trained_on(self, n_rows, n_held_out, refits):
        networks = []

        def architecture(input_shape):
            networks.append([])
            hidden = [keras.layers.Dense(3, name="latent"), keras.layers.Dense(8)]
            return keras.Sequential([keras.Input(input_shape), Seen(networks[-1].append), *hidden])

        rows = normal_rows(n_rows, 0)
        Heard.heard.clear()
        detector = single(architecture=architecture, threshold=Heard(confidence=None), epochs=2)
        detector.fit(rows)
        trained_on = [np.unique(np.vstack(seen), axis=0) for seen in networks if seen]
        expected = [n_rows - n_held_out] + [n_rows] * refits
        assert [len(seen) for seen in trained_on] == expected
        (errors,) = Heard.heard
        assert len(errors) == n_held_out
        assert -detector.offset_ == FalsePositiveRate(confidence=None).threshold(errors)
        if not refits:
            is_seen = np.isin(rows[:, 0], trained_on[0][:, 0])
            held_out = -detector.score_samples(rows[~is_seen])
            np.testing.assert_array_equal(np.sort(errors), np.sort(held_out))

    def test_callbacks_hear_one_training(self):
        begins = []
        callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begins.append(logs))
        single(callbacks=[callback]).fit(normal_rows(100, 0))
        assert len(begins) == 1

    def test_history_is_that_of_the_last_training(self):
        rows = normal_rows(100, 0)
        detector = single().fit(rows)
        assert len(detector.history_["loss"]) == detector.n_iter_ == 5
        assert len(detector.fit(rows).history_["loss"]) == 5
        # What may be resumed is trained once, without the rows that set the threshold.
        Heard.heard.clear()
        detector.set_params(warm_start=True, threshold=Heard(confidence=None))
        detector.set_params(random_state=np.random.RandomState(0)).fit(rows).fit(rows)
        assert len(detector.history_["loss"]) == 15
        held_out = detector._resumed_calibration[1]
        assert [len(errors) for errors in Heard.heard] == [33, 33]
        np.testing.assert_array_equal(Heard.heard[1], -detector.score_samples(rows[held_out]))

    def test_validation_fraction_says_which_rows(self):
        rows = normal_rows(100, 0)
        Heard.heard.clear()
        single(threshold=Heard(confidence=None), validation_fraction=0.4).fit(rows)
        assert [len(errors) for errors in Heard.heard] == [40]

    @pytest.mark.parametrize("make", [single, ensemble, pca])
    def test_below_20_rows_none_can_be_spared(self, make):
        with pytest.warns(UserWarning, match="Of 19 rows none can be spared.*Give 20 rows or more"):
            detector = make().fit(normal_rows(19, 0))
        assert np.isfinite(detector.offset_)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Of .* rows none can be spared")
            make().fit(normal_rows(20, 0))
            make(threshold="mean_std").fit(normal_rows(19, 0))
            make(contamination=0.1).fit(normal_rows(19, 0))

    @pytest.mark.parametrize("make", [single, ensemble, pca])
    def test_contamination_is_a_quantile_of_the_scores_of_all_rows(self, make):
        rows = normal_rows(200, 0)
        detector = make(contamination=0.1).fit(rows)
        assert detector.offset_ == pytest.approx(
            np.percentile(detector.score_samples(rows), 10), rel=1e-9
        )
        assert (detector.predict(rows) == -1).sum() == 20


class TestEnsemble:
    @pytest.mark.parametrize(
        ("n_rows", "n_members", "n_left_out", "members_each"),
        [
            (20, 4, 20, 1),
            (100, 4, 100, 1),
            (200, 3, 100, 1),
            (400, 4, 100, 1),
            (3000, 4, 150, 1),
            (100, 8, 100, 2),
        ],
    )
    def test_which_rows_are_left_out(self, n_rows, n_members, n_left_out, members_each):
        detector = ensemble(n_members, epochs=1).fit(normal_rows(n_rows, 0))
        sees = np.zeros((n_rows, n_members), dtype=bool)
        for member, rows in enumerate(detector.estimators_samples_):
            sees[rows, member] = True
        n_missing = (~sees).sum(axis=1)
        np.testing.assert_array_equal(np.unique(n_missing[n_missing > 0]), [members_each])
        assert np.count_nonzero(n_missing) == n_left_out
        assert np.ptp(sees.sum(axis=0)) <= members_each
        np.testing.assert_array_equal(np.isnan(detector.oob_score_samples_), n_missing == 0)

    @pytest.mark.parametrize("error", ["combined", "mse", "mahalanobis"])
    @pytest.mark.parametrize("n_rows", [90, 300])
    def test_score_by_the_members_that_left_a_row_out(self, error, n_rows):
        rows = normal_rows(n_rows, 0)
        detector = ensemble(8, error=error, threshold="auto").fit(rows)
        left_out = np.ones((n_rows, 8), dtype=bool)
        for member, samples in enumerate(detector.estimators_samples_):
            left_out[samples, member] = False
        scores = np.ma.masked_array(detector.member_scores(rows), ~left_out).mean(axis=1)
        np.testing.assert_allclose(detector.oob_score_samples_, scores.filled(np.nan), rtol=1e-12)
        known = detector.oob_score_samples_[left_out.any(axis=1)]
        rule = FalsePositiveRate(0.05, confidence=None)
        assert -detector.offset_ == rule.threshold(-known)

    def test_a_member_does_not_feel_the_rows_that_it_leaves_out(self):
        rows = normal_rows(160, 0)
        # Nothing else that depends on all rows: neither noise nor the unit of the loss.
        params = {"noise": 0.0, "loss": "mse", "output_activation": "linear", "epochs": 20}
        before = ensemble(**params).fit(rows)
        left_out = np.setdiff1d(np.arange(160), before.estimators_samples_[1])
        assert len(left_out) == 25
        changed = rows.copy()
        changed[left_out] += 3
        after = ensemble(**params).fit(changed)
        for first, second in zip(
            before.autoencoder_.get_weights(), after.autoencoder_.get_weights(), strict=True
        ):
            np.testing.assert_allclose(second[1], first[1], rtol=1e-4, atol=1e-6)
            for other in (0, 2, 3):
                assert np.abs(second[other] - first[other]).max() > 1e-3

    def test_nor_do_its_kept_codes_come_from_them(self):
        rows = normal_rows(120, 0)
        detector = ensemble(trim_fraction=0.0).fit(rows)
        made = np.asarray(detector.autoencoder_(np.repeat(rows[:, None], 4, axis=1)))
        for member, samples in enumerate(detector.estimators_samples_):
            known = detector._scorer._errors[member].known_rows
            nearest = np.abs(known[:, None] - made[:, member]).max(axis=2).argmin(axis=1)
            assert np.isin(nearest, samples).all()

    @pytest.mark.parametrize(
        "params",
        [
            {"threshold": "mean_std"},
            {"contamination": 0.1},
            {"validation_fraction": 0.2},
            {"n_estimators": 2},
        ],
    )
    def test_only_where_the_rule_needs_it(self, params):
        detector = ensemble(**params).fit(normal_rows(100, 0))
        with pytest.raises(AttributeError, match="no estimators_samples_.*'auto' or 'fpr'"):
            _ = detector.estimators_samples_
        assert not hasattr(detector, "oob_score_samples_")

    def test_both_go_with_the_fit_they_belong_to(self):
        detector = ensemble().fit(normal_rows(100, 0))
        assert len(detector.oob_score_samples_) == 100
        detector.set_params(threshold="mean_std").fit(normal_rows(100, 0))
        assert not hasattr(detector, "oob_score_samples_")
        assert not hasattr(detector, "estimators_samples_")

    def test_two_members_hold_rows_out_as_a_single_network_does(self):
        Heard.heard.clear()
        ensemble(2, threshold=Heard(confidence=None)).fit(normal_rows(100, 0))
        assert [len(errors) for errors in Heard.heard] == [33]

    def test_rows_without_weight_are_not_among_them(self):
        weight = np.repeat([1.0, 0.0], [100, 20])
        detector = ensemble().fit(normal_rows(120, 0), sample_weight=weight)
        assert len(detector.oob_score_samples_) == 100
