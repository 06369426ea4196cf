"""Calibrated p-values, and with them false-discovery control, for any outlier detector."""

from itertools import count
from math import ceil
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import as_rows, check_one_label_per_row
from skae._meta.delegation import (
    OwnOffsetMixin,
    check_scores_samples,
    inner_has,
    of_rows,
    scores_steps,
    sliced_params,
)
from skae._meta.out_of_bag import (
    check_out_of_bag,
    errors_by_members,
    leaving_out_all,
    out_of_bag_errors,
)
from skae._network.scorer import in_batches
from skae._progress import Progress
from skae._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    _safe_indexing,
    routing_enabled,
)
from skae.thresholds import just_above

# P-values above it count as those of inliers when their share is estimated.
_STOREY_LAMBDA = 0.5
# How many comparisons of rows with calibration rows are in memory at once.
_MAX_COMPARISONS = 2**22


class ConformalOutlierDetector(OwnOffsetMixin):
    """Meta-estimator that gives any outlier detector calibrated p-values (conformal).

    Some of the rows given to `fit` are held out from training. The p-value of a new row is the
    share of these calibration rows whose error (minus `score_samples`) is as large as its own,
    counting the row itself. For a normal row it is at most `a` with a probability of at most
    `a`, whatever the detector and the distribution, as long as the rows given to `fit` are normal
    too and drawn like the new row. So give it normal rows only; wrapping it in
    :class:`skae.FitOnInliers` ensures that.

    `predict` flags the rows whose p-value is at most `alpha`: of normal rows, a share of `alpha` is
    flagged on average. `predict_fdr` looks at all rows of a batch at once: of the rows it flags, a
    share of at most `alpha` is normal on average.

    An :class:`skae.AutoencoderEnsembleOutlierDetector` needs no rows held out: each of its members
    leaves out some rows, whose errors by that member are those of new rows. With
    `calibration="oob"` it is trained on all rows, each left out by some members, and all are
    calibration rows (of more than 4,096, as many). That suits few rows, and has a weaker guarantee
    (see Notes).

    Parameters
    ----------
    estimator : estimator
        An outlier detector with `score_samples`, or a pipeline that ends in one. It is cloned,
        never changed; its own offset is ignored. A
        :class:`~sklearn.frozen.FrozenEstimator` is not trained, so that all rows given to `fit`
        are calibration rows: it must not have been trained on them. With `calibration="oob"` it
        must have been, and `fit` takes the calibration errors from its training.
    alpha : float, default=0.05
        The share of normal rows that `predict` may flag, and of false alarms among the alarms of
        `predict_fdr`; in (0, 1).
    calibration_size : float or int, default=0.2
        Share or number of the rows held out as calibration rows, like the `test_size` of
        :func:`~sklearn.model_selection.train_test_split`. They are drawn at random; of a series,
        whose steps are scored by their neighbors, they are the last ones, and the guarantees hold
        only roughly. At least `1 / alpha - 1` rows are needed.
        Not used around a :class:`~sklearn.frozen.FrozenEstimator`, nor with `calibration="oob"`.
    calibration : {"split", "oob"}, default="split"
        "split" holds out calibration rows. "oob" (out of bag) trains on all rows, and compares a
        new row with each training row by the members of an ensemble that left the latter out. The
        estimator is then an :class:`skae.AutoencoderEnsembleOutlierDetector` whose members leave
        out rows, as they do by default, or ends in one.
    randomized_ties : bool, default=False
        Whether `p_values` and `predict_fdr` break ties between a row and calibration rows of the
        same error at random. Then the p-value of a normal row is exactly uniform in [0, 1];
        otherwise it is somewhat too large, the more so the more errors tie. `predict` and
        `decision_function` are never random: they use the p-values without it.
    random_state : int, RandomState instance or None, default=None
        Draws the calibration rows, and breaks ties. With an int, the same rows in the same order
        have the same p-values on each call; rows judged one at a time then all get the same draw.
        With None, each call draws a seed from NumPy's global generator.
    verbose : int, default=0
        1 shows one line that says whether `fit` trains or calibrates (in a file, only its last
        state), 2 one line for each.

    Attributes
    ----------
    estimator_ : estimator
        The clone of `estimator`, fitted on the rows that are not held out.
    calibration_errors_ : ndarray of shape (n_calibration,), float64
        The errors of the calibration rows, the smallest first.
    offset_ : float
        `decision_function` is `score_samples` minus this. Minus the smallest calibration error
        above which the p-value is at most `alpha`, raised by about 5e-7 of it, so that rounding
        does not decide on a row with the same error. With `calibration="oob"`, it is what this
        would be if all members left out all rows.

    See Also
    --------
    skae.FitOnInliers : Picks the normal rows of labeled data.
    skae.ThresholdedOutlierDetector : Sets the threshold by a rule.

    Notes
    -----
    No p-value is smaller than `1 / (n_calibration + 1)` without `randomized_ties`. To find a single
    outlier among m rows, `predict_fdr` needs a p-value of `alpha / m`, that is, about `m / alpha`
    calibration rows; where there are many outliers, fewer are enough.

    The guarantees are averages over calibration rows and new rows. With one set of calibration
    rows, the share of normal rows flagged varies around `alpha`, by about
    `sqrt(alpha * (1 - alpha) / n_calibration)`.

    With `calibration="oob"` a calibration row i counts as at least as unusual as a new row if its
    out-of-bag error is at least as large as the error of the new row by the same members. This is
    the jackknife+-after-bootstrap [3]_ as p-values; as each member leaves out a fold of the rows,
    it is also the cross-conformal method behind CV+ [4]_. The rows fall into as many groups as
    there are members, K, by who left them out. In each group the comparison is that of "split",
    and a mean of p-values, doubled, is a p-value [5]_. So, for n calibration rows, the p-value of a
    normal row is at most `alpha` with a probability of at most ::

        2 * alpha + 2 * (1 - alpha) * (K - 1) / (n + K)

    In practice it is about `alpha`, or less. There is no such guarantee for `predict_fdr`, which is
    refused. Nor does it cover the little that is learned from all rows: by the steps before the
    ensemble in a pipeline, such as a scaler, and in the ensemble by "auto" for `loss`, `noise` and
    `output_activation`, by early stopping and, with six members or more, by their common scale.
    Rows that the ensemble was trained on are not new: their own p-values mean nothing.

    References
    ----------
    .. [1] S. Bates, E. Candès, L. Lei, Y. Romano and M. Sesia, "Testing for outliers with conformal
       p-values", Annals of Statistics 51(1), 2023.
    .. [2] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", Springer,
       2005. On `randomized_ties`: smoothed p-values.
    .. [3] B. Kim, C. Xu and R. F. Barber, "Predictive inference is free with the
       jackknife+-after-bootstrap", NeurIPS 2020.
    .. [4] R. F. Barber, E. J. Candès, A. Ramdas and R. J. Tibshirani, "Predictive inference with
       the jackknife+", Annals of Statistics 49(1), 2021.
    .. [5] V. Vovk and R. Wang, "Combining p-values via averaging", Biometrika 107(4), 2020.

    Examples
    --------
    >>> from skae import ConformalOutlierDetector, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(3000, anomaly_share=0.2, random_state=0)
    >>> X_new, y_new = X[2000:], y[2000:]
    >>> pca = ReconstructionOutlierDetector(PCA(4, random_state=0))
    >>> detector = ConformalOutlierDetector(pca, calibration_size=999, random_state=0)
    >>> detector.fit(X[:2000][y[:2000] == 1]).p_values(X_new[2:6]).round(2)
    array([0.65, 0.54, 0.  , 0.41])

    The share of alarms among normal rows, and the share of normal rows among alarms:

    >>> float((detector.predict(X_new[y_new == 1]) == -1).mean())
    0.058...
    >>> float((y_new[detector.predict_fdr(X_new) == -1] == 1).mean())
    0.035...

    An ensemble needs no rows held out:

    >>> from skae import AutoencoderEnsembleOutlierDetector
    >>> ensemble = AutoencoderEnsembleOutlierDetector(epochs=30, random_state=0)
    >>> detector = ConformalOutlierDetector(ensemble, calibration="oob")
    >>> detector.fit(X[:300][y[:300] == 1]).p_values(X_new[y_new == -1][:3]) < 0.05
    array([ True,  True,  True])
    """

    _groups: list
    _rank: int

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "calibration_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "calibration": [StrOptions({"split", "oob"})],
        "randomized_ties": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        alpha: float = 0.05,
        calibration_size: float | int = 0.2,
        calibration: str = "split",
        randomized_ties: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.alpha = alpha
        self.calibration_size = calibration_size
        self.calibration = calibration
        self.randomized_ties = randomized_ties
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the detector on some of the rows, and calibrate it on the others.

        With `calibration="oob"`, fit it on all of them, each of which calibrates it too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, normal ones only.
        y : array-like of shape (n_samples,), default=None
            Not used here. The labels of the training rows are passed on to the detector.
        **fit_params : dict
            Passed on to the detector's `fit`, with metadata routing as it was requested. Weights
            (`sample_weight`, `step__sample_weight`) and `groups` are cut to the training rows;
            anything else, such as `X_val`, is passed as it is. With `calibration="oob"`, rows of
            weight zero are no calibration rows either.

        Returns
        -------
        self : ConformalOutlierDetector
            The fitted meta-estimator.

        Raises
        ------
        TypeError
            If the estimator has no `score_samples`.
        ValueError
            If no row is left to train on, if the calibration rows are too few for `alpha`, or if
            one of them is scored NaN, or so many infinite that no row could be flagged. With
            `calibration="oob"`, if there is no ensemble inside whose members leave out rows.
        """
        check_scores_samples(self.estimator)
        rows = as_rows(X)
        check_one_label_per_row(rows, y)
        rows, y = indexable(rows, y)
        n_samples = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        fit = self._fit_out_of_bag if self.calibration == "oob" else self._fit_on_some
        with Progress(type(self).__name__, 2, self.verbose, "phases") as progress:
            estimator, groups = fit(rows, y, n_samples, fit_params, progress)
        errors = np.sort(np.concatenate([errors for _, errors in groups]))
        rank = _rank(len(errors), self.alpha)
        offset = -_threshold(_limits(errors), rank, self.alpha)
        self._groups, self._rank = groups, rank
        self.estimator_, self.calibration_errors_, self.offset_ = estimator, errors, offset
        return self

    def _fit_on_some(self, rows, y, n_samples, fit_params, progress):
        """Return the detector, fitted, and the errors of the calibration rows as one group."""
        training, calibration = self._split(n_samples)
        groups = fit_params.get("groups") if scores_steps(self.estimator) else None
        labels = None if y is None else _safe_indexing(y, training)
        fit_params = sliced_params(rows, self._routed(fit_params), training)
        progress.begin(f"training on {len(training):,} rows")
        estimator = clone(self.estimator).fit(_safe_indexing(rows, training), labels, **fit_params)
        progress.n_done += 1
        progress.begin(f"calibrating with {len(calibration):,} rows")
        groups = None if groups is None else _safe_indexing(groups, calibration)
        errors = _errors(estimator, _safe_indexing(rows, calibration), groups)
        if scores_steps(estimator):
            errors = errors[~np.isnan(errors)]
            _check_enough(len(errors), self.alpha)
        progress.n_done += 1
        return estimator, [(None, np.sort(errors))]

    def _fit_out_of_bag(self, rows, y, n_samples, fit_params, progress):
        """Return the detector, fitted, and the out-of-bag errors by who left the rows out."""
        check_out_of_bag(self.estimator, n_samples)
        _check_enough(n_samples, self.alpha)
        estimator = leaving_out_all(self.estimator, n_samples)
        progress.begin(f"training on {n_samples:,} rows")
        estimator.fit(rows, y, **self._routed(fit_params))
        progress.n_done += 1
        progress.begin("calibrating with the rows that members left out")
        groups = out_of_bag_errors(estimator, n_samples)
        # Some rows may have had no weight, or labels of outliers.
        _check_enough(sum(len(errors) for _, errors in groups), self.alpha)
        progress.n_done += 1
        return estimator, groups

    def _routed(self, fit_params):
        if not routing_enabled():
            return fit_params
        return process_routing(self, "fit", **fit_params).estimator.fit

    @available_if(inner_has("score_samples"))
    def score_samples(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the score of each row: the higher, the more normal.

        It is the inner estimator's. With `calibration="oob"`, where a row has several errors, it is
        such that `decision_function` tells by how much they may grow before the row is flagged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        if not self._is_out_of_bag:
            return of_rows(self.estimator_, "score_samples", X, groups)
        margins = self._margins(errors_by_members(self.estimator_, X, self._groups))
        scores = margins + self.offset_
        # Of a margin smaller than rounding, the sign is kept: it decides.
        return np.where(
            margins < 0, np.minimum(scores, np.nextafter(self.offset_, -np.inf)), scores
        )

    @property
    def _is_out_of_bag(self):
        return self._groups[0][0] is not None

    def _margins(self, errors):
        """Return by how much each row is less unusual than as many calibration rows as it takes.

        A row is flagged unless so many are at least as unusual. Their margins are the limits of
        their errors minus the row's errors by the same members.
        """
        # Only the largest of each group may be among the largest of all.
        limits = [_limits(errors)[-self._rank :] for _, errors in self._groups]
        group = np.repeat(np.arange(len(limits)), [len(largest) for largest in limits])
        limits = np.concatenate(limits)

        def margins(rows):
            return np.partition(limits - rows[:, group], -self._rank, axis=1)[:, -self._rank]

        return in_batches(margins, errors, (max(1, _MAX_COMPARISONS // len(limits)), 1))

    def p_values(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return how unusual each row is: small for outliers, uniform in (0, 1] for normal rows.

        With n calibration rows it is one more than the number of those whose error is at least as
        large as the row's, divided by n + 1. With `randomized_ties`, it is the number of those with
        a larger error plus a random part of the number with an equal one, counting the row itself,
        divided by n + 1. An error that is larger only by rounding counts as equal. With
        `calibration="oob"`, the row's error is the one by the members that left out the calibration
        row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        p_values : ndarray of shape (n_samples,), float64
            NaN for a time step without a score.
        """
        check_is_fitted(self)
        if self._is_out_of_bag:
            errors = errors_by_members(self.estimator_, X, self._groups).T
        else:
            errors = [_errors(self.estimator_, X, groups)]
        # Of steps without a score, numbers of errors above them mean nothing.
        is_scored = np.where(np.isnan(errors[0]), np.nan, 1.0)
        n_calibration, calibration = len(self.calibration_errors_), [own for _, own in self._groups]
        not_smaller = _n_above(map(_limits, calibration), errors, side="left")
        if not self.randomized_ties:
            return is_scored * (1 + not_smaller) / (n_calibration + 1)
        larger = _n_above(calibration, errors, side="right")
        part = self._draws(len(larger))
        return is_scored * (larger + part * (1 + not_smaller - larger)) / (n_calibration + 1)

    def predict_fdr(
        self, X: ArrayLike, method: str = "bh", groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Tell inliers from outliers such that few of the rows flagged are normal.

        The share of normal rows among those flagged, the false-discovery rate, is at most `alpha`
        on average. The rows are judged together: whether one is flagged depends on the others.
        Not with `calibration="oob"`, whose p-values have no such guarantee.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        method : {"bh", "storey"}, default="bh"
            "bh" is the procedure of Benjamini and Hochberg [1]_. "storey" estimates how many of the
            rows are normal, by the p-values above 0.5 [2]_: it finds more when many rows are
            outliers.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
            +1 for inliers, -1 for outliers.

        Raises
        ------
        ValueError
            If the detector was fitted with `calibration="oob"`.

        References
        ----------
        .. [1] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and
           powerful approach to multiple testing", Journal of the Royal Statistical Society B 57(1),
           1995.
        .. [2] J. D. Storey, J. E. Taylor and D. Siegmund, "Strong control, conservative point
           estimation and simultaneous conservative consistency of false discovery rates: a unified
           approach", Journal of the Royal Statistical Society B 66(1), 2004; after J. D. Storey, "A
           direct approach to false discovery rates", same journal 64(3), 2002.
        """
        if method not in ("bh", "storey"):
            raise ValueError(f"method must be 'bh' or 'storey'; got {method!r}.")
        check_is_fitted(self)
        if self._is_out_of_bag:
            raise ValueError(
                "predict_fdr needs calibration='split', but this detector was fitted with "
                "calibration='oob', whose p-values control how often a normal row is flagged, and "
                "not how many of the flagged rows are normal: use predict, or fit with "
                "calibration='split'."
            )
        discovered = discoveries if method == "bh" else _adaptive_discoveries
        p_values = self.p_values(X, groups)
        is_scored = ~np.isnan(p_values)
        is_inlier = np.ones(len(p_values), dtype=np.int64)
        is_inlier[is_scored] = np.where(discovered(p_values[is_scored], self.alpha), -1, 1)
        return is_inlier

    def _split(self, n_samples):
        """Return the rows to train on and the rows to calibrate on."""
        rows = np.arange(n_samples)
        if isinstance(self.estimator, FrozenEstimator):
            _check_enough(n_samples, self.alpha)
            return rows, rows  # its `fit` learns nothing from them
        size = self.calibration_size
        n_calibration = size if isinstance(size, Integral) else ceil(size * n_samples)
        if n_calibration >= n_samples:
            raise ValueError(
                f"calibration_size={size} leaves no row to train on, with n_samples={n_samples}."
            )
        _check_enough(n_calibration, self.alpha)
        if scores_steps(self.estimator):
            return rows[:-n_calibration], rows[-n_calibration:]
        random = check_random_state(self.random_state)
        return train_test_split(rows, test_size=n_calibration, random_state=random)

    def _draws(self, n_samples):
        """Return a number from [0, 1) for each row."""
        # Seeded by a drawn number, not by the user's: data may come from a generator of that seed.
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        return np.random.default_rng(seed).random(n_samples)


def _errors(estimator, X, groups=None):
    """Return minus the scores of the rows of X, or raise if any cannot be compared."""
    errors = -np.asarray(of_rows(estimator, "score_samples", X, groups), dtype=np.float64)
    missing = np.count_nonzero(np.isnan(errors))
    if missing and not scores_steps(estimator):
        raise ValueError(
            f"Of {len(errors)} rows {type(estimator).__name__} scores {missing} as NaN, which is "
            "neither more nor less normal than anything."
        )
    return errors


def _check_enough(n_calibration, alpha):
    """Check that some p-value is small enough to flag a row."""
    if 1 / (n_calibration + 1) <= alpha:
        return
    needed = next(n for n in count(max(0, ceil(1 / alpha) - 2)) if 1 / (n + 1) <= alpha)
    raise ValueError(
        f"{n_calibration} calibration rows are too few for alpha={alpha}: no p-value would be "
        f"smaller than {1 / (n_calibration + 1):.3g}, so that no row could be flagged. At least "
        f"{needed} are needed: give fit more rows, raise alpha or, with calibration='split', hold "
        "more of them out with calibration_size."
    )


def _limits(errors):
    """Return up to where another error counts as equal to each of the sorted errors.

    Only larger ones do, so that p-values can but grow and keep their guarantee. Midway to the next
    error would keep it too, but flag fewer rows than `alpha` says, by half a row of each n + 1.
    """
    following = np.append(errors, np.inf)[np.searchsorted(errors, errors, side="right")]
    return just_above(errors, following)


def _n_above(calibration, errors, side):
    """Return how many calibration errors lie above each row's, the sorted ones of all groups."""
    pairs = zip(calibration, errors, strict=True)
    return np.sum([len(own) - np.searchsorted(own, rows, side=side) for own, rows in pairs], axis=0)


def _rank(n_calibration, alpha):
    """Return how many calibration errors as large as its own a row needs not to be flagged."""
    # Flagged are those that have fewer: 0, 1, ... The comparison is the one of `p_values`, rounding
    # included.
    p_values = (1 + np.arange(n_calibration)) / (n_calibration + 1)
    return int(np.count_nonzero(p_values <= alpha))


def _threshold(limits, rank, alpha):
    """Return the limit of a calibration error above which a p-value is at most alpha."""
    n_calibration = len(limits)
    threshold = float(limits[n_calibration - rank])
    if not np.isfinite(threshold):
        raise ValueError(
            f"Of the {n_calibration} calibration errors (minus score_samples) "
            f"{np.count_nonzero(np.isinf(limits))} are infinite, too many to set a threshold at "
            f"alpha={alpha}: look at how the detector scores normal rows."
        )
    return threshold


def discoveries(p_values, level):
    """Tell which p-values are discoveries (Benjamini and Hochberg)."""
    # Such p-values are multiples of 1 / (n + 1), often equal to the level except for rounding.
    return false_discovery_control(p_values, method="bh") <= level * (1 + 1e-12)


def _adaptive_discoveries(p_values, level):
    """Tell which p-values are discoveries, none above lambda, given the estimated share of nulls.

    The estimate counts one extra null, and is not clipped at 1, so that the rate is controlled for
    any number of p-values (Storey, Taylor and Siegmund, theorem 3).
    """
    is_small = p_values <= _STOREY_LAMBDA
    nulls = (1 + np.count_nonzero(~is_small)) / (1 - _STOREY_LAMBDA)
    return is_small & discoveries(np.where(is_small, p_values, 1.0), level * len(p_values) / nulls)
