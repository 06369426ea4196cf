"""ReconstructionOutlierDetector: what it takes, what it makes of it, what it refuses."""

import copy
import pickle
import random
import subprocess
import sys

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skops.io
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import NMF, PCA, KernelPCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector
from skae.thresholds import FalsePositiveRate, MeanStd, Quantile

# Few iterations make a quick test; how well an MLPRegressor converges is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GENERATOR = np.random.default_rng(0)
# Positive, for NMF, and of three dimensions but for a little noise.
X = GENERATOR.random((60, 3)) @ GENERATOR.random((3, 6)) + 0.05 * GENERATOR.random((60, 6))


def mlp(**params):
    return MLPRegressor(**{"hidden_layer_sizes": 4, "max_iter": 50, "random_state": 0} | params)


TRANSFORMERS = [
    PCA(2),
    KernelPCA(2, kernel="rbf", fit_inverse_transform=True),
    NMF(2, max_iter=5000, random_state=0),
    FeatureAgglomeration(2),
    make_pipeline(StandardScaler(), PCA(2)),
    GridSearchCV(PCA(), {"n_components": [1, 2]}, cv=2),
    FrozenEstimator(PCA(2).fit(X[:20])),
]
REGRESSORS = [
    mlp(),
    Ridge(alpha=10.0),
    PLSRegression(2),  # which is a transformer with inverse_transform as well
    make_pipeline(StandardScaler(), mlp()),
    GridSearchCV(Ridge(), {"alpha": [1.0, 10.0]}, cv=2),
]


def dense(activation="tanh", n_features=6, **params):
    """Return a network with weights that are always the same; of training they saw nothing."""
    first, second = (keras.initializers.GlorotUniform(seed=seed) for seed in (0, 1))
    return keras.Sequential(
        [
            keras.Input((n_features,)),
            keras.layers.Dense(3, activation, kernel_initializer=first, **params),
            keras.layers.Dense(n_features, kernel_initializer=second, **params),
        ]
    )


def functional():
    rows = keras.Input((6,))
    code = keras.layers.Dense(2, name="latent")(rows)
    return keras.Model(rows, keras.layers.Dense(6)(keras.layers.Dropout(0.5)(code)))


@keras.saving.register_keras_serializable("test_reconstruction")
class Halves(keras.Model):
    def __init__(self, units=3, **params):
        super().__init__(**params)
        self.units = units
        self.encoder = keras.Sequential([keras.layers.Dense(units, activation="relu")])
        self.decoder = keras.Sequential([keras.layers.Dense(6)])

    def call(self, rows):
        return self.decoder(self.encoder(rows))

    def get_config(self):
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("test_reconstruction")
class SeveralCodes(keras.Model):
    """As a variational autoencoder, its encoder returns a mean and a variance."""

    def __init__(self, **params):
        super().__init__(**params)
        rows = keras.Input((6,))
        code = [keras.layers.Dense(2)(rows), keras.layers.Dense(2)(rows)]
        self.encoder = keras.Model(rows, code)
        self.decoder = keras.Sequential([keras.layers.Dense(6)])

    def call(self, rows):
        mean, _ = self.encoder(rows)
        return self.decoder(mean)


@keras.saving.register_keras_serializable("test_reconstruction")
class Smoother(keras.Model):
    def __init__(self, **params):
        super().__init__(**params)
        self.convolution = keras.layers.Conv1D(1, 3, padding="same")

    def call(self, rows):
        return self.convolution(rows)


class Recording(PCA):
    """Keeps the rows that it is fitted on."""

    seen = []

    def fit(self, X, y=None):
        self.seen.append(X.copy())
        return super().fit(X)


class Weighed(Ridge):
    """Keeps the rows and weights that it is fitted with."""

    seen = []

    def fit(self, X, y, sample_weight=None):
        self.seen.append((X.copy(), sample_weight))
        return super().fit(X, y, sample_weight=sample_weight)


def built(model, *shape):
    model(np.zeros((2, *shape)))
    return model


def two_inputs():
    rows = [keras.Input((6,)), keras.Input((6,))]
    return keras.Model(rows, keras.layers.Add()(rows))


def two_outputs():
    rows = keras.Input((6,))
    return keras.Model(rows, [keras.layers.Dense(6)(rows), keras.layers.Dense(2)(rows)])


def convolutional(*shape):
    layers = [keras.layers.Conv1D(2, 3, padding="same"), keras.layers.Conv1D(1, 3, padding="same")]
    return keras.Sequential([keras.Input(shape), *layers])


