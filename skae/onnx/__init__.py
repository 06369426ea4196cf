"""Detectors as ONNX graphs, from raw rows to the verdict.

Importing this registers skae's detectors with skl2onnx, so that `skl2onnx.to_onnx` takes them as it
takes scikit-learn's. It needs the packages of ``pip install skae[onnx]``.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

try:
    import skl2onnx
except ImportError as error:
    raise ImportError(
        "skae.onnx needs skl2onnx and onnx, and onnxruntime to run what it makes: "
        "pip install skae[onnx]."
    ) from error

from skae.onnx._parsing import opened, register
from skae.onnx._refusals import check_steps

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["to_onnx"]

# The latest that skl2onnx has for every detector of scikit-learn; without being told, it takes a
# later one for IsolationForest, which it then refuses.
_OPSET_OF_MODELS = 3

register()


def to_onnx(
    estimator: Any,
    X: ArrayLike,
    *,
    score_samples: bool = False,
    target_opset: int | None = None,
) -> "ModelProto":
    """Convert a fitted detector, or a pipeline that ends in one, to ONNX.

    The graph takes raw rows and returns the verdict: scalers, network, error and threshold are in
    it. A runtime for ONNX, such as onnxruntime, serves it without Python, scikit-learn and skae.

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`skae.AutoencoderOutlierDetector`,
        :class:`skae.AutoencoderEnsembleOutlierDetector`,
        :class:`skae.ReconstructionOutlierDetector`, :class:`skae.FitOnInliers`,
        :class:`skae.ThresholdedOutlierDetector` or :class:`skae.AveragedOutlierDetector`, or a
        pipeline of what skl2onnx converts that ends in one. Of a search, its best estimator.
    X : array-like of shape (n_samples, n_features)
        A row or more like those to come, for their dtype: of a float32 array the graph takes
        float32, of a float64 array float64; scalers compute in it. A DataFrame makes one input,
        of shape (n_samples, 1), for each column.
    score_samples : bool, default=False
        Whether the graph also returns `score_samples`.
    target_opset : int, default=None
        The version of ONNX' operators, 13 or later. None is the latest that skl2onnx was tested
        with.

    Returns
    -------
    model : onnx.ModelProto
        A graph with the outputs

        - `label` of shape (n_samples, 1), int64: `predict`.
        - `scores` of shape (n_samples, 1), float32: `decision_function`.
        - `score_samples` of shape (n_samples, 1), float32, if asked for.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the detector has a network of your own, or an error or activations that are functions,
        or its model has no linear `inverse_transform`; or if a pipeline has a
        :class:`skae.preprocessing.ColumnGroupScaler`.
    ValueError
        If X has no row, or `target_opset` is too old.

    Notes
    -----
    Networks compute in float32, in another order than NumPy, and errors in float64. So scores
    differ in the seventh digit or so, and labels only where a score is that near to the threshold.
    Under the combined error, a row with two nearest codes, equally far, may get the other one's
    error. The graph checks no rows: infinity is an outlier, and so is a row without any value.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import AutoencoderOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.onnx import to_onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(300, anomaly_share=0.1, random_state=0)
    >>> detector = make_pipeline(
    ...     MinMaxScaler(), AutoencoderOutlierDetector(epochs=20, random_state=0)
    ... ).fit(X[y == 1])
    >>> model = to_onnx(detector, X[:1])
    >>> [output.name for output in model.graph.output]
    ['label', 'scores']
    >>> import onnxruntime
    >>> session = onnxruntime.InferenceSession(model.SerializeToString())
    >>> label, scores = session.run(None, {"X": X})
    >>> bool((label[:, 0] == detector.predict(X)).all())
    True
    """
    estimator = opened(estimator)
    check_is_fitted(estimator)
    check_steps(estimator)
    if not hasattr(X, "columns"):
        X = np.asarray(X)
        if X.ndim != 2 or not len(X):
            raise ValueError(
                f"X must be a row or more like those to come, 2-D; got shape {X.shape}."
            )
    options = {id(_last(estimator)): {"score_samples": True}} if score_samples else None
    opsets = {
        "": target_opset or skl2onnx.get_latest_tested_opset_version(),
        "ai.onnx.ml": _OPSET_OF_MODELS,
    }
    return skl2onnx.to_onnx(estimator, X, options=options, target_opset=opsets)


def _last(estimator):
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator
