"""Windows of a long series: a score for each time step."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skae._detectors.base import unchanged_on_failure
from skae._detectors.checks import as_table
from skae._meta.delegation import DelegatingMixin, check_scores_samples
from skae._meta.unwrap import fitted_offset
from skae._network.scorer import in_batches
from skae._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    validate_data,
)


class WindowedOutlierDetector(DelegatingMixin):
    """Meta-estimator that scores each time step of a series by the windows that contain it.

    A row of X is a time step. The series is cut into overlapping windows, each of which is a row
    for the estimator inside: `width` consecutive steps, each with all its features. A window never
    crosses a gap between `groups`.

    Parameters
    ----------
    estimator : estimator
        An outlier detector with `score_samples`, or a pipeline that ends in one. It is cloned,
        never changed. For "conv1d" and "lstm" its `input_shape` is `(width, n_features)`.
    width : int
        Time steps of a window.
    stride : int, default=1
        Time steps from one window to the next, at most `width`. If the last window would end
        before the series does, one more is scored that ends with it.
    reduce : {"max", "mean"}, default="max"
        The error of a time step is the largest, or the mean, of the errors of the windows that
        contain it. "max" misses least; "mean" locates outliers more exactly.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of `estimator`, which judges windows.
    offset_ : float
        That of the detector inside: with `reduce="max"` a time step is an outlier if any window
        that contains it is one. To set a threshold for time steps by a rule, put this into
        :class:`skae.ThresholdedOutlierDetector`.
    n_features_in_ : int
        Number of features of a time step seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.datasets.make_ecg_strip : A series to try it on.

    Notes
    -----
    A row's score depends on its neighbors, so rows must be given in order and never alone. Use
    splitters that keep the order, such as :class:`~sklearn.model_selection.TimeSeriesSplit`.
    :class:`skae.FitOnInliers` would take rows out and join the rest: leave abnormal stretches out
    yourself, and tell the remaining ones apart by `groups`.

    Windows overlap, so held-out windows drawn at random, by `validation_fraction` or
    :class:`skae.ConformalOutlierDetector` inside, resemble the training windows too much. Hold out
    a stretch of the series instead.

    Windows are views of the series; scoring holds a few thousand in memory at a time. `fit` gives
    all of them to the estimator, as a view too if there are no `groups`; the estimator may copy
    them, for example to another dtype. A larger `stride` makes fewer windows.

    Examples
    --------
    >>> from skae import WindowedOutlierDetector
    >>> from skae.datasets import make_ecg_strip
    >>> from sklearn.ensemble import IsolationForest
    >>> normal, _ = make_ecg_strip(60, anomaly_share=0, random_state=0)
    >>> X, y = make_ecg_strip(60, anomaly_share=0.1, random_state=1)
    >>> forest = IsolationForest(random_state=0)
    >>> detector = WindowedOutlierDetector(forest, width=100, stride=10).fit(normal)
    >>> scores = detector.score_samples(X)
    >>> scores.shape == y.shape
    True
    >>> bool(scores[y == -1].mean() < scores[y == 1].mean())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "reduce": [StrOptions({"max", "mean"})],
    }

    def __init__(self, estimator: Any, *, width: int, stride: int = 1, reduce: str = "max"):
        self.estimator = estimator
        self.width = width
        self.stride = stride
        self.reduce = reduce

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None, groups: ArrayLike | None = None) -> Self:
        """Fit the estimator on the windows of a series.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series, ideally normal stretches only.
        y : Ignored
            Not used, present for API consistency by convention.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to: where the value changes, there is a gap.

        Returns
        -------
        self : WindowedOutlierDetector
            The fitted meta-estimator.

        Raises
        ------
        TypeError
            If the estimator has no `score_samples`.
        ValueError
            If a stretch is shorter than a window, X has missing values, or `stride` is larger than
            `width`.
        """
        check_scores_samples(self.estimator)
        with unchanged_on_failure(self):
            X, stretches = self._checked(X, groups, reset=True)
            self.estimator_ = clone(self.estimator).fit(self._training_windows(X, stretches), None)
            offset = fitted_offset(self.estimator_)
            if offset is None:
                raise TypeError(
                    "estimator must have an offset_ after fit, as scikit-learn's outlier detectors "
                    f"have; {self.estimator_!r} has none."
                )
            self.offset_ = offset
        return self

    def score_samples(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the score of each time step: the higher, the more normal.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        scores : ndarray of shape (n_steps,), float64
        """
        check_is_fitted(self)
        X, stretches = self._checked(X, groups)
        windows = _windows(X, self.width)
        starts = np.concatenate(
            [_covering_starts(start, stop, self.stride) for start, stop in self._starts(stretches)]
        )
        errors = in_batches(lambda rows: -self.estimator_.score_samples(windows[rows]), starts)
        errors[np.isnan(errors)] = np.inf
        return -self._reduced(errors, starts, len(X))

    def decision_function(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return `score_samples(X) - offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        decision : ndarray of shape (n_steps,), float64
        """
        return self.score_samples(X, groups) - self.offset_

    def predict(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Tell normal time steps (+1) from outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        is_inlier : ndarray of shape (n_steps,), int64
        """
        return np.where(self.decision_function(X, groups) < 0, -1, 1)

    def fit_predict(
        self, X: ArrayLike, y: object = None, groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Fit on a series, then tell its normal time steps (+1) from its outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        y : Ignored
            Not used, present for API consistency by convention.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        is_inlier : ndarray of shape (n_steps,), int64
        """
        return self.fit(X, y, groups).predict(X, groups)

    def _checked(self, X, groups, reset=False) -> tuple[np.ndarray, np.ndarray]:
        """Return the series as an array, and the start and end (exclusive) of its stretches."""
        if self.stride > self.width:
            raise ValueError(
                f"stride={self.stride} is larger than width={self.width}: time steps would lie in "
                "no window."
            )
        X = validate_data(
            self,
            as_table(X),
            reset=reset,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
        )
        is_missing = np.isnan(X).any(axis=1)
        if is_missing.any():
            raise ValueError(
                f"Input X contains NaN, in {is_missing.sum()} time steps, the first of them "
                f"{is_missing.argmax()}: leave these steps out and name the stretches between them "
                "by groups, or fill them, for example with SimpleImputer or KNNImputer."
            )
        edges = np.arange(0)
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(X, groups)
            if (groups != groups).any():
                raise ValueError(
                    "groups must name the stretch of each time step, but some are missing."
                )
            edges = 1 + np.flatnonzero(groups[1:] != groups[:-1])
        edges = np.concatenate([[0], edges, [len(X)]])
        stretches = np.stack([edges[:-1], edges[1:]], axis=1)
        lengths = stretches[:, 1] - stretches[:, 0]
        if lengths.min() < self.width:
            where = (
                "" if groups is None else f" in the stretch from {stretches[lengths.argmin(), 0]}"
            )
            raise ValueError(
                f"X has {lengths.min()} sample(s){where}, fewer than the {self.width} of a window: "
                "give a longer series, or a smaller width."
            )
        return X, stretches

    def _training_windows(self, X, stretches):
        windows = _windows(X, self.width)
        starts = [np.arange(start, stop, self.stride) for start, stop in self._starts(stretches)]
        # One stretch is a view; with several, windows that cross a gap must be left out.
        return windows[:: self.stride] if len(starts) == 1 else windows[np.concatenate(starts)]

    def _starts(self, stretches):
        """Return the first start of a window in each stretch, and the one after the last."""
        return [(start, stop - self.width + 1) for start, stop in stretches]

    def _reduced(self, errors, starts, n_steps):
        """Return the error of each step from those of the windows that contain it."""
        combine = np.maximum if self.reduce == "max" else np.add
        reduced = np.full(n_steps, -np.inf if self.reduce == "max" else 0.0)
        counts = np.zeros(n_steps)
        # In each round no two windows update the same step.
        for step in range(self.width):
            reduced[starts + step] = combine(reduced[starts + step], errors)
            counts[starts + step] += 1
        return reduced if self.reduce == "max" else reduced / counts


def _windows(X, width):
    """Return all windows of a series as rows, a view of it: step after step, feature by feature."""
    n_features = X.shape[1]
    return sliding_window_view(X.reshape(-1), width * n_features)[::n_features]


def _covering_starts(start, stop, stride):
    """Return the starts of windows that leave no step out: every `stride` steps, and the last."""
    starts = np.arange(start, stop, stride)
    return starts if starts[-1] == stop - 1 else np.append(starts, stop - 1)
