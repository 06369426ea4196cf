"""Scorers for searches and cross-validation, with the outlier as the positive class.

Given an outlier detector and labels of 0 and 1, scikit-learn's own scorers, such as
``scoring="roc_auc"``, rate a perfect detector worst; ``scoring="f1"`` is about the inliers.
"""

from collections.abc import Callable, Iterable
from inspect import signature
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.utils import column_or_1d
from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from skae._event_metrics import (
    event_precision,
    event_precision_score,
    event_recall,
    event_recall_score,
    false_alarms_per_unit,
)
from skae._labels import inlier_mask
from skae._meta.delegation import InnerDetectorMixin, of_rows, scores_steps, split_pipeline
from skae._sklearn_compat import (
    Interval,
    _check_sample_weight,
    routing_enabled,
    validate_parameter_constraints,
)

__all__ = [
    "anomaly_scorer",
    "anomaly_scorers",
    "event_precision_score",
    "event_recall_score",
    "false_alarms_per_unit",
]


def anomaly_scorer(
    metric: str | Callable,
    *,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
    **kwargs: Any,
) -> "_AnomalyScorer":
    """Make a scorer for outlier detectors, to pass as `scoring=`.

    The scorer takes what :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_validate` and the like pass: a fitted outlier detector
    (also in pipelines, searches and skae's meta-estimators), rows, and their labels. The outlier is
    always the positive class.

    Parameters
    ----------
    metric : str or callable
        Of the ranking of the rows:

        - "roc_auc": :func:`~sklearn.metrics.roc_auc_score`;
        - "average_precision": :func:`~sklearn.metrics.average_precision_score`, also known as
          PR-AUC;
        - "precision_at_n": the share of outliers among the `n` most abnormal rows; without `n`,
          as many as there are outliers. If scores tie at the cut, each row has the same chance of
          being among them, and the expected share is returned;
        - "recall_at_fpr": the largest share of the outliers that a threshold finds while flagging
          no more than `max_fpr` of the inliers. No threshold separates equal scores.

        Of `predict`, that is, at the detector's own threshold:

        - "precision": the share of outliers among the rows flagged, 0 if none is;
        - "recall": the share of the outliers that are flagged;
        - "f1": :func:`~sklearn.metrics.f1_score`;
        - "fbeta": :func:`~sklearn.metrics.fbeta_score`, with `beta`;
        - "balanced_accuracy": :func:`~sklearn.metrics.balanced_accuracy_score`;
        - "youden": the share of outliers flagged minus that of inliers flagged;
        - "matthews": :func:`~sklearn.metrics.matthews_corrcoef`.

        Of runs of time steps, for detectors of series, also at the detector's own threshold:

        - "event_precision": the share of the alarms that touch an event, 0 if there is none;
        - "event_recall": the share of the events that an alarm touches.

        A callable `metric(is_outlier, errors, **kwargs)` is given which rows are outliers, and
        the errors: the larger, the less normal.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.
    **kwargs : dict
        Parameters of the metric: `n` (int), `max_fpr` (float in [0, 1)), `beta` (float).

    Returns
    -------
    scorer : callable
        `scorer(estimator, X, y, *, sample_weight=None, groups=None)` returns a float: the higher,
        the better.
        It raises a ValueError that names the labels if y holds one class only, and a TypeError
        for anything that is not an outlier detector in scikit-learn's sense; searches turn these
        into their `error_score`. `scorer.__name__` is the name of the metric, with which
        scikit-learn's displays label their axis.

    See Also
    --------
    anomaly_scorers : Several at once.
    skae.model_selection.StratifiedOutlierKFold : Folds that hold both classes.

    Notes
    -----
    Rows are ranked by minus `score_samples`, which does not depend on the threshold; if a detector
    has none, by minus `decision_function`. Each scorer calls the detector itself, even if a dict
    holds several.

    `sample_weight` is metadata of the scorer, as for scikit-learn's own: with metadata routing,
    request it by `scorer.set_score_request(sample_weight=True)`. So are `groups`, which tell
    :class:`skae.WindowedOutlierDetector` the stretches of a series. Its time steps without a score
    are left out.

    Examples
    --------
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.metrics import anomaly_scorer
    >>> from skae.model_selection import StratifiedOutlierKFold
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> X, y = make_heartbeats(300, anomaly_share=0.2, random_state=0)
    >>> search = GridSearchCV(
    ...     ReconstructionOutlierDetector(PCA(), random_state=0),
    ...     {"estimator__n_components": [1, 4]},
    ...     scoring=anomaly_scorer("recall_at_fpr", max_fpr=0.05),
    ...     cv=StratifiedOutlierKFold(n_splits=3, random_state=0),
    ... )
    >>> search.fit(X, y).best_params_
    {'estimator__n_components': 4}
    """
    if callable(metric):
        return _AnomalyScorer(metric, _Metric(metric), kwargs, inlier_label, outlier_label)
    if metric not in _METRICS:
        raise ValueError(
            f"metric={metric!r} is none of those that find anomalies: {sorted(_METRICS)}."
        )
    known = _METRICS[metric]
    for name in kwargs.keys() - known.parameters.keys():
        raise TypeError(
            f"{metric!r} has no parameter {name!r}; its parameters: {sorted(known.parameters)}."
        )
    given = {name: kwargs.get(name) for name in known.parameters}
    validate_parameter_constraints(known.parameters, given, f"anomaly_scorer({metric!r})")
    return _AnomalyScorer(metric, known, kwargs, inlier_label, outlier_label)


