"""Training chunk by chunk: it resumes to the bit, and keeps what `fit` promises."""

import copy
import pickle

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae
from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector, FitOnInliers
from skae._detectors.reservoir import Reservoir, row_keys
from skae._engines.options import falling_rate

GENERATOR = np.random.default_rng(0)
X = GENERATOR.random((480, 5), dtype=np.float32)
X[:, 3:] = X[:, :2] * X[:, 1:3]
CHUNKS = np.split(X, 4)
Y = np.where(np.arange(120) % 6 == 0, -1, 1)
SMALL = {"hidden_layer_sizes": 8, "latent_dim": 2, "random_state": 0}

# For a network worth the name, by `fit`.
ENOUGH = {"epochs": 40, "learning_rate": 0.01, "batch_size": 32}


def single(**params):
    return AutoencoderOutlierDetector(**SMALL | params)


def ensemble(**params):
    return AutoencoderEnsembleOutlierDetector(3, **SMALL | params)


def own_network(input_shape):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Dense(4, activation="mish"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(5),
        ]
    )


def after(detector, chunks=CHUNKS):
    for chunk in chunks:
        detector.partial_fit(chunk)
    return detector


def state_of(detector):
    return detector.score_samples(X), detector.offset_, detector.history_, detector.n_iter_


def assert_same(first, second):
    for one, other in zip(state_of(first), state_of(second), strict=True):
        np.testing.assert_equal(one, other)


class TestResuming:
    @pytest.mark.parametrize(
        "detector",
        [
            single(dropout=0.1),
            single(architecture="vae"),
            single(architecture=own_network, optimizer="rmsprop"),
            single(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), noise=0.1),
            ensemble(),
        ],
        ids=["dropout", "vae", "own network", "own optimizer", "ensemble"],
    )
    def test_a_stream_pickled_anywhere_ends_to_the_bit_as_one_not_stopped(self, detector):
        expected = after(clone(detector))
        resumed = clone(detector)
        for chunk in CHUNKS:
            resumed = pickle.loads(pickle.dumps(resumed)).partial_fit(chunk)
            skae.clear_cache()
        assert_same(resumed, expected)

    def test_a_copy_resumes_and_leaves_the_original_as_it_is(self):
        detector = after(single(), CHUNKS[:2])
        before = detector.score_samples(X)
        again = after(copy.deepcopy(detector), CHUNKS[2:])
        np.testing.assert_array_equal(detector.score_samples(X), before)
        assert_same(again, after(single()))

    def test_skops_resumes(self):
        dumped = skops.io.dumps(after(single(), CHUNKS[:2]))
        loaded = skops.io.loads(dumped, trusted=list(skae.TRUSTED_TYPES))
        assert_same(after(loaded, CHUNKS[2:]), after(single()))

    def test_a_chunk_that_is_refused_leaves_no_trace(self):
        detector = after(single(), CHUNKS[:2])
        with pytest.raises(ValueError, match="5 features"):
            detector.partial_fit(X[:, :4])
        broken = CHUNKS[2].copy()
        broken[0] = np.nan
        with pytest.raises(ValueError, match="1 rows without any value"):
            detector.partial_fit(broken)
        assert_same(after(detector, CHUNKS[2:]), after(single()))

    def test_another_optimizer_begins_anew(self):
        detector = after(single(), CHUNKS[:2])
        detector.set_params(optimizer="sgd").partial_fit(CHUNKS[2])
        assert np.isfinite(detector.score_samples(X)).all()


class TestRandomness:
    def test_an_int_gives_the_same_and_leaves_the_global_generator_alone(self):
        np.random.seed(7)
        expected = np.random.random()
        np.random.seed(7)
        first, second = after(single()), after(single())
        assert np.random.random() == expected
        assert_same(first, second)

    @pytest.mark.parametrize("detector", [single, ensemble])
    def test_without_a_seed_one_is_drawn_at_the_first_call_and_kept(self, detector):
        np.random.seed(3)
        first = after(detector(random_state=None), CHUNKS[:2])
        np.random.seed(3)
        second = detector(random_state=None).partial_fit(CHUNKS[0])
        np.random.seed(8)
        assert_same(second.partial_fit(CHUNKS[1]), first)
        third = after(detector(random_state=None), CHUNKS[:2])
        assert (third.score_samples(X) != first.score_samples(X)).any()

    def test_a_generator_is_drawn_from_once(self):
        generator = np.random.RandomState(3)
        detector = single(random_state=generator).partial_fit(CHUNKS[0])
        state = generator.get_state()[2]
        detector.partial_fit(CHUNKS[1])
        assert generator.get_state()[2] == state


