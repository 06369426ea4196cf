"""Splitting labeled rows for the evaluation of outlier detectors, and comparing detectors."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    check_cv,
    cross_validate,
)
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d, indexable
from sklearn.utils.parallel import Parallel, delayed

from skae._labels import inlier_mask
from skae._meta.delegation import check_scores_samples
from skae._progress import followed
from skae._sklearn_compat import Interval, _safe_indexing, validate_parameter_constraints
from skae._warnings import warn
from skae.displays.comparison import DetectorComparisonDisplay
from skae.metrics import anomaly_scorers

__all__ = [
    "StratifiedNoveltyKFold",
    "StratifiedOutlierKFold",
    "compare_detectors",
    "cross_val_scores",
]


class StratifiedOutlierKFold(BaseCrossValidator):
    """Shuffled folds with equal shares of inliers and outliers.

    An integer `cv` gives an outlier detector unshuffled folds that ignore the labels: if rows are
    sorted by label, each fold has one class only. Here each fold has its share of inliers, of
    outliers, and of every label among them if y has several, equal to within one row.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Both inliers and outliers must be at least as many.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows. Pass an int for the same folds on each call of `split`; successive
        halving requires it.

    See Also
    --------
    StratifiedNoveltyKFold : The same test folds; outliers are left out of the training.
    skae.metrics.anomaly_scorer : Scorers to use with these folds.

    Notes
    -----
    With `groups`, no group is in two folds (by
    :class:`~sklearn.model_selection.StratifiedGroupKFold`), and the shares are as equal as the
    groups allow; folds without both classes raise an error.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.model_selection import StratifiedOutlierKFold
    >>> y = np.array(["normal"] * 8 + ["noisy"] * 2 + ["dead"] * 2)
    >>> folds = StratifiedOutlierKFold(n_splits=2, inlier_label="normal", random_state=0)
    >>> for train, test in folds.split(np.zeros((12, 1)), y):
    ...     print(np.sort(y[test]).tolist())
    ['dead', 'noisy', 'normal', 'normal', 'normal', 'normal']
    ['dead', 'noisy', 'normal', 'normal', 'normal', 'normal']
    """

    # Metadata routing: groups given to a search or to cross_validate arrive here.
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        inlier_label: Any = "auto",
        outlier_label: Any = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        validate_parameter_constraints(
            {"n_splits": [Interval(Integral, 2, None, closed="left")]},
            {"n_splits": n_splits},
            type(self).__name__,
        )
        self.n_splits = n_splits
        self.inlier_label = inlier_label
        self.outlier_label = outlier_label
        self.random_state = random_state

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows of each training and test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            Their labels.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group stay in one fold.

        Yields
        ------
        train : ndarray
            Positions of the training rows, in ascending order.
        test : ndarray
            Positions of the test rows, in ascending order.

        Raises
        ------
        ValueError
            If the folds cannot all have inliers and outliers, or y does not tell them apart.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} needs labels: y is None.")
        X, y, groups = indexable(X, y, groups)
        is_inlier = inlier_mask(y, self.inlier_label, self.outlier_label)
        _check_enough_rows(is_inlier, self.n_splits)
        if groups is None:
            fold_of_row = self._assign_folds(is_inlier, y)
        else:
            fold_of_row = self._assign_folds_to_groups(is_inlier, groups)
        for fold in range(self.n_splits):
            is_test = fold_of_row == fold
            yield np.flatnonzero(self._is_trainable(is_inlier) & ~is_test), np.flatnonzero(is_test)

    def _is_trainable(self, is_inlier):
        return np.ones_like(is_inlier)

    def _assign_folds(self, is_inlier, y):
        """Assign a fold to each row: shuffled, ordered by label, then dealt out in turn."""
        labels = column_or_1d(y).tolist()
        number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        kind = np.array([number[label] for label in labels])
        shuffled = check_random_state(self.random_state).permutation(len(labels))
        order = shuffled[np.lexsort((kind[shuffled], is_inlier[shuffled]))]
        fold_of_row = np.empty(len(labels), dtype=int)
        fold_of_row[order] = np.arange(len(labels)) % self.n_splits
        return fold_of_row

    def _assign_folds_to_groups(self, is_inlier, groups):
        # Numbered at random, because shuffle=True distorts the shares in scikit-learn 1.7.
        _, number = np.unique(column_or_1d(groups), return_inverse=True)
        number = check_random_state(self.random_state).permutation(number.max() + 1)[number]
        splitter = StratifiedGroupKFold(self.n_splits)
        fold_of_row = np.empty(len(is_inlier), dtype=int)
        for fold, (_, test) in enumerate(splitter.split(is_inlier, is_inlier, number)):
            fold_of_row[test] = fold
            n_inliers = is_inlier[test].sum()
            if n_inliers in (0, len(test)):
                raise ValueError(
                    f"The groups leave {n_inliers} inliers and {len(test) - n_inliers} outliers "
                    f"to a fold, which must have both: take fewer than n_splits={self.n_splits} "
                    "folds, another random_state, or smaller groups."
                )
        return fold_of_row


class StratifiedNoveltyKFold(StratifiedOutlierKFold):
    """Folds that train on inliers only, and test on inliers and outliers.

    For detectors that should learn from normal rows and read no labels. The test folds are those
    of :class:`StratifiedOutlierKFold` with the same parameters; the outliers of the other folds
    are left out of the training.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Both inliers and outliers must be at least as many.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows. Pass an int for the same folds on each call of `split`.

    See Also
    --------
    StratifiedOutlierKFold : The same test folds; all other rows are for training.
    skae.FitOnInliers : Does the same from within the detector, which can then be used as it is.

    Notes
    -----
    A search refits the best candidate on all rows it was given, including outliers: pass
    `refit=False`, or use :class:`skae.FitOnInliers` and :class:`StratifiedOutlierKFold`.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.model_selection import StratifiedNoveltyKFold
    >>> y = np.array([1, 1, 1, 1, -1, -1])
    >>> for train, test in StratifiedNoveltyKFold(n_splits=2, random_state=0).split(y, y):
    ...     print(y[train], y[test])
    [1 1] [ 1  1 -1]
    [1 1] [ 1  1 -1]
    """

    def _is_trainable(self, is_inlier):
        return is_inlier


def _check_enough_rows(is_inlier, n_splits):
    n_inliers, n_outliers = is_inlier.sum(), (~is_inlier).sum()
    fewest = min(n_inliers, n_outliers)
    if fewest >= n_splits:
        return
    advice = f"take n_splits={fewest}" if fewest > 1 else "more labeled rows are needed"
    raise ValueError(
        f"y has {n_inliers} inliers and {n_outliers} outliers, but each of n_splits={n_splits} "
        f"folds must have both: {advice}."
    )


def compare_detectors(
    detectors: Mapping[str, Any] | Sequence,
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: Any = None,
    scoring: str | Sequence[str] | Mapping[str, Any] | None = None,
    baseline: str | None = None,
    groups: ArrayLike | None = None,
    params: dict[str, Any] | None = None,
    n_jobs: int | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
    verbose: int = 0,
) -> DetectorComparisonDisplay:
    """Cross-validate several outlier detectors on the same folds.

    Parameters
    ----------
    detectors : dict or sequence of estimator
        The detectors by name. Those of a sequence are named after their class.
    X : array-like of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,)
        Their labels. They are passed on to `fit`, where most detectors ignore them, and so
        train on inliers and outliers; see :class:`skae.FitOnInliers` and
        :class:`StratifiedNoveltyKFold` for training on inliers only.
    cv : int, splitter or iterable, default=None
        How to split: a splitter, the (train, test) pairs themselves, or a number of folds for
        :class:`StratifiedOutlierKFold` with `random_state=0`. None is 5.
    scoring : str, sequence of str or dict, default=None
        Names that :func:`skae.metrics.anomaly_scorer` knows, or scorers by name, used as they are.
        The first one ranks. None means the default of :func:`skae.metrics.anomaly_scorers`.
    baseline : str, default=None
        Name of the detector that the others are compared with, fold by fold.
    groups : array-like of shape (n_samples,), default=None
        Passed to the splitter, which keeps the rows of a group together.
    params : dict, default=None
        As in :func:`~sklearn.model_selection.cross_validate`: passed on to `fit` of every
        detector; with metadata routing, to whatever requests it, including scorers.
    n_jobs : int, default=None
        Number of fits at a time; None is 1, -1 all processors. Times are comparable only where
        nothing else runs.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers.
    verbose : int, default=0
        1 shows one line with detector, fold and the time left (in a file, only its last state), 2
        one line per fold.

    Returns
    -------
    comparison : DetectorComparisonDisplay
        `comparison.frame()` is the table, `comparison.plot()` the picture, and
        `comparison.scores` the result of every fold.

    Warns
    -----
    FitFailedWarning
        For each detector that raises an error in one fold or more. It is ranked last, without a
        mean; the table has the error message. The others continue.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : To search the parameters of one detector.

    Notes
    -----
    Folds share training rows, so their scores are not independent, and an ordinary t-test finds
    too many differences. With a `baseline`, the p-values are of the corrected resampled t-test
    of Nadeau and Bengio [1]_ (two-sided), which adds the ratio of test to training rows to the
    variance. They are not corrected for the number of detectors and metrics compared.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning
           52(3), 2003.

    Examples
    --------
    >>> from skae import FitOnInliers, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.model_selection import compare_detectors
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.ensemble import IsolationForest
    >>> X, y = make_heartbeats(300, anomaly_share=0.2, random_state=0)
    >>> detectors = {
    ...     "forest": FitOnInliers(IsolationForest(n_estimators=20, random_state=0)),
    ...     "pca": FitOnInliers(ReconstructionOutlierDetector(PCA(4), random_state=0)),
    ... }
    >>> comparison = compare_detectors(
    ...     detectors, X, y, scoring=["roc_auc", "average_precision"], baseline="forest"
    ... )
    >>> table = comparison.frame()
    >>> table["rank"].to_dict()
    {'pca': 1, 'forest': 2}
    >>> bool(table.loc["pca", "p_value_roc_auc"] < 0.05)
    True
    """
    detectors = _named(detectors)
    if baseline is not None and baseline not in detectors:
        raise ValueError(f"baseline={baseline!r} is none of the detectors: {list(detectors)}.")
    labels = {"inlier_label": inlier_label, "outlier_label": outlier_label}
    check_consistent_length(X, y)
    _check_enough_rows(inlier_mask(y, **labels), n_splits=2)
    scorers = _named_scorers(scoring, labels)
    folds = _folds(cv, X, y, groups, labels)
    jobs = [
        delayed(_fit_and_score)(detector, X, y, fold, scorers, params)
        for detector in detectors.values()
        for fold in folds
    ]
    numbers = range(1, len(folds) + 1)
    phases = [f"{name}, fold {number} of {len(folds)}" for name in detectors for number in numbers]
    results = _done(jobs, n_jobs, phases, "compare_detectors", verbose)
    scores = _scores(detectors, scorers, len(folds), results)
    _warn_of_failures(scores, len(folds))
    summary = _summary(scores, list(scorers), baseline, _test_share(folds))
    return DetectorComparisonDisplay(
        scores=scores, summary=summary, metrics=list(scorers), baseline=baseline
    )


def _named(detectors):
    if not hasattr(detectors, "items"):
        names = [type(detector).__name__ for detector in detectors]
        numbers, count = Counter(), Counter(names)
        for i, name in enumerate(names):
            numbers[name] += 1
            if count[name] > 1:
                names[i] = f"{name}-{numbers[name]}"
        detectors = dict(zip(names, detectors, strict=True))
    if not detectors:
        raise ValueError("There are no detectors to compare.")
    return dict(detectors)


def _named_scorers(scoring, labels):
    if scoring is None:
        return anomaly_scorers(**labels)
    if callable(scoring):
        raise TypeError(f"Give the scorer a name: scoring={{'name': {scoring!r}}}.")
    if not len(scoring):
        raise ValueError("scoring is empty: name at least one metric.")
    return dict(scoring) if hasattr(scoring, "items") else anomaly_scorers(scoring, **labels)


def _folds(cv, X, y, groups, labels):
    if cv is None or isinstance(cv, Integral):
        cv = _splitter(5 if cv is None else int(cv), y, groups, labels)
    folds = list(check_cv(cv).split(X, y, groups))
    if not folds:
        raise ValueError(
            f"cv={cv!r} has no folds: give a number of folds, a splitter, or a list of "
            "(train, test) pairs. A generator of pairs is used up after one call."
        )
    return folds


def _splitter(n_splits, y, groups, labels):
    if y is not None and 0 < inlier_mask(y, **labels).mean() < 1:
        return StratifiedOutlierKFold(n_splits, **labels, random_state=0)
    if groups is not None:
        return GroupKFold(n_splits)
    return KFold(n_splits, shuffle=True, random_state=0)


def _fit_and_score(detector, X, y, fold, scorers, params):
    """Return the results of one detector in one fold, or its error message."""
    try:
        result = cross_validate(
            detector, X, y, cv=[fold], scoring=scorers, params=params, error_score="raise"
        )
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {name.removeprefix("test_"): values[0] for name, values in result.items()}


def _scores(names, metrics, n_folds, results):
    import pandas as pd

    columns = ["detector", "fold", *metrics, "fit_time", "score_time", "error"]
    keys = [{"detector": name, "fold": fold} for name in names for fold in range(n_folds)]
    records = [key | result for key, result in zip(keys, results, strict=True)]
    return pd.DataFrame(records, columns=columns).astype({"error": "object"})


def _warn_of_failures(scores, n_folds):
    for name, errors in scores.dropna(subset="error").groupby("detector", sort=False)["error"]:
        warn(
            f"{name} failed in {len(errors)} of {n_folds} folds: {errors.iloc[0]}",
            FitFailedWarning,
        )


def _test_share(folds):
    """Return the ratio of test to training rows."""
    return sum(len(test) for _, test in folds) / sum(len(train) for train, _ in folds)


def _summary(scores, metrics, baseline, test_share):
    import pandas as pd

    table = pd.DataFrame(index=pd.Index(scores["detector"].unique(), name="detector"))
    for name in [*metrics, "fit_time", "score_time"]:
        by_fold = scores.pivot(index="fold", columns="detector", values=name)
        table[f"mean_{name}"] = by_fold.mean(skipna=False)
        table[f"std_{name}"] = by_fold.std(skipna=False)
        if baseline is not None and name in metrics:
            differences = by_fold.sub(by_fold[baseline], axis="index")
            table[f"difference_{name}"] = differences.mean(skipna=False)
            p_values = differences.drop(columns=baseline).apply(_p_value, test_share=test_share)
            table[f"p_value_{name}"] = p_values.reindex(table.index)
    ranks = table[f"mean_{metrics[0]}"].rank(ascending=False, method="min", na_option="bottom")
    table.insert(0, "rank", ranks.astype(int))
    errors = scores.groupby("detector")["error"]
    table["n_failed"], table["error"] = errors.count(), errors.first()
    return table.sort_values("rank", kind="stable")


def _p_value(differences, test_share):
    """Return the p-value of the corrected resampled t-test of Nadeau and Bengio."""
    differences = np.asarray(differences, dtype=float)
    n_folds = len(differences)
    if n_folds < 2:
        return np.nan
    if not differences.any():
        return 1.0
    variance = (1 / n_folds + test_share) * differences.var(ddof=1)
    with np.errstate(divide="ignore"):
        t = differences.mean() / np.sqrt(variance)
    return 2 * stats.t.sf(abs(t), n_folds - 1)


def cross_val_scores(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    cv: Any = None,
    groups: ArrayLike | None = None,
    params: dict[str, Any] | None = None,
    n_jobs: int | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
    verbose: int = 0,
) -> np.ndarray:
    """Score each row by a clone of the detector that was not fitted on it.

    Parameters
    ----------
    estimator : estimator
        An outlier detector with `score_samples`, or a pipeline that ends in one. It is cloned,
        never changed.
    X : array-like of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,), default=None
        Their labels, passed on to `fit` as they are.
    cv : int, splitter or iterable, default=None
        How to split: a splitter, the (train, test) pairs themselves, or a number of folds. None is
        5. A number means :class:`StratifiedOutlierKFold` with `random_state=0` if y has inliers
        and outliers; otherwise the rows are shuffled, or kept together by `groups`. The test folds
        must hold each row once.
    groups : array-like of shape (n_samples,), default=None
        Passed to the splitter, which keeps the rows of a group together.
    params : dict, default=None
        As in :func:`~sklearn.model_selection.cross_val_predict`: passed on to `fit`, weights cut
        to the training rows; with metadata routing, to whatever requests it.
    n_jobs : int, default=None
        Number of fits at a time; None is 1, -1 all processors.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's
        coding: +1 for inliers, -1 for outliers. Read only where `cv` is None or a number.
    verbose : int, default=0
        1 shows one line with the fold and the time left (in a file, only its last state), 2
        one line per fold.

    Returns
    -------
    scores : ndarray of shape (n_samples,), float64
        `score_samples` of each row, in the order of X: the lower, the more abnormal.

    Raises
    ------
    TypeError
        If the estimator has no `score_samples`.
    ValueError
        If a row is in no test fold, or in several.

    See Also
    --------
    compare_detectors : Metrics of several detectors, fold by fold.
    skae.ThresholdedOutlierDetector : With `cv`, sets the threshold from such scores.

    Notes
    -----
    :func:`~sklearn.model_selection.cross_val_predict` does not know `score_samples`, and for
    `decision_function` it renames the labels in y to 0, 1, ..., in sorted order: +1 and -1 then
    no longer say what is normal. Stacking and bagging of classifiers rename them too.

    Clones of different folds are different detectors: their scores are comparable as far as the
    detector puts them on one scale, as reconstruction errors are.

    Examples
    --------
    >>> from skae import FitOnInliers, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.model_selection import cross_val_scores
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.metrics import roc_auc_score
    >>> X, y = make_heartbeats(300, anomaly_share=0.2, random_state=0)
    >>> detector = FitOnInliers(ReconstructionOutlierDetector(PCA(4), random_state=0))
    >>> scores = cross_val_scores(detector, X, y)
    >>> scores.shape
    (300,)
    >>> bool(roc_auc_score(y == -1, -scores) > 0.9)
    True
    """
    check_scores_samples(estimator)
    rows, y, groups = indexable(X, y, groups)
    n_samples = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    labels = {"inlier_label": inlier_label, "outlier_label": outlier_label}
    folds = _folds(cv, rows, y, groups, labels)
    tested = np.concatenate([np.arange(n_samples)[test] for _, test in folds])
    _check_partition(tested, n_samples)
    scores = np.empty(n_samples)
    jobs = [delayed(_fit_and_score_samples)(estimator, rows, y, fold, params) for fold in folds]
    phases = [f"fold {number} of {len(folds)}" for number in range(1, len(folds) + 1)]
    scores[tested] = np.concatenate(_done(jobs, n_jobs, phases, "cross_val_scores", verbose))
    return scores


def _done(jobs, n_jobs, phases, label, verbose):
    """Return the results of jobs, and show which one is being waited for."""
    if not verbose:
        return Parallel(n_jobs=n_jobs)(jobs)
    results = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    return [*followed(results, phases, label, verbose)]


def _check_partition(tested, n_samples):
    times = np.bincount(tested, minlength=n_samples)
    if (times != 1).any():
        raise ValueError(
            f"The test folds of cv must hold each of the {n_samples} rows once, but "
            f"{np.sum(times == 0)} are in none and {np.sum(times > 1)} in several: take a splitter "
            "such as StratifiedOutlierKFold or KFold."
        )


def _fit_and_score_samples(estimator, X, y, fold, params):
    # Leaves the routing of `params` and the slicing of weights to scikit-learn.
    result = cross_validate(
        estimator,
        X,
        y,
        cv=[fold],
        scoring=_no_score,
        params=params,
        error_score="raise",
        return_estimator=True,
    )
    scores = result["estimator"][0].score_samples(_safe_indexing(X, fold[1]))
    return column_or_1d(np.asarray(scores, dtype=np.float64))


def _no_score(*args):
    return 0.0