# How to make a network, and the layout of the rows that it takes.
NETWORKS = {
    "sequential": (dense, (6,)),
    "sequential, built by data": (
        lambda: built(keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(6)]), 6),
        (6,),
    ),
    "functional": (functional, (6,)),
    "subclassed": (lambda: built(Halves(units=4), 6), (6,)),
    "subclassed, several codes": (lambda: built(SeveralCodes(), 6), (6,)),
    "signal": (lambda: convolutional(6, 1), (6, 1)),
    "signal of any length": (lambda: convolutional(None, 1), (6, 1)),
    "signal, subclassed": (lambda: built(Smoother(), 6, 1), (6, 1)),
    "double precision": (lambda: dense(dtype="float64"), (6,)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    make, layout = NETWORKS[request.param]
    return make(), layout


@pytest.fixture(scope="module")
def trained(heartbeats):
    """A network that Keras trained on the normal beats."""
    beats, y = heartbeats
    model = dense("relu", n_features=140)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(beats[y == 1], beats[y == 1], epochs=20, verbose=0, shuffle=False)
    return model


def detector(estimator, **params):
    return ReconstructionOutlierDetector(estimator, **params)


def type_name(value):
    return value if isinstance(value, str) else type(value).__name__


def never(rows, reconstruction):
    pytest.fail("nothing should have been computed")


def squares(rows, reconstruction):
    return (rows - reconstruction) ** 2


class TestReconstruction:
    @pytest.mark.parametrize("estimator", TRANSFORMERS, ids=type_name)
    def test_transformers(self, estimator):
        fitted = detector(estimator, threshold="mean_std").fit(X)
        by_hand = clone(estimator).fit(X, None)
        self.compare(fitted, by_hand.inverse_transform(by_hand.transform(X)))

    @pytest.mark.parametrize("estimator", REGRESSORS, ids=type_name)
    def test_regressors(self, estimator):
        fitted = detector(estimator, threshold="mean_std").fit(X)
        self.compare(fitted, clone(estimator).fit(X, X).predict(X))

    def test_networks(self, network):
        model, layout = network
        expected = model.predict(X.reshape(-1, *layout), verbose=0).reshape(X.shape)
        self.compare(detector(model, threshold="mean_std").fit(X), expected, atol=1e-6)

    def compare(self, fitted, expected, atol=1e-12):
        each = squares(X, expected)
        np.testing.assert_allclose(fitted.reconstruct(X), expected, atol=atol)
        np.testing.assert_allclose(
            fitted.reconstruction_error(X, per_feature=True), each, rtol=1e-4, atol=atol
        )
        errors = fitted.reconstruction_error(X)
        np.testing.assert_allclose(errors, each.mean(axis=1), rtol=1e-4, atol=atol)
        assert errors.std() > 1e-6
        np.testing.assert_array_equal(fitted.score_samples(X), -errors)
        assert fitted.score_samples(X).dtype == np.float64
        decision = fitted.decision_function(X)
        np.testing.assert_array_equal(decision, -errors - fitted.offset_)
        np.testing.assert_array_equal(fitted.predict(X), np.where(decision < 0, -1, 1))
        assert set(fitted.predict(X)) == {-1, 1}
        assert fitted.n_features_in_ == 6

    @pytest.mark.parametrize("estimator", [PCA(2), mlp(), functional()], ids=["pca", "mlp", "net"])
    def test_a_row_scores_alone_as_among_others(self, estimator):
        fitted = detector(estimator).fit(X)
        alone = [fitted.score_samples(row[None])[0] for row in X]
        np.testing.assert_allclose(alone, fitted.score_samples(X), rtol=1e-9)
        many = np.tile(X, (100, 1))
        np.testing.assert_allclose(
            fitted.score_samples(many), np.tile(fitted.score_samples(X), 100), rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("mae", lambda rows, made: np.abs(rows - made)),
            ("msle", lambda rows, made: (np.log1p(rows) - np.log1p(made)) ** 2),
            (lambda rows, made: np.abs(rows - made) ** 3, lambda rows, made: abs(rows - made) ** 3),
        ],
    )
    def test_error(self, error, expected):
        fitted = detector(PCA(2), error=error).fit(X)
        made = PCA(2).fit(X)
        each = expected(X, made.inverse_transform(made.transform(X)))
        np.testing.assert_allclose(fitted.reconstruction_error(X), each.mean(axis=1))

    @pytest.mark.parametrize(
        "estimator",
        [KernelPCA(1, fit_inverse_transform=True), NMF(1), StandardScaler(with_std=False)],
        ids=type_name,
    )
    def test_one_column_transformed(self, estimator):
        column = X[:, :1]
        by_hand = clone(estimator).fit(column)
        expected = by_hand.inverse_transform(by_hand.transform(column))
        self.compare_column(detector(estimator).fit(column), column, expected)

    @pytest.mark.parametrize(
        "estimator", [mlp(), Ridge(alpha=10.0), PLSRegression(1)], ids=type_name
    )
    def test_one_column_predicted(self, estimator):
        column = X[:, :1]
        expected = clone(estimator).fit(column, column.ravel()).predict(column)
        self.compare_column(detector(estimator).fit(column), column, expected.reshape(-1, 1))

    def test_one_column_through_a_network(self):
        column = X[:, :1]
        model = dense(n_features=1)
        expected = model.predict(column, verbose=0)
        self.compare_column(detector(model).fit(column), column, expected, atol=1e-6)

    def compare_column(self, fitted, column, expected, atol=1e-12):
        np.testing.assert_allclose(fitted.reconstruct(column), expected, atol=atol)
        np.testing.assert_allclose(
            fitted.reconstruction_error(column), squares(column, expected)[:, 0], atol=atol
        )

    def test_estimators_that_write_into_what_they_are_given(self):
        rows = X.copy()
        careless, careful = (
            detector(make_pipeline(StandardScaler(copy=copy), PCA(2)), random_state=0).fit(given)
            for copy, given in ((False, rows), (True, X))
        )
        np.testing.assert_array_equal(careless.score_samples(rows), careful.score_samples(X))
        assert careless.offset_ == careful.offset_
        np.testing.assert_array_equal(rows, X)

    def test_pandas_between_the_steps(self):
        expected = detector(make_pipeline(StandardScaler(), PCA(2))).fit(X).score_samples(X)
        with config_context(transform_output="pandas"):
            fitted = detector(make_pipeline(StandardScaler(), PCA(2))).fit(X)
            np.testing.assert_allclose(fitted.score_samples(X), expected)


