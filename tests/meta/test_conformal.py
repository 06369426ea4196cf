"""ConformalOutlierDetector: p-values by hand, what they promise, and what is refused."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, kstest
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import (
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
)
from skae._meta.conformal import _adaptive_discoveries, discoveries
from skae._meta.delegation import split_pipeline

FOREST = IsolationForest(n_estimators=10, random_state=0)
X = np.random.default_rng(0).normal(size=(100, 3))


class FirstColumn(OutlierMixin, BaseEstimator):
    """The error of a row is its first column; keeps what `fit` was given."""

    def fit(self, X, y=None, sample_weight=None, X_val=None):
        self.seen_ = {"X": X, "y": y, "sample_weight": sample_weight, "X_val": X_val}
        return self

    def score_samples(self, X):
        return -np.asarray(X)[:, 0]


def rows(*errors):
    return np.array(errors, dtype=float).reshape(-1, 1)


def calibrated(errors, **params):
    """Return a detector with these calibration errors."""
    frozen = FrozenEstimator(FirstColumn().fit(rows(0)))
    return ConformalOutlierDetector(frozen, **params).fit(rows(*errors))


def pca(**params):
    return ConformalOutlierDetector(ReconstructionOutlierDetector(PCA(1)), **params)


class TestPValues:
    def test_by_hand(self):
        detector = calibrated([3, 1, 2, 2], alpha=0.25)
        np.testing.assert_array_equal(detector.calibration_errors_, [1, 2, 2, 3])
        p_values = detector.p_values(rows(0, 1, 1.5, 2, 2.5, 3, 4, np.inf))
        np.testing.assert_array_equal(p_values, np.array([5, 5, 4, 4, 2, 2, 1, 1]) / 5)

    def test_randomized_ties_by_hand(self):
        detector = calibrated([3, 1, 2, 2], alpha=0.25, randomized_ties=True, random_state=0)
        many = np.repeat([0, 2, 2.5, 4], 2000).astype(float)
        drawn = detector.p_values(rows(*many)).reshape(4, -1)
        # From the number of larger errors to that of errors as large, and the row itself.
        for p_values, low, high in zip(drawn, [4, 1, 1, 0], [5, 4, 2, 1], strict=True):
            assert kstest(p_values, "uniform", args=(low / 5, (high - low) / 5)).pvalue > 0.01

    def test_draws(self):
        errors = rows(*np.arange(50.0))
        for random_state in (None, 0, np.random.RandomState(0)):
            detector = calibrated(range(50), randomized_ties=True, random_state=random_state)
            before = np.random.get_state()[1:3]
            first, second = detector.p_values(errors), detector.p_values(errors)
            assert np.array_equal(first, second) == (random_state == 0)
            is_unmoved = str(np.random.get_state()[1:3]) == str(before)
            assert is_unmoved == (random_state is not None)
        again = calibrated(range(50), randomized_ties=True, random_state=1)
        assert not np.array_equal(again.p_values(errors), detector.p_values(errors))

    def test_draws_are_not_those_that_made_the_data(self):
        made = np.random.RandomState(0).uniform(size=500)
        seeded = np.random.default_rng(0).uniform(size=500)
        detector = calibrated([0] * 50, randomized_ties=True, random_state=0)
        drawn = detector.p_values(rows(*[0] * 500))
        assert abs(np.corrcoef(made, drawn)[0, 1]) < 0.2
        assert abs(np.corrcoef(seeded, drawn)[0, 1]) < 0.2

    def test_constant_errors(self):
        detector = calibrated([7] * 19)
        np.testing.assert_array_equal(detector.p_values(rows(6, 7, 8)), [1, 1, 0.05])
        np.testing.assert_array_equal(detector.predict(rows(6, 7, 8)), [1, 1, -1])
        np.testing.assert_array_equal(detector.predict_fdr(rows(6, 7, 7)), [1, 1, 1])


class TestDecision:
    @pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3, 1 / 3, 0.7, 0.99])
    @pytest.mark.parametrize("n_calibration", [19, 20, 29, 59, 100])
    @pytest.mark.parametrize("digits", [0, 1, 17])
    def test_flagged_exactly_where_the_p_value_is_at_most_alpha(self, alpha, n_calibration, digits):
        generator = np.random.default_rng(n_calibration)
        errors = generator.normal(size=n_calibration).round(digits)
        detector = calibrated(errors, alpha=alpha)
        near = [np.nextafter(errors, -np.inf), errors, np.nextafter(errors, np.inf)]
        new = rows(*np.concatenate([*near, [np.inf, -np.inf, 1e300, -1e300, 5e-324]]))
        is_outlier = detector.p_values(new) <= alpha
        assert is_outlier.any()
        assert not is_outlier.all()
        np.testing.assert_array_equal(detector.predict(new), np.where(is_outlier, -1, 1))
        np.testing.assert_array_equal(detector.decision_function(new) < 0, is_outlier)
        # The draws do not decide.
        drawn = calibrated(errors, alpha=alpha, randomized_ties=True, random_state=0)
        np.testing.assert_array_equal(drawn.predict(new), detector.predict(new))

    @pytest.mark.parametrize("randomized_ties", [False, True])
    @pytest.mark.parametrize("digits", [1, 17])
    def test_rounding_decides_on_no_row(self, digits, randomized_ties):
        generator = np.random.default_rng(0)
        errors = generator.normal(size=99).round(digits)
        detector = calibrated(errors, alpha=0.1, randomized_ties=randomized_ties, random_state=0)
        p_values, verdicts = detector.p_values(rows(*errors)), detector.predict(rows(*errors))
        assert -1 in verdicts
        for change in (-1e-12, 1e-12, *generator.uniform(-1e-12, 1e-12, size=(20, 99))):
            again = rows(*errors * (1 + change))
            np.testing.assert_array_equal(detector.predict(again), verdicts)
            if not randomized_ties:
                np.testing.assert_array_equal(detector.p_values(again), p_values)

    def test_offset_is_a_hair_above_a_calibration_error(self):
        hair = 4 * np.finfo(np.float32).eps
        assert -calibrated([5, 1, 3, 4, 2], alpha=0.4).offset_ == pytest.approx(4 * (1 + hair))
        # Less where the next calibration error is nearer than that.
        near = 4 * (1 + 1e-8)
        detector = calibrated([near, 1, 3, 4, 2], alpha=0.4)
        assert 4 < -detector.offset_ < near
        np.testing.assert_array_equal(detector.predict(rows(4, near)), [1, -1])

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_around_detectors(self, dtype):
        data = X.astype(dtype)
        for inner in (
            FOREST,
            LocalOutlierFactor(novelty=True),
            make_pipeline(MinMaxScaler(), FOREST),
        ):
            detector = ConformalOutlierDetector(
                inner, alpha=0.2, calibration_size=0.3, random_state=0
            ).fit(data)
            p_values = detector.p_values(data)
            np.testing.assert_array_equal(detector.predict(data) == -1, p_values <= 0.2)
            decision = detector.score_samples(data) - detector.offset_
            np.testing.assert_array_equal(detector.decision_function(data), decision)
            scores = detector.estimator_.score_samples(data)
            np.testing.assert_array_equal(detector.score_samples(data), scores)

    def test_some_infinite_calibration_errors(self):
        detector = calibrated([*range(18), np.inf], alpha=0.1)
        new = rows(16, 17, 17.5, np.inf)
        np.testing.assert_array_equal(detector.predict(new), [1, 1, -1, -1])
        np.testing.assert_array_equal(detector.p_values(new), [0.2, 0.15, 0.1, 0.1])
        detector = calibrated([-np.inf, *range(17), np.inf], alpha=0.1)
        new = rows(-np.inf, 0, 15, 16, 16.5, np.inf)
        np.testing.assert_array_equal(detector.predict(new), [1, 1, 1, 1, -1, -1])
        expected = np.array([20, 19, 4, 3, 2, 2]) / 20
        np.testing.assert_array_equal(detector.p_values(new), expected)


class TestPromises:
    """On average over training, calibration and new rows, with fixed seeds."""

    @staticmethod
    def on_a_line(generator, n_normal, n_outliers=0):
        """Return rows near a line in three dimensions, and others far from it."""
        spread = np.repeat([0.3, 3.0], [n_normal, n_outliers])[:, None]
        line = generator.normal(size=(n_normal + n_outliers, 1)) * [3.0, 2.0, 1.0]
        return line + spread * generator.normal(size=(n_normal + n_outliers, 3))

    def check_uniform(self, inner):
        """Check the p-values of one normal row in each of 300 repetitions."""
        randomized, plain = [], []
        for seed in range(300):
            data = self.on_a_line(np.random.default_rng(seed), 60)
            detector = ConformalOutlierDetector(
                inner, alpha=0.25, calibration_size=19, random_state=seed
            ).fit(data[:-1])
            plain += list(detector.p_values(data[-1:]))
            randomized += list(detector.set_params(randomized_ties=True).p_values(data[-1:]))
        exact = kstest(randomized, "uniform")
        print("Kolmogorov-Smirnov, randomized ties:", exact)
        assert exact.pvalue > 0.05
        plain = np.array(plain)
        for level in np.arange(1, 20) / 20:
            # Without ties it is exactly the level there, and below it between.
            error = np.sqrt(level * (1 - level) / len(plain))
            assert abs((plain <= level).mean() - level) <= 3 * error
            assert (plain <= level - 0.01).mean() <= level - 0.01 + 3 * error

    def test_p_values_of_normal_rows_are_uniform(self):
        self.check_uniform(ReconstructionOutlierDetector(PCA(1)))

    @pytest.mark.slow
    def test_p_values_of_normal_rows_are_uniform_around_a_forest(self):
        self.check_uniform(IsolationForest(n_estimators=10, random_state=0))

    def test_with_equal_errors(self):
        """Counts: the plain p-values are too large, the randomized ones are not."""
        found = {True: [], False: []}
        for seed in range(300):
            errors = np.random.default_rng(seed).poisson(1.0, size=20)
            for randomized, p_values in found.items():
                detector = calibrated(
                    errors[:-1], randomized_ties=randomized, random_state=seed, alpha=0.25
                )
                p_values.append(detector.p_values(rows(errors[-1]))[0])
        assert kstest(found[True], "uniform").pvalue > 0.05
        assert kstest(found[False], "uniform", alternative="greater").pvalue > 0.05
        assert kstest(found[False], "uniform").pvalue < 1e-6

    @staticmethod
    def check_fdr(name, batches, alpha):
        """Check detectors on batches of rows of which the last ones are outliers."""
        shares = {"bh": [], "storey": []}
        found = {"bh": [], "storey": []}
        for detector, batch, n_outliers in batches:
            for method in shares:
                alarms = detector.predict_fdr(batch, method) == -1
                shares[method].append(alarms[:-n_outliers].sum() / max(1, alarms.sum()))
                found[method].append(alarms[-n_outliers:].mean())
        for method, values in shares.items():
            rate, error = np.mean(values), np.std(values) / np.sqrt(len(values))
            power = np.mean(found[method])
            print(f"{name} {method}: FDR {rate:.4f} +- {error:.4f}, power {power:.3f}")
            assert rate <= alpha + 3 * error
            assert power > 0.3
            assert rate > alpha / 4  # not by being shy
        assert np.mean(found["storey"]) > np.mean(found["bh"])

    def synthetic_batches(self):
        for seed in range(300):
            generator = np.random.default_rng(seed)
            detector = pca(alpha=0.1, calibration_size=200, random_state=seed)
            detector.fit(self.on_a_line(generator, 250))
            yield detector, self.on_a_line(generator, 70, 30), 30

    def test_false_discovery_rate(self):
        self.check_fdr("synthetic", self.synthetic_batches(), alpha=0.1)

    @staticmethod
    def ecg_batches(ecg5000, n_repetitions):
        data, labels = ecg5000
        for seed in range(n_repetitions):
            generator = np.random.default_rng(seed)
            normal = generator.permutation(data[labels == 1])[:800]
            outliers = generator.permutation(data[labels == -1])[:40]
            detector = ConformalOutlierDetector(
                ReconstructionOutlierDetector(PCA(2, svd_solver="arpack", random_state=0)),
                alpha=0.1,
                calibration_size=0.5,
                random_state=seed,
            )
            yield detector.fit(normal[:640]), np.concatenate([normal[640:], outliers]), 40

    def test_false_discovery_rate_on_real_heartbeats(self, ecg5000):
        self.check_fdr("ECG5000, few", self.ecg_batches(ecg5000, 40), alpha=0.1)

    @pytest.mark.slow
    def test_false_discovery_rate_on_many_splits_of_real_heartbeats(self, ecg5000):
        self.check_fdr("ECG5000", self.ecg_batches(ecg5000, 300), alpha=0.1)


class TestDiscoveries:
    def test_by_hand(self):
        p_values = np.array([0.9, 0.01, 0.02, 0.03, 0.045, 0.6, 0.7, 0.8])
        # 0.03 <= 3 / 8 of 0.08 takes the two smaller ones along; 0.045 > 4 / 8 of 0.08.
        expected = [False, True, True, True, False, False, False, False]
        np.testing.assert_array_equal(discoveries(p_values, 0.08), expected)
        # Estimated nulls: (1 + 4) / 0.5 = 10 of 8.
        np.testing.assert_array_equal(_adaptive_discoveries(p_values, 0.1), expected)
        assert not _adaptive_discoveries(p_values, 0.099).any()

    def test_storey_finds_more_where_many_are_outliers(self):
        p_values = np.array([0.01, 0.02, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.1, 0.9])
        assert discoveries(p_values, 0.05).sum() == 0
        # Estimated nulls: (1 + 1) / 0.5 = 4 of 10, so the level is 0.125.
        np.testing.assert_array_equal(_adaptive_discoveries(p_values, 0.05), p_values < 0.5)

    def test_nothing_above_lambda_is_found(self):
        p_values = np.repeat([0.01, 0.5, 0.51], [80, 10, 10])
        # Estimated nulls: (1 + 10) / 0.5 = 22 of 100, fewer than the level allows.
        np.testing.assert_array_equal(_adaptive_discoveries(p_values, 0.3), p_values < 0.51)
        # Nor by the help of what lies above: of 78 discoveries (1 + 22) could be false.
        assert not _adaptive_discoveries(np.repeat([0.5, 0.51], [78, 22]), 0.25).any()

    def test_equal_to_the_level_but_for_the_rounding(self):
        # 1 / 20 of 3 rows is 0.15; computed, 0.15000000000000002.
        np.testing.assert_array_equal(discoveries([1 / 20, 1, 1], 0.15), [True, False, False])

    def test_of_a_batch(self):
        detector = calibrated(range(99), alpha=0.1)
        batch = rows(*np.linspace(80, 120, 30))
        p_values = detector.p_values(batch)
        expected = np.where(false_discovery_control(p_values) <= 0.1, -1, 1)
        assert -1 in expected
        assert 1 in expected
        np.testing.assert_array_equal(detector.predict_fdr(batch), expected)
        assert detector.predict_fdr(batch).dtype == np.int64
        adaptive = np.where(_adaptive_discoveries(p_values, 0.1), -1, 1)
        assert (adaptive == -1).sum() > (expected == -1).sum()
        np.testing.assert_array_equal(detector.predict_fdr(batch, method="storey"), adaptive)
        one = batch[-1:]
        np.testing.assert_array_equal(detector.predict_fdr(one), detector.predict(one))


class TestFit:
    @pytest.mark.parametrize("size", [0.3, 25, 0.251])
    def test_split_as_train_test_split_does(self, size):
        detector = ConformalOutlierDetector(FOREST, calibration_size=size, random_state=3).fit(X)
        training, calibration = train_test_split(X, test_size=size, random_state=3)
        by_hand = clone(FOREST).fit(training)
        errors = np.sort(-by_hand.score_samples(calibration))
        np.testing.assert_array_equal(detector.calibration_errors_, errors)
        np.testing.assert_array_equal(detector.score_samples(X), by_hand.score_samples(X))
        assert detector.calibration_errors_.dtype == np.float64
        assert np.isclose(-detector.offset_, errors, rtol=1e-6, atol=0).any()

    def test_random_state(self):
        first = pca(random_state=0).fit(X).calibration_errors_
        np.testing.assert_array_equal(pca(random_state=0).fit(X).calibration_errors_, first)
        assert not np.array_equal(pca(random_state=1).fit(X).calibration_errors_, first)
        # None draws from NumPy's global generator, which advances.
        first = pca().fit(X).calibration_errors_
        assert not np.array_equal(pca().fit(X).calibration_errors_, first)
        detector = pca(random_state=np.random.RandomState(0))
        first = detector.fit(X).calibration_errors_
        assert not np.array_equal(detector.fit(X).calibration_errors_, first)

    def test_a_frozen_estimator_is_calibrated_on_all_rows(self):
        fitted = clone(FOREST).fit(X[:50])
        detector = ConformalOutlierDetector(FrozenEstimator(fitted), calibration_size=1)
        detector.fit(X[50:])
        assert detector.estimator_.estimator is fitted
        errors = np.sort(-fitted.score_samples(X[50:]))
        np.testing.assert_array_equal(detector.calibration_errors_, errors)
        with pytest.raises(NotFittedError):
            ConformalOutlierDetector(FrozenEstimator(FOREST)).fit(X)

    def test_labels_and_weights_are_cut_and_validation_rows_are_not(self):
        numbered = np.arange(100.0).reshape(-1, 1)
        labels, weights = pd.Series(np.arange(100), index=np.arange(100)[::-1]), list(range(100))
        detector = ConformalOutlierDetector(FirstColumn(), random_state=0)
        detector.fit(numbered, labels, sample_weight=weights, X_val=numbered)
        seen = detector.estimator_.seen_
        assert len(seen["X"]) == 80
        np.testing.assert_array_equal(seen["y"], seen["X"][:, 0])
        np.testing.assert_array_equal(seen["sample_weight"], seen["X"][:, 0])
        np.testing.assert_array_equal(seen["X_val"], numbered)
        held_out = np.setdiff1d(numbered, seen["X"])
        np.testing.assert_array_equal(detector.calibration_errors_, held_out)
        assert weights == list(range(100))
        assert detector.fit(numbered).estimator_.seen_["y"] is None

    def test_weights_of_a_pipeline_step(self):
        pipeline = make_pipeline("passthrough", FirstColumn())
        detector = ConformalOutlierDetector(pipeline, random_state=0)
        detector.fit(X, firstcolumn__sample_weight=X[:, 1])
        seen = detector.estimator_[-1].seen_
        np.testing.assert_array_equal(seen["sample_weight"], seen["X"][:, 1])

    def test_metadata_routing(self):
        with config_context(enable_metadata_routing=True):
            inner = FirstColumn().set_fit_request(sample_weight=True, X_val=True)
            pipeline = make_pipeline(
                StandardScaler().set_fit_request(sample_weight=False),
                inner,
                transform_input=["X_val"],
            )
            detector = ConformalOutlierDetector(pipeline, alpha=0.1, random_state=0)
            detector = FitOnInliers(detector).fit(
                X, np.repeat([1, -1], [80, 20]), sample_weight=X[:, 1], X_val=X
            )
            scaler, fitted = detector.estimator_.estimator_
            training = scaler.inverse_transform(fitted.seen_["X"])
            np.testing.assert_allclose(fitted.seen_["sample_weight"], training[:, 1])
            np.testing.assert_allclose(fitted.seen_["X_val"], scaler.transform(X))

    def test_metadata_routing_under_another_name(self):
        with config_context(enable_metadata_routing=True):
            inner = FirstColumn().set_fit_request(sample_weight="weight")
            detector = ConformalOutlierDetector(inner, random_state=0).fit(X, weight=X[:, 1])
            seen = detector.estimator_.seen_
            np.testing.assert_array_equal(seen["sample_weight"], seen["X"][:, 1])

    @pytest.mark.parametrize(
        "kind", [pd.DataFrame, np.ndarray.tolist, sparse.csr_array, sparse.coo_array]
    )
    def test_kinds_of_data(self, kind):
        detector = ConformalOutlierDetector(FOREST, random_state=0)
        expected = detector.fit(X).p_values(X)
        data = kind(X)
        np.testing.assert_array_equal(detector.fit(data).p_values(data), expected)
        if kind is pd.DataFrame:
            named = data.add_prefix("feature_")
            assert list(detector.fit(named).feature_names_in_) == list(named.columns)


class TestComposition:
    def test_inside_fit_on_inliers(self, heartbeats):
        data, labels = heartbeats
        inner = ConformalOutlierDetector(make_pipeline(MinMaxScaler(), FOREST), random_state=0)
        detector = FitOnInliers(inner).fit(data, labels)
        by_hand = clone(inner).fit(data[labels == 1])
        np.testing.assert_array_equal(detector.p_values(data), by_hand.p_values(data))
        np.testing.assert_array_equal(detector.predict_fdr(data), by_hand.predict_fdr(data))
        np.testing.assert_array_equal(detector.predict(data), by_hand.predict(data))
        assert detector.offset_ == by_hand.offset_

    def test_around_a_pipeline_with_an_autoencoder(self, heartbeats, make_detector):
        data, labels = heartbeats
        pipeline = make_pipeline(MinMaxScaler(), make_detector(latent_dim=2))
        detector = ConformalOutlierDetector(pipeline, random_state=0)
        detector.set_output(transform="pandas").fit(data[labels == 1])
        assert isinstance(detector.transform(data), pd.DataFrame)
        assert detector.transform(data).shape == (len(data), 2)
        assert len(detector.history_["loss"]) == 10
        transforms, inside = split_pipeline(detector)
        assert isinstance(inside, AutoencoderOutlierDetector)
        assert len(transforms) == 1
        assert detector.offset_ != inside.offset_
        again = pickle.loads(pickle.dumps(detector))
        np.testing.assert_array_equal(again.p_values(data), detector.p_values(data))

    def test_what_the_inner_estimator_does_not_offer_is_not_there(self):
        assert not hasattr(ConformalOutlierDetector(FOREST), "transform")
        with pytest.raises(NotFittedError):
            ConformalOutlierDetector(FOREST).p_values(X)
        with pytest.raises(NotFittedError):
            ConformalOutlierDetector(FOREST).predict_fdr(X)

    def test_parameters_can_be_searched(self):
        search = GridSearchCV(
            ConformalOutlierDetector(FOREST, random_state=0),
            {"alpha": [0.1, 0.4], "estimator__n_estimators": [5]},
            scoring=lambda detector, X: (detector.predict(X) == -1).mean(),
            cv=2,
        ).fit(X)
        assert search.best_params_["alpha"] == 0.4


class TestRefused:
    @pytest.mark.parametrize(
        ("params", "n_rows", "message"),
        [
            (
                {"alpha": 0.05, "calibration_size": 18},
                100,
                "18 .* too few .* At least 19 are needed",
            ),
            ({"alpha": 0.01}, 100, "20 calibration rows .* smaller than 0.0476.* At least 99"),
            ({"alpha": 1 / 49, "calibration_size": 47}, 100, "At least 48 are needed"),
            ({"alpha": 0.5, "calibration_size": 0.99}, 10, "no row to train on, with n_samples=10"),
            ({"calibration_size": 100}, 100, "calibration_size=100 leaves no row to train on"),
            ({"calibration_size": 500}, 100, "calibration_size=500 leaves no row to train on"),
            ({}, 1, "no row to train on, with n_samples=1"),
            ({}, 0, "leaves no row to train on, with n_samples=0"),
            ({"calibration_size": 0}, 100, "'calibration_size' parameter"),
            ({"calibration_size": 1.0}, 100, "'calibration_size' parameter"),
            ({"calibration_size": "half"}, 100, "'calibration_size' parameter"),
            ({"alpha": 0}, 100, "'alpha' parameter"),
            ({"alpha": 1.0}, 100, "'alpha' parameter"),
            ({"randomized_ties": "yes"}, 100, "'randomized_ties' parameter"),
            ({"random_state": "0"}, 100, "'random_state' parameter"),
        ],
    )
    def test_parameters(self, params, n_rows, message):
        detector = ConformalOutlierDetector(FOREST, **params)
        with pytest.raises(ValueError, match=message):
            detector.fit(X[:n_rows])
        assert not hasattr(detector, "estimator_")

    @pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3, 1 / 49, 0.1 - 1e-17, np.nextafter(0.1, 0)])
    def test_as_many_calibration_rows_as_asked_for_are_enough(self, alpha):
        with pytest.raises(ValueError, match="too few") as refusal:
            calibrated([1], alpha=alpha)
        needed = int(str(refusal.value).split("At least ")[1].split()[0])
        assert calibrated(range(needed), alpha=alpha).predict(rows(needed)) == [-1]
        with pytest.raises(ValueError, match="too few"):
            calibrated(range(needed - 1), alpha=alpha)

    @pytest.mark.parametrize("inner", [LogisticRegression(), LocalOutlierFactor()])
    def test_without_score_samples(self, inner):
        with pytest.raises(TypeError, match="outlier detector with score_samples"):
            ConformalOutlierDetector(inner).fit(X)

    def test_no_estimator(self):
        with pytest.raises(ValueError, match="'estimator' parameter"):
            ConformalOutlierDetector(None).fit(X)

    def test_too_many_infinite_calibration_errors(self):
        with pytest.raises(ValueError, match="Of the 19 calibration errors .* 2 are infinite"):
            calibrated([*range(17), np.inf, np.inf], alpha=0.1)
        with pytest.raises(ValueError, match="Of the 19 calibration errors .* 18 are infinite"):
            calibrated([*[-np.inf] * 18, 1], alpha=0.1)

    def test_missing_scores(self):
        with pytest.raises(ValueError, match="Of 19 rows FrozenEstimator scores 1 as NaN"):
            calibrated([*range(18), np.nan])
        detector = ConformalOutlierDetector(FirstColumn()).fit(X)
        with pytest.raises(ValueError, match="Of 2 rows FirstColumn scores 1 as NaN"):
            detector.p_values(rows(0, np.nan))

    @pytest.mark.parametrize("row", range(0, 100, 9))
    def test_missing_values_in_any_row(self, row):
        holes = X.copy()
        holes[row, 0] = np.nan
        with pytest.raises(ValueError, match="Input X contains NaN"):
            pca(random_state=0).fit(holes)

    def test_other_lengths(self):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            ConformalOutlierDetector(FOREST).fit(X, [1, 1])
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            ConformalOutlierDetector(FOREST).fit(X, sample_weight=[1.0])

    def test_method(self):
        with pytest.raises(ValueError, match="method must be 'bh' or 'storey'; got 'by'"):
            calibrated(range(19)).predict_fdr(X, method="by")