class TestFit:
    @pytest.mark.parametrize("make", [single, ensemble])
    def test_it_starts_anew_after_partial_fit(self, make):
        fresh = make(**ENOUGH).fit(X)
        again = after(make(**ENOUGH)).fit(X)
        assert_same(again, fresh)
        assert vars(again).keys() == vars(fresh).keys()
        assert_same(after(again), after(fresh))

    def test_partial_fit_resumes_with_the_fitted_weights(self):
        fitted = single(**ENOUGH).fit(X)
        before = fitted.reconstruct(X)
        resumed = fitted.set_params(learning_rate=1e-12).partial_fit(CHUNKS[0])
        np.testing.assert_allclose(resumed.reconstruct(X), before, atol=1e-6)
        assert resumed.n_iter_ == len(resumed.history_["loss"]) > 40

    def test_members_leave_out_no_rows_in_a_stream(self):
        detector = ensemble(**ENOUGH).fit(X)
        assert hasattr(detector, "oob_score_samples_")
        detector.partial_fit(CHUNKS[0])
        assert not hasattr(detector, "oob_score_samples_")
        assert not hasattr(detector, "estimators_samples_")

    def test_it_learns_as_fit_does(self, heartbeats):
        X, y = heartbeats
        detector = AutoencoderOutlierDetector(random_state=0, batch_size=32)
        normal = X[y == 1]
        for _ in range(8):
            after(detector, np.array_split(normal, 2))
        scores = detector.score_samples(X)
        assert sklearn.metrics.roc_auc_score(y, scores) > 0.95


class TestSteps:
    @pytest.mark.parametrize(("n_rows", "epochs"), [(4, 20), (48, 7), (400, 1)])
    def test_a_call_makes_twenty_steps_and_one_epoch_or_more(self, n_rows, epochs):
        detector = single(batch_size=16, threshold="mean_std").partial_fit(X[:n_rows])
        assert detector.n_iter_ == len(detector.history_["loss"]) == epochs
        detector.partial_fit(X[:n_rows])
        assert detector.n_iter_ == len(detector.history_["loss"]) == 2 * epochs

    def test_the_rate_falls_as_one_over_the_root_of_the_steps(self):
        rates = [falling_rate(n_steps) for n_steps in (0, 1999, 2000, 8000, 200_000)]
        np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-3, 5e-4, 1e-4])

    def test_chunks_of_one_row_come_through(self):
        detector = after(single(threshold="mean_std"), [X[:40], X[40:41], X[41:42]])
        assert np.isfinite(detector.score_samples(X)).all()


class TestThreshold:
    @pytest.mark.parametrize("make", [single, ensemble])
    def test_new_rows_are_flagged_about_as_often_as_promised(self, make):
        detector = after(make(), np.array_split(X[:400], 2) * 5)
        new = GENERATOR.random((2000, 5), dtype=np.float32)
        new[:, 3:] = new[:, :2] * new[:, 1:3]
        assert 0.005 < (detector.predict(new) == -1).mean() < 0.2

    def test_contamination_counts_the_rows_so_far(self):
        detector = after(single(contamination=0.1))
        assert (detector.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.005)

    def test_rows_trained_on_set_it_until_enough_are_held_out(self):
        detector = single()
        with pytest.warns(UserWarning, match="Only 8 rows are held out .* needs 19"):
            detector.partial_fit(X[:40])
        after(detector, CHUNKS)  # silent

    def test_rows_held_out_are_so_in_every_pass(self):
        detector = after(single(), CHUNKS * 3)
        stream = vars(detector)["_stream"]
        trained = {row.tobytes() for row in stream.trained.rows}
        held_out = {row.tobytes() for row in stream.held_out.rows}
        assert not trained & held_out
        assert len(trained) + len(held_out) == len(X)
        assert len(stream.trained.rows) == len(trained)