class TestThreshold:
    @pytest.mark.parametrize(
        ("threshold", "rule"),
        [("mean_std", MeanStd()), ("quantile", Quantile()), (MeanStd(k=3), MeanStd(k=3))],
    )
    @pytest.mark.parametrize("estimator", [PCA(2), dense()], ids=["pca", "net"])
    def test_rule_sees_the_training_errors(self, estimator, threshold, rule):
        fitted = detector(estimator, threshold=threshold).fit(X)
        assert fitted.offset_ == -rule.threshold(fitted.reconstruction_error(X))

    @pytest.mark.parametrize(
        ("threshold", "rule"),
        [
            ("auto", FalsePositiveRate(confidence=None)),
            (FalsePositiveRate(0.2), FalsePositiveRate(0.2)),
        ],
    )
    @pytest.mark.parametrize("estimator", [dense(), FrozenEstimator(PCA(2).fit(X[:20]))])
    def test_of_what_is_fitted_already_every_row_sets_the_threshold(
        self, estimator, threshold, rule
    ):
        fitted = detector(estimator, threshold=threshold).fit(X)
        assert fitted.offset_ == -rule.threshold(fitted.reconstruction_error(X))

    @pytest.mark.parametrize(
        ("n_rows", "n_held_out", "refits"),
        [(20, 10, True), (100, 33, True), (999, 199, True), (1000, 100, False)],
    )
    def test_a_promise_sees_rows_that_were_not_fitted_on(self, n_rows, n_held_out, refits):
        rows = np.random.default_rng(0).normal(size=(n_rows, 4))
        Recording.seen.clear()
        fitted = detector(Recording(2), random_state=0).fit(rows)
        assert [len(seen) for seen in Recording.seen] == [n_rows - n_held_out] + [n_rows] * refits
        is_seen = (rows[:, None] == Recording.seen[0]).all(axis=2).any(axis=1)
        assert (~is_seen).sum() == n_held_out
        first = PCA(2).fit(Recording.seen[0])
        made = first.inverse_transform(first.transform(rows[~is_seen]))
        errors = squares(rows[~is_seen], made).mean(axis=1)
        rule = FalsePositiveRate(0.05, confidence=None)
        assert -fitted.offset_ == pytest.approx(rule.threshold(errors), rel=1e-9)
        # The detector itself knows all rows, where these are few.
        expected = PCA(2).fit(rows) if refits else first
        np.testing.assert_allclose(
            fitted.reconstruct(rows), expected.inverse_transform(expected.transform(rows))
        )

    def test_without_rows_to_spare_the_training_errors_set_the_threshold(self):
        with pytest.warns(UserWarning, match=r"Of 19 rows none can be spared.*Give 20 rows"):
            fitted = detector(PCA(2)).fit(X[:19])
        assert -fitted.offset_ == pytest.approx(fitted.reconstruction_error(X[:19]).max(), rel=1e-6)

    def test_random_state_determines_the_rows(self):
        offsets = [detector(PCA(2), random_state=seed).fit(X).offset_ for seed in (0, 0, 1)]
        assert offsets[0] == offsets[1] != offsets[2]

    def test_fit_parameters_follow_the_rows(self):
        weight = np.linspace(0, 1, 60)
        Weighed.seen.clear()
        detector(Weighed(alpha=10.0), random_state=0).fit(X, sample_weight=weight)
        for rows, weights in Weighed.seen:
            positions = (X[:, None] == rows).all(axis=2).argmax(axis=0)
            np.testing.assert_array_equal(weights, weight[positions])
        assert [len(rows) for rows, _ in Weighed.seen] == [40, 60]

    @pytest.mark.parametrize("contamination", [0.1, 0.5])
    @pytest.mark.parametrize("estimator", [PCA(2), mlp(), dense()], ids=["pca", "mlp", "net"])
    def test_contamination_is_the_share_of_rows_that_are_flagged(self, estimator, contamination):
        fitted = detector(estimator, contamination=contamination)
        assert (fitted.fit_predict(X) == -1).mean() == contamination

    def test_rules_can_be_searched(self):
        search = GridSearchCV(
            detector(PCA(2), threshold=MeanStd()),
            {"threshold__k": [0.0, 50.0]},
            scoring=lambda fitted, rows: (fitted.predict(rows) == 1).mean(),
            cv=2,
        ).fit(X)
        assert search.best_params_ == {"threshold__k": 50.0}

    @pytest.mark.parametrize("threshold", ["youden", "fbeta"])
    def test_rules_that_need_labels_are_refused(self, threshold):
        with pytest.raises(ValueError, match="learns from labels, which Reconstruction.*Threshol"):
            detector(PCA(2), threshold=threshold).fit(X, np.ones(60))

    def test_contamination_and_threshold_exclude_each_other(self):
        with pytest.raises(ValueError, match="both set the offset.*contamination=0.1.*'quantile'"):
            detector(PCA(2), contamination=0.1, threshold="quantile").fit(X)


