"""scikit-learn's own checks, for every estimator; parameters and exceptions in one place."""

import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.preprocessing import ColumnGroupScaler, GlobalMinMaxScaler

pytestmark = [
    # The checks fit on noise and on a handful of rows, with nothing to learn.
    pytest.mark.filterwarnings(
        f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
    ),
    # Those that give a y have labels of their own, so that one is named; others give none.
    pytest.mark.filterwarnings("ignore:inlier_label=1 names a label, but y is missing"),
    pytest.mark.filterwarnings("ignore:X has .* rows, too few to hold some out"),
    pytest.mark.filterwarnings("ignore:Of .* rows none can be spared"),
    pytest.mark.filterwarnings("ignore:Only .* rows are held out of training so far"),
]

# Inside others, where the checks set no `random_state`.
PCA_INSIDE = ReconstructionOutlierDetector(PCA(1), random_state=0)
ESTIMATORS = [
    AutoencoderEnsembleOutlierDetector(2, epochs=10),
    AutoencoderOutlierDetector(),
    AutoencoderOutlierDetector("conv1d", epochs=10),
    AutoencoderOutlierDetector("lstm", epochs=5, hidden_layer_sizes=4, latent_dim=2),
    # With few epochs, four fifths of the rows train worse, and set a threshold that no row exceeds.
    AutoencoderOutlierDetector("vae", epochs=10, contamination=0.1),
    AveragedOutlierDetector(
        [
            ("forest", IsolationForest(n_estimators=10, random_state=0)),
            ("pca", PCA_INSIDE),
        ]
    ),
    AveragedOutlierDetector([("pca", PCA_INSIDE)], contamination=0.1),
    ConformalOutlierDetector(
        IsolationForest(n_estimators=10, random_state=0), alpha=0.25, calibration_size=0.5
    ),
    ConformalOutlierDetector(PCA_INSIDE, alpha=0.25, calibration_size=0.5),
    ConformalOutlierDetector(
        AutoencoderEnsembleOutlierDetector(3, epochs=10, random_state=0),
        alpha=0.25,
        calibration="oob",
    ),
    FitOnInliers(AutoencoderOutlierDetector(epochs=10, random_state=0), inlier_label=1),
    ReconstructionOutlierDetector(PCA(1)),
    ThresholdedOutlierDetector(IsolationForest(n_estimators=10, random_state=0), "mean_std"),
    ThresholdedOutlierDetector(PCA_INSIDE, "quantile"),
    WindowedOutlierDetector(IsolationForest(n_estimators=10, random_state=0), width=3),
    WindowedOutlierDetector(PCA_INSIDE, width=2, reduce="mean"),
    GlobalMinMaxScaler(),
    ColumnGroupScaler(),
    ColumnGroupScaler(SimpleImputer(add_indicator=True), keep_missing=False),
]

MINI_BATCHES = (
    "a row of weight two is drawn once an epoch, its copy twice: with mini-batches the sequences "
    "of gradients differ. IsolationForest and OneClassSVM have the same exception."
)
FEW_ROWS = "it gives fewer than 20 rows, of which members leave out none, and is told that first."
NEIGHBORS = "a time step is scored by the windows in which it lies, and so by its neighbors."


def expected_failures(estimator):
    if isinstance(estimator, WindowedOutlierDetector):
        return {
            "check_methods_sample_order_invariance": NEIGHBORS,
            "check_methods_subset_invariance": NEIGHBORS,
        }
    if getattr(estimator, "calibration", None) == "oob":
        return dict.fromkeys(
            [
                "check_classifier_data_not_an_array",
                "check_complex_data",
                "check_estimators_empty_data_messages",
                "check_estimators_nan_inf",
                "check_fit2d_1feature",
                "check_n_features_in_after_fitting",
            ],
            FEW_ROWS,
        )
    return {"check_sample_weight_equivalence_on_dense_data": MINI_BATCHES}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)
