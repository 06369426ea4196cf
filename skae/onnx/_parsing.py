"""From a fitted detector to the steps that compute its verdict."""

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx._parse import parse_sklearn
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skae._detectors.autoencoder import AutoencoderOutlierDetector
from skae._detectors.base import ReconstructionErrorDetector, scorer_of
from skae._detectors.ensemble import AutoencoderEnsembleOutlierDetector
from skae._detectors.reconstruction import ReconstructionOutlierDetector
from skae._meta.averaged import AveragedOutlierDetector
from skae._meta.fit_on_inliers import FitOnInliers
from skae._meta.thresholded import ThresholdedOutlierDetector
from skae._meta.unwrap import fitted_offset
from skae._network.network import Network
from skae.onnx._refusals import check_convertible
from skae.onnx._steps import (
    Averaged,
    Gathered,
    Scores,
    Shifted,
    convert_global_scaler,
    convert_verdict,
    declare,
    declare_verdict,
    keep_shapes,
    register_steps,
    same_shape,
)
from skae.preprocessing import GlobalMinMaxScaler

_DETECTORS = (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
)
_AROUND_A_DETECTOR = (FitOnInliers, ThresholdedOutlierDetector)
_VERDICT = "SkaeVerdict"


def register():
    """Tell skl2onnx of skae's detectors, and of its scaler."""
    register_steps()
    for detector in _DETECTORS:
        update_registered_converter(
            detector,
            _VERDICT,
            keep_shapes,
            _convert_verdict,
            parser=_parse_detector,
            options={"score_samples": [True, False]},
        )
    update_registered_converter(
        GlobalMinMaxScaler, "SkaeGlobalMinMaxScaler", same_shape, convert_global_scaler
    )


def opened(estimator) -> Any:
    """Return what is inside frozen estimators and searches, which skl2onnx does not open."""
    if isinstance(estimator, FrozenEstimator):
        return opened(estimator.estimator)
    # Its own attribute: meta-estimators of skae offer those of what is inside.
    best = vars(estimator).get("best_estimator_")
    return estimator if best is None else opened(best)


def _parse_detector(scope, model, inputs, custom_parsers=None):
    check_is_fitted(model)
    options = scope.get_options(model, {"score_samples": False})
    scores = _scores(scope, model, inputs, custom_parsers)
    return declare_verdict(scope, model, _VERDICT, scores, options["score_samples"])


def _convert_verdict(scope, operator, container):
    convert_verdict(fitted_offset(operator.raw_operator), scope, operator, container)


def _scores(scope, model, inputs, custom_parsers):
    """Return the scores of a fitted detector, or of anything with one inside, in double."""
    if isinstance(model, ReconstructionErrorDetector):
        return _scores_by_errors(scope, model, inputs, custom_parsers)
    if isinstance(model, AveragedOutlierDetector):
        found = [_scores(scope, of, inputs, custom_parsers) for of in model.estimators_]
        return declare(scope, Averaged(model), found)
    if isinstance(model, Pipeline):
        *transforms, (_, detector) = model.steps
        for _, transform in transforms:
            if transform not in (None, "passthrough"):
                inputs = _parsed(scope, transform, inputs, custom_parsers)
        return _scores(scope, detector, inputs, custom_parsers)
    inner = model.estimator_ if isinstance(model, _AROUND_A_DETECTOR) else opened(model)
    if inner is not model:
        return _scores(scope, inner, inputs, custom_parsers)
    if isinstance(model, IsolationForest):
        # Its trees see float32, and its converter takes nothing else.
        inputs = [declare(scope, Gathered(np.float32, model.n_features_in_), inputs)]
    _, decision, *_ = _parsed(scope, model, inputs, custom_parsers)
    return declare(scope, Shifted(_offset(model)), [decision])


def _offset(model):
    offset = fitted_offset(model)
    if offset is None:
        raise TypeError(
            f"{type(model).__name__} cannot be converted to ONNX inside a detector of skae: it has "
            "no offset_, from which its scores follow."
        )
    return offset


def _scores_by_errors(scope, detector, inputs, custom_parsers):
    check_convertible(detector)
    model = scorer_of(detector).model
    rows = declare(scope, Gathered(model.dtype, detector.n_features_in_), inputs)
    if isinstance(model, Network):
        return declare(scope, Scores(detector), [rows])
    fitted = detector.estimator_
    decode = None
    if hasattr(model, "encode_and_reconstruct"):
        decode = _affine_inverse(fitted, detector.n_features_in_)
    found, *_ = _parsed(scope, fitted, [rows], custom_parsers)
    return declare(scope, Scores(detector, decode), [rows, found])


def _parsed(scope, model, inputs, custom_parsers):
    """Return what skl2onnx makes of a model, as values that are not yet outputs."""
    outputs = parse_sklearn(scope, opened(model), inputs, custom_parsers=custom_parsers)
    for output in outputs:
        output.init_status(is_leaf=False)
    return outputs


def _affine_inverse(transformer, n_features):
    """Return the matrix and the summand by which a transformer makes rows of codes.

    skl2onnx converts no `inverse_transform`. Those of PCA, of scalers and of other linear
    transformers are found by asking for the rows of a few codes.
    """
    codes = np.asarray(transformer.transform(np.zeros((1, n_features))))
    n_codes = codes.shape[1]

    def decoded(codes):
        return np.asarray(transformer.inverse_transform(codes), dtype=np.float64)

    summand = decoded(np.zeros((1, n_codes)))
    matrix = decoded(np.eye(n_codes)) - summand
    trial = 10 * np.random.default_rng(0).standard_normal((8, n_codes))
    expected = trial @ matrix + summand
    if not np.allclose(decoded(trial), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max()):
        raise TypeError(
            f"{type(transformer).__name__} cannot be converted to ONNX in a "
            "ReconstructionOutlierDetector: its inverse_transform is not a linear one, as that of "
            "PCA is, and skl2onnx converts none."
        )
    return matrix, summand
