"""Unlike outlier detectors, averaged on a common scale."""

from contextlib import suppress
from inspect import signature
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import KFold
from sklearn.utils import Bunch, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skae._detectors.base import DECISION_CONSTRAINTS, OffsetMixin
from skae._detectors.calibration import MIN_ROWS
from skae._detectors.checks import (
    as_rows,
    check_contamination,
    check_is_instance,
    check_one_label_per_row,
)
from skae._meta.delegation import check_scores_samples, sliced_params
from skae._sklearn_compat import (
    BaseComposition,
    DocumentationLinkMixin,
    VisualBlock,
    _fit_context,
    _num_samples,
    _safe_indexing,
    column_or_1d,
    routing_enabled,
)
from skae._warnings import warn
from skae.thresholds import just_above

_N_FOLDS = 5
# Of its size: errors that differ by less are equal but for rounding in float32.
_ROUNDING = 1e-6


class AveragedOutlierDetector(DocumentationLinkMixin, OffsetMixin, OutlierMixin, BaseComposition):
    """Outlier detector that averages unlike ones, each on the scale of its own errors.

    Which kind of detector finds most depends on the data, and without labels you cannot know. The
    average of several kinds is rarely the best of them and hardly ever the worst [1]_. Their scores
    have different units, so the error of a row (minus `score_samples`) is first brought to a common
    scale [2]_, on which 0 is the median of a detector's training errors and 1 their 95 % quantile.

    Parameters
    ----------
    estimators : list of (str, estimator) tuples
        The outlier detectors by name, each with `score_samples`, or pipelines that end in one. They
        are cloned, never changed; their own offsets are ignored. "drop" in place of a detector
        leaves it out, also by `set_params(name="drop")`.
    contamination : float or "auto", default="auto"
        Share of outliers among the rows given to `fit`, in (0, 0.5]: the offset is that quantile of
        all their scores. "auto" sets the offset such that 5 % of new normal rows are flagged, from
        errors of rows not trained on.
    n_jobs : int or None, default=None
        Number of fits at a time; None is 1, -1 all processors.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted clones of the detectors, without those dropped.
    named_estimators_ : Bunch
        The same, by name.
    error_medians_ : ndarray of shape (n_detectors,)
        The median of each detector's training errors: 0 on the common scale.
    error_spreads_ : ndarray of shape (n_detectors,)
        The distance from there to 1 on the common scale: to the 95 % quantile, or, where that is
        the median itself, the standard deviation. Zero for a detector that scores all training rows
        alike, and which counts as 0 for every row.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is `-offset_`.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.AutoencoderEnsembleOutlierDetector : Several autoencoders, trained together.
    skae.ThresholdedOutlierDetector : Sets the threshold by another rule.

    Notes
    -----
    For the offset of `contamination="auto"`, clones of all detectors are fitted on four fifths of
    the rows and score the last fifth, five times; these rows are shuffled. The threshold is the
    k-th smallest of the n errors found, with k = 0.95 (n + 1) rounded up, which a new normal row
    exceeds with a probability of about 5 %, if the rows given to `fit` are normal. Where something
    else sets the threshold, such as :class:`skae.ThresholdedOutlierDetector` or
    :class:`skae.ConformalOutlierDetector`, and in a search by a metric that needs no threshold,
    `contamination=0.05` saves these five fits in six.

    To fit on the normal rows of labeled data, or to score a long series, put this into
    :class:`skae.FitOnInliers` or :class:`skae.WindowedOutlierDetector`, not those into this: rows
    are held out one by one, and those labeled abnormal would count for the scale.

    References
    ----------
    .. [1] C. C. Aggarwal and S. Sathe, "Theoretical foundations and algorithms for outlier
       ensembles", ACM SIGKDD Explorations 17(1), 2015.
    .. [2] H.-P. Kriegel, P. Kröger, E. Schubert and A. Zimek, "Interpreting and unifying outlier
       scores", SIAM International Conference on Data Mining, 2011.

    Examples
    --------
    >>> from skae import AveragedOutlierDetector, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> X, y = make_heartbeats(600, anomaly_share=0.2, random_state=0)
    >>> detector = AveragedOutlierDetector(
    ...     [
    ...         ("pca", ReconstructionOutlierDetector(PCA(4), random_state=0)),
    ...         ("forest", IsolationForest(random_state=0)),
    ...         ("neighbors", LocalOutlierFactor(novelty=True)),
    ...     ]
    ... )
    >>> is_inlier = detector.fit(X[:400][y[:400] == 1]).predict(X[400:])

    The shares of abnormal and of normal rows that are flagged:

    >>> [round(float((is_inlier[y[400:] == label] == -1).mean()), 3) for label in (-1, 1)]
    [0.725, 0.013]

    What each detector says of an abnormal row and of a normal one:

    >>> detector.member_scores(X[[426, 403]]).round(2)
    array([[-7.76, -0.79, -4.34],
           [-0.03, -0.3 , -0.32]])
    """

    _parameter_constraints: dict = {
        "estimators": [list],
        "contamination": DECISION_CONSTRAINTS["contamination"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimators: list[tuple[str, Any]],
        *,
        contamination: float | str = "auto",
        n_jobs: int | None = None,
    ):
        self.estimators = estimators
        self.contamination = contamination
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the detectors, find the scale of each, then set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, ideally normal ones only.
        y : array-like of shape (n_samples,), default=None
            Not used here; passed on to the detectors.
        **fit_params : dict
            Passed on to `fit` of every detector; with metadata routing, to those that request it.
            Weights (`sample_weight`, `step__sample_weight`) are cut to the training rows of a fold;
            anything else, such as `X_val`, is passed as it is.

        Returns
        -------
        self : AveragedOutlierDetector
            The fitted detector.

        Raises
        ------
        TypeError
            If a detector has no `score_samples`, or takes none of `fit_params`.
        ValueError
            If the names are unfit, no detector is left, or one scores training rows as NaN or
            infinite.

        Warns
        -----
        UserWarning
            If there are fewer than 20 rows, so that the threshold is set from training errors.
        """
        detectors = self._checked_detectors()
        X = as_rows(X)
        check_one_label_per_row(X, y)
        params = self._params_of_each(detectors, fit_params)
        X, y = indexable(X, y)
        folds = self._folds(X)
        jobs = [delayed(_fitted)(detectors[name], X, y, params[name]) for name in detectors]
        jobs += [
            delayed(_fold_errors)(detectors[name], X, y, params[name], fold)
            for fold in folds
            for name in detectors
        ]
        results = Parallel(n_jobs=self.n_jobs)(jobs)
        fitted, measured = results[: len(detectors)], results[len(detectors) :]
        training = np.column_stack([errors for _, errors in fitted])
        scale = _scale(training, list(detectors))
        errors = _scaled(training, *scale).mean(axis=1)
        offset = self._offset(errors, _held_out(measured, list(detectors)) if folds else errors)
        self.estimators_ = [detector for detector, _ in fitted]
        (self.error_medians_, self.error_spreads_), self.offset_ = scale, offset
        self._names = list(detectors)
        return self

    def fit_predict(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> np.ndarray:
        """Fit on X and y, then tell the inliers (+1) of X from its outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to fit on and to judge.
        y : array-like of shape (n_samples,), default=None
            Passed on to `fit`.
        **fit_params : dict
            Passed on to `fit`.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
        """
        return self.fit(X, y, **fit_params).predict(X)

    def member_scores(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each row by each detector: minus its error, on the common scale.

        Their mean is `score_samples`; a wide spread means that the detectors disagree.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_detectors), float64
        """
        check_is_fitted(self)
        X = as_rows(X)
        errors = np.column_stack([_errors(detector, X) for detector in self.estimators_])
        return -_scaled(errors, self.error_medians_, self.error_spreads_)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the mean of the detectors' scores of each row: the higher, the more normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
        """
        return self.member_scores(X).mean(axis=1)

    @property
    def named_estimators_(self) -> Bunch:
        """The fitted detectors by name."""
        detectors = self.estimators_
        return Bunch(**dict(zip(self._names, detectors, strict=True)))

    @property
    def n_features_in_(self) -> int:
        """Number of features seen during `fit`."""
        return self._offered("n_features_in_")

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features seen during `fit`."""
        return self._offered("feature_names_in_")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, and with `deep` the detectors and theirs.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the detectors by name, and their parameters as `name__parameter`.

        Returns
        -------
        params : dict
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, detectors by name, and their parameters.

        Parameters
        ----------
        **params : dict
            A parameter; `name`, to replace a detector or to leave it out ("drop"); or
            `name__parameter`.

        Returns
        -------
        self : AveragedOutlierDetector
        """
        return self._set_params("estimators", **params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is passed on to the detectors.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self)
        for name, detector in self._kept():
            mapping = MethodMapping().add(caller="fit", callee="fit")
            router.add(**{name: detector}, method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A list that `fit` would refuse has no tags, but must not break the representation.
        with suppress(AttributeError, TypeError, ValueError):
            inner = [get_tags(detector).input_tags for _, detector in self._kept()]
            tags.input_tags.allow_nan = all(of.allow_nan for of in inner)
            tags.input_tags.sparse = all(of.sparse for of in inner)
        return tags

    def _sk_visual_block_(self):
        names, detectors = zip(*self.estimators, strict=True)
        return VisualBlock("parallel", detectors, names=names)

    def _validate_params(self):
        check_contamination(self.contamination)
        super()._validate_params()

    def _offered(self, name):
        """Return an attribute of the first detector that has it."""
        for detector in vars(self).get("estimators_", []):
            if hasattr(detector, name):
                return getattr(detector, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _kept(self):
        return [pair for pair in self.estimators if not _is_dropped(pair[1])]

    def _checked_detectors(self) -> dict[str, Any]:
        """Return the detectors that are not dropped, by name."""
        for pair in self.estimators:
            if not _is_named(pair):
                raise ValueError(
                    "estimators must be a list of (name, detector) pairs, such as [('forest', "
                    f"IsolationForest()), ('neighbors', LocalOutlierFactor(novelty=True))]; got "
                    f"{pair!r} in it."
                )
        self._validate_names([name for name, _ in self.estimators])
        detectors = dict(self._kept())
        if not detectors:
            raise ValueError(
                f"estimators={self.estimators!r} has no detector to average: give at least one "
                "(name, detector) pair that is not 'drop'."
            )
        for name, detector in detectors.items():
            check_is_instance(detector)
            check_scores_samples(detector, f"{name!r} in estimators")
        return detectors

    def _params_of_each(self, detectors, fit_params):
        """Return the parameters of each detector's `fit`, by name."""
        if routing_enabled():
            routed = process_routing(self, "fit", **fit_params)
            return {name: routed[name].fit for name in detectors}
        for name, detector in detectors.items():
            _check_takes(name, detector, fit_params)
        return dict.fromkeys(detectors, fit_params)

    def _folds(self, X):
        """Return (train, test) pairs that hold out each row once, or none if none are needed."""
        n_rows = _num_samples(X)
        if self.contamination != "auto":
            return []
        if n_rows < MIN_ROWS:
            warn(
                f"X has {n_rows} rows, too few to hold some out for the threshold, which is "
                "therefore set from training errors and may flag more than 5 % of new normal "
                f"rows: give at least {MIN_ROWS} rows, or the share of outliers among them as "
                "contamination."
            )
            return []
        return list(KFold(_N_FOLDS, shuffle=True, random_state=0).split(np.empty(n_rows)))

    def _offset(self, training, held_out):
        """Return the offset from the errors of the training rows, or of rows held out."""
        if self.contamination == "auto":
            return -_threshold(held_out)
        return float(np.percentile(-training, 100.0 * float(self.contamination)))


def _is_named(pair):
    return isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str)


