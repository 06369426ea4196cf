"""The threshold as a choice: a rule of its own for any detector."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import process_routing

from skae._detectors.checks import (
    as_rows,
    check_one_label_per_row,
    check_sign,
    check_threshold,
)
from skae._labels import inlier_mask
from skae._meta.delegation import (
    OwnOffsetMixin,
    check_scores_samples,
    of_rows,
    scores_steps,
    sliced_params,
)
from skae._progress import followed
from skae._sklearn_compat import HasMethods, _fit_context, _safe_indexing, routing_enabled
from skae.thresholds import RULE_CONSTRAINTS, FixedThreshold, as_rule, needs_labels


class ThresholdedOutlierDetector(OwnOffsetMixin):
    """Meta-estimator that fits an outlier detector, then sets the threshold by a rule.

    The rule sees the errors (minus `score_samples`) of all rows given to `fit`, and, where it
    learns from labels, which of them are outliers. To set the threshold on normal rows only, put
    this into :class:`skae.FitOnInliers`. To move the threshold of something already fitted without
    training again, put that into :class:`~sklearn.frozen.FrozenEstimator`.

    A detector reconstructs the rows it was trained on better than others, so a threshold from
    their errors raises more false alarms than it promises. With `cv` the rule sees the errors of
    held-out rows instead, each from a clone that was not trained on that row.

    Parameters
    ----------
    estimator : estimator
        An outlier detector with `score_samples`, or a pipeline that ends in one. It is cloned,
        never changed; its own offset is ignored.
    threshold : str, float or rule, default="mean_std"
        A rule of :mod:`skae.thresholds`, or the short name of one: "mean_std", "quantile",
        "median_mad", "iqr", "fpr" or "pot"; from labels "youden", "fbeta" or "min_cost". A
        float is the threshold itself, in the unit of minus `score_samples`. The parameters of a
        rule can be searched, as `threshold__k`.
    cv : int, splitter, iterable of (train, test) or None, default=None
        How rows are held out for the rule, as in scikit-learn: an int is a number of folds,
        stratified if the rule learns from labels. None uses the errors of the training rows. The
        detector that is kept is fitted on all rows.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's coding:
        +1 for inliers, -1 for outliers. Read only by rules that learn from labels.
    verbose : int, default=0
        1 shows one line with the fold of `cv` and the time left (in a file, only its last state),
        2 one line per fold.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of `estimator`.
    rule_ : rule
        The rule that set the threshold.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is `-offset_`.

    See Also
    --------
    skae.thresholds : The rules.

    Examples
    --------
    >>> from skae import ThresholdedOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.ensemble import IsolationForest
    >>> X, y = make_heartbeats(400, anomaly_share=0.3, random_state=0)
    >>> detector = ThresholdedOutlierDetector(IsolationForest(random_state=0), "youden")
    >>> float(detector.fit(X, y).offset_)
    -0.39...
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "threshold": RULE_CONSTRAINTS,
        "cv": ["cv_object"],
        "inlier_label": "no_validation",
        "outlier_label": "no_validation",
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any,
        threshold: Any = "mean_std",
        *,
        cv: Any = None,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.threshold = threshold
        self.cv = cv
        self.inlier_label = inlier_label
        self.outlier_label = outlier_label
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the detector, then set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Their labels; passed on to the detector, and read by rules that learn from labels.
        **fit_params : dict
            Passed on to the detector's `fit`, with metadata routing as it was requested. `groups`
            of a detector of series also reach its scores, from which the threshold is set; its
            time steps without a score are left out.

        Returns
        -------
        self : ThresholdedOutlierDetector
            The fitted meta-estimator.

        Raises
        ------
        TypeError
            If the estimator has no `score_samples`.
        ValueError
            If the rule needs labels and y is missing or has one class only.
        """
        check_scores_samples(self.estimator)
        X = as_rows(X)
        if needs_labels(as_rule(self.threshold)) or self.cv is not None:
            check_one_label_per_row(X, y)
        groups = fit_params.get("groups") if scores_steps(self.estimator) else None
        rule, is_outlier = as_rule(self.threshold), None
        if needs_labels(rule):
            is_outlier = self._is_outlier(rule, y)
        if routing_enabled():
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        holds_out = self.cv is not None and not isinstance(rule, FixedThreshold)
        if holds_out:
            errors, rows = self._held_out_errors(
                X, y, fit_params, groups, stratify=is_outlier is not None
            )
            is_outlier = None if is_outlier is None else is_outlier[rows]
        estimator = clone(self.estimator).fit(X, y, **fit_params)
        if not holds_out:
            errors = -of_rows(estimator, "score_samples", X, groups)
            check_sign(rule, errors)
        if scores_steps(estimator):
            # Steps without a score, of which the detector has warned.
            is_scored = ~np.isnan(errors)
            is_outlier = None if is_outlier is None else is_outlier[is_scored]
            errors = errors[is_scored]
        offset = -rule.threshold(errors, is_outlier)
        self.estimator_, self.rule_, self.offset_ = estimator, rule, offset
        return self

    def _validate_params(self):
        check_threshold(self.threshold)
        super()._validate_params()

    def _held_out_errors(self, X, y, fit_params, groups, stratify):
        """Return the errors of the rows that `cv` holds out, and which rows they are."""
        X, y = indexable(X, y)
        folds = list(check_cv(self.cv, y, classifier=stratify).split(X, y))
        if not folds:
            raise ValueError(
                f"cv={self.cv!r} has no folds, so that no row is held out: give a number of folds, "
                "a splitter, or a list of (train, test) pairs. A generator of pairs is used up "
                "after one fit."
            )
        errors, rows = [], []
        phases = [f"fold {number} of {len(folds)}" for number in range(1, len(folds) + 1)]
        for train, test in followed(folds, phases, type(self).__name__, self.verbose):
            labels = None if y is None else _safe_indexing(y, train)
            params = sliced_params(X, fit_params, train)
            fold = clone(self.estimator).fit(_safe_indexing(X, train), labels, **params)
            own = None if groups is None else _safe_indexing(groups, test)
            errors.append(-of_rows(fold, "score_samples", _safe_indexing(X, test), own))
            rows.append(test)
        return np.concatenate(errors), np.concatenate(rows)

    def _is_outlier(self, rule, y):
        if y is None:
            raise ValueError(
                f"{rule!r} learns from labels: give fit a y, or use a rule without labels such as "
                "MeanStd() or Quantile(). Inside FitOnInliers no labels arrive: there use "
                "ThresholdedOutlierDetector(FitOnInliers(...), rule)."
            )
        is_outlier = ~inlier_mask(y, self.inlier_label, self.outlier_label)
        if is_outlier.all() or not is_outlier.any():
            raise ValueError(
                f"{rule!r} needs rows of both classes, but all {len(is_outlier)} rows are "
                f"{'outliers' if is_outlier.all() else 'inliers'}."
            )
        return is_outlier
