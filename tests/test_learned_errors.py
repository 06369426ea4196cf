"""Errors that know the residual, by themselves and inside detectors."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlierDetector, ReconstructionOutlierDetector
from skae._errors import MahalanobisError, StandardizedError
from skae.inspection import explain

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLOOR = 1e-3
ERRORS = {"mahalanobis": MahalanobisError, "standardized": StandardizedError}
BOTH = pytest.mark.parametrize("measure", ERRORS.values(), ids=ERRORS)
BY_NAME = pytest.mark.parametrize("error", ERRORS)


def correlated(n_rows, n_features, seed=0):
    """Residuals that correlate, are not centered, and have a size of their own in each feature."""
    mixing = np.random.default_rng(1).normal(size=(n_features, n_features)) + 2 * np.eye(n_features)
    mixing *= np.geomspace(0.5, 5, n_features)
    return np.random.default_rng(seed).normal(size=(n_rows, n_features)) @ mixing + 0.3


RESIDUALS = correlated(300, 5)
ROWS = correlated(40, 5, seed=2)


def errors(measure, residuals, rows=ROWS):
    return measure(residuals)(rows, np.zeros_like(rows))


class TestStandardized:
    def test_squares_over_the_mean_square_of_each_feature(self):
        usual = (RESIDUALS**2).mean(axis=0)
        expected = ROWS**2 / (usual + FLOOR * usual.mean())
        np.testing.assert_allclose(errors(StandardizedError, RESIDUALS), expected)

    def test_usual_rows_have_an_error_of_about_one_in_each_feature(self):
        usual = errors(StandardizedError, RESIDUALS, RESIDUALS).mean(axis=0)
        assert np.all((usual > 0.9) & (usual < 1))

    def test_a_feature_that_never_strayed_has_the_floor_for_its_scale(self):
        residuals = RESIDUALS.copy()
        residuals[:, 2] = 0
        floor = FLOOR * (residuals**2).mean()
        expected = ROWS[:, 2] ** 2 / floor
        np.testing.assert_allclose(errors(StandardizedError, residuals)[:, 2], expected)


class TestMahalanobis:
    def test_mean_is_the_distance_that_scikit_learn_computes(self):
        expected = LedoitWolf().fit(RESIDUALS).mahalanobis(ROWS)
        found = errors(MahalanobisError, RESIDUALS).sum(axis=1)
        # The floor of the eigenvalues makes distances a little smaller.
        assert np.all(found < expected)
        np.testing.assert_allclose(found, expected, rtol=0.05)

    @pytest.mark.parametrize("residuals", [RESIDUALS, correlated(8, 30)], ids=["long", "wide"])
    def test_mean_is_the_distance_by_the_covariance_and_its_floor(self, residuals):
        rows = correlated(6, residuals.shape[1], seed=3)
        covariance = LedoitWolf().fit(residuals).covariance_
        floor = FLOOR * np.trace(covariance) / len(covariance)
        centered = rows - residuals.mean(axis=0)
        solved = np.linalg.solve(covariance + floor * np.eye(len(covariance)), centered.T).T
        expected = (centered * solved).sum(axis=1)
        np.testing.assert_allclose(
            errors(MahalanobisError, residuals, rows).sum(axis=1), expected, rtol=1e-8
        )

    def test_a_wrong_value_is_put_down_to_its_feature(self):
        rows = np.repeat(RESIDUALS.mean(axis=0)[None], 5, axis=0) + np.diag(10 * RESIDUALS.std(0))
        assert errors(MahalanobisError, RESIDUALS, rows).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]

    def test_without_correlation_it_is_the_centered_standardized_error(self):
        signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 500) * [1.0, 3.0]
        rows = np.array([[2.0, 0.0], [0.0, 2.0]])
        found = errors(MahalanobisError, signs + 7, rows + 7)
        np.testing.assert_allclose(found, errors(StandardizedError, signs, rows), rtol=5e-3)

    def test_what_breaks_a_correlation_is_unusual(self):
        cause = np.random.default_rng(0).normal(size=(500, 1))
        residuals = cause * [1.0, 1.0] + 0.1 * np.random.default_rng(1).normal(size=(500, 2))
        usual, unusual = errors(MahalanobisError, residuals, np.array([[1, 1], [1, -1.0]])).mean(1)
        assert unusual > 20 * usual
        plain = errors(StandardizedError, residuals, np.array([[1, 1], [1, -1.0]])).mean(1)
        assert plain[0] == pytest.approx(plain[1])


class TestBoth:
    @BOTH
    @pytest.mark.parametrize("unit", [1e-6, 1e6])
    def test_the_unit_does_not_matter(self, measure, unit):
        np.testing.assert_allclose(
            errors(measure, unit * RESIDUALS, unit * ROWS), errors(measure, RESIDUALS), rtol=1e-8
        )

    @BOTH
    def test_only_the_difference_matters(self, measure):
        fitted = measure(RESIDUALS)
        np.testing.assert_allclose(fitted(ROWS + 5, np.full(ROWS.shape, 5.0)), fitted(ROWS, 0.0))

    @BOTH
    def test_float32_is_taken_in_float64(self, measure):
        found = measure(RESIDUALS.astype(np.float32))(ROWS.astype(np.float32), np.float32(0))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, errors(measure, RESIDUALS), rtol=1e-3, atol=1e-4)

    @BOTH
    def test_constant_columns(self, measure):
        residuals = RESIDUALS.copy()
        residuals[:, 1:3] = 0
        found = errors(measure, residuals)
        assert np.isfinite(found).all()
        assert found[:, 1].mean() > found[:, 0].mean()

    @BOTH
    def test_all_zero_residuals_leave_plain_squares(self, measure):
        np.testing.assert_allclose(errors(measure, np.zeros((9, 5))), ROWS**2)

    @BOTH
    def test_no_residual_leaves_plain_squares(self, measure):
        np.testing.assert_allclose(errors(measure, np.zeros((0, 5))), ROWS**2)

    @BOTH
    @pytest.mark.parametrize("n_rows", [1, 2, 3])
    @pytest.mark.parametrize("n_features", [1, 5, 40])
    def test_few_rows(self, measure, n_rows, n_features):
        rows = correlated(4, n_features, seed=5)
        found = errors(measure, correlated(n_rows, n_features), rows)
        assert found.shape == rows.shape
        assert np.isfinite(found).all()
        assert (found.sum(axis=1) > 0).all()

    @BOTH
    def test_infinite_reconstructions_have_no_finite_error(self, measure):
        reconstruction = np.zeros_like(ROWS)
        reconstruction[0, 1] = np.inf
        reconstruction[1, [0, 2]] = [np.inf, -np.inf]
        found = measure(RESIDUALS)(ROWS, reconstruction)
        assert not np.isfinite(found[:2].mean(axis=1)).any()
        np.testing.assert_array_equal(found[2:], errors(measure, RESIDUALS)[2:])


class Rounding(RegressorMixin, BaseEstimator):
    """Returns whole numbers, and infinity for rows that begin with more than 100."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.where(X[:, :1] > 100, np.inf, np.round(X))


