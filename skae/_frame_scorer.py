"""Scoring a frame at a time: what engines that cut tables into frames call."""

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skae._meta.delegation import scores_steps, split_pipeline
from skae._meta.unwrap import scores_and_labels
from skae.inspection import explain as explained

if TYPE_CHECKING:
    from pandas import DataFrame


def frame_scorer(estimator: Any, *, explain: int = 0) -> "Callable[[DataFrame], DataFrame]":
    """Return a function from a frame of rows to a frame of their scores, for engines to call.

    Dask's `map_partitions`, Spark's `mapInPandas` and Ray Data's `map_batches` take such functions.
    It can be pickled; a worker that unpickles it loads neither Keras nor TensorFlow where the
    network is one of skae's own. Rows are scored one by one: their scores do not depend on how a
    table is cut.

    Parameters
    ----------
    estimator : estimator
        A fitted outlier detector, or a pipeline or meta-estimator with one inside. Fitted on a
        frame, it is given the columns of that, whatever others there are.
    explain : int, default=0
        How many reasons are given for each outlier, as :func:`skae.inspection.explain` words them.

    Returns
    -------
    score_frame : callable
        From a `pandas.DataFrame` to one with the same index and these columns:

        - `score`: the score, float64; the higher, the more normal.
        - `label`: +1 for inliers, -1 for outliers, int64.
        - `reason_1` and so on: the reasons, str; empty for inliers.

        An empty frame gives an empty one, with the same columns and dtypes.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no outlier detector with scores, or scores the time steps of a series, which
        depend on each other; or if reasons are wanted of one that does not reconstruct rows.
    ValueError
        If `explain` is no whole number from 0 on.

    Examples
    --------
    >>> import pandas as pd
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.streaming import frame_scorer
    >>> from sklearn.decomposition import PCA
    >>> table = pd.DataFrame({"a": range(40), "b": range(0, 80, 2)}, dtype=float)
    >>> detector = ReconstructionOutlierDetector(PCA(1), random_state=0).fit(table)
    >>> score = frame_scorer(detector, explain=1)
    >>> score(pd.DataFrame({"a": [1.0, 7.0], "b": [2.0, 50.0]}, index=["x", "y"])).label
    x    1
    y   -1
    Name: label, dtype: int64
    """
    if isinstance(explain, bool) or not isinstance(explain, Integral) or explain < 0:
        raise ValueError(f"explain must be a whole number from 0 on; got {explain!r}.")
    check_is_fitted(estimator)
    _, detector = split_pipeline(estimator)
    if not hasattr(estimator, "score_samples") or not hasattr(estimator, "predict"):
        raise TypeError(
            "frame_scorer needs an outlier detector with score_samples and predict; got "
            f"{type(estimator).__name__}."
        )
    if scores_steps(detector):
        raise TypeError(
            f"{type(detector).__name__} scores the time steps of a series, which depend on each "
            "other, while frames are scored apart: use skae.streaming.SeriesScorer."
        )
    if explain and not hasattr(detector, "reconstruct"):
        raise TypeError(
            f"explain={explain} needs a detector that reconstructs rows, and "
            f"{type(detector).__name__} does not: give explain=0."
        )
    return FrameScorer(estimator, int(explain))


class FrameScorer:
    """The function that `frame_scorer` returns: a class, so that it can be pickled.

    Parameters
    ----------
    estimator : estimator
        The fitted detector.
    n_reasons : int
        How many reasons are given for each outlier.
    """

    def __init__(self, estimator, n_reasons):
        self._estimator = estimator
        self._n_reasons = n_reasons
        names = getattr(estimator, "feature_names_in_", None)
        self._columns = None if names is None else list(names)

    def __call__(self, frame):
        """Return the scores of a frame's rows, as a frame with the same index."""
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            raise TypeError(
                f"The function takes a pandas.DataFrame; got a {type(frame).__name__}. Ray Data "
                "gives frames with batch_format='pandas'."
            )
        rows = frame if self._columns is None else frame[self._columns]
        scores, labels = self._judged(rows)
        found: dict = {"score": scores, "label": labels}
        reasons = self._reasons(rows, np.flatnonzero(labels == -1))
        for number, column in enumerate(reasons.T, start=1):
            found[f"reason_{number}"] = pd.Series(column, dtype=object, index=frame.index)
        return pd.DataFrame(found, index=frame.index)

    def _judged(self, rows):
        if not len(rows):
            return np.empty(0), np.empty(0, dtype=np.int64)
        return scores_and_labels(self._estimator, rows)

    def _reasons(self, rows, outliers):
        reasons = np.full((len(rows), self._n_reasons), "", dtype=object)
        if self._n_reasons and len(outliers):
            # By position, since labels of an index may be repeated.
            chosen = rows.iloc[outliers].reset_index(drop=True)
            text = explained(self._estimator, chosen, self._n_reasons)["text"].to_numpy()
            text = text.reshape(len(outliers), -1)
            reasons[outliers, : text.shape[1]] = text
        return reasons
