"""Thresholds that follow the errors of a stream, one error after the other."""

from abc import abstractmethod
from bisect import bisect_left, bisect_right, insort
from math import ceil, inf, log
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skae._sklearn_compat import (
    DocumentationLinkMixin,
    Interval,
    check_array,
    check_random_state,
    validate_parameter_constraints,
)


class StreamingThreshold(DocumentationLinkMixin, BaseEstimator):
    """Base class: a subclass judges one error, and learns from it."""

    _parameter_constraints: dict = {
        "rate": [Interval(Real, 0, 1, closed="neither")],
        "size": [Interval(Integral, 1, None, closed="left")],
    }

    threshold_: float
    n_seen_: int

    def update(self, errors: ArrayLike, *, learn_flagged: bool = True) -> np.ndarray:
        """Judge errors in the order of their arrival, each by those before it, and learn from them.

        How the stream is cut into chunks makes no difference.

        Parameters
        ----------
        errors : array-like of shape (n_samples,)
            Reconstruction errors; for any detector, minus its `score_samples`. May be infinite.
        learn_flagged : bool, default=True
            Whether to learn from those that are flagged. If not, it is known of them only that they
            are above the threshold, not by how much.

        Returns
        -------
        is_flagged : ndarray of shape (n_samples,), bool
            Which were above the threshold.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the errors are not numbers, one for each row.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        found = check_array(
            errors, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=0
        )
        if found.ndim != 1 or np.isnan(found).any():
            raise ValueError(
                "errors must be one number for each row, none of them NaN; got an array of shape "
                f"{found.shape} with {np.count_nonzero(np.isnan(found))} NaN."
            )
        if not hasattr(self, "threshold_"):
            self.threshold_, self.n_seen_ = inf, 0
            self._start()
        is_flagged = np.empty(len(found), dtype=bool)
        draws = self._draws(len(found))
        for position, error in enumerate(found.tolist()):
            flagged = is_flagged[position] = error > self.threshold_
            self.n_seen_ += 1
            self._learn(error, flagged, learn_flagged, draws[position] if draws else 0.0)
        return is_flagged

    def _doc_link_url_param_generator(self):
        return {"page": f"skae.streaming.{type(self).__name__}"}

    @abstractmethod
    def _start(self):
        """Set up what is kept."""

    def _draws(self, n_errors) -> Any:
        """Return a number in [0, 1) for each error, where learning is random."""
        return None

    @abstractmethod
    def _learn(self, error, flagged, learn_flagged, draw):
        """Learn from one error, which was flagged or not, and set the threshold for the next."""


class QuantileReservoir(StreamingThreshold):
    """Threshold at a quantile of the errors of a stream, from a sample that forgets.

    It keeps `size` errors. Of a stationary stream they are like the next one, so that this is above
    their corrected quantile, the k-th smallest of n with k = (n + 1)(1 - rate) rounded up, with
    probability `rate`, or a little less. A new error takes the place of a random one with
    probability `size / memory`, and at first more often, so that all errors so far are as likely to
    be kept [1]_: the share of a time long past falls as exp(-rows / memory) [2]_.

    Parameters
    ----------
    rate : float, default=0.05
        The share of all rows, between 0 and 1, that is to be flagged.
    size : int, default=1000
        How many errors are kept. The more, the less the rate varies.
    memory : int or None, default=5000
        After how many rows an error is forgotten, on average; at least `size`. None never forgets:
        of all errors so far each is as likely to be among those kept.
    random_state : int, RandomState instance or None, default=None
        Determines which errors are kept. An int gives the same thresholds each time. None draws a
        seed from NumPy's global generator.

    Attributes
    ----------
    threshold_ : float
        Errors above it are flagged. Infinity until `1 / rate - 1` errors were seen.
    n_seen_ : int
        How many errors were seen.

    See Also
    --------
    skae.streaming.AdaptiveConformal : Adapts to how many rows are flagged.

    Notes
    -----
    With `learn_flagged=False`, the sample holds for a flagged error that it was above the threshold
    of its time. The quantile is that of the product-limit estimator for such censored values [3]_,
    with an exponential tail beyond the largest known error. So the rate is kept, and comes back
    after a change to errors not far above the threshold. Where more than twice the rate is beyond
    the largest known error, the threshold stays as it is until enough is learned again: a fault
    whose errors are several times the threshold is flagged as long as it lasts.

    References
    ----------
    .. [1] Vitter (1985). Random sampling with a reservoir. ACM Transactions on Mathematical
       Software 11(1).
    .. [2] Aggarwal (2006). On biased reservoir sampling in the presence of stream evolution. VLDB
       2006.
    .. [3] Kaplan and Meier (1958). Nonparametric estimation from incomplete observations. Journal
       of the American Statistical Association 53.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.streaming import QuantileReservoir
    >>> threshold = QuantileReservoir(rate=0.05, random_state=0)
    >>> flagged = threshold.update(np.random.default_rng(0).exponential(size=20_000))
    >>> float(flagged.mean().round(2))
    0.05
    """

    _parameter_constraints: dict = {
        **StreamingThreshold._parameter_constraints,
        "memory": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        rate: float = 0.05,
        *,
        size: int = 1000,
        memory: int | None = 5000,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.rate = rate
        self.size = size
        self.memory = memory
        self.random_state = random_state

    def _start(self):
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self._random = np.random.RandomState(seed)
        # Each error that is kept, with the list that it is in; both are in order.
        self._slots, self._known, self._censored = [], [], []

    def _draws(self, n_errors):
        return self._random.random_sample(n_errors).tolist()

    def _learn(self, error, flagged, learn_flagged, draw):
        is_censored = flagged and not learn_flagged
        value = self.threshold_ if is_censored else error
        slots = self._slots
        if len(slots) < self.size:
            slots.append((value, is_censored))
        else:
            horizon = self.n_seen_ if self.memory is None else min(self.n_seen_, self.memory)
            slot = int(draw * max(horizon, len(slots)))
            if slot >= len(slots):
                return
            old, was_censored = slots[slot]
            ordered = self._censored if was_censored else self._known
            del ordered[bisect_left(ordered, old)]
            slots[slot] = value, is_censored
        insort(self._censored if is_censored else self._known, value)
        if not self._censored:
            self.threshold_ = _corrected_quantile(self._known, self.rate)
            return
        found = _censored_quantile(self._known, self._censored, self.rate)
        if found < inf:
            self.threshold_ = found


class AdaptiveConformal(StreamingThreshold):
    """Threshold at a quantile of the last errors, whose level adapts to how many are flagged [1]_.

    The level begins at `rate`. Each error that is flagged lowers it by `step * (1 - rate)`, each
    other one raises it by `step * rate`: over time, the share of flagged rows is `rate`, whatever
    the stream does.

    Parameters
    ----------
    rate : float, default=0.05
        The share of all rows, between 0 and 1, that is to be flagged.
    size : int, default=1000
        How many of the last errors are kept.
    step : float, default=0.005
        By how much the level adapts; the more, the faster, and the more it varies.

    Attributes
    ----------
    threshold_ : float
        Errors above it are flagged. Infinity until about `1 / rate - 1` errors were seen, and while
        the level is zero or less; minus infinity while it is one or more.
    level_ : float
        The present level.
    n_seen_ : int
        How many errors were seen.

    See Also
    --------
    skae.streaming.QuantileReservoir : A quantile with a level that stays as it is.

    Notes
    -----
    With `learn_flagged=False`, errors that are flagged are not among those kept, but the level
    adapts to them all the same.

    That the rate is kept whatever happens has a price: after many alarms in a row, the threshold is
    infinite for a while, and rows of any size pass.

    References
    ----------
    .. [1] Gibbs and Candes (2021). Adaptive conformal inference under distribution shift. NeurIPS
       2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.streaming import AdaptiveConformal
    >>> errors = np.random.default_rng(0).exponential(size=20_000)
    >>> errors[10_000:] += 3
    >>> float(AdaptiveConformal(rate=0.05).update(errors).mean().round(3))
    0.05
    """

    _parameter_constraints: dict = {
        **StreamingThreshold._parameter_constraints,
        "step": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, rate: float = 0.05, *, size: int = 1000, step: float = 0.005):
        self.rate = rate
        self.size = size
        self.step = step

    def _start(self):
        self.level_ = self.rate
        self._last, self._ordered, self._oldest = [], [], 0

    def _learn(self, error, flagged, learn_flagged, draw):
        self.level_ += self.step * (self.rate - flagged)
        if learn_flagged or not flagged:
            self._keep(error)
        self.threshold_ = _corrected_quantile(self._ordered, self.level_)

    def _keep(self, error):
        if len(self._last) < self.size:
            self._last.append(error)
        else:
            del self._ordered[bisect_left(self._ordered, self._last[self._oldest])]
            self._last[self._oldest] = error
            self._oldest = (self._oldest + 1) % self.size
        insort(self._ordered, error)


def _corrected_quantile(ordered, rate):
    """Return what the next of such errors, given in order, exceeds with this probability or less.

    Infinity if even the largest is exceeded more often.
    """
    if rate >= 1:
        return -inf
    position = _position(len(ordered), rate)
    return ordered[position - 1] if position <= len(ordered) else inf


def _position(n_errors, rate):
    # Rounded, because 20 * (1 - 0.05) is a little less than 19.
    return max(1, ceil(round((n_errors + 1) * (1 - rate), 6)))


def _censored_quantile(known, censored, rate):
    """Return that quantile of known errors and of values that others are only known to exceed.

    Both are in order. The product-limit estimator: of the values from one on, and the next error to
    come, each is as likely to be the smallest.

    Where the largest known error is exceeded more often, an exponential tail goes on from there:
    else the rate would rise with time, as no error above the highest threshold is ever known. If it
    is exceeded more than twice as often, the stream has changed, and infinity is returned.
    """
    n_errors, first = len(known) + len(censored), bisect_right(known, censored[0])
    position = _position(n_errors, rate)
    if position <= first:
        return known[position - 1]
    survival = 1 - first / (n_errors + 1)
    for place in range(first, len(known)):
        n_smaller = place + bisect_left(censored, known[place])
        survival *= 1 - 1 / (n_errors + 1 - n_smaller)
        if survival <= rate + 1e-9:
            return known[place]
    if not known or survival > min(2 * rate, (1 + rate) / 2):
        return inf
    return known[-1] + _mean_excess(known, censored) * log(survival / rate)


def _mean_excess(known, censored):
    """Return the mean of an exponential tail above the median of the known errors."""
    base = known[(len(known) - 1) // 2]
    beyond = known[bisect_right(known, base) :] + censored[bisect_right(censored, base) :]
    return sum(value - base for value in beyond) / max(len(known) // 2, 1)
