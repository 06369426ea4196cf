"""Streams: thresholds that follow the errors, detectors that learn, series scored as they arrive.

:class:`QuantileReservoir` and :class:`AdaptiveConformal` set a threshold by the errors that arrive;
:class:`StreamingOutlierDetector` puts one of them behind a fitted detector. :class:`SeriesScorer`
scores a long series chunk by chunk, and :func:`frame_scorer` tables that other engines cut into
frames.
"""

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import as_rows
from skae._frame_scorer import frame_scorer
from skae._meta.delegation import scores_steps, split_pipeline
from skae._meta.windowed import stream_of
from skae._sklearn_compat import (
    DocumentationLinkMixin,
    HasMethods,
    StrOptions,
    _safe_indexing,
    validate_parameter_constraints,
)
from skae._streaming_thresholds import AdaptiveConformal, QuantileReservoir

__all__ = [
    "AdaptiveConformal",
    "QuantileReservoir",
    "SeriesScorer",
    "StreamingOutlierDetector",
    "frame_scorer",
]

# Errors to begin with are given in random order, always the same.
_SEED = 0


class StreamingOutlierDetector(DocumentationLinkMixin, BaseEstimator):
    """Outlier detector for a stream, whose threshold follows the errors that arrive.

    Rows arrive in chunks. Each is scored and judged first, by the threshold as it is then, and only
    then learned from.

    Parameters
    ----------
    estimator : estimator
        A fitted outlier detector with `score_samples`, or a pipeline that ends in one. It is not
        changed.
    threshold : QuantileReservoir, AdaptiveConformal or other object with such an `update`
        What sets the threshold; it is copied, not changed. If it has seen no errors yet, it begins
        with the `calibration_errors_` of the detector, if that has any, as those of skae do.
        Otherwise nothing is flagged until it has seen enough; give one that has been updated with
        errors of normal rows.
    learn : {"threshold", "both"}, default="threshold"
        What learns from the rows that arrive: the threshold only, or the detector as well, by its
        `partial_fit`.
    learn_flagged : bool, default=False
        Whether rows that are flagged are learned from like others. If not, it counts how many there
        are, not how large their errors, and the detector never sees them. Then a
        `QuantileReservoir` never rises above the largest error that it has learned, whether
        anomalies come or normal rows have changed; `AdaptiveConformal` keeps its rate, and so lets
        anomalies pass where there are many.

    Attributes
    ----------
    estimator_ : estimator
        The detector; a copy that learns if `learn="both"`.
    rule_ : object
        The copy of `threshold` that learns. Its `threshold_` is the present threshold.
    scores_ : ndarray of shape (n_samples,)
        The scores of the rows that the last `update` judged.

    See Also
    --------
    skae.streaming.SeriesScorer : Scores the steps of a series, each by the windows around it.

    Notes
    -----
    A row's label does not depend on how the stream is cut into chunks, unless the detector learns.
    With `learn="both"`, the errors of the changed detector come from the next chunk on.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.streaming import QuantileReservoir, StreamingOutlierDetector
    >>> from sklearn.ensemble import IsolationForest
    >>> generator = np.random.default_rng(0)
    >>> forest = IsolationForest(random_state=0).fit(generator.normal(size=(500, 2)))
    >>> threshold = QuantileReservoir(0.01, random_state=0)
    >>> _ = threshold.update(-forest.score_samples(generator.normal(size=(1000, 2))))
    >>> stream = StreamingOutlierDetector(forest, threshold)
    >>> stream.update([[0.1, -0.2], [9.0, 9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("score_samples")],
        "threshold": [HasMethods("update")],
        "learn": [StrOptions({"threshold", "both"})],
        "learn_flagged": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        threshold: Any,
        *,
        learn: str = "threshold",
        learn_flagged: bool = False,
    ):
        self.estimator = estimator
        self.threshold = threshold
        self.learn = learn
        self.learn_flagged = learn_flagged

    def update(self, X: ArrayLike) -> np.ndarray:
        """Judge the rows of a chunk, then learn from them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows that have arrived.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
            +1 for inliers, -1 for outliers.

        Raises
        ------
        ValueError
            If X or a parameter is invalid, or `learn="both"` and the estimator has no
            `partial_fit`. Nothing has been learned then.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        estimator, rule = self._started()
        X = as_rows(X)
        scores = estimator.score_samples(X)
        is_flagged = rule.update(-scores, learn_flagged=self.learn_flagged)
        if self.learn == "both":
            learned = np.flatnonzero(~is_flagged | self.learn_flagged)
            if len(learned):
                estimator.partial_fit(_safe_indexing(X, learned))
        self.estimator_, self.rule_, self.scores_ = estimator, rule, scores
        return np.where(is_flagged, -1, 1)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the detector's score of each row: the higher, the more normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
        """
        return vars(self).get("estimator_", self.estimator).score_samples(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Tell inliers (+1) from outliers (-1) by the present threshold, and learn nothing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
        """
        return np.where(self.score_samples(X) < self.offset_, -1, 1)

    @property
    def offset_(self) -> float:
        """Minus the present threshold."""
        if not hasattr(self, "rule_"):
            raise NotFittedError(
                "This StreamingOutlierDetector has no threshold yet: call update first."
            )
        return -self.rule_.threshold_

    def _started(self):
        """Return copies of what learns, so that nothing has been learned if a chunk is refused."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        estimator = vars(self).get("estimator_", self.estimator)
        if self.learn == "both":
            if not hasattr(estimator, "partial_fit"):
                raise ValueError(
                    "learn='both' needs an estimator with partial_fit, which "
                    f"{type(estimator).__name__} has not: give learn='threshold', or a detector "
                    "without its pipeline, and rows that are scaled already."
                )
            if not hasattr(self, "estimator_"):
                estimator = copy.deepcopy(estimator)
        if hasattr(self, "rule_"):
            return estimator, copy.deepcopy(self.rule_)
        check_is_fitted(estimator)
        rule = copy.deepcopy(self.threshold)
        known = getattr(split_pipeline(estimator)[1], "calibration_errors_", None)
        if known is not None and not hasattr(rule, "threshold_"):
            rule.update(np.random.RandomState(_SEED).permutation(known))
        return estimator, rule


class SeriesScorer:
    """Scores the time steps of a series that arrives chunk by chunk.

    A step is scored by all windows that contain it, so that its score is final only a while after
    it arrived: `update` returns the scores that have become final, at most
    `width - 1 + stride` steps late. Together with those that `flush` returns at the end they are
    the scores of the whole series, step by step; to the bit, if the detector of windows scores a
    row the same in any company, as skae's own networks do.

    The fitted detector is not changed. Only the steps and errors of the last windows are kept, so
    that memory does not grow.

    Parameters
    ----------
    fitted : estimator
        A fitted :class:`skae.WindowedOutlierDetector`, or one inside a meta-estimator of skae's.
        A pipeline is not taken, since its steps may look at rows together: transform what has
        arrived yourself.

    Attributes
    ----------
    offset_ : float
        That of the detector: a step is an outlier if its score is below.
    n_pending_ : int
        How many steps have arrived that have no final score yet.

    See Also
    --------
    skae.WindowedOutlierDetector : Scores a whole series.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import WindowedOutlierDetector
    >>> from skae.datasets import make_ecg_strip
    >>> from skae.streaming import SeriesScorer
    >>> from sklearn.ensemble import IsolationForest
    >>> X, _ = make_ecg_strip(60, anomaly_share=0, random_state=0)
    >>> forest = IsolationForest(random_state=0)
    >>> detector = WindowedOutlierDetector(forest, width=100, stride=10, random_state=0).fit(X)
    >>> stream = SeriesScorer(detector)
    >>> scores = [stream.update(chunk) for chunk in np.array_split(X, 25)]
    >>> scores.append(stream.flush())
    >>> bool((np.concatenate(scores) == detector.score_samples(X)).all())
    True
    """

    def __init__(self, fitted: Any):
        check_is_fitted(fitted)
        transforms, detector = split_pipeline(fitted)
        if not scores_steps(detector):
            raise TypeError(
                "SeriesScorer needs a fitted WindowedOutlierDetector, which scores time steps; got "
                f"{type(detector).__name__}, which scores each row alone: call its score_samples."
            )
        if transforms:
            raise TypeError(
                "SeriesScorer takes no transformers before the detector, which may look at rows "
                f"together, but there is {type(transforms[0]).__name__}: transform what has "
                "arrived, and give the detector behind."
            )
        self.offset_ = float(fitted.offset_)
        self._stream = stream_of(detector)

    @property
    def n_pending_(self) -> int:
        """How many steps have arrived that have no final score yet."""
        return self._stream.n_pending

    def update(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Take what has arrived, and return the scores that are final.

        A gap, by the index or by groups, between the last step and the first one of X ends a
        stretch, whose scores become final.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The steps that follow those given before.
        groups : array-like of shape (n_steps,), default=None
            The stretch each of them belongs to.

        Returns
        -------
        scores : ndarray of shape (n_final_steps,), float64
            Of the steps that follow those whose scores were returned before. NaN in a stretch
            shorter than a window, with a warning.

        Raises
        ------
        ValueError
            If X is invalid or comes before what was given, or groups or an index are given now and
            not before, or the other way round. The scorer is then as before.
        """
        return self._stream.update(X, groups)

    def flush(self) -> np.ndarray:
        """End the series, and return the scores of the steps that have none yet.

        Then a new series may begin.

        Returns
        -------
        scores : ndarray of shape (n_steps,), float64
        """
        return self._stream.flush()