def _is_dropped(detector):
    return isinstance(detector, str) and detector == "drop"


def _check_takes(name, detector, fit_params):
    parameters = signature(detector.fit).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for param in fit_params:
        if param not in parameters:
            raise TypeError(
                f"fit of {name!r} in estimators ({type(detector).__name__}) takes no {param}. To "
                "pass it to the other detectors only, call sklearn.set_config("
                "enable_metadata_routing=True) and request it from each that takes it: "
                f"detector.set_fit_request({param}=True)."
            )


def _fitted(detector, X, y, fit_params):
    """Return a fitted clone of the detector, and the errors of the rows."""
    fitted = clone(detector).fit(X, y, **fit_params)
    return fitted, _errors(fitted, X)


def _fold_errors(detector, X, y, fit_params, fold):
    """Return the errors of the training and of the test rows of a fold."""
    train, test = fold
    labels = None if y is None else _safe_indexing(y, train)
    params = sliced_params(X, fit_params, train)
    fitted, errors = _fitted(detector, _safe_indexing(X, train), labels, params)
    return errors, _errors(fitted, _safe_indexing(X, test))


def _errors(detector, X):
    errors = -column_or_1d(np.asarray(detector.score_samples(X), dtype=np.float64))
    errors[np.isnan(errors)] = np.inf
    return errors


