import keras
import numpy as np
import pytest

from skae._errors import NAMED_ERRORS, feature_errors, row_errors

X = np.array([[0.0, 0.5], [2.0, 1.0]], dtype=np.float32)
RECONSTRUCTION = np.array([[0.5, 0.5], [-1.0, 1.5]], dtype=np.float32)


@pytest.mark.parametrize("name", sorted(NAMED_ERRORS))
def test_named_errors_are_those_of_keras(name):
    expected = np.asarray(keras.losses.get(name)(X, RECONSTRUCTION))
    np.testing.assert_allclose(row_errors(name, X, RECONSTRUCTION), expected, rtol=1e-5)


@pytest.mark.parametrize("error", [*sorted(NAMED_ERRORS), lambda X, R: (X - R) ** 4])
def test_features_average_to_the_row(error):
    each = feature_errors(error, X, RECONSTRUCTION)
    assert each.shape == X.shape
    assert each.dtype == np.float64
    np.testing.assert_array_equal(each.mean(axis=1), row_errors(error, X, RECONSTRUCTION))


def test_callable_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape of X, \(2, 2\).*got shape \(2,\)"):
        row_errors(lambda X, R: np.abs(X - R).mean(axis=1), X, RECONSTRUCTION)


def test_callable_may_return_nan_where_the_reconstruction_is_not_finite():
    reconstruction = np.array([[np.nan, 0.5], [-1.0, 1.5]], dtype=np.float32)
    each = feature_errors(lambda X, R: abs(X - R), X, reconstruction)
    np.testing.assert_array_equal(each, [[np.nan, 0], [3, 0.5]])
