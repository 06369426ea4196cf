"""Windows of a long series: a score for each time step."""

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.base import unchanged_on_failure
from skae._detectors.checks import as_table, check_sign, check_threshold
from skae._meta.channels import tells_channels
from skae._meta.delegation import DelegatingMixin, check_scores_samples, first_step
from skae._meta.events import check_event_params, event_table, events_in, peaks_of
from skae._meta.series import Clock, Series, check_max_gap, clock_of, series_of
from skae._meta.stream import SeriesStream, check_knows_gaps
from skae._meta.window_scores import WindowScores
from skae._meta.windows import all_windows, picked, random_starts, split
from skae._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    validate_data,
)
from skae._warnings import warn
from skae.thresholds import (
    RULE_CONSTRAINTS,
    FalsePositiveRate,
    FixedThreshold,
    as_rule,
    needs_labels,
)

if TYPE_CHECKING:
    from pandas import DataFrame

# The share of normal steps that the default threshold may flag, on average over the places where
# the first window may begin, and the share for the worst of these places.
_RATE = 0.01
_WORST = FalsePositiveRate(0.02, confidence=None)


class WindowedOutlierDetector(DelegatingMixin):
    """Meta-estimator that scores each time step of a series by the windows that contain it.

    A row of X is a time step. The series is cut into overlapping windows, each of which is a row
    for the estimator inside: `width` consecutive steps, each with all its features. No window
    crosses a gap: where the value of `groups` changes, or where the index of a DataFrame, a time or
    a number, makes a step longer than `max_gap`. Steps of a stretch shorter than a window have no
    score (NaN) and are predicted inliers, which a warning counts.

    Parameters
    ----------
    estimator : estimator
        An outlier detector with `score_samples`, or a pipeline that ends in one. It is cloned,
        never changed; its own offset is ignored. For "conv1d" and "lstm" its `input_shape` is
        `(width, n_features)`.
    width : int
        Time steps of a window.
    stride : int, default=1
        Time steps from one scored window to the next, at most `width`. If the last window would end
        before the series does, one more is scored that ends with it. For training there are as many
        windows, at random places, so that they cover all phases of a period.
    reduce : {"max", "mean"}, default="max"
        The error of a time step is the largest, or the mean, of the errors of the windows that
        contain it. "max" misses least; "mean" locates outliers more exactly.
    threshold : str, float or rule, default="auto"
        How the offset is set from the errors of time steps (minus `score_samples`) that the
        detector was not trained on: blocks of the series are held out, at least a window apart from
        what is trained on. "auto" lets 1 % of new normal steps be flagged, on average,
        and with a stride no more than 2 % at whatever phase of a period the windows begin.
        Otherwise a rule of :mod:`skae.thresholds` without labels, the short name of one, or the
        threshold itself, with which nothing is held out.
    max_gap : "auto", number, duration or None, default="auto"
        The longest step of a DataFrame's index that is no gap: a number for an index of numbers, a
        duration such as "10min" or a `datetime.timedelta` for one of times. "auto" is three usual
        (median) steps, None no limit.
    random_state : int, RandomState instance or None, default=None
        Determines where training windows and the blocks held out begin.
    verbose : int, default=0
        With 1, `fit` and `score_samples` print what they do.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of `estimator`, which judges windows.
    rule_ : rule
        The rule that set the threshold.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is
        `-offset_`.
    feature_errors_ : ndarray of shape (n_features_in_,)
        Mean error of each feature over windows that set the offset; only if the detector inside has
        `feature_errors`.
    n_features_in_ : int
        Number of features of a time step seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.streaming.SeriesScorer : Scores what has just arrived.
    skae.displays.SeriesDisplay : Draws a series with its events.
    skae.datasets.make_ecg_strip : A series to try it on.

    Notes
    -----
    A row's score depends on its neighbors, so rows must be given in order and never alone. Use
    splitters that keep the order, such as :class:`~sklearn.model_selection.TimeSeriesSplit`.
    :class:`skae.FitOnInliers` would take rows out and join the rest: leave abnormal stretches out
    yourself, and tell the remaining ones apart by `groups`.

    The series is cut into blocks of at least eight windows, up to thirty of them, of which every
    third is held out; of a long series fewer, down to one in ten. The detector is not trained
    again on all of them: the errors of another training may be on another scale, and a threshold
    from one would not hold for the other. A series of a few windows cannot spare a block, which
    a warning says. Without a rule, `threshold` being a number, nothing is held out.

    Windows overlap, so held-out windows drawn at random, by `validation_fraction` of the estimator
    inside, resemble the training windows too much. Its own threshold, which plays no part here, is
    that of such windows.

    Windows are views of the series; scoring holds a few thousand in memory at a time. `fit` gives
    the estimator at most 17 million values at a time, those of fewer windows if there were more.

    Examples
    --------
    >>> from skae import WindowedOutlierDetector
    >>> from skae.datasets import make_ecg_strip
    >>> from sklearn.ensemble import IsolationForest
    >>> normal, _ = make_ecg_strip(60, anomaly_share=0, random_state=0)
    >>> X, y = make_ecg_strip(60, anomaly_share=0.1, random_state=1)
    >>> forest = IsolationForest(random_state=0)
    >>> detector = WindowedOutlierDetector(forest, width=100, stride=10, random_state=0)
    >>> scores = detector.fit(normal).score_samples(X)
    >>> scores.shape == y.shape
    True
    >>> bool(scores[y == -1].mean() < scores[y == 1].mean())
    True
    >>> detector.events(X).columns.to_list()
    ['start', 'end', 'peak', 'score', 'channel', 'share']
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "reduce": [StrOptions({"max", "mean"})],
        "threshold": RULE_CONSTRAINTS,
        "max_gap": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        width: int,
        stride: int = 1,
        reduce: str = "max",
        threshold: Any = "auto",
        max_gap: Any = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.width = width
        self.stride = stride
        self.reduce = reduce
        self.threshold = threshold
        self.max_gap = max_gap
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None, groups: ArrayLike | None = None) -> Self:
        """Fit the estimator on the windows of a series, and set the offset from held-out blocks.

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
            If every stretch is shorter than a window, X has missing values that the estimator does
            not allow, the index repeats or runs backwards, `stride` is larger than `width`, or the
            rule learns from labels.

        Warns
        -----
        UserWarning
            If some stretches are shorter than a window, or the series is too short to hold out a
            block of it.
        """
        check_scores_samples(self.estimator)
        with unchanged_on_failure(self):
            rule = self._checked_rule()
            series = self._series(X, groups, reset=True)
            stretches = series.long_stretches(self.width)
            if not len(stretches):
                lengths = np.diff(series.stretches)
                where = " in its longest stretch" if len(lengths) > 1 else ""
                raise ValueError(
                    f"X has {lengths.max()} sample(s){where}, fewer than the {self.width} of a "
                    "window: give a longer series, or a smaller width."
                )
            self._warn_of_short_stretches(series)
            self._clock = tuple(series.clock)  # for skops, which knows tuples
            random = check_random_state(self.random_state)
            self.rule_, errors = self._fit_and_hold_out(series.values, stretches, rule, random)
            check_sign(self.rule_, np.concatenate(errors))
            self.offset_ = -float(self.rule_.threshold(np.concatenate(errors)))
            if rule is None:
                self.offset_ = min(self.offset_, *(-_WORST.threshold(each) for each in errors))
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
            NaN in a stretch shorter than a window, with a warning.
        """
        check_is_fitted(self)
        return -self._step_errors(self._series(X, groups))

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
            NaN for a step without a score.
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
            +1, too, for a step without a score.
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

    def events(
        self,
        X: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        merge_within: int = 0,
        min_length: int = 1,
        threshold: float | None = None,
    ) -> "DataFrame":
        """Return the alarms in a series: flagged steps in a row are one event.

        A window that contains an anomaly raises the error of all its steps, so that an event is
        wider than its cause by up to a window on each side. The cause is near its peak.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.
        merge_within : int, default=0
            Events of a stretch with at most so many steps between them are one.
        min_length : int, default=1
            Shorter events, in steps, are left out.
        threshold : float, default=None
            The error above which a step is flagged. None is the detector's own, `-offset_`.

        Returns
        -------
        events : pandas.DataFrame
            One row per event, in the order of the series, in these columns:

            - `start` and `end`: the first step, and the one after the last; in values of the index
              of X if that is made of times or numbers, or else as positions. The end of what a gap
              follows is one usual step later.
            - `peak`: the step with the largest error; of several, the one in the middle.
            - `score`: the score of that step, the lowest of the event.
            - `channel` and `share`: which channel adds most to the errors of the event, beyond what
              it usually adds (`feature_errors_`), by name if it has one, and its share in these
              errors. Missing if there are several channels and the detector inside has no
              `feature_errors`.

        Raises
        ------
        ValueError
            If the series is invalid, or `merge_within` or `min_length` are no numbers of steps.
        """
        check_is_fitted(self)
        check_event_params(merge_within, min_length)
        series = self._series(X, groups)
        errors = self._step_errors(series)
        offset = self.offset_ if threshold is None else -threshold
        flags = -errors - offset < 0
        found = events_in(flags, series.stretches, merge_within, min_length)
        peaks = peaks_of(errors, found)
        channels, shares = self._scores.causes(series, found, lambda: self.feature_errors_)
        names = np.array(getattr(self, "feature_names_in_", range(series.values.shape[1])))
        channels = [None] * len(found) if channels is None else names[channels]
        return event_table(series, found, peaks, errors, channels, shares)

    @available_if(lambda self: tells_channels(self._inner))
    def feature_errors(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return how much each channel adds to the error of each time step.

        That is the mean error of the channel in the window that decides, the worst one with
        `reduce="max"`, or in all windows that contain the step.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        errors : ndarray of shape (n_steps, n_features), float64
            The mean over the features is minus `score_samples`; NaN for a step without a score.
        """
        check_is_fitted(self)
        series = self._series(X, groups)
        self._warn_of_short_stretches(series)
        return self._scores.channel_errors(series)

    @available_if(lambda self: tells_channels(self._inner))
    def reconstruct(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the reconstruction of each time step, the mean over the windows that contain it.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The series.
        groups : array-like of shape (n_steps,), default=None
            The stretch each time step belongs to.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_steps, n_features), float64
            NaN for a step without a score.
        """
        check_is_fitted(self)
        series = self._series(X, groups)
        self._warn_of_short_stretches(series)
        return self._scores.reconstruction(series)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Of what sees the windows first: a pipeline's own tags do not say.
        first = get_tags(first_step(self.estimator))
        tags.input_tags.allow_nan = first.input_tags.allow_nan
        return tags

    def _validate_params(self):
        check_threshold(self.threshold)
        check_max_gap(self.max_gap)
        super()._validate_params()
        self._check_stride()

    def _check_stride(self):
        if self.stride > self.width:
            raise ValueError(
                f"stride={self.stride} is larger than width={self.width}: time steps would lie in "
                "no window."
            )

    def _checked_rule(self):
        """Return the rule for the threshold, or None where the number of steps decides."""
        if isinstance(self.threshold, str) and self.threshold == "auto":
            return None
        rule = as_rule(self.threshold)
        if needs_labels(rule):
            raise ValueError(
                f"threshold={self.threshold!r} learns from labels, which WindowedOutlierDetector "
                "never sees: use a rule without labels, or put the detector in "
                "ThresholdedOutlierDetector(detector, rule), which passes y on to the rule."
            )
        return rule

    def _series(self, X, groups, reset=False):
        """Return X as a checked series."""
        self._check_stride()
        table = as_table(X)
        values = validate_data(
            self,
            table,
            reset=reset,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
        )
        is_missing = np.isnan(values).any(axis=1)
        if is_missing.any() and not get_tags(self).input_tags.allow_nan:
            raise ValueError(
                f"Input X contains NaN, in {is_missing.sum()} time steps, the first of them "
                f"{is_missing.argmax()}, and {type(self.estimator).__name__} needs complete ones: "
                "leave these steps out and name the stretches between them by groups, or by the "
                "index of a DataFrame, or fill them, for example with SimpleImputer or KNNImputer."
            )
        return series_of(
            values, table, groups, self.max_gap, None if reset else clock_of(self._clock)
        )

    def _warn_of_short_stretches(self, series):
        lengths = series.stretches[:, 1] - series.stretches[:, 0]
        is_short = lengths < self.width
        if is_short.any():
            warn(
                f"{lengths[is_short].sum()} of {len(series.values)} time steps lie in stretches "
                f"shorter than a window of {self.width} steps ({is_short.sum()} of "
                f"{len(lengths)}, the first from step {series.stretches[is_short.argmax(), 0]}): "
                "nothing is learned from them, they have no score (NaN) and are predicted "
                "inliers, and rules and scorers leave them out."
            )

    def _fit_and_hold_out(self, values, stretches, rule, random):
        """Fit the detector, and return the rule and the errors that set the threshold."""
        training, held_out = stretches, stretches[:0]
        is_fixed, is_frozen = (
            isinstance(each, kind)
            for each, kind in ((rule, FixedThreshold), (self.estimator, FrozenEstimator))
        )
        if not (is_fixed or is_frozen):
            training, held_out = split(stretches, self.width, random)
            if not len(held_out):
                self._warn_of_short_series(len(values))
        starts = random_starts(training, self.width, self.stride, values.shape[1], random)
        self._say(f"training on {len(starts):,} windows")
        windows = picked(all_windows(values, self.width), starts)
        self.estimator_ = clone(self.estimator).fit(windows, None)
        # What is frozen has seen none of them, as far as can be known.
        blocks = held_out if len(held_out) else stretches
        typical = self._scores.typical_errors(values, blocks)
        if typical is not None:
            self.feature_errors_ = typical
        else:
            self.__dict__.pop("feature_errors_", None)
        if is_fixed:
            return rule, [np.zeros(1)]  # it looks at no error
        n_steps = np.diff(blocks).sum()
        self._say(f"scoring {n_steps:,} steps for the threshold")
        errors = self._scores.block_errors(values, blocks, random)
        self._check_finite(np.concatenate(errors))
        return (_auto_rule(n_steps, self.width) if rule is None else rule), errors

    def _warn_of_short_series(self, n_steps):
        warn(
            f"Of {n_steps} time steps no block can be held out at a distance of a window "
            f"(width={self.width}), so the threshold comes from the errors of steps trained on, "
            "which are smaller than those of new ones: expect more false alarms. Give a longer "
            "series, a smaller width, or the threshold as a number."
        )

    def _check_finite(self, errors):
        unfit = np.count_nonzero(~np.isfinite(errors))
        if unfit:
            raise ValueError(
                f"Of the {len(errors)} errors of time steps that set the threshold {unfit} are not "
                f"finite: look at how {type(self.estimator).__name__} scores normal windows, or "
                "give threshold= as a number."
            )

    def _offered(self, name):
        if name == "feature_errors_":  # those of the detector inside are of other features
            raise AttributeError(
                "There are no feature_errors_: they need a fitted detector of windows that has "
                "feature_errors."
            )
        return super()._offered(name)

    @property
    def _scores(self):
        return WindowScores(self.estimator_, self.width, self.stride, self.reduce, self.verbose)

    def _step_errors(self, series):
        self._warn_of_short_stretches(series)
        return self._scores.step_errors(series)

    def _say(self, what):
        if self.verbose:
            print(f"[WindowedOutlierDetector] {what}", flush=True)


def _auto_rule(n_steps, width):
    """Return the rule that lets 1 % of new normal steps be flagged, on average.

    Of n independent errors as few may be flagged as leaves the promise for one more. Those of
    neighboring steps are alike: as many as fill half a window count as one, by measurement.
    """
    n_independent = n_steps / (width / 2)
    rate = _RATE - (1 - _RATE) / n_independent
    return FalsePositiveRate(max(rate, 1 / (n_steps + 1)), confidence=None)


def stream_of(detector):
    """Return a stream for a fitted detector, which it does not change."""
    clock = clock_of(detector._clock)

    def read(X, groups):
        series = detector._series(X, groups)
        check_knows_gaps(series, detector.max_gap, clock)
        return series

    def warn_of_short(n_steps):
        series = Series(np.empty((n_steps, 0)), np.array([[0, n_steps]]), None, Clock(), None)
        detector._warn_of_short_stretches(series)

    form = (detector.width, detector.stride, detector.reduce)
    errors_of = detector._scores.window_errors
    return SeriesStream(read, errors_of, warn_of_short, form, detector.max_gap, clock)
