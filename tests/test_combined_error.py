"""The combined error: each part beside its definition, for one network and for several."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
)
from skae._engines import numpy as numpy_engine
from skae._engines.keras import forward as keras_engine
from skae._network.combined import MAX_CODES
from skae._network.scorer import Scorer
from skae.inspection import explain
from skae.thresholds import MeanStd

# A few epochs make a quick test and a poor network.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
MIXING = RANDOM.normal(size=(3, 7))


def rows_like_training(n_rows, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_rows, 3)) @ MIXING + 0.2 * random.normal(size=(n_rows, 7))
    return rows.astype(np.float32)


X = rows_like_training(120, 1)
NEW = rows_like_training(50, 2)
WEIGHTS = np.array([1.0, 1.0, 0.5])
SMALL = {"hidden_layer_sizes": (12,), "epochs": 10, "learning_rate": 0.01, "random_state": 0}
PARTS = ["reconstruction", "memory", "latent"]


def single(**params):
    return AutoencoderOutlierDetector(**SMALL | {"latent_dim": 3, "threshold": "mean_std"} | params)


def ensemble(n_estimators=3, **params):
    return AutoencoderEnsembleOutlierDetector(
        n_estimators, **SMALL | {"latent_dim": (2, 5, 3), "threshold": "mean_std"} | params
    )


def squared_distances(codes, others):
    return ((codes[:, None] - others) ** 2).sum(axis=2)


class ByHand:
    """The combined error in plain NumPy, where the code of every training row is kept.

    What the network makes of the code of a training row is the reconstruction of the row.
    """

    def __init__(self, rows, made, codes, weight=None, trim=0.0):
        # Of a network trained without half of the rows, only the reconstruction counts.
        self.counts = WEIGHTS * [1, 1 - 2 * trim, 1 - 2 * trim]
        self.weight = np.ones(len(rows)) if weight is None else weight
        codes = codes.astype(np.float64)
        self.location = np.average(codes, axis=0, weights=self.weight)
        variance = np.average((codes - self.location) ** 2, axis=0, weights=self.weight)
        self.scale = np.sqrt(variance)
        self.codes = self.standardized(codes)
        covariance = np.cov(self.codes.T, aweights=self.weight, ddof=0).reshape(2 * codes.shape[1:])
        self.precision = np.linalg.inv(covariance + 1e-3 * np.eye(len(covariance)))
        self.made = made.astype(np.float64)
        self.training_parts = self.raw(rows, made, codes, own=True)
        self.usual = np.average(self.training_parts, axis=0, weights=self.weight)

    def standardized(self, codes):
        return (codes - self.location) / self.scale

    def raw(self, rows, made, codes, own=False):
        codes = self.standardized(codes.astype(np.float64))
        distances = squared_distances(codes, self.codes)
        if own:
            np.fill_diagonal(distances, np.inf)
        known = self.made[distances.argmin(axis=1)]
        rows = rows.astype(np.float64)
        latent = np.einsum("ij,jk,ik->i", codes, self.precision, codes)
        return np.column_stack(
            [((rows - made) ** 2).mean(axis=1), ((rows - known) ** 2).mean(axis=1), latent]
        )

    def parts(self, *rows_made_codes):
        return self.raw(*rows_made_codes) / self.usual * self.counts

    @property
    def training_errors(self):
        return (self.training_parts / self.usual * self.counts).sum(axis=1)


def seen(fitted, rows):
    """Return rows, reconstructions and codes of a single network."""
    return rows, fitted.reconstruct(rows), fitted.transform(rows)


def seen_by_members(fitted, rows):
    """Return for each member rows, reconstructions and codes, by the public model."""
    model = fitted.autoencoder_
    both = keras.Model(model.input, [model.output, model.get_layer("latent").output])
    made, codes = map(np.asarray, both(np.repeat(rows[:, None], fitted.n_estimators, axis=1)))
    sizes = np.resize(fitted.latent_dim, fitted.n_estimators)
    return [(rows, made[:, m], codes[:, m, : sizes[m]]) for m in range(fitted.n_estimators)]


@pytest.fixture(scope="module")
def fitted():
    return single().fit(X)


@pytest.fixture(scope="module")
def members():
    return ensemble().fit(X)


class TestParts:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("latent_dim", [1, 3])
    def test_of_a_single_network(self, weighted, latent_dim):
        weight = np.linspace(0.1, 2, len(X)) if weighted else None
        fitted = single(latent_dim=latent_dim).fit(X, sample_weight=weight)
        by_hand = ByHand(*seen(fitted, X), weight)
        for rows in (NEW, X):
            expected = by_hand.parts(*seen(fitted, rows))
            np.testing.assert_allclose(fitted.error_parts(rows), expected, rtol=1e-3, atol=1e-5)
        if weighted:
            unweighted = ByHand(*seen(fitted, X)).parts(*seen(fitted, NEW))
            assert not np.allclose(fitted.error_parts(NEW), unweighted, rtol=1e-2)

    def test_of_members(self, members):
        by_hand = [ByHand(*each) for each in seen_by_members(members, X)]
        # Each has the same mean error over the training rows: that of all parts together.
        np.testing.assert_allclose(members.member_weights_, 1, rtol=1e-5)
        expected = [
            own.parts(*each)
            for own, each in zip(by_hand, seen_by_members(members, NEW), strict=True)
        ]
        errors = np.sum(expected, axis=2).T
        np.testing.assert_allclose(-members.member_scores(NEW), errors, rtol=1e-3)
        np.testing.assert_allclose(members.error_parts(NEW), np.mean(expected, axis=0), rtol=1e-3)
        np.testing.assert_allclose(-members.score_samples(NEW), errors.mean(axis=1), rtol=1e-3)

    @pytest.mark.parametrize("trim_fraction", [0.0, 0.1, 0.25, 0.5, "auto"])
    def test_of_a_network_that_is_trimmed(self, trim_fraction):
        detector = single(trim_fraction=trim_fraction).fit(X)
        trim = 0.5 if trim_fraction == "auto" else trim_fraction
        # Codes are kept of the rows that are not trimmed, and then they are not all.
        by_hand = ByHand(*seen(detector, X), trim=trim)
        expected = by_hand.parts(*seen(detector, NEW))
        parts = detector.error_parts(NEW).to_numpy()
        np.testing.assert_allclose(parts[:, [0, 2]], expected[:, [0, 2]], rtol=1e-3, atol=1e-5)
        if trim in (0.0, 0.5):
            np.testing.assert_allclose(parts[:, 1], expected[:, 1], rtol=1e-3, atol=1e-5)

    def test_members_count_as_their_parts_do(self):
        detector = ensemble(4, trim_fraction=(0.0, 0.0, 0.25, 0.5)).fit(X)
        by_hand = [
            ByHand(*each, trim=trim)
            for each, trim in zip(seen_by_members(detector, X), (0.0, 0.0, 0.25, 0.5), strict=True)
        ]
        assert [own.counts.sum() for own in by_hand] == [2.5, 2.5, 1.75, 1.0]
        # Each part has the mean that it counts, and needs no further factor.
        np.testing.assert_allclose(detector.member_weights_, 1, rtol=1e-4)
        latent = [
            own.parts(*each)[:, 2]
            for own, each in zip(by_hand, seen_by_members(detector, NEW), strict=True)
        ]
        np.testing.assert_allclose(
            detector.error_parts(NEW)["latent"], np.mean(latent, axis=0), rtol=1e-3
        )

    def test_of_a_transformer(self):
        rows = X.astype(np.float64)
        fitted = ReconstructionOutlierDetector(
            PCA(2), error="combined", threshold="mean_std", random_state=0
        ).fit(rows)
        pca = PCA(2).fit(rows)

        def seen_by_pca(rows):
            codes = pca.transform(rows)
            return rows, pca.inverse_transform(codes), codes

        by_hand = ByHand(*seen_by_pca(rows))
        np.testing.assert_allclose(
            fitted.error_parts(NEW.astype(np.float64)),
            by_hand.parts(*seen_by_pca(NEW.astype(np.float64))),
            rtol=1e-4,
        )
        assert -fitted.offset_ == pytest.approx(
            MeanStd().threshold(by_hand.training_errors), rel=1e-5
        )

    def test_training_rows_set_the_threshold_without_their_own_code(self, fitted):
        by_hand = ByHand(*seen(fitted, X))
        expected = MeanStd().threshold(by_hand.training_errors)
        assert -fitted.offset_ == pytest.approx(expected, rel=1e-4)
        assert by_hand.training_errors.mean() == pytest.approx(2.5)
        # As rows to score they have it, and are more normal.
        assert fitted.error_parts(X)["memory"].mean() < 0.98

    def test_sum_is_the_error(self, fitted, members):
        frame = pd.DataFrame(NEW, index=[f"row {number}" for number in range(len(NEW))])
        for detector in (fitted, members):
            parts = detector.error_parts(frame)
            assert list(parts.columns) == PARTS
            assert parts.index.equals(frame.index)
            np.testing.assert_allclose(parts.sum(axis=1), -detector.score_samples(NEW), rtol=1e-9)
            assert detector.error_parts(NEW).index.equals(pd.RangeIndex(len(NEW)))

    def test_what_is_usual_is_one(self):
        # Of many rows, a single code of its own makes little difference.
        many = rows_like_training(2000, 3)
        for detector in (single(epochs=20), ensemble(epochs=20)):
            detector.fit(many)
            parts = detector.error_parts(rows_like_training(2000, 4)).mean()
            np.testing.assert_allclose(parts, WEIGHTS, rtol=0.15)

    def test_each_part_finds_what_it_is_for(self):
        fitted = single(epochs=60).fit(X)
        usual = fitted.error_parts(NEW).mean()
        elsewhere = fitted.error_parts(RANDOM.normal(size=(50, 7)).astype(np.float32)).mean()
        assert elsewhere["reconstruction"] > 2 * usual["reconstruction"]
        far = fitted.error_parts(5 * NEW).mean()
        assert far["latent"] > 4 * usual["latent"]
        assert far["memory"] > 4 * usual["memory"]


class TestFeatures:
    @pytest.mark.parametrize("kind", [single, ensemble])
    def test_average_to_the_error(self, kind):
        detector = kind().fit(X)
        each = detector.feature_errors(NEW)
        assert each.shape == NEW.shape
        assert (each >= 0).all()
        np.testing.assert_allclose(each.mean(axis=1), -detector.score_samples(NEW), rtol=1e-6)

    def test_latent_part_is_shared_by_what_the_code_moves(self, fitted):
        by_hand = ByHand(*seen(fitted, X))
        _, made, codes = seen(fitted, NEW)
        nearest = squared_distances(by_hand.standardized(codes), by_hand.codes).argmin(axis=1)
        center = fitted.inverse_transform(by_hand.location[None])
        moved = (made - center) ** 2
        shares = moved / moved.sum(axis=1, keepdims=True)
        latent = by_hand.parts(NEW, made, codes)[:, 2]
        expected = (
            (NEW - made) ** 2 / by_hand.usual[0]
            + (NEW - by_hand.made[nearest]) ** 2 / by_hand.usual[1]
            + shares * NEW.shape[1] * latent[:, None]
        )
        np.testing.assert_allclose(fitted.feature_errors(NEW), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("kind", [single, ensemble])
    def test_explanation_adds_up(self, kind):
        detector = FitOnInliers(kind()).fit(X)
        explanation = explain(detector, NEW[:9], top=None)
        sums = explanation.groupby("row")["contribution"].sum()
        np.testing.assert_allclose(sums, -detector.score_samples(NEW[:9]), rtol=1e-6)

    def test_reconstruction_error_is_the_plain_one(self, fitted, members):
        squares = (NEW.astype(np.float64) - fitted.reconstruct(NEW)) ** 2
        np.testing.assert_allclose(fitted.reconstruction_error(NEW), squares.mean(axis=1))
        np.testing.assert_allclose(fitted.reconstruction_error(NEW, per_feature=True), squares)
        # Of members, each on the scale that they have on average over the training rows.
        usual = [((rows - made) ** 2).mean() for rows, made, _ in seen_by_members(members, X)]
        squares = np.array([(rows - made) ** 2 for rows, made, _ in seen_by_members(members, NEW)])
        factors = np.mean(usual) / np.array(usual)
        expected = (squares * factors[:, None, None]).mean(axis=0)
        np.testing.assert_allclose(
            members.reconstruction_error(NEW, per_feature=True), expected, rtol=1e-3, atol=1e-6
        )
        np.testing.assert_allclose(
            members.reconstruction_error(NEW), expected.mean(axis=1), rtol=1e-3
        )


class TestAnyCompany:
    @pytest.mark.parametrize("kind", [single, ensemble])
    def test_rows_alone_and_in_batches(self, kind):
        many = rows_like_training(500, 5)
        detector = kind(threshold="auto").fit(X)
        expected = detector.score_samples(many)
        features, parts = detector.feature_errors(many), detector.error_parts(many).to_numpy()
        for size in (1, 2, 16, 31, 32, 33, 64, 500):
            batches = [many[start : start + size] for start in range(0, 500, size)]
            for method, whole in (
                (detector.score_samples, expected),
                (detector.feature_errors, features),
                (lambda rows: detector.error_parts(rows).to_numpy(), parts),
            ):
                found = np.concatenate([method(rows) for rows in batches])
                np.testing.assert_array_equal(found, whole, err_msg=str(size))

    def test_many_rows(self, fitted, members):
        for detector in (fitted, members):
            many = np.tile(NEW, (400, 1))
            np.testing.assert_array_equal(
                detector.score_samples(many), np.tile(detector.score_samples(NEW), 400)
            )

    @pytest.mark.parametrize("kind", [single, ensemble])
    def test_pickles_keep_every_bit(self, kind):
        detector = kind(threshold="auto").fit(X)
        again = pickle.loads(pickle.dumps(detector))
        np.testing.assert_array_equal(again.score_samples(NEW), detector.score_samples(NEW))
        np.testing.assert_array_equal(again.feature_errors(NEW), detector.feature_errors(NEW))
        np.testing.assert_array_equal(again.nearest_known(NEW), detector.nearest_known(NEW))
        assert again.error_parts(NEW).equals(detector.error_parts(NEW))
        assert again.offset_ == detector.offset_


class TestWeights:
    @pytest.mark.parametrize("threshold", ["auto", "mean_std"])
    @pytest.mark.parametrize("kind", [single, ensemble])
    def test_rows_of_weight_zero_are_as_if_not_given(self, kind, threshold):
        outliers = 9 + rows_like_training(30, 6)
        both = np.insert(X, np.linspace(0, len(X), 30).astype(int), outliers, axis=0)
        weight = np.where((both[:, None] == X).all(axis=2).any(axis=1), 1.0, 0.0)
        assert weight.sum() == len(X)
        given = kind(threshold=threshold).fit(both, sample_weight=weight)
        without = kind(threshold=threshold).fit(X, sample_weight=np.ones(len(X)))
        np.testing.assert_array_equal(given.score_samples(both), without.score_samples(both))
        assert given.offset_ == without.offset_
        np.testing.assert_array_equal(given.feature_errors_, without.feature_errors_)

    def test_contamination_counts_rows_with_a_weight_only(self):
        weight = np.repeat([1.0, 0.0], [100, 20])
        detector = single(threshold="auto", contamination=0.1).fit(X, sample_weight=weight)
        assert (detector.predict(X[:100]) == -1).sum() == 10

    def test_one_row_with_a_weight_is_too_few(self):
        weight = np.where(np.arange(len(X)) == 3, 1.0, 0.0)
        with pytest.raises(ValueError, match="zero for all but one of the 120 rows"):
            single().fit(X, sample_weight=weight)


def kept(detector, rows):
    """Return the positions of the rows whose codes are kept: each is nearest to its own."""
    close = np.isclose(detector.nearest_known(rows), detector.reconstruct(rows), atol=1e-6)
    return np.flatnonzero(close.all(axis=1))


class TestKeptCodes:
    def test_all_of_few_rows(self, fitted):
        np.testing.assert_array_equal(kept(fitted, X), np.arange(len(X)))

    @pytest.mark.parametrize("n_rows", [128, 129, 700])
    def test_some_of_many(self, n_rows):
        rows = rows_like_training(n_rows, 7)
        assert len(kept(single(epochs=2).fit(rows), rows)) == MAX_CODES

    def test_never_of_rows_that_are_trimmed(self):
        outliers = RANDOM.normal(size=(30, 7)).astype(np.float32) * 3
        both = np.vstack([X, outliers])
        detector = single(trim_fraction=0.4, epochs=30).fit(both)
        errors = detector.reconstruction_error(both)
        np.testing.assert_array_equal(kept(detector, both), np.sort(np.argsort(errors)[:90]))

    def test_of_a_member_as_it_trims(self):
        detector = ensemble(2, latent_dim=3, trim_fraction=(0.0, 0.5)).fit(X)
        (_, first, _), (_, second, _) = seen_by_members(detector, X)
        # One member keeps 60 of the rows, and the other as many.
        best = np.argsort(((X - second) ** 2).mean(axis=1))[:60]
        found = [error.known_rows for error in detector._scorer._errors]
        assert [len(rows) for rows in found] == [60, 60]
        for rows, made in zip(found, (first, second[best]), strict=True):
            gaps = np.abs(rows[:, None] - made).max(axis=2).min(axis=1)
            np.testing.assert_allclose(gaps, 0, atol=1e-5)

    def test_random_state_determines_them(self):
        rows = rows_like_training(600, 8).astype(np.float64)
        pca = FrozenEstimator(PCA(2).fit(rows))
        found = [
            kept(
                ReconstructionOutlierDetector(pca, error="combined", random_state=seed).fit(rows),
                rows,
            )
            for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(found[0], found[1])
        assert len(found[2]) == MAX_CODES
        assert 10 < np.isin(found[2], found[0]).sum() < 60  # 27 by chance

    def test_nearest_known_is_the_reconstruction_of_the_row_with_the_nearest_code(
        self, fitted, members
    ):
        by_hand = ByHand(*seen(fitted, X))
        codes = by_hand.standardized(fitted.transform(NEW))
        expected = by_hand.made[squared_distances(codes, by_hand.codes).argmin(axis=1)]
        np.testing.assert_allclose(fitted.nearest_known(NEW), expected, atol=1e-5)
        found = []
        for training, new in zip(
            seen_by_members(members, X), seen_by_members(members, NEW), strict=True
        ):
            own = ByHand(*training)
            distances = squared_distances(own.standardized(new[2]), own.codes)
            found.append(own.made[distances.argmin(axis=1)])
        np.testing.assert_allclose(members.nearest_known(NEW), np.mean(found, axis=0), atol=1e-5)


def own_network(input_shape):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(3, name="latent"), keras.layers.Dense(7)]
    )


class TestWhereItIs:
    def test_default_of_dense_networks_only(self):
        for detector in (single(), single(architecture="vae"), ensemble()):
            assert detector.fit(X).error_ == "combined"
        assert single(architecture=own_network).fit(X).error_ == "mse"
        signals = single(architecture="conv1d", hidden_layer_sizes=4, epochs=1).fit(X)
        assert signals.error_ == "mse"
        assert not hasattr(signals, "error_parts")
        assert not hasattr(signals, "nearest_known")
        assert not hasattr(single(error="mae"), "error_parts")

    @pytest.mark.parametrize("architecture", ["vae", "conv1d", "lstm"])
    def test_by_name_of_other_architectures(self, architecture):
        params = {"hidden_layer_sizes": (4,), "epochs": 2}
        detector = single(architecture=architecture, error="combined", **params).fit(X)
        by_hand = ByHand(*seen(detector, X))
        expected = by_hand.parts(*seen(detector, NEW))
        np.testing.assert_allclose(detector.error_parts(NEW), expected, rtol=1e-2, atol=1e-4)

    @pytest.mark.parametrize("architecture", [own_network, own_network((7,))])
    def test_not_of_networks_of_the_users(self, architecture):
        with pytest.raises(ValueError, match="error='combined' compares latent codes.*error='mse'"):
            single(architecture=architecture, error="combined").fit(X)

    @pytest.mark.parametrize("estimator", [Ridge(), own_network((7,))])
    def test_not_of_what_shows_no_code(self, estimator):
        with pytest.raises(ValueError, match="is there for transformers.*shows none.*error='mse'"):
            ReconstructionOutlierDetector(estimator, error="combined").fit(X)

    def test_not_by_default_of_transformers(self):
        detector = ReconstructionOutlierDetector(PCA(2)).fit(X)
        assert not hasattr(detector, "error_parts")
        np.testing.assert_array_equal(detector.score_samples(X), -detector.reconstruction_error(X))


class TestSequences:
    def test_sizes_of_codes_are_used_again_and_again(self):
        detector = ensemble(5, latent_dim=(2, 4), trim_fraction=(0.0, 0.25, 0.5)).fit(X)
        model = detector.autoencoder_
        encoder = keras.Model(model.input, model.get_layer("latent").output)
        codes = np.asarray(encoder(np.repeat(X[:, None], 5, axis=1)))
        assert codes.shape == (len(X), 5, 4)
        varies = codes.std(axis=0) > 0
        np.testing.assert_array_equal(varies.sum(axis=1), [2, 4, 2, 4, 2])
        assert detector._trim_fractions() == (0.0, 0.25, 0.5, 0.0, 0.25)

    @pytest.mark.parametrize("given", [[2, 5, 3], np.array([2, 5, 3]), (2, 5, 3, 9)])
    def test_any_sequence(self, given, members):
        np.testing.assert_array_equal(
            ensemble(latent_dim=given).fit(X).score_samples(NEW), members.score_samples(NEW)
        )

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"latent_dim": ()}, "latent_dim must be a positive integer, or one for each member"),
            ({"latent_dim": (2, 0)}, r"one for each member; got \(2, 0\)"),
            ({"latent_dim": [2.5]}, "one for each member"),
            ({"latent_dim": ["2"]}, "one for each member"),
            ({"latent_dim": np.ones((2, 2), dtype=int)}, "one for each member"),
            ({"latent_dim": "auto"}, "'latent_dim' parameter"),
            ({"trim_fraction": ()}, "trim_fraction must be 'auto', a number in"),
            ({"trim_fraction": (0.0, 0.6)}, r"for each member; got \(0.0, 0.6\)"),
            ({"trim_fraction": [-0.1]}, "for each member"),
            ({"trim_fraction": (0.0, np.nan)}, "for each member"),
            ({"trim_fraction": ("auto",)}, "for each member"),
            ({"trim_fraction": np.zeros((2, 2))}, "for each member"),
        ],
    )
    def test_what_is_refused(self, params, message):
        with pytest.raises(ValueError, match=message):
            ensemble(**params).fit(X)

    @pytest.mark.parametrize(
        "activation",
        [
            "softmax",
            "log_softmax",
            "sparsemax",
            "glu",
            keras.activations.softmax,
            lambda code: code,
        ],
    )
    def test_activations_of_whole_codes_need_one_size(self, activation):
        with pytest.raises(ValueError, match="codes of different sizes need.*a single latent_dim"):
            ensemble(latent_activation=activation).fit(X)

    def test_softmax_over_codes_of_one_size(self):
        detector = ensemble(2, latent_dim=3, latent_activation="softmax").fit(X)
        for _, _, codes in seen_by_members(detector, NEW):
            np.testing.assert_allclose(codes.sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize(
        "activation", ["linear", "sigmoid", "tanh", "softplus", "exponential", None]
    )
    def test_numpy_computes_what_keras_does(self, activation):
        detector = ensemble(latent_activation=activation).fit(X)
        network = detector._network
        assert isinstance(network.forward.engine, numpy_engine.Forward) == (
            activation in numpy_engine.ACTIVATIONS
        )
        by_keras = keras_engine.forward(network.blueprint, network.layout, network.weights)
        codes, made = network.forward.encode_and_reconstruct(NEW)
        expected = by_keras.encode(NEW).reshape(codes.shape)
        np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(made, by_keras.reconstruct(NEW), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            network.forward.decode(codes), by_keras.decode(codes), rtol=1e-4, atol=1e-5
        )
        # A shorter code ends in zeros, whatever the activation makes of them.
        assert not codes[:, 0, 2:].any()
        assert not codes[:, 2, 3:].any()
        scorer = Scorer(ByKeras(network), "combined")
        scorer.fit(X, random=np.random.RandomState(0))
        np.testing.assert_allclose(-scorer.row_errors(NEW), detector.score_samples(NEW), rtol=1e-3)


class ByKeras:
    """The same network with Keras as its engine."""

    dtype = np.float32

    def __init__(self, network):
        self.n_members = network.n_members
        self.forward = keras_engine.forward(network.blueprint, network.layout, network.weights)
