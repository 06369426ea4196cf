"""What type checkers make of users' code; `make types` checks it with their default settings.

Where a comment expects an error, exactly that one must be reported, and elsewhere none.
"""

from typing import assert_type

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    WindowedOutlierDetector,
)
from skae.datasets import make_heartbeats
from skae.displays import ErrorDistributionDisplay
from skae.inspection import explain
from skae.metrics import anomaly_scorer
from skae.thresholds import Quantile

X, y = make_heartbeats()

# Misspelled, and positional where it must be named.
AutoencoderOutlierDetector(latent_dm=4)  # pyright: ignore[reportCallIssue]
AutoencoderEnsembleOutlierDetector(latent_dm=4)  # pyright: ignore[reportCallIssue]
WindowedOutlierDetector(AutoencoderOutlierDetector(), 5)  # pyright: ignore[reportCallIssue]
_ = AutoencoderOutlierDetector().ofset_  # pyright: ignore[reportAttributeAccessIssue]
Quantile(q="0.9")  # pyright: ignore[reportArgumentType]

detector = AutoencoderOutlierDetector(latent_dim=4)
assert_type(detector.fit(X), AutoencoderOutlierDetector)
assert_type(detector.fit(pd.DataFrame(X)).predict([[1.0, 2.0]]), np.ndarray)
assert_type(detector.transform(X), np.ndarray)
detector.inverse_transform(detector.transform(X))
assert_type(detector.offset_, float)
assert_type(detector.history_, dict[str, list[float]])
assert_type(detector.n_iter_, int)
assert_type(detector.n_features_in_, int)
detector.autoencoder_.summary()
detector.feature_errors_.mean()

ensemble = AutoencoderEnsembleOutlierDetector().fit(X)
assert_type(ensemble.offset_, float)
assert_type(ensemble.member_scores(X), np.ndarray)

reconstruction = ReconstructionOutlierDetector(PCA(2)).fit(X)
assert_type(reconstruction.offset_, float)

windowed = WindowedOutlierDetector(detector, width=5)
assert_type(windowed.fit(X).predict(X), np.ndarray)
assert_type(windowed.offset_, float)

averaged = AveragedOutlierDetector([("one", detector), ("several", ensemble)], n_jobs=2).fit(X)
assert_type(averaged, AveragedOutlierDetector)
assert_type(averaged.member_scores(X), np.ndarray)
assert_type(averaged.n_features_in_, int)
assert_type(averaged.set_params(one="drop"), AveragedOutlierDetector)

conformal = ConformalOutlierDetector(FitOnInliers(detector)).fit(X, y)
assert_type(conformal.p_values(X), np.ndarray)
assert_type(conformal.offset_, float)
FitOnInliers(detector).fit(X, y).predict(X)

explain(detector, X, top=None).head()
ErrorDistributionDisplay.from_estimator(detector, X, y, log_x=False).ax_.set_title("errors")
anomaly_scorer("f1")(detector, X, y)
