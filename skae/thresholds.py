"""Rules that turn reconstruction errors into a threshold.

A rule is a small estimator with one method, `threshold(errors, is_outlier=None)`. Rows whose error
lies above the threshold are outliers. For any detector, the error of a row is minus its
`score_samples`.

Without labels: :class:`MeanStd`, :class:`Quantile`, the robust :class:`MedianMAD` and
:class:`InterquartileFence`, and two that aim at a share of false alarms, :class:`FalsePositiveRate`
with a guarantee and :class:`PeaksOverThreshold` beyond the range observed. From labels:
:class:`Youden`, :class:`FBeta` and :class:`MinimalCost`. Known beforehand: :class:`FixedThreshold`.

No rule but the last returns the error of a row itself, because rounding would then decide on that
row. The threshold lies midway between two neighboring errors where the rule leaves the choice, or
else a little above the error, by about 5e-7 of it.
"""

from abc import abstractmethod
from math import ceil, isfinite, log1p
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import boxcox
from scipy.stats import binom
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import precision_recall_curve, roc_curve

from skae._sklearn_compat import (
    DocumentationLinkMixin,
    HasMethods,
    Interval,
    StrOptions,
    check_array,
    validate_parameter_constraints,
)

__all__ = [
    "FBeta",
    "FalsePositiveRate",
    "FixedThreshold",
    "InterquartileFence",
    "MeanStd",
    "MedianMAD",
    "MinimalCost",
    "PeaksOverThreshold",
    "Quantile",
    "ThresholdRule",
    "Youden",
    "as_rule",
]

# Converts the median absolute deviation of normally distributed numbers to a standard deviation.
_MAD_TO_STD = 1.4826

# Below this many, the shape of a tail is a guess.
_MIN_EXCESSES = 10

# Errors that should be equal differ by less: in any company, on another machine, in single
# precision. Relative, and too small to matter for a threshold.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
# The same for what is computed from the errors in double precision, such as a mean.
_ROUNDING_OF_RULES = 1e-12