def anomaly_scorers(
    metrics: str | Iterable[str] = (
        "roc_auc",
        "average_precision",
        "precision_at_n",
        "f1",
        "balanced_accuracy",
    ),
    *,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
) -> dict[str, "_AnomalyScorer"]:
    """Make several scorers at once, to pass as `scoring=` of a multi-metric search.

    Parameters
    ----------
    metrics : sequence of str
        Names that :func:`anomaly_scorer` knows.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.

    Returns
    -------
    scorers : dict
        The scorer of each name.

    See Also
    --------
    anomaly_scorer : One scorer, which can have parameters.

    Examples
    --------
    >>> from skae.datasets import make_heartbeats
    >>> from skae.metrics import anomaly_scorer, anomaly_scorers
    >>> from skae.model_selection import StratifiedOutlierKFold
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.model_selection import cross_validate
    >>> X, y = make_heartbeats(200, anomaly_share=0.2, random_state=0)
    >>> scoring = anomaly_scorers(["roc_auc", "f1"])
    >>> scoring["f2"] = anomaly_scorer("fbeta", beta=2)
    >>> results = cross_validate(
    ...     IsolationForest(n_estimators=10, random_state=0),
    ...     X,
    ...     y,
    ...     scoring=scoring,
    ...     cv=StratifiedOutlierKFold(n_splits=3, random_state=0),
    ... )
    >>> sorted(results)
    ['fit_time', 'score_time', 'test_f1', 'test_f2', 'test_roc_auc']
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    labels = {"inlier_label": inlier_label, "outlier_label": outlier_label}
    return {name: anomaly_scorer(name, **labels) for name in metrics}


def _precision_at_n(y_true, y_score, *, n=None, sample_weight=None):
    weight = np.ones(len(y_true)) if sample_weight is None else sample_weight
    n_outliers, n_inliers = weight[y_true].sum(), weight[~y_true].sum()
    if n is None:
        n = n_outliers
    if n > n_outliers + n_inliers:
        raise ValueError(f"precision_at_n with n={n} needs as many rows, got {len(y_true)}.")
    found, flagged = _found_and_flagged(y_true, y_score, sample_weight)
    n_found = found * n_outliers
    # Rows between two thresholds have equal scores: in random order, outliers are found evenly.
    return np.interp(n, n_found + flagged * n_inliers, n_found) / n


def _recall_at_fpr(y_true, y_score, *, max_fpr, sample_weight=None):
    found, flagged = _found_and_flagged(y_true, y_score, sample_weight)
    # Sums of weights have rounding errors.
    return found[flagged <= max_fpr + 1e-12].max()


def _found_and_flagged(y_true, y_score, sample_weight):
    """Return the shares of the outliers and of the inliers that each threshold flags."""
    flagged, found, _ = roc_curve(
        y_true, y_score, sample_weight=sample_weight, drop_intermediate=False
    )
    return found, flagged


def _precision(y_true, y_pred, *, sample_weight=None):
    return precision_score(y_true, y_pred, sample_weight=sample_weight, zero_division=0)


def _youden(y_true, y_pred, *, sample_weight=None):
    return balanced_accuracy_score(y_true, y_pred, sample_weight=sample_weight, adjusted=True)


class _Metric(NamedTuple):
    function: Callable
    ranks: bool = True
    parameters: dict = {}


_METRICS = {
    "roc_auc": _Metric(roc_auc_score),
    "average_precision": _Metric(average_precision_score),
    "precision_at_n": _Metric(
        _precision_at_n, parameters={"n": [Interval(Integral, 1, None, closed="left"), None]}
    ),
    "recall_at_fpr": _Metric(
        _recall_at_fpr, parameters={"max_fpr": [Interval(Real, 0, 1, closed="left")]}
    ),
    "precision": _Metric(_precision, ranks=False),
    "recall": _Metric(recall_score, ranks=False),
    "f1": _Metric(f1_score, ranks=False),
    "fbeta": _Metric(
        fbeta_score, ranks=False, parameters={"beta": [Interval(Real, 0, None, closed="neither")]}
    ),
    "balanced_accuracy": _Metric(balanced_accuracy_score, ranks=False),
    "youden": _Metric(_youden, ranks=False),
    "matthews": _Metric(matthews_corrcoef, ranks=False),
    "event_precision": _Metric(event_precision, ranks=False),
    "event_recall": _Metric(event_recall, ranks=False),
}


class _AnomalyScorer:
    """What `anomaly_scorer` returns."""

    def __init__(self, metric, known, kwargs, inlier_label, outlier_label):
        self.metric = metric
        self.function = known.function
        self.ranks = known.ranks
        self.kwargs = kwargs
        self.inlier_label = inlier_label
        self.outlier_label = outlier_label
        self._request = None

    @property
    def __name__(self):
        if isinstance(self.metric, str):
            return self.metric
        return getattr(self.metric, "__name__", type(self.metric).__name__)

    def __repr__(self):
        labels = {"inlier_label": self.inlier_label, "outlier_label": self.outlier_label}
        named = {key: label for key, label in labels.items() if label != "auto"}
        metric = getattr(self.metric, "__name__", repr(self.metric))
        shown = [metric, *(f"{key}={value!r}" for key, value in {**named, **self.kwargs}.items())]
        return f"anomaly_scorer({', '.join(shown)})"

    def __call__(
        self,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> float:
        _check_is_detector(estimator)
        is_outlier = self._is_outlier(y)
        weight = sample_weight
        if weight is not None:
            weight = _check_sample_weight(weight, is_outlier, ensure_non_negative=True)
        self._check_both_classes(is_outlier, y, weight)
        response = (_errors if self.ranks else _flags)(estimator, X, groups)
        if scores_steps(estimator):
            # Steps without a score, of which the detector has warned.
            is_scored = ~np.isnan(response)
            is_outlier, response = is_outlier[is_scored], response[is_scored]
            weight = None if weight is None else weight[is_scored]
            self._check_both_classes(is_outlier, column_or_1d(y)[is_scored], weight)
        if not self.ranks:
            response = response == 1
        # A callable metric need not accept weights.
        weights = {} if weight is None else {"sample_weight": weight}
        return float(self.function(is_outlier, response, **self.kwargs, **weights))

    def set_score_request(
        self, *, sample_weight: bool | str | None = None, groups: bool | str | None = False
    ) -> Self:
        """Choose whether metadata routing passes `sample_weight` and `groups` to the scorer.

        Parameters
        ----------
        sample_weight, groups : bool, str or None
            True requests it, False ignores it, a string requests what is passed under that name.
            With None, passing it is an error. `groups` are ignored unless they are requested.

        Returns
        -------
        self : scorer
        """
        if not routing_enabled():
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable it "
                "using sklearn.set_config(enable_metadata_routing=True)."
            )
        self._request = self._make_request(sample_weight, groups)
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Return which metadata the scorer requests.

        Returns
        -------
        request : MetadataRequest
        """
        if self._request is not None:
            return get_routing_for_object(self._request)
        return self._make_request(None, False)

    def _make_request(self, sample_weight, groups):
        # Error messages show the owner. scikit-learn 1.7 expects a string, later versions allow it.
        request = MetadataRequest(owner=repr(self))
        if self._accept_sample_weight():
            request.score.add_request(param="sample_weight", alias=sample_weight)
        if groups is not False:
            request.score.add_request(param="groups", alias=groups)
        return request

    # Multi-metric searches call this when they are fitted with weights and routing is disabled.
    def _accept_sample_weight(self):
        return "sample_weight" in signature(self.function).parameters

    def _is_outlier(self, y):
        try:
            return ~inlier_mask(y, self.inlier_label, self.outlier_label)
        except ValueError as error:
            # Only the user knows whether the label is misspelled or its rows are in other folds.
            if self.inlier_label not in ["auto", *_distinct(y)]:
                raise ValueError(f"{error} {_HOW_TO_FIX}") from None
            raise

    def _check_both_classes(self, is_outlier, y, weight):
        weighs = np.ones_like(is_outlier) if weight is None else weight > 0
        if len(np.unique(is_outlier[weighs])) == 2:
            return
        kind = "outliers" if is_outlier[weighs].all() else "inliers"
        raise ValueError(
            f"{self!r} needs rows of both classes, but all {weighs.sum()} rows of this fold are "
            f"{kind}: their labels are {_distinct(column_or_1d(y)[weighs])[:10]}. {_HOW_TO_FIX}"
        )


