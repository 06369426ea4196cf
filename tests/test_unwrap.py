"""The way to the detector inside, and back to the units of the data."""

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from skae import FitOnInliers, ReconstructionOutlierDetector
from skae._meta.delegation import split_pipeline
from skae._meta.steps import inverted, is_invertible, transformed
from skae._meta.unwrap import error_name


@pytest.fixture
def table():
    X = np.random.default_rng(0).normal(size=(40, 4)) * [1.0, 10.0, 0.1, 5.0]
    return X, np.where(np.arange(40) < 30, 1, -1)


@pytest.mark.parametrize(
    ("estimator", "steps"),
    [
        (IsolationForest(), []),
        (FitOnInliers(IsolationForest()), []),
        (make_pipeline(MinMaxScaler(), IsolationForest()), ["MinMaxScaler"]),
        (FitOnInliers(make_pipeline(MinMaxScaler(), IsolationForest())), ["MinMaxScaler"]),
        (make_pipeline(MinMaxScaler(), FitOnInliers(IsolationForest())), ["MinMaxScaler"]),
        (make_pipeline("passthrough", PCA(2), None, IsolationForest()), ["PCA"]),
        (
            make_pipeline(
                MinMaxScaler(), FitOnInliers(make_pipeline(PCA(2), FitOnInliers(IsolationForest())))
            ),
            ["MinMaxScaler", "PCA"],
        ),
        (
            GridSearchCV(
                make_pipeline(MinMaxScaler(), IsolationForest()),
                {"isolationforest__n_estimators": [2]},
                scoring=lambda detector, X, y: 0.0,
                cv=2,
            ),
            ["MinMaxScaler"],
        ),
    ],
)
def test_the_detector_is_found(estimator, steps, table):
    estimator.fit(*table)
    for outside in (estimator, FrozenEstimator(estimator)):
        transforms, detector = split_pipeline(outside)
        assert [type(transform).__name__ for transform in transforms] == steps
        assert isinstance(detector, IsolationForest)
        assert hasattr(detector, "estimators_")


def test_a_pipeline_of_nothing_is_its_own_end(table):
    nothing = make_pipeline("passthrough")
    assert split_pipeline(nothing) == ([], nothing)


@pytest.mark.parametrize(
    "transforms",
    [
        [],
        [StandardScaler()],
        [StandardScaler(), MinMaxScaler(clip=True)],
        [MinMaxScaler(), PCA(2)],
        [FunctionTransformer(np.exp, np.log)],
    ],
)
def test_the_way_back(transforms, table):
    X, _ = table
    inside = X
    for transform in transforms:
        inside = transform.fit_transform(inside)
    np.testing.assert_allclose(transformed(transforms, X), inside)
    assert is_invertible(transforms, inside)
    if not any(isinstance(transform, PCA) for transform in transforms):
        np.testing.assert_allclose(inverted(transforms, inside), X, atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        ColumnTransformer([("scaled", StandardScaler(), [0, 1])]),
        FunctionTransformer(np.exp),  # inverse_transform is there and does nothing
        SimpleImputer(),  # inverse_transform is there and raises
    ],
)
def test_no_way_back(transform, table):
    X, _ = table
    inside = transform.fit_transform(X)
    assert not is_invertible([transform], inside)


def test_names_of_errors(detector, scaled_detector, table):
    assert error_name(detector) == "combined error"
    assert error_name(scaled_detector) == "combined error"
    by_mse = ReconstructionOutlierDetector(PCA(1)).fit(table[0])
    assert error_name(by_mse) == "reconstruction error (mse)"
    forest = make_pipeline(MinMaxScaler(), IsolationForest(n_estimators=2)).fit(table[0])
    assert error_name(forest) == "error (minus the score of IsolationForest)"


def test_an_error_without_a_name(table):
    unnamed = ReconstructionOutlierDetector(PCA(1), error=lambda X, found: np.abs(X - found))
    assert error_name(unnamed.fit(table[0])) == "reconstruction error"