class TestTrainedNetwork:
    def test_finds_the_abnormal_beats(self, trained, heartbeats):
        beats, y = heartbeats
        fitted = detector(trained).fit(beats[y == 1])
        auc = roc_auc_score(y, fitted.score_samples(beats))
        assert auc > 0.9
        untrained = detector(dense("relu", n_features=140)).fit(beats[y == 1])
        assert auc > roc_auc_score(y, untrained.score_samples(beats))

    def test_is_used_as_it_is(self, trained, heartbeats):
        beats, _ = heartbeats
        weights, steps = trained.get_weights(), int(trained.optimizer.iterations.numpy())
        fitted = detector(trained).fit(beats)
        fitted.score_samples(beats)
        assert fitted.estimator_ is fitted.estimator is trained
        assert trained.optimizer.iterations.numpy() == steps
        for before, after in zip(weights, trained.get_weights(), strict=True):
            np.testing.assert_array_equal(after, before)

    def test_training_it_further_changes_no_score(self):
        model = dense()
        fitted = detector(model).fit(X)
        scores = fitted.score_samples(X)
        model.set_weights([2 * weights for weights in model.get_weights()])
        for kept in (fitted, pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
            np.testing.assert_array_equal(kept.score_samples(X), scores)
        assert not np.array_equal(clone(fitted).fit(X).score_samples(X), scores)

    def test_clones_share_it(self, trained, heartbeats):
        beats, y = heartbeats
        fitted = detector(trained, error="mae", threshold=Quantile(0.9)).fit(beats)
        again = clone(fitted)
        assert again.estimator is trained
        assert again.threshold is not fitted.threshold
        assert repr(again) == repr(fitted)
        assert not hasattr(again, "offset_")
        meta = FitOnInliers(fitted).fit(beats, y)
        assert meta.estimator_.estimator_ is trained
        assert meta.offset_ == again.fit(beats[y == 1]).offset_

    def test_leaves_the_random_generators_alone(self):
        model = functional()
        state, numpy_state = random.getstate(), np.random.get_state()
        copy.deepcopy(clone(detector(model)).fit(X)).score_samples(X)
        assert random.getstate() == state
        np.testing.assert_equal(np.random.get_state(), numpy_state)

    def test_single_precision_sets_the_threshold_too(self):
        rows = X + 1e3  # where single precision is coarse
        fitted = detector(dense(), contamination=0.5).fit(rows)
        assert np.median(fitted.score_samples(rows)) == fitted.offset_

    @pytest.mark.parametrize("routing", [False, True])
    def test_takes_no_fit_parameters(self, routing):
        with config_context(enable_metadata_routing=routing):
            with pytest.raises(TypeError, match="sample_weight"):
                detector(dense()).fit(X, sample_weight=np.ones(60))
            assert detector(dense()).fit(X).offset_ < 0

    @pytest.mark.parametrize("params", [{}, {"contamination": 0.1}])
    def test_that_has_gone_wrong_is_refused(self, params):
        model = dense()
        model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
        with pytest.raises(ValueError, match="60 reconstruction errors 60 are not finite: Seque"):
            detector(model, **params).fit(X)

    def test_that_overflows_flags_the_row(self):
        model = dense("linear")
        model.set_weights([1e3 * weights for weights in model.get_weights()])
        rows = X.copy()
        rows[0] = 3e38
        fitted = detector(model).fit(X)
        assert np.isnan(fitted.reconstruct(rows)[0]).any()
        assert fitted.score_samples(rows)[0] == -np.inf
        assert fitted.predict(rows)[0] == -1


class TestData:
    @pytest.mark.parametrize(
        "estimator",
        [PCA(2), mlp(), DecisionTreeRegressor(max_depth=2), dense()],  # a tree returns float64
        ids=type_name,
    )
    def test_fitted_on_single_precision(self, estimator):
        fitted = detector(estimator).fit(X.astype(np.float32))
        scores = fitted.score_samples(X)
        np.testing.assert_array_equal(scores, fitted.score_samples(X.astype(np.float32)))
        assert scores.dtype == np.float64
        assert fitted.reconstruct(X).dtype == np.float32

    def test_estimators_see_the_precision_they_were_fitted_on(self):
        class Particular(BaseEstimator):
            def fit(self, rows, y):
                self.dtype_ = rows.dtype
                return self

            def predict(self, rows):
                assert rows.dtype == self.dtype_
                return np.zeros_like(rows)

        for first, second in [(np.float32, np.float64), (np.float64, np.float32)]:
            fitted = detector(Particular()).fit(X.astype(first))
            expected = (X.astype(np.float32).astype(np.float64) ** 2).mean(axis=1)
            np.testing.assert_allclose(-fitted.score_samples(X.astype(second)), expected, rtol=1e-6)

    @pytest.mark.parametrize("estimator", [PCA(2), dense()], ids=["pca", "net"])
    def test_dataframe_keeps_its_names(self, estimator):
        frame = pd.DataFrame(X, columns=list("abcdef"))
        fitted = detector(estimator).fit(frame)
        assert list(fitted.feature_names_in_) == list("abcdef")
        scores = fitted.score_samples(frame)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.score_samples(frame.rename(columns={"a": "other"}))
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            np.testing.assert_array_equal(fitted.score_samples(X), scores)

    def test_lists_and_integers(self):
        rows = [[0, 1], [1, 0], [4, 2], [3, 3]]
        few = detector(PCA(1), threshold="mean_std")
        expected = few.fit(np.array(rows, dtype=float)).score_samples(rows)
        np.testing.assert_array_equal(few.fit(rows).score_samples(rows), expected)


class TestComposition:
    def test_fit_on_inliers_around_a_pipeline(self):
        y = np.where(np.arange(60) % 5 == 0, -1, 1)
        inner = detector(PCA(2), random_state=0)
        meta = FitOnInliers(make_pipeline(MinMaxScaler(), inner)).fit(X, y)
        scaler = MinMaxScaler().fit(X[y == 1])
        by_hand = clone(inner).fit(scaler.transform(X[y == 1]))
        np.testing.assert_array_equal(
            meta.score_samples(X), by_hand.score_samples(scaler.transform(X))
        )
        assert meta.offset_ == by_hand.offset_

    def test_grid_search(self, heartbeats):
        beats, y = heartbeats
        search = GridSearchCV(
            FitOnInliers(make_pipeline(MinMaxScaler(), detector(PCA()))),
            {"estimator__reconstructionoutlierdetector__estimator__n_components": [3, 140]},
            scoring=lambda fitted, rows, y: roc_auc_score(y, fitted.score_samples(rows)),
            cv=StratifiedShuffleSplit(2, random_state=0),
        ).fit(beats, y)
        few, all_of_them = search.cv_results_["mean_test_score"]
        assert few > 0.9
        assert few > all_of_them
        assert search.best_estimator_.estimator_[-1].estimator_.n_components_ == 3

    def test_grid_search_over_networks(self, trained, heartbeats):
        beats, y = heartbeats
        search = GridSearchCV(
            detector(PCA(2)),
            {"estimator": [dense("relu", n_features=140), trained]},
            scoring=lambda fitted, rows, y: roc_auc_score(y, fitted.score_samples(rows)),
            cv=StratifiedShuffleSplit(1, random_state=0),
        ).fit(beats, y)
        assert search.best_index_ == 1
        np.testing.assert_array_equal(
            search.score_samples(beats), detector(trained).fit(beats).score_samples(beats)
        )

    def test_fit_parameters_reach_the_estimator(self):
        weight = np.where(np.arange(60) < 30, 1.0, 0.0)
        expected = Ridge(alpha=10).fit(X, X, sample_weight=weight).predict(X)
        fitted = detector(Ridge(alpha=10)).fit(X, sample_weight=weight)
        np.testing.assert_allclose(fitted.reconstruct(X), expected)
        with config_context(enable_metadata_routing=True):
            routed = detector(Ridge(alpha=10).set_fit_request(sample_weight=True))
            np.testing.assert_allclose(routed.fit(X, sample_weight=weight).reconstruct(X), expected)

    def test_ecg5000(self, ecg5000):
        beats, y = ecg5000
        recipe = FitOnInliers(make_pipeline(MinMaxScaler(), detector(PCA(2))))
        aucs = []
        for train, test in StratifiedShuffleSplit(5, test_size=0.2, random_state=42).split(
            beats, y
        ):
            fitted = clone(recipe).fit(beats[train], y[train])
            aucs.append(roc_auc_score(y[test], fitted.score_samples(beats[test])))
        print(f"\nECG5000, PCA(2): ROC-AUC {np.mean(aucs):.4f}, {min(aucs):.4f} to {max(aucs):.4f}")
        assert np.mean(aucs) >= 0.985


def same(fitted, again):
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.offset_ == fitted.offset_


@pytest.fixture(
    scope="module",
    params=[PCA(2), KernelPCA(2, fit_inverse_transform=True), mlp(), *NETWORKS],
    ids=type_name,
)
def fitted(request):
    estimator = request.param
    if isinstance(estimator, str):
        estimator = NETWORKS[estimator][0]()
    return detector(estimator, threshold=Quantile(0.9)).fit(X)


class TestPersistence:
    def test_pickle_has_the_same_bytes_each_time(self, fitted):
        state = random.getstate()
        first = pickle.dumps(fitted)
        fitted.score_samples(X)
        assert pickle.dumps(fitted) == first
        assert joblib.hash(fitted) == joblib.hash(fitted)
        again = pickle.loads(first)
        same(fitted, again)
        same(fitted, clone(again).fit(X))
        assert random.getstate() == state

    def test_deepcopy_is_independent(self, fitted):
        again = copy.deepcopy(fitted)
        same(fitted, again)
        assert again.estimator is not fitted.estimator
        assert again.estimator_ is not fitted.estimator_

    def test_joblib(self, fitted, tmp_path):
        joblib.dump(fitted, tmp_path / "detector.joblib")
        same(fitted, joblib.load(tmp_path / "detector.joblib"))

    def test_clone_fits_to_the_same(self, fitted):
        same(fitted, clone(fitted).fit(X))

    def test_a_network_comes_back_once(self):
        for again in (
            pickle.loads(pickle.dumps(detector(dense()).fit(X))),
            copy.deepcopy(detector(dense()).fit(X)),
        ):
            assert again.estimator_ is again.estimator
        other = detector(dense()).fit(X).set_params(estimator=functional())
        again = pickle.loads(pickle.dumps(other))
        same(other, again)
        assert again.estimator.get_layer("latent").units == 2
        assert again.estimator_ is not again.estimator
        assert not hasattr(pickle.loads(pickle.dumps(detector(dense()))), "estimator_")

    def test_how_a_network_was_compiled_is_left_out(self):
        model = dense()
        model.compile(loss=lambda rows, made: keras.ops.mean((rows - made) ** 2))
        fitted = detector(model).fit(X)
        again = pickle.loads(pickle.dumps(fitted))
        same(fitted, again)
        assert model.compiled
        assert not again.estimator_.compiled

    @pytest.mark.parametrize("estimator", [PCA(2), dense()], ids=["pca", "net"])
    def test_skops(self, estimator):
        fitted = detector(estimator).fit(X)
        data = skops.io.dumps(fitted)
        trusted = skops.io.get_untrusted_types(data=data)
        assert all(name.startswith("skae.") for name in trusted)
        same(fitted, skops.io.loads(data, trusted=trusted))

    def test_a_new_process_scores_the_same(self, tmp_path):
        fitted = {"pca": detector(PCA(2)).fit(X), "network": detector(functional()).fit(X)}
        for name, value in {**fitted, "X": X}.items():
            joblib.dump(value, tmp_path / name)
        code = (
            "import sys, joblib\n"
            f"load = lambda name: joblib.load({str(tmp_path)!r} + '/' + name)\n"
            "X = load('X')\n"
            "print(load('pca').score_samples(X).tobytes().hex())\n"
            "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
            "print(load('network').score_samples(X).tobytes().hex())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        expected = [one.score_samples(X).tobytes().hex() for one in fitted.values()]
        assert done.stdout.split() == expected


class TestBadEstimators:
    @pytest.mark.parametrize(
        "estimator",
        [
            LogisticRegression(),
            KMeans(2),
            IsolationForest(),
            GaussianMixture(1),
            make_pipeline(StandardScaler(), IsolationForest()),
            AutoencoderOutlierDetector(),
            PCA,
            keras.Model,
            None,
            "pca",
            lambda rows: rows,
        ],
        ids=type_name,
    )
    def test_what_cannot_reconstruct(self, estimator):
        with pytest.raises(TypeError, match="must be able to reconstruct rows: a regressor, a tra"):
            detector(estimator).fit(X)

    def test_a_fitted_autoencoder_is_no_more_a_transformer_than_an_unfitted_one(self):
        inner = AutoencoderOutlierDetector(epochs=1, random_state=0).fit(X)
        assert hasattr(inner, "inverse_transform")
        with pytest.raises(TypeError, match="must be able to reconstruct rows"):
            detector(inner).fit(X)

    def test_a_scaler_is_a_transformer_that_reconstructs_well(self):
        assert detector(StandardScaler()).fit(X).reconstruction_error(X).max() < 1e-25

    @pytest.mark.parametrize(
        ("estimator", "rows", "error", "message"),
        [
            (PCA(7), X, ValueError, "n_components=7 must be between 0 and"),
            (NMF(2), X - 1, ValueError, "Negative values in data passed to NMF"),
            (KernelPCA(2), X, NotFittedError, "fit_inverse_transform parameter was not set"),
        ],
        ids=type_name,
    )
    def test_scikit_learns_own_errors(self, estimator, rows, error, message):
        with pytest.raises(error, match=message):
            detector(estimator).fit(rows)

    def test_a_regressor_that_returns_another_width(self):
        class Sum(Ridge):
            def predict(self, rows):
                return rows.sum(axis=1)

        with pytest.raises(ValueError, match="Sum must return rows.* expected 6 features, got 1"):
            detector(Sum()).fit(X)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: dense(n_features=5), r"takes rows of shape \(5,\), but X has 6 features"),
            (lambda: convolutional(4, 1), r"takes rows of shape \(4, 1\), but X has 6 features"),
            (lambda: convolutional(None, 4), r"takes rows of shape \(None, 4\), but X has 6"),
            (lambda: built(Smoother(), 4, 1), r"takes rows of shape \(4, 1\), but X has 6"),
            (lambda: keras.Sequential([keras.layers.Dense(6)]), "has no weights yet: train it"),
            (Halves, "has no weights yet: train it first"),
            (
                lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)]),
                r"must return rows of the shape it takes: expected output shape \(6,\), got \(5,\)",
            ),
            (
                lambda: keras.Sequential([keras.Input((6, 1)), keras.layers.Flatten()]),
                r"expected output shape \(6, 1\), got \(6,\)",
            ),
            (two_inputs, r"must have one input, the rows, but it has 2"),
            (two_outputs, r"expected output shape \(6,\), got list"),
        ],
    )
    def test_networks(self, make, message):
        model = make()
        n_weights = len(model.weights)
        with pytest.raises(ValueError, match=message):
            detector(model, error=never).fit(X)
        assert len(model.weights) == n_weights

    def test_a_network_of_the_wrong_width_is_refused_before_it_computes(self):
        calls = []

        class Counting(Halves):
            def call(self, rows):
                calls.append(rows.shape)
                return super().call(rows)

        model = built(Counting(), 5)
        calls.clear()
        with pytest.raises(ValueError, match=r"rows of shape \(5,\), but X has 6 features"):
            detector(model).fit(X)
        assert calls == []


