"""What the meta-estimators share: they offer what their inner estimator offers."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import check_is_instance, weights_of_rows
from skae._meta.steps import original_units, transformed
from skae._sklearn_compat import DocumentationLinkMixin, set_transform_output

if TYPE_CHECKING:
    from pandas import DataFrame


def inner_has(name):
    """Return a check, for `available_if`, that the inner estimator has an attribute."""

    def check(meta):
        getattr(meta._inner, name)  # whose own error says why it is missing
        return True

    return check


def _inner_has_events(meta):
    return scores_steps(meta._inner)


def check_scores_samples(estimator, name="estimator"):
    """Make sure that an estimator is an outlier detector with scores to set a threshold from."""
    if not hasattr(estimator, "score_samples"):
        last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        advice = ""
        if getattr(last, "novelty", None) is False:
            advice = f" Give {type(last).__name__}(novelty=True), which scores new rows."
        raise TypeError(
            f"{name} must be an outlier detector with score_samples, or a pipeline that ends in "
            f"one; got {estimator!r}.{advice}"
        )


def sliced_params(X, fit_params, rows):
    """Return the parameters of `fit`, with sample weights and groups cut to some rows of X.

    Those of pipeline steps (`step__sample_weight`) are included. Anything else stays as it is.
    """
    sliced = dict(fit_params)
    for name, value in fit_params.items():
        if name.split("__")[-1] in ("sample_weight", "groups") and value is not None:
            sliced[name] = weights_of_rows(X, value, rows)
    return sliced


def scores_steps(estimator: Any):
    """Tell whether the detector inside, fitted or not, scores the time steps of a series.

    Then rows are scored by their neighbors, some may have no score, and there may be groups.
    """
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, InnerDetectorMixin):
            estimator = estimator._inner
        elif inner_of(estimator) is not None:
            estimator = inner_of(estimator)
        else:
            return hasattr(estimator, "events")


def of_rows(estimator, method, X, groups=None):
    """Return what a method of an estimator makes of rows, those of a series perhaps in groups.

    scikit-learn's own pipelines and searches do not pass groups on to all methods.
    """
    if groups is None:
        return getattr(estimator, method)(X)
    if isinstance(estimator, Pipeline):
        X = transformed(estimator[:-1], X) if len(estimator) > 1 else X
        return of_rows(estimator[-1], method, X, groups)
    if not isinstance(estimator, InnerDetectorMixin) and inner_of(estimator) is not None:
        return of_rows(inner_of(estimator), method, X, groups)
    if not scores_steps(estimator):
        raise TypeError(
            "groups tell apart the stretches of a series, and "
            f"{type(split_pipeline(estimator)[1]).__name__} scores each row alone: leave groups "
            "out, or put the detector into WindowedOutlierDetector."
        )
    return getattr(estimator, method)(X, groups=groups)


class DelegatingMixin(DocumentationLinkMixin, OutlierMixin, BaseEstimator):
    """Base class of meta-estimators with an `estimator` that `fit` turns into `estimator_`.

    They offer the fitted attributes of what is inside, such as `history_`.
    """

    estimator: Any
    estimator_: Any

    @property
    def _inner(self):
        return vars(self).get("estimator_", self.estimator)

    def _validate_params(self):
        check_is_instance(self.estimator)
        super()._validate_params()

    def __getattr__(self, name):
        # Only reached for what this class lacks. Methods that fit or set would bypass this class.
        if name.startswith(("_", "fit", "partial_fit", "set_")) or "estimator" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._offered(name)

    def _offered(self, name):
        """Return the inner estimator's attribute, or raise AttributeError."""
        inner = self._inner
        if not name.endswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # A pipeline does not offer the offset, the history and the network of its last step.
        return getattr(inner if hasattr(inner, name) else split_pipeline(inner)[1], name)


