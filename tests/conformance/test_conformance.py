"""scikit-learn's own checks, for every estimator; parameters and exceptions in one place."""

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderOutlierDetector, FitOnInliers

# The checks fit on noise and on a handful of rows, of which there is nothing to learn.
pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
)

ESTIMATORS = [
    AutoencoderOutlierDetector(),
    FitOnInliers(AutoencoderOutlierDetector(), inlier_label=1),
]

MINI_BATCHES = (
    "a row of weight two is drawn once an epoch, its copy twice: with mini-batches the sequences "
    "of gradients differ. IsolationForest and OneClassSVM have the same exception."
)


def expected_failures(estimator):
    return {"check_sample_weight_equivalence_on_dense_data": MINI_BATCHES}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)