X = correlated(200, 6, seed=7)


def autoencoder(**params):
    params = {"hidden_layer_sizes": (8,), "latent_dim": 2, "epochs": 3} | params
    return AutoencoderOutlierDetector(random_state=0, **params)


def pca(**params):
    return ReconstructionOutlierDetector(PCA(3), random_state=0, **params)


def state(detector):
    """Return what a fitted detector says of X, and which attributes it has."""
    return {
        "scores": detector.score_samples(X),
        "errors": detector.reconstruction_error(X, per_feature=True),
        "offset": detector.offset_,
        "usual": detector.feature_errors_,
        "attributes": sorted(vars(detector)),
    }


def assert_same(found, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("make", [autoencoder, pca])
class TestDetectors:
    @BY_NAME
    def test_the_error_is_that_of_the_residuals_of_fit(self, make, error):
        fitted = make(error=error).fit(X)
        residuals = X - fitted.reconstruct(X)
        expected = ERRORS[error](residuals)(residuals, 0.0)
        each = fitted.reconstruction_error(X, per_feature=True)
        # The network takes X in float32.
        np.testing.assert_allclose(each, expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(-fitted.score_samples(X), each.mean(axis=1))
        np.testing.assert_allclose(fitted.feature_errors_, each.mean(axis=0))
        np.testing.assert_array_equal(
            fitted.predict(X), np.where(fitted.score_samples(X) < fitted.offset_, -1, 1)
        )

    @BY_NAME
    def test_flags_a_row_that_strays_where_none_does(self, make, error):
        fitted = make(error=error).fit(X)
        odd = X[:1].copy()
        odd[0, 3] += 100
        assert fitted.predict(odd) == [-1]
        explanation = explain(fitted, odd, top=None)
        assert explanation["contribution"].sum() == pytest.approx(-fitted.score_samples(odd)[0])
        assert np.isfinite(explanation["unusualness"]).all()

    @BY_NAME
    def test_pickle_and_clone(self, make, error):
        fitted = make(error=error).fit(X)
        assert_same(state(pickle.loads(pickle.dumps(fitted))), state(fitted))
        assert_same(state(clone(fitted).fit(X)), state(fitted))

    @pytest.mark.parametrize(
        ("before", "after"),
        [("mahalanobis", "mse"), ("mse", "standardized"), ("standardized", "mahalanobis")],
    )
    def test_a_refit_leaves_nothing_of_the_error_before(self, make, before, after):
        fitted = make(error=before).fit(X)
        first = state(fitted)
        fitted.set_params(error=after)
        assert_same(state(fitted), first)
        assert_same(state(fitted.fit(X)), state(make(error=after).fit(X)))

    @BY_NAME
    def test_few_rows_of_many_features(self, make, error):
        rows = correlated(2, 30)
        scores = make(error=error).set_params(**few(make)).fit(rows).score_samples(rows)
        assert np.isfinite(scores).all()


def few(make):
    own = {"estimator": PCA(1)} if make is pca else {"epochs": 1}
    return {"threshold": "mean_std", **own}


@BY_NAME
def test_in_a_pipeline_a_wrong_value_is_explained(error):
    pipeline = make_pipeline(StandardScaler(), pca(error=error)).fit(X)
    row = X[:1].copy()
    row[0, 4] += 50 * X[:, 4].std()
    assert explain(pipeline, row, top=1)["feature"].tolist() == [4]


@BY_NAME
def test_one_row_held_out(error):
    fitted = autoencoder(error=error, validation_fraction=0.01, epochs=1).fit(X[:20])
    assert np.isfinite(fitted.score_samples(X)).all()


class TestInfinity:
    @BY_NAME
    def test_in_a_later_row(self, error):
        fitted = ReconstructionOutlierDetector(Rounding(), error=error).fit(X)
        rows = X[:3].copy()
        rows[1, 0] = 101
        np.testing.assert_array_equal(np.isneginf(fitted.score_samples(rows)), [0, 1, 0])
        assert fitted.predict(rows)[1] == -1

    @BY_NAME
    @pytest.mark.parametrize("share", [0.1, 1.0])
    def test_in_a_row_of_fit_is_refused(self, error, share):
        rows = X.copy()
        rows[: int(share * len(X)), 0] = 101
        with pytest.raises(ValueError, match="reconstruction errors .* not finite"):
            ReconstructionOutlierDetector(Rounding(), error=error).fit(rows)