class TestBadData:
    @pytest.mark.parametrize("estimator", [PCA(1), Ridge(), dense(n_features=2)], ids=type_name)
    @pytest.mark.parametrize(
        ("rows", "error", "message"),
        [
            (np.full((5, 2), np.nan), ValueError, "Input X contains NaN"),
            (np.full((5, 2), np.inf), ValueError, "Input X contains infinity"),
            (np.empty((0, 2)), ValueError, r"0 sample\(s\)"),
            (np.empty((5, 0)), ValueError, r"0 feature\(s\)"),
            (np.ones((1, 2)), ValueError, r"1 sample\(s\).*minimum of 2"),
            (np.ones(5), ValueError, "Expected 2D array"),
            (np.ones((5, 2, 2)), ValueError, "Found array with dim 3"),
            (scipy.sparse.eye(5, 2, format="csr"), TypeError, "Sparse data was passed"),
            (np.array([["a", "b"]] * 5, dtype=object), ValueError, "could not convert string"),
            (np.ones((5, 2), dtype=complex), ValueError, "Complex data not supported"),
        ],
    )
    def test_fit(self, estimator, rows, error, message):
        with pytest.raises(error, match=message):
            detector(estimator).fit(rows)

    @pytest.mark.parametrize("estimator", [PCA(2), Ridge(), dense()], ids=type_name)
    @pytest.mark.parametrize(
        "method",
        ["score_samples", "decision_function", "predict", "reconstruct", "reconstruction_error"],
    )
    def test_scoring(self, estimator, method):
        fitted = detector(estimator)
        with pytest.raises(NotFittedError):
            getattr(fitted, method)(X)
        score = getattr(fitted.fit(X), method)
        with pytest.raises(ValueError, match="5 features, but .* expecting 6"):
            score(X[:, :5])
        with pytest.raises(ValueError, match="Input X contains NaN"):
            score(np.full((2, 6), np.nan))
        with pytest.raises(ValueError, match="Input X contains infinity"):
            score(np.full((2, 6), np.inf))
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            score(X[:0])

    @pytest.mark.filterwarnings("ignore:overflow encountered in cast")
    def test_too_large_for_single_precision(self):
        with pytest.raises(ValueError, match="too large for dtype"):
            detector(dense()).fit(X * 1e300)
        with pytest.raises(ValueError, match="too large for dtype"):
            detector(PCA(2)).fit(X.astype(np.float32)).score_samples(X * 1e300)


