"""FitOnInliers: which rows the inner estimator sees, and what is offered of it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderOutlierDetector, FitOnInliers, ReconstructionOutlierDetector

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.where(np.arange(40) % 4 == 0, -1, 1)


class Recorder(OutlierMixin, BaseEstimator):
    """Keeps what `fit` was given."""

    def fit(self, X, y=None, sample_weight=None, X_val=None):
        self.seen_ = {"X": X, "y": y, "sample_weight": sample_weight, "X_val": X_val}
        return self

    def predict(self, X):
        return np.ones(len(X), dtype=int)


def autoencoder(**params):
    return AutoencoderOutlierDetector(epochs=40, random_state=0, **params)


@pytest.mark.parametrize(
    "inner",
    [
        IsolationForest(random_state=0),
        LocalOutlierFactor(novelty=True, n_neighbors=5),
        OneClassSVM(),
        EllipticEnvelope(random_state=0),
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
        make_pipeline(StandardScaler(), "passthrough", autoencoder()),
    ],
    ids=lambda inner: type(inner).__name__,
)
def test_the_same_as_fitting_on_normal_rows_by_hand(inner):
    meta = FitOnInliers(inner).fit(X, Y)
    by_hand = clone(inner).fit(X[Y == 1])
    np.testing.assert_array_equal(meta.score_samples(X), by_hand.score_samples(X))
    np.testing.assert_array_equal(meta.decision_function(X), by_hand.decision_function(X))
    np.testing.assert_array_equal(meta.predict(X), by_hand.predict(X))


def test_fit_predict_keeps_y():
    inner = IsolationForest(random_state=0, contamination=0.3)
    expected = clone(inner).fit(X[Y == 1]).predict(X)
    np.testing.assert_array_equal(FitOnInliers(inner).fit_predict(X, Y), expected)


def test_without_labels_all_rows_are_taken():
    assert len(FitOnInliers(Recorder()).fit(X).estimator_.seen_["X"]) == len(X)


@pytest.mark.parametrize("named", [{"inlier_label": 1}, {"outlier_label": "ill"}])
def test_a_label_named_without_labels_is_worth_a_warning(named):
    with pytest.warns(UserWarning, match=r"_label=.* names a label, but y is missing") as caught:
        fitted = FitOnInliers(Recorder(), **named).fit(X)
    assert caught[0].filename == __file__
    assert len(fitted.estimator_.seen_["X"]) == len(X)


def test_weights_are_cut_and_validation_rows_are_not():
    weights = np.arange(40.0)
    seen = FitOnInliers(Recorder()).fit(X, Y, sample_weight=weights, X_val=X).estimator_.seen_
    np.testing.assert_array_equal(seen["sample_weight"], weights[Y == 1])
    np.testing.assert_array_equal(seen["X_val"], X)
    assert seen["y"] is None


def test_weights_of_a_pipeline_step():
    meta = FitOnInliers(make_pipeline(StandardScaler(), Recorder()))
    meta.fit(X, Y, recorder__sample_weight=list(range(40)))
    np.testing.assert_array_equal(
        meta.estimator_[-1].seen_["sample_weight"], np.flatnonzero(Y == 1)
    )


def test_metadata_routing():
    with config_context(enable_metadata_routing=True):
        inner = Recorder().set_fit_request(sample_weight=True, X_val=True)
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), inner, transform_input=["X_val"]
        )
        meta = FitOnInliers(pipeline).fit(X, Y, sample_weight=np.arange(40), X_val=X)
        seen = meta.estimator_[-1].seen_
        np.testing.assert_array_equal(seen["sample_weight"], np.flatnonzero(Y == 1))
        scaled = StandardScaler().fit(X[Y == 1]).transform(X)
        np.testing.assert_allclose(seen["X_val"], scaled)


@pytest.mark.parametrize("kind", [pd.DataFrame, np.ndarray.tolist, np.asfortranarray])
def test_kinds_of_data(kind):
    data = kind(X)
    meta = FitOnInliers(make_pipeline(StandardScaler(), IsolationForest(random_state=0)))
    scores = meta.fit(data, pd.Series(Y)).score_samples(data)
    np.testing.assert_allclose(scores, meta.fit(X, Y).score_samples(X))


def test_mixed_columns():
    frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")})
    frame.loc[0, "size"] = np.nan
    columns = make_column_transformer((SimpleImputer(), ["size"]), (OneHotEncoder(), ["kind"]))
    meta = FitOnInliers(make_pipeline(columns, IsolationForest(random_state=0))).fit(frame, Y)
    assert meta.score_samples(frame).shape == (40,)


def test_missing_values_that_the_pipeline_fills():
    holes = X.copy()
    holes[0, 0] = np.nan
    meta = FitOnInliers(make_pipeline(SimpleImputer(), IsolationForest(random_state=0)))
    assert np.isfinite(meta.fit(holes, Y).score_samples(holes)).all()


@pytest.mark.parametrize("row", [0, 1], ids=["outlier", "inlier"])
def test_missing_values_in_any_row_are_refused(row):
    holes = X.copy()
    holes[row, 0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        FitOnInliers(ReconstructionOutlierDetector(PCA(1))).fit(holes, Y)


def test_what_the_inner_estimator_offers_is_offered():
    meta = FitOnInliers(autoencoder(latent_dim=2)).fit(X, Y)
    assert meta.transform(X).shape == (40, 2)
    assert meta.reconstruct(X).shape == X.shape
    assert meta.reconstruction_error(X, per_feature=True).shape == X.shape
    assert meta.offset_ == meta.estimator_.offset_
    assert meta.n_features_in_ == 3
    assert list(meta.history_) == ["loss"]
    assert meta.encoder_ is meta.estimator_.encoder_
    assert len(meta.get_feature_names_out()) == 2
    assert meta.set_output(transform="pandas").transform(X).shape == (40, 2)


def test_the_last_step_of_a_pipeline_offers_its_fitted_attributes():
    meta = FitOnInliers(make_pipeline(MinMaxScaler(), autoencoder())).fit(X, Y)
    assert meta.offset_ == meta.estimator_[-1].offset_
    assert meta.history_ == meta.estimator_[-1].history_


def test_what_it_does_not_offer_is_not_there():
    meta = FitOnInliers(IsolationForest())
    assert not hasattr(meta, "transform")
    assert not hasattr(meta, "fit_transform")
    assert not hasattr(meta, "reconstruct")
    assert not hasattr(meta, "contamination")
    assert not hasattr(meta, "offset_")
    assert not hasattr(FitOnInliers(LocalOutlierFactor()), "score_samples")
    with pytest.raises(NotFittedError):
        meta.predict(X)


def test_nested_parameters_can_be_searched():
    search = GridSearchCV(
        # Half of the inliers are too few to spare any for a threshold.
        FitOnInliers(make_pipeline(MinMaxScaler(), autoencoder(threshold="mean_std"))),
        {"estimator__autoencoderoutlierdetector__latent_dim": [1, 2]},
        scoring=lambda estimator, X, y: estimator.decision_function(X).mean(),
        cv=2,
    ).fit(X, Y)
    assert search.best_estimator_.estimator.steps[-1][1].latent_dim in (1, 2)


def test_pickle():
    meta = FitOnInliers(make_pipeline(MinMaxScaler(), autoencoder())).fit(X, Y)
    again = pickle.loads(pickle.dumps(meta))
    np.testing.assert_array_equal(again.score_samples(X), meta.score_samples(X))


@pytest.mark.parametrize(
    ("y", "named", "message"),
    [
        (np.zeros(40), {}, "do not say what is normal"),
        (Y, {"inlier_label": 7}, "inlier_label=7 does not occur"),
        (-np.ones(40), {}, "No row is labeled normal"),
        (np.ones(40), {"outlier_label": 1}, "No row is labeled normal"),
        (Y[:5], {}, "inconsistent numbers of samples"),
    ],
)
def test_unfit_labels_are_refused(y, named, message):
    meta = FitOnInliers(IsolationForest(), **named)
    with pytest.raises(ValueError, match=message):
        meta.fit(X, y)
    assert not hasattr(meta, "estimator_")


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FitOnInliers(Recorder()).fit(X, Y, sample_weight=[1.0])


def test_no_estimator_is_refused():
    with pytest.raises(ValueError, match="'estimator' parameter of FitOnInliers"):
        FitOnInliers(None).fit(X, Y)