class ThresholdRule(DocumentationLinkMixin, BaseEstimator):
    """Base class of the rules: a subclass only turns checked errors into a threshold."""

    _parameter_constraints: dict = {}
    needs_labels = False
    needs_unseen_rows = False

    def threshold(self, errors: ArrayLike, is_outlier: ArrayLike | None = None) -> float:
        """Return the error above which a row is an outlier.

        Parameters
        ----------
        errors : array-like of shape (n_samples,)
            Reconstruction errors; for any detector, minus its `score_samples`.
        is_outlier : array-like of shape (n_samples,), dtype=bool, default=None
            Which rows are known outliers. Needed by the rules that learn from labels
            (`needs_labels`), ignored by the others.

        Returns
        -------
        threshold : float
            In the unit of the errors.

        Raises
        ------
        ValueError
            If a parameter of the rule is out of range; if the errors are empty, not finite or not
            one-dimensional; or if labels are needed but missing or of one class only.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        errors = check_array(errors, ensure_2d=False, dtype=np.float64, input_name="errors")
        if errors.ndim != 1:
            raise ValueError(
                f"errors must have one dimension, one error per row; got {errors.shape}."
            )
        if self.needs_labels:
            is_outlier = _checked_labels(self, errors, is_outlier)
        return float(self._threshold(errors, is_outlier))

    @abstractmethod
    def _threshold(self, errors, is_outlier) -> float:
        """Return the threshold of checked errors."""


def _checked_labels(rule, errors, is_outlier):
    if is_outlier is None:
        raise ValueError(
            f"{rule!r} learns from labels and got none: give y, or use a rule without labels such "
            "as MeanStd() or Quantile()."
        )
    is_outlier = np.asarray(is_outlier)
    if is_outlier.dtype != bool or is_outlier.shape != errors.shape:
        raise ValueError(
            f"is_outlier must be an array of {len(errors)} booleans, one for each error; got "
            f"shape {is_outlier.shape} of dtype {is_outlier.dtype}."
        )
    if is_outlier.all() or not is_outlier.any():
        raise ValueError(
            f"{rule!r} needs rows of both classes, but all {len(errors)} rows are "
            f"{'outliers' if is_outlier.all() else 'inliers'}."
        )
    return is_outlier


class MeanStd(ThresholdRule):
    """Threshold at the mean of the errors plus `k` of their standard deviations.

    Parameters
    ----------
    k : float, default=1.0
        How many standard deviations above the mean.

    Examples
    --------
    >>> from skae.thresholds import MeanStd
    >>> MeanStd(k=2.0).threshold([1.0, 3.0])
    4.0
    """

    _parameter_constraints: dict = {"k": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, k: float = 1.0):
        self.k = k

    def _threshold(self, errors, is_outlier):
        return _clear_of_errors(errors.mean() + self.k * errors.std(), errors)


class FixedThreshold(ThresholdRule):
    """A threshold that is known beforehand.

    Wherever a rule is expected, the number itself works too.

    Parameters
    ----------
    value : float
        The threshold, in the unit of the errors.

    Examples
    --------
    >>> from skae.thresholds import FixedThreshold
    >>> FixedThreshold(0.5).threshold([1.0, 2.0, 9.0])
    0.5
    """

    _parameter_constraints: dict = {"value": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, value: float):
        self.value = value

    def _threshold(self, errors, is_outlier):
        return self.value


class Quantile(ThresholdRule):
    """Threshold at a quantile of the errors.

    Parameters
    ----------
    q : float, default=0.95
        The share of the errors, between 0 and 1, that lies below the threshold.

    Examples
    --------
    >>> from skae.thresholds import Quantile
    >>> Quantile(q=0.5).threshold([1.0, 2.0, 3.0, 9.0])
    2.5
    """

    _parameter_constraints: dict = {"q": [Interval(Real, 0, 1, closed="both")]}

    def __init__(self, q: float = 0.95):
        self.q = q

    def _threshold(self, errors, is_outlier):
        return _clear_of_errors(np.quantile(errors, self.q), errors)


class MedianMAD(ThresholdRule):
    """Threshold at the median of the errors plus `k` robust standard deviations.

    The standard deviation is 1.4826 times the median absolute deviation from the median [1]_, as
    it is for normally distributed errors; up to half of the rows may be outliers without moving it
    far. If more than half of the errors are equal, it is zero.

    Parameters
    ----------
    k : float, default=3.0
        How many standard deviations above the median.

    References
    ----------
    .. [1] Leys, Ley, Klein, Bernard and Licata (2013). Detecting outliers: Do not use standard
       deviation around the mean, use absolute deviation around the median. Journal of
       Experimental Social Psychology 49(4).

    Examples
    --------
    >>> from skae.thresholds import MedianMAD
    >>> MedianMAD(k=3.0).threshold([1.0, 2.0, 3.0, 4.0, 99.0])
    7.4478
    """

    _parameter_constraints: dict = {"k": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, k: float = 3.0):
        self.k = k

    def _threshold(self, errors, is_outlier):
        median = np.median(errors)
        deviation = _MAD_TO_STD * np.median(np.abs(errors - median))
        return _clear_of_errors(median + self.k * deviation, errors)


class InterquartileFence(ThresholdRule):
    """Threshold at the upper quartile of the errors plus `k` times their interquartile range.

    Tukey's fence [1]_, the end of a box plot's whiskers.

    Parameters
    ----------
    k : float, default=1.5
        How many interquartile ranges above the upper quartile; 3 for what Tukey calls far out.

    References
    ----------
    .. [1] Tukey (1977). Exploratory Data Analysis. Addison-Wesley.

    Examples
    --------
    >>> from skae.thresholds import InterquartileFence
    >>> InterquartileFence(k=1.5).threshold([1.0, 2.0, 3.0, 4.0, 99.0])
    7.0
    """

    _parameter_constraints: dict = {"k": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, k: float = 1.5):
        self.k = k

    def _threshold(self, errors, is_outlier):
        lower, upper = np.quantile(errors, [0.25, 0.75])
        return _clear_of_errors(upper + self.k * (upper - lower), errors)


class FalsePositiveRate(ThresholdRule):
    """Threshold that promises a share of false alarms, whatever the errors' distribution.

    With a confidence, it is the smallest error that a new normal row exceeds with a probability of
    at most `rate`: a one-sided tolerance limit [1]_, exact for a continuous distribution and
    conservative if errors tie. `confidence` is the share of samples of normal rows for which the
    promise holds. The threshold lies midway between that error and the next larger one.

    Without one, the promise holds on average: a new normal row is flagged with a probability of at
    most `rate` over both the sample and the row [2]_. It needs no minimum of rows; with fewer than
    `1 / rate - 1` of them the threshold is their largest error, and n rows flag one new row in
    n + 1. The detectors' `threshold="auto"` is that, with a rate of 5 %.

    Parameters
    ----------
    rate : float, default=0.05
        The share of normal rows, between 0 and 1, that may be flagged.
    confidence : float or None, default=0.95
        The probability, between 0 and 1, that no more of them are. None promises the share on
        average.

    Notes
    -----
    The promise holds for errors of normal rows that the detector was not trained on. Training
    errors are smaller than those of new rows, and so is a threshold set from them: with this rule,
    skae's detectors never use them.

    References
    ----------
    .. [1] Wilks (1941). Determination of sample sizes for setting tolerance limits. Annals of
       Mathematical Statistics 12(1).
    .. [2] Vovk, Gammerman, Shafer (2005). Algorithmic Learning in a Random World. Springer.

    Examples
    --------
    >>> from skae.thresholds import FalsePositiveRate
    >>> FalsePositiveRate(rate=0.05, confidence=0.95).threshold(range(1, 101))
    99.5
    >>> FalsePositiveRate(rate=0.05, confidence=None).threshold(range(1, 101))
    96.5
    """

    _parameter_constraints: dict = {
        "rate": [Interval(Real, 0, 1, closed="neither")],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
    }
    needs_unseen_rows = True

    def __init__(self, rate: float = 0.05, confidence: float | None = 0.95):
        self.rate = rate
        self.confidence = confidence

    @classmethod
    def from_budget(cls, alarms: float, rows: float, *, confidence: float | None = 0.95) -> Self:
        """Return the rule for so many false alarms among so many rows, such as those of a day.

        Parameters
        ----------
        alarms : float
            How many normal rows may be flagged, on average over days. May be less than 1: 0.2 is
            one in five days.
        rows : float
            Among how many normal rows: more than `alarms`.
        confidence : float or None, default=0.95
            As the parameter of the class. A tight budget takes many errors to keep it with
            confidence: about three times `rows` for one alarm.

        Returns
        -------
        rule : FalsePositiveRate
            With the rate `alarms / rows`.

        Raises
        ------
        ValueError
            If `alarms` is not above zero and below `rows`.

        Examples
        --------
        >>> from skae.thresholds import FalsePositiveRate
        >>> FalsePositiveRate.from_budget(alarms=5, rows=2_000, confidence=None)
        FalsePositiveRate(confidence=None, rate=0.0025)
        """
        is_number = all(isinstance(n, Real) and not isinstance(n, bool) for n in (alarms, rows))
        if not (is_number and 0 < alarms < rows and isfinite(rows)):
            raise ValueError(
                "A budget is a number of alarms above 0 and a larger number of rows; got "
                f"alarms={alarms!r} and rows={rows!r}."
            )
        return cls(float(alarms / rows), confidence)

    @property
    def min_errors(self) -> int:
        """How many errors it takes to keep the promise."""
        if self.confidence is None:
            # Rounded, because 1 / 0.05 - 1 may be a little more than 19.
            return ceil(round(1 / self.rate - 1, 6))
        return ceil(log1p(-self.confidence) / log1p(-self.rate))

    def _threshold(self, errors, is_outlier):
        above = self._n_above(len(errors))
        return _above(np.sort(errors)[len(errors) - 1 - max(above, 0)], errors)

    def _n_above(self, n_errors):
        """Return how many errors may lie above the one that keeps the promise."""
        if self.confidence is None:
            return int(round(self.rate * (n_errors + 1), 6)) - 1
        if n_errors < self.min_errors:
            raise ValueError(
                f"{self!r} needs the errors of at least {self.min_errors} rows and got {n_errors}; "
                "with fewer not even the largest error keeps the promise. Give more rows, a lower "
                "confidence or a higher rate, or confidence=None, which promises the rate on "
                "average."
            )
        # The error with m others above it keeps the promise where a tail of probability `rate`
        # holds more than m of n_errors rows with this confidence.
        above = int(binom.isf(self.confidence, n_errors, self.rate))
        return above - (binom.sf(above, n_errors, self.rate) < self.confidence)


class PeaksOverThreshold(ThresholdRule):
    """Threshold that a normal row exceeds with a small probability, from the tail of the errors.

    A generalized Pareto distribution is fitted to the excesses of the errors above a high quantile,
    and its tail gives the threshold [1]_, even for rates too small to be observed: one in 10,000
    from 2,000 rows. Such a threshold lies where hardly any error was seen; it is an
    estimate, and the heavier the tail, the rougher it is.

    Parameters
    ----------
    rate : float, default=1e-4
        The probability, between 0 and 1, that a normal row is flagged. From `1 - level` upward no
        tail is needed, and the threshold is the quantile of the errors.
    level : float, default=0.98
        The share of the errors, between 0 and 1, that lies below the tail.

    Notes
    -----
    Shape and scale are those of the first two probability-weighted moments [2]_, with the shape
    raised if the tail would otherwise end below the largest error [3]_. Unlike maximum likelihood,
    they need no iteration and are stable on few rows. Tails so heavy that they have no mean (a
    shape of 1 or more) are underestimated.

    Training errors are smaller than those of new rows, so set this threshold, too, from rows that
    the detector was not trained on.

    References
    ----------
    .. [1] Siffer, Fouque, Termier and Largouet (2017). Anomaly detection in streams with extreme
       value theory. KDD 2017.
    .. [2] Hosking and Wallis (1987). Parameter and quantile estimation for the generalized Pareto
       distribution. Technometrics 29(3).
    .. [3] Dupuis and Tsao (1998). A hybrid estimator for generalized Pareto and extreme-value
       distributions. Communications in Statistics: Theory and Methods 27(4).

    Examples
    --------
    >>> import numpy as np
    >>> from skae.thresholds import PeaksOverThreshold
    >>> errors = np.random.default_rng(0).exponential(size=20_000)
    >>> PeaksOverThreshold(rate=1e-4).threshold(errors)  # the truth is 9.21
    9.37...
    """

    _parameter_constraints: dict = {
        "rate": [Interval(Real, 0, 1, closed="neither")],
        "level": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, rate: float = 1e-4, level: float = 0.98):
        self.rate = rate
        self.level = level

    def _threshold(self, errors, is_outlier):
        return _clear_of_errors(self._quantile_of_tail(errors), errors)

    def _quantile_of_tail(self, errors):
        if 1 - self.rate <= self.level:
            return np.quantile(errors, 1 - self.rate)
        self._check_number(errors)
        start = np.quantile(errors, self.level)
        excesses = errors[errors > start] - start
        share = len(excesses) / len(errors)
        # Errors that tie with the quantile leave fewer above it.
        if share <= self.rate:
            return start
        if len(excesses) < _MIN_EXCESSES:
            raise ValueError(
                f"{self!r} needs at least {_MIN_EXCESSES} errors above their "
                f"{self.level}-quantile, with which many of the {len(errors)} tie: only "
                f"{len(excesses)} lie above. Give more rows, or use a rule such as Quantile()."
            )
        return start + _tail_quantile(excesses, self.rate / share)

    def _check_number(self, errors):
        # Rounded, because 1 - 0.9 is a little less than 0.1.
        needed = ceil(round(_MIN_EXCESSES / (1 - self.level), 6))
        if len(errors) < needed:
            raise ValueError(
                f"{self!r} needs the errors of at least {needed} rows, so that "
                f"{_MIN_EXCESSES} lie above their {self.level}-quantile, and got "
                f"{len(errors)}. Give more rows, a lower level, or a rate of at least 1 - level."
            )


def _tail_quantile(excesses, rate):
    """Return the value that a Pareto distribution fitted to the excesses exceeds at a rate."""
    largest = excesses.max()
    if largest == excesses.min():
        return largest
    # In units of the largest, so that no sum overflows.
    excesses = np.sort(excesses) / largest
    n_excesses = len(excesses)
    weights = np.arange(1 - n_excesses, n_excesses, 2) / (n_excesses - 1)
    # The second L-moment, from differences to the smallest, which lose no digits.
    ratio = excesses.mean() / (weights * (excesses - excesses[0])).mean()
    scale = excesses.mean() * (ratio - 1)
    shape = max(2 - ratio, -scale)
    return largest * scale * boxcox(1 / rate, shape)


class Youden(ThresholdRule):
    """Threshold at the point of the ROC curve with the largest TPR - FPR, from labels.

    Youden's J [1]_: the share of outliers flagged minus the share of inliers flagged.
    The threshold lies midway between the errors on its two sides.

    References
    ----------
    .. [1] Youden (1950). Index for rating diagnostic tests. Cancer 3(1).

    Examples
    --------
    >>> from skae.thresholds import Youden
    >>> Youden().threshold([1.0, 2.0, 4.0, 5.0], is_outlier=[False, False, True, True])
    3.0
    """

    needs_labels = True

    def _threshold(self, errors, is_outlier):
        false_positives, true_positives, cuts = roc_curve(
            is_outlier, errors, drop_intermediate=False
        )
        return _below(cuts[np.argmax(true_positives - false_positives)], errors)


class FBeta(ThresholdRule):
    """Threshold with the best F-beta score of the outliers, from labels.

    The threshold lies midway between the errors on its two sides.

    Parameters
    ----------
    beta : float, default=1.0
        How many times as important recall is as precision.

    Examples
    --------
    >>> from skae.thresholds import FBeta
    >>> FBeta().threshold([1.0, 2.0, 4.0, 5.0], is_outlier=[False, True, False, True])
    1.5
    """

    _parameter_constraints: dict = {"beta": [Interval(Real, 0, None, closed="neither")]}
    needs_labels = True

    def __init__(self, beta: float = 1.0):
        self.beta = beta

    def _threshold(self, errors, is_outlier):
        precision, recall, cuts = precision_recall_curve(is_outlier, errors)
        weight = self.beta**2
        # Without true positives both are zero, and so is the score.
        denominator = np.maximum(weight * precision + recall, np.finfo(float).tiny)
        score = (1 + weight) * precision * recall / denominator
        return _below(cuts[np.argmax(score[:-1])], errors)


class MinimalCost(ThresholdRule):
    """Threshold at which mistakes cost the least in total, from labels.

    What matters is the ratio of the two costs [1]_ and the number of rows of each class. The
    threshold lies midway between the errors on its two sides; of several equally cheap ones, the
    highest is chosen.

    Parameters
    ----------
    false_positive_cost : float, default=1.0
        What an inlier that is flagged costs.
    false_negative_cost : float, default=10.0
        What an outlier that is missed costs.

    References
    ----------
    .. [1] Elkan (2001). The foundations of cost-sensitive learning. IJCAI 2001.

    Examples
    --------
    >>> from skae.thresholds import MinimalCost
    >>> errors, is_outlier = [1.0, 2.0, 4.0, 5.0], [False, True, False, True]
    >>> MinimalCost(false_negative_cost=10.0).threshold(errors, is_outlier)
    1.5
    >>> MinimalCost(false_negative_cost=0.5).threshold(errors, is_outlier)
    4.5
    """

    _parameter_constraints: dict = {
        "false_positive_cost": [Interval(Real, 0, None, closed="neither")],
        "false_negative_cost": [Interval(Real, 0, None, closed="neither")],
    }
    needs_labels = True

    def __init__(self, false_positive_cost: float = 1.0, false_negative_cost: float = 10.0):
        self.false_positive_cost = false_positive_cost
        self.false_negative_cost = false_negative_cost

    def _threshold(self, errors, is_outlier):
        false_positives, true_positives, cuts = roc_curve(
            is_outlier, errors, drop_intermediate=False
        )
        # Back to whole rows, so that equal costs compare equal.
        n_flagged = np.rint(false_positives * np.sum(~is_outlier))
        n_missed = np.rint((1 - true_positives) * np.sum(is_outlier))
        cost = self.false_positive_cost * n_flagged + self.false_negative_cost * n_missed
        return _below(cuts[np.argmin(cost)], errors)


def _below(cut, errors):
    """Return a threshold that flags the errors from `cut` upward, and no others."""
    lower = errors[errors < cut]
    if len(lower):
        return _above(lower.max(), errors)
    return min(np.nextafter(cut, -np.inf), cut - _ROUNDING * abs(cut))


def _above(cut, errors):
    """Return a threshold that flags the errors above `cut`, and no others.

    Midway to the next larger error; above the largest, higher than rounding reaches.
    """
    upper = errors[errors > cut]
    return _midway(cut, upper.min()) if len(upper) else just_above(cut, np.inf)


def _clear_of_errors(threshold, errors):
    """Return a threshold that is no error of a row, where the given one is, up to rounding.

    It stays what the rule says, up to rounding; so it is not midway to the next error.
    """
    is_reached = errors <= threshold + _ROUNDING_OF_RULES * abs(threshold)
    if not is_reached.any():
        return threshold
    upper = errors[~is_reached].min(initial=np.inf)
    return max(threshold, just_above(errors[is_reached].max(), upper))


def just_above(lower, upper) -> Any:
    """Return what is larger than `lower` by more than rounding, but not `upper` or more.

    Parameters
    ----------
    lower, upper : float or ndarray
        Neighboring errors; infinity for an upper one that is not there.
    """
    # Infinite errors have no middle: then the other number is the smaller one.
    with np.errstate(invalid="ignore", over="ignore"):
        return np.fmin(lower * (1 + _ROUNDING * np.sign(lower)), _midway(lower, upper))


def _midway(lower, upper):
    # Each is halved, as their sum may overflow.
    middle = lower / 2 + upper / 2
    # Between numbers that differ in the last bit only there is none.
    return np.where((middle < upper) | np.isinf(upper), middle, lower)


# Not among the names, which stand for the classes themselves.
_AUTO = "auto"

SHORT_NAMES = {
    "fbeta": FBeta,
    "fpr": FalsePositiveRate,
    "iqr": InterquartileFence,
    "mean_std": MeanStd,
    "median_mad": MedianMAD,
    "min_cost": MinimalCost,
    "pot": PeaksOverThreshold,
    "quantile": Quantile,
    "youden": Youden,
}

# Accepted by parameters that take a rule.
RULE_CONSTRAINTS = [
    StrOptions({_AUTO, *SHORT_NAMES}),
    Interval(Real, None, None, closed="neither"),
    HasMethods("threshold"),
]


def as_rule(rule: Any) -> Any:
    """Return the rule for a number or a short name, or a clone of the given rule.

    Parameters
    ----------
    rule : str, float or rule
        A float is the threshold itself. A string is one of "mean_std", "quantile", "median_mad",
        "iqr", "fpr", "pot", "youden", "fbeta" and "min_cost", or "auto": at most 5 % of new normal
        rows, on average.

    Returns
    -------
    rule : object with a method `threshold(errors, is_outlier=None)`

    Raises
    ------
    TypeError
        If it is none of these.

    Examples
    --------
    >>> from skae.thresholds import as_rule
    >>> as_rule("quantile")
    Quantile()
    """
    if isinstance(rule, str) and rule == _AUTO:
        return FalsePositiveRate(confidence=None)
    if isinstance(rule, str) and rule in SHORT_NAMES:
        return SHORT_NAMES[rule]()
    if isinstance(rule, Real) and not isinstance(rule, bool):
        return FixedThreshold(float(rule))
    if isinstance(rule, type) or not hasattr(rule, "threshold"):
        raise TypeError(
            f"A threshold rule is a number, one of {sorted([_AUTO, *SHORT_NAMES])}, or an object "
            "with a method threshold(errors, is_outlier=None), such as "
            f"skae.thresholds.MeanStd(k=2); got {rule!r}."
        )
    return clone(rule, safe=False)


def needs_labels(rule: Any) -> bool:
    """Tell whether a rule learns from labels."""
    return getattr(rule, "needs_labels", False)


def needs_unseen_rows(rule: Any) -> bool:
    """Tell whether a rule keeps its word only with errors of rows not trained on."""
    return getattr(rule, "needs_unseen_rows", False)
