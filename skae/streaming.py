"""Scores of a series as it arrives, chunk by chunk."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skae._meta.delegation import scores_steps, split_pipeline
from skae._meta.windowed import stream_of

__all__ = ["SeriesScorer"]


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
