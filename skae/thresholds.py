"""Rules that turn reconstruction errors into a threshold.

A rule is a small estimator with one method, `threshold(errors, is_outlier=None)`. Rows whose error
lies above the threshold are outliers. For any detector, the error of a row is minus its
`score_samples`.
"""

from abc import abstractmethod
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import precision_recall_curve, roc_curve
from sklearn.utils import check_array

from skae._sklearn_compat import HasMethods, Interval, StrOptions, validate_parameter_constraints

__all__ = ["FBeta", "MeanStd", "Quantile", "ThresholdRule", "Youden", "as_rule"]


class ThresholdRule(BaseEstimator):
    """Base class of the rules: a rule only says how checked errors become a threshold."""

    _parameter_constraints: dict = {}
    needs_labels = False

    def threshold(self, errors, is_outlier=None):
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
            one-dimensional; if labels are needed and there are none, or of one class only.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        errors = check_array(errors, ensure_2d=False, dtype=np.float64, input_name="errors")
        if errors.ndim != 1:
            raise ValueError(
                f"errors must have one dimension, one error a row; got {errors.shape}."
            )
        if self.needs_labels:
            is_outlier = _checked_labels(self, errors, is_outlier)
        return float(self._threshold(errors, is_outlier))

    @abstractmethod
    def _threshold(self, errors, is_outlier):
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

    def __init__(self, k=1.0):
        self.k = k

    def _threshold(self, errors, is_outlier):
        return errors.mean() + self.k * errors.std()


class Quantile(ThresholdRule):
    """Threshold at a quantile of the errors.

    Parameters
    ----------
    q : float, default=0.95
        The share of the errors, between 0 and 1, that lies below the threshold.

    Examples
    --------
    >>> from skae.thresholds import Quantile
    >>> Quantile(q=0.5).threshold([1.0, 2.0, 9.0])
    2.0
    """

    _parameter_constraints: dict = {"q": [Interval(Real, 0, 1, closed="both")]}

    def __init__(self, q=0.95):
        self.q = q

    def _threshold(self, errors, is_outlier):
        return np.quantile(errors, self.q)


class Youden(ThresholdRule):
    """Threshold at the point of the ROC curve with the largest TPR - FPR, from labels.

    Youden's J [1]_: the share of outliers that are flagged less the share of inliers that are.
    The threshold lies in the middle between the errors on its two sides.

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

    The threshold lies in the middle between the errors on its two sides.

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

    def __init__(self, beta=1.0):
        self.beta = beta

    def _threshold(self, errors, is_outlier):
        precision, recall, cuts = precision_recall_curve(is_outlier, errors)
        weight = self.beta**2
        # Without true positives both are zero, and so is the score.
        denominator = np.maximum(weight * precision + recall, np.finfo(float).tiny)
        score = (1 + weight) * precision * recall / denominator
        return _below(cuts[np.argmax(score[:-1])], errors)


def _below(cut, errors):
    """Return a threshold that flags the errors from `cut` upwards, and no other."""
    lower = errors[errors < cut]
    if not np.isfinite(cut):
        return errors.max()
    return (cut + lower.max()) / 2 if len(lower) else np.nextafter(cut, -np.inf)


_SHORT_CUTS = {
    "auto": MeanStd,
    "fbeta": FBeta,
    "mean_std": MeanStd,
    "quantile": Quantile,
    "youden": Youden,
}

# What a parameter that takes a rule accepts.
RULE_CONSTRAINTS = [StrOptions(set(_SHORT_CUTS)), HasMethods("threshold")]


def as_rule(rule):
    """Return a fresh rule for a short-cut, or a clone of the rule that is given.

    Parameters
    ----------
    rule : {"auto", "mean_std", "quantile", "youden", "fbeta"} or rule
        "auto" is the same as "mean_std", the mean plus one standard deviation.

    Returns
    -------
    rule : object with a method `threshold(errors, is_outlier=None)`

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> from skae.thresholds import as_rule
    >>> as_rule("quantile")
    Quantile()
    """
    if isinstance(rule, str) and rule in _SHORT_CUTS:
        return _SHORT_CUTS[rule]()
    if isinstance(rule, type) or not hasattr(rule, "threshold"):
        raise TypeError(
            f"A threshold rule is one of {sorted(_SHORT_CUTS)} or an object with a method "
            f"threshold(errors, is_outlier=None), such as skae.thresholds.MeanStd(k=2); got "
            f"{rule!r}."
        )
    return clone(rule, safe=False)


def needs_labels(rule):
    """Tell whether a rule learns from labels."""
    return getattr(rule, "needs_labels", False)