class InnerDetectorMixin(DelegatingMixin):
    """Base class of those whose rows are the rows of the inner estimator.

    They also offer its methods, such as `reconstruct`. Those of a detector at the end of a pipeline
    are given rows transformed by the steps before it.
    """

    def _offered(self, name):
        if name.endswith("_"):
            return super()._offered(name)
        inner = self._inner
        if hasattr(inner, name):
            transforms, owner = [], inner
        else:
            transforms, owner = split_pipeline(inner)
        offered = getattr(owner, name)
        if not callable(offered):
            raise AttributeError(f"{name!r} is a parameter of the inner {type(owner).__name__}")
        return _behind(transforms, name, offered) if transforms else offered

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is passed on to the inner estimator.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        for method in ("decision_function", "predict"):
            mapping.add(caller=method, callee=method)
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)

    @available_if(inner_has("score_samples"))
    def score_samples(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the inner estimator's score of each row: the higher, the more normal.

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
        return of_rows(self.estimator_, "score_samples", X, groups)

    @available_if(inner_has("decision_function"))
    def decision_function(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return the score of each row less the offset: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        decision : ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        return of_rows(self.estimator_, "decision_function", X, groups)

    @available_if(inner_has("predict"))
    def predict(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Tell inliers (+1) from outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
        """
        check_is_fitted(self)
        return of_rows(self.estimator_, "predict", X, groups)

    @available_if(_inner_has_events)
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

        See :meth:`skae.WindowedOutlierDetector.events`. Behind transformers that return arrays, the
        index of X is lost; those with `set_output(transform="pandas")` keep it.

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
            The error above which a step is flagged. None is `-offset_`.

        Returns
        -------
        events : pandas.DataFrame
            One row per event: `start`, `end`, `peak`, `score`, `channel` and `share`.
        """
        check_is_fitted(self)
        transforms, detector = split_pipeline(self)
        return detector.events(
            transformed(transforms, X),
            groups,
            merge_within=merge_within,
            min_length=min_length,
            threshold=-self.offset_ if threshold is None else threshold,
        )

    @available_if(inner_has("transform"))
    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the inner estimator's transform of each row, such as its latent code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to transform.

        Returns
        -------
        X_transformed : ndarray of shape (n_samples, n_codes)
        """
        check_is_fitted(self)
        return self.estimator_.transform(X)

    @available_if(inner_has("transform"))
    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> np.ndarray:
        """Fit on X and y, then transform X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to fit on and to transform.
        y : array-like of shape (n_samples,), default=None
            Passed on to `fit`.
        **fit_params : dict
            Passed on to `fit`.

        Returns
        -------
        X_transformed : ndarray of shape (n_samples, n_codes)
        """
        return self.fit(X, y, **fit_params).transform(X)

    @available_if(inner_has("transform"))
    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container that `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            None leaves it as it is.

        Returns
        -------
        self : estimator instance
        """
        for inner in (self.estimator, self._inner):
            set_transform_output(inner, transform=transform)
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.transformer_tags = inner.transformer_tags
        return tags


class OwnOffsetMixin(InnerDetectorMixin):
    """Base class of those that judge the inner estimator's scores by an offset of their own."""

    offset_: float

    def decision_function(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Return `score_samples(X) - offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        decision : ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        return self.score_samples(X, groups) - self.offset_

    def predict(self, X: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
        """Tell inliers (+1) from outliers (-1).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to judge.
        groups : array-like of shape (n_samples,), default=None
            Around a detector of series, the stretch each time step belongs to.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,), int64
            +1 for inliers, -1 for outliers.
        """
        return np.where(self.decision_function(X, groups) < 0, -1, 1)


def _behind(transforms, name, method):
    """Return a method of a detector behind transformers as one of the rows before them."""

    def of_transformed_rows(X, *args, **kwargs):
        return method(transformed(transforms, X), *args, **kwargs)

    def reconstruct(X):
        inputs = transformed(transforms, X)
        reconstruction = method(inputs)
        _, reconstruction, is_inverted = original_units(transforms, inputs, reconstruction)
        if not is_inverted:
            raise ValueError(
                "The steps before the detector cannot be inverted, so that there is no "
                "reconstruction in the units of X: transform X yourself and ask the detector, or "
                "use skae.inspection.explain, which says in which units it speaks."
            )
        return reconstruction

    return reconstruct if name == "reconstruct" else of_transformed_rows


def split_pipeline(estimator):
    """Return the transformers before the detector inside, and that detector.

    Pipelines, skae's meta-estimators, searches and frozen estimators are opened, in any nesting.

    Parameters
    ----------
    estimator : estimator
        A fitted detector, or anything fitted that contains one.

    Returns
    -------
    transforms : list of transformer
        The fitted transformers before the detector, in the order in which X passes through them.
    detector : estimator
        The detector; `estimator` itself where it is none of the above.
    """
    transforms = []
    while True:
        if isinstance(estimator, Pipeline):
            steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
            if not steps:
                return transforms, estimator
            transforms += steps[:-1]
            estimator = steps[-1]
            continue
        inner = inner_of(estimator)
        if inner is None:
            return transforms, estimator
        estimator = inner


def inner_of(estimator):
    """Return the estimator directly inside a meta-estimator, or None where there is none."""
    if isinstance(estimator, InnerDetectorMixin):
        return estimator.estimator_
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)


def first_step(estimator):
    """Return what sees the data first: in a pipeline, the first step that does anything."""
    for _, step in getattr(estimator, "steps", []):
        if step not in (None, "passthrough"):
            return first_step(step)
    return estimator
