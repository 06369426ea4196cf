"""Rules that turn reconstruction errors into a threshold.

A rule is a small estimator with one method, `threshold(errors, is_outlier=None)`. Rows whose error
lies above the threshold are outliers. For any detector, the error of a row is minus its
`score_samples`.
"""

from abc import abstractmethod
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array

from skae._sklearn_compat import HasMethods, Interval, StrOptions, validate_parameter_constraints

__all__ = ["MeanStd", "Quantile", "ThresholdRule", "as_rule"]


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
            Which rows are known outliers. Rules without labels ignore it.

        Returns
        -------
        threshold : float
            In the unit of the errors.

        Raises
        ------
        ValueError
            If a parameter of the rule is out of range, or the errors are empty, not finite or not
            one-dimensional.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        errors = check_array(errors, ensure_2d=False, dtype=np.float64, input_name="errors")
        if errors.ndim != 1:
            raise ValueError(
                f"errors must have one dimension, one error a row; got {errors.shape}."
            )
        return float(self._threshold(errors, is_outlier))

    @abstractmethod
    def _threshold(self, errors, is_outlier):
        """Return the threshold of checked errors."""


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


_SHORT_CUTS = {"auto": MeanStd, "mean_std": MeanStd, "quantile": Quantile}

# What a parameter that takes a rule accepts.
RULE_CONSTRAINTS = [StrOptions(set(_SHORT_CUTS)), HasMethods("threshold")]


def as_rule(rule):
    """Return a fresh rule for a short-cut, or a clone of the rule that is given.

    Parameters
    ----------
    rule : {"auto", "mean_std", "quantile"} or rule
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