class TestFailure:
    @pytest.mark.parametrize(
        ("params", "rows"),
        [
            ({"estimator": PCA(99)}, X[:, :4]),
            ({"estimator": dense(n_features=5)}, X),
            ({"estimator": None}, X),
            ({"threshold": "youden"}, X),
            ({"contamination": 0.1, "threshold": "quantile"}, X),
            ({"error": lambda rows, made: np.full_like(rows, np.nan)}, X),
            ({"error": lambda rows, made: 0.0}, X),
            ({}, np.full((5, 6), np.nan)),
        ],
    )
    @pytest.mark.parametrize("estimator", [PCA(2), dense()], ids=type_name)
    def test_a_failing_fit_leaves_the_detector_as_it_was(self, estimator, params, rows):
        fresh = detector(estimator).set_params(**params)
        before = vars(fresh).copy()
        with pytest.raises((TypeError, ValueError)):
            fresh.fit(rows)
        assert vars(fresh) == before

        fitted = detector(estimator).fit(X)
        scores = fitted.score_samples(X)
        fitted.set_params(**params)
        before = vars(fitted).copy()
        with pytest.raises((TypeError, ValueError)):
            fitted.fit(rows)
        assert vars(fitted) == before
        fitted.set_params(error="mse")
        np.testing.assert_array_equal(fitted.score_samples(X), scores)