def _held_out(measured, names):
    """Return the mean error of each held-out row, on the scales of its fold."""
    errors = []
    for start in range(0, len(measured), len(names)):
        training, test = map(
            np.column_stack, zip(*measured[start : start + len(names)], strict=True)
        )
        errors.append(_scaled(test, *_scale(training, names)).mean(axis=1))
    return np.concatenate(errors)


def _scale(errors, names):
    """Return the median error of each detector, and the distance from it to the 95 % quantile."""
    for name, unfit in zip(names, np.count_nonzero(~np.isfinite(errors), axis=0), strict=True):
        if unfit:
            raise ValueError(
                f"{name!r} in estimators scores {unfit} of {len(errors)} training rows as NaN or "
                "infinite, so that its errors have no scale: look at its score_samples of them."
            )
    medians, high = np.quantile(errors, [0.5, 0.95], axis=0)
    spreads = np.where(high > medians, high - medians, errors.std(axis=0))
    is_constant = np.ptp(errors, axis=0) <= _ROUNDING * np.abs(errors).max(axis=0)
    return medians, np.where(is_constant, 0.0, spreads)


def _scaled(errors, medians, spreads):
    """Return errors on the common scale, where those of a constant detector are zero."""
    scaled = np.zeros_like(errors)
    np.divide(errors - medians, spreads, out=scaled, where=spreads > 0)
    return scaled


def _threshold(errors):
    """Return the error that a new row, drawn like these, exceeds with a probability of 5 %."""
    # As `FalsePositiveRate` without a confidence, which bears no infinite errors: here one detector
    # may have them, of few rows.
    errors = np.append(np.sort(errors), np.inf)
    rank = min(-(-19 * len(errors) // 20), len(errors) - 1)
    threshold = float(just_above(errors[rank - 1], errors[rank]))
    if not np.isfinite(threshold):
        raise ValueError(
            "More than 5 % of the rows held out are scored as NaN or infinite, so that there is no "
            "threshold: look at the scores of each detector."
        )
    return threshold