class TestInput:
    def test_columns_must_stay_the_same(self):
        names = list("abcde")
        detector = single().partial_fit(pd.DataFrame(X, columns=names))
        with pytest.raises(ValueError, match="feature names should match"):
            detector.partial_fit(pd.DataFrame(X, columns=names[::-1]))
        with pytest.raises(ValueError, match="X has 4 features, but Auto.* is expecting 5 feat"):
            single().partial_fit(X).partial_fit(X[:, :4])

    @pytest.mark.parametrize("params", [{"early_stopping": True}, {"validation_fraction": 0.1}])
    def test_what_needs_all_rows_is_refused(self, params):
        with pytest.raises(ValueError, match=f"does not support {next(iter(params))}="):
            single(**params).partial_fit(X)

    def test_a_network_that_changed_is_refused(self):
        detector = single().partial_fit(CHUNKS[0]).set_params(latent_dim=3)
        with pytest.raises(ValueError, match="like partial_fit, resumes .*latent_dim=2, but"):
            detector.partial_fit(CHUNKS[1])

    def test_the_first_chunk_has_two_rows(self):
        with pytest.raises(ValueError, match="minimum of 2 is required"):
            single().partial_fit(X[:1])

    def test_cells_may_be_missing_later_on(self):
        with_gaps = CHUNKS[1].copy()
        with_gaps[::3, 1] = np.nan
        detector = after(single(), [CHUNKS[0], with_gaps, CHUNKS[2]])
        assert np.isfinite(detector.score_samples(with_gaps)).all()  # nor does it warn
        empty = CHUNKS[0].copy()
        empty[:, 2] = np.nan
        with pytest.raises(ValueError, match="no value at all in feature 2"):
            single().partial_fit(empty)

    def test_chunks_scaled_otherwise_are_told(self):
        detector = single().partial_fit(CHUNKS[0])
        with pytest.warns(UserWarning, match=r"'sigmoid' reaches .* this chunk of X lies in \["):
            detector.partial_fit(10 * CHUNKS[1])

    def test_rows_of_weight_zero_are_as_if_not_given(self):
        weights = np.repeat([1.0, 0.0], 120)
        first, second = single(), single()
        for chunk in np.split(X, 2):
            first.partial_fit(chunk, sample_weight=weights)
            second.partial_fit(chunk[:120])
        np.testing.assert_allclose(first.score_samples(X), second.score_samples(X), rtol=1e-3)


class TestFitOnInliers:
    def test_it_hands_on_the_normal_rows(self):
        outer, inner = FitOnInliers(single()), single()
        for chunk in CHUNKS:
            outer.partial_fit(chunk, Y)
            inner.partial_fit(chunk[Y == 1])
        np.testing.assert_array_equal(outer.score_samples(X), inner.score_samples(X))
        assert not hasattr(outer.estimator, "offset_")

    def test_weights_are_cut_to_them(self):
        weights = np.linspace(1, 2, 120)
        outer = FitOnInliers(single()).partial_fit(CHUNKS[0], Y, sample_weight=weights)
        inner = single().partial_fit(CHUNKS[0][Y == 1], sample_weight=weights[Y == 1])
        np.testing.assert_array_equal(outer.score_samples(X), inner.score_samples(X))

    def test_routing(self):
        weights = np.linspace(1, 2, 120)
        with sklearn.config_context(enable_metadata_routing=True):
            inner = single().set_partial_fit_request(sample_weight=True)
            outer = FitOnInliers(inner).partial_fit(CHUNKS[0], Y, sample_weight=weights)
        expected = FitOnInliers(single()).partial_fit(CHUNKS[0], Y, sample_weight=weights)
        np.testing.assert_array_equal(outer.score_samples(X), expected.score_samples(X))

    def test_a_chunk_without_normal_rows_is_passed_over(self):
        detector = FitOnInliers(single())
        with pytest.raises(ValueError, match="No row is labeled normal"):
            detector.partial_fit(CHUNKS[0], -np.ones(120))
        assert not hasattr(detector, "estimator_")
        detector.partial_fit(CHUNKS[0], Y)
        n_iter = detector.n_iter_
        assert detector.partial_fit(CHUNKS[1], -np.ones(120)).n_iter_ == n_iter

    def test_other_labels_are_named(self):
        with pytest.raises(ValueError, match="inlier_label"):
            FitOnInliers(single()).partial_fit(CHUNKS[0], Y == 1)

    def test_pipelines_have_none(self):
        assert not hasattr(FitOnInliers(make_pipeline(MinMaxScaler(), single())), "partial_fit")


class TestReservoir:
    def test_every_row_is_as_likely_to_stay(self):
        rows = np.arange(12_000, dtype=np.float32)[:, None]
        counts = np.zeros(len(rows))
        for seed in range(10):
            random, sample = np.random.RandomState(seed), Reservoir.empty(1)
            for chunk in np.array_split(rows, 7):
                weights, keys = np.ones(len(chunk), np.float32), random.random_sample(len(chunk))
                sample = sample.after(chunk, weights, keys, np.arange(len(chunk)), random)
            kept = sample.rows[:, 0].astype(int)
            assert len(np.unique(kept)) == 4096
            counts[kept] += 1
        shares = [part.mean() / 10 for part in np.split(counts, 6)]
        # The standard error of a share is about 0.003.
        np.testing.assert_allclose(shares, 4096 / 12_000, atol=0.012)

    def test_keys_are_those_of_values(self):
        random = np.random.RandomState(0)
        keys = row_keys(X, 5, random)
        np.testing.assert_array_equal(row_keys(X[::-1], 5, random), keys[::-1])
        assert (row_keys(X, 6, random) != keys).all()
        assert keys.mean() == pytest.approx(0.5, abs=0.06)

    def test_equal_rows_are_not_treated_alike(self):
        keys = row_keys(np.ones((1000, 3), np.float32), 5, np.random.RandomState(0))
        assert len(np.unique(keys)) == 1000