_HOW_TO_FIX = (
    "Where folds hold one class only, take folds that are shuffled and stratified by the label: "
    "cv=skae.model_selection.StratifiedOutlierKFold()."
)


def _distinct(y):
    return list(dict.fromkeys(column_or_1d(y).tolist()))


def _check_is_detector(estimator):
    """Reject detectors whose scores may mean the opposite."""
    if isinstance(estimator, InnerDetectorMixin):
        check_is_fitted(estimator)
    _, detector = split_pipeline(estimator)
    # The tag is not enough: PyOD's detectors have it too.
    if isinstance(detector, OutlierMixin):
        return
    raise TypeError(
        f"{type(detector).__name__} is no outlier detector of scikit-learn's kind (a fitted "
        "OutlierMixin, also in pipelines, searches and skae's meta-estimators), so its scores may "
        "mean the opposite. PyOD's detectors score anomalies high and predict 0 and 1: put them "
        "into a class that inherits from OutlierMixin and BaseEstimator, whose score_samples "
        "returns minus their decision_function, and whose predict returns 1 - 2 * their predict. "
        "A classifier has scikit-learn's own scorers."
    )


def _errors(estimator, X, groups):
    for method in ("score_samples", "decision_function"):
        if hasattr(estimator, method):
            return -column_or_1d(of_rows(estimator, method, X, groups))
    raise _no_method(estimator, "score_samples or decision_function")


def _flags(estimator, X, groups):
    """Return 1.0 for what is flagged, 0.0 for what is not; NaN for a time step without a score."""
    if not hasattr(estimator, "predict"):
        raise _no_method(estimator, "predict")
    if scores_steps(estimator):
        decision = column_or_1d(of_rows(estimator, "decision_function", X, groups))
        return np.where(np.isnan(decision), np.nan, decision < 0)
    predicted = column_or_1d(of_rows(estimator, "predict", X, groups))
    if not np.isin(predicted, (1, -1)).all():
        raise ValueError(
            f"{type(estimator).__name__} predicts {np.unique(predicted)[:10].tolist()}, where a "
            "scikit-learn outlier detector predicts +1 for inliers and -1 for outliers."
        )
    return (predicted == -1).astype(np.float64)


def _no_method(estimator, method):
    return TypeError(
        f"{type(estimator).__name__} has no {method} for new rows (LocalOutlierFactor has them "
        "with novelty=True)."
    )
