"""Fitting any outlier detector on the rows labeled normal."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.utils import check_array, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if

from skae._detectors.checks import as_rows, check_one_label_per_row, explained_gaps
from skae._labels import inlier_mask, is_auto
from skae._meta.delegation import InnerDetectorMixin, first_step, inner_has, sliced_params
from skae._sklearn_compat import (
    HasMethods,
    _fit_context,
    _num_samples,
    _safe_indexing,
    routing_enabled,
)
from skae._warnings import warn


class FitOnInliers(InnerDetectorMixin):
    """Meta-estimator that fits an outlier detector on the rows labeled normal.

    Around a pipeline, the scaler too sees normal rows only. Scoring is the inner estimator's, and
    whatever else it offers (`transform`, `reconstruct`, `offset_`, `history_`, ...) is offered here
    too. The detector at the end of a pipeline is given rows transformed by the steps before it, and
    `reconstruct` returns rows in the units of X.

    Without y it fits on all rows. Whatever the labels in y, `predict` returns +1 for inliers and -1
    for outliers.

    Parameters
    ----------
    estimator : estimator
        An outlier detector, or a pipeline that ends in one. It is cloned, never changed.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's coding:
        +1 for inliers, -1 for outliers.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of `estimator`.

    See Also
    --------
    skae.AutoencoderOutlierDetector : A detector to fit on normal rows.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector, FitOnInliers
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(400, anomaly_share=0.3, random_state=0)
    >>> detector = FitOnInliers(
    ...     make_pipeline(MinMaxScaler(), AutoencoderOutlierDetector(epochs=20, random_state=0))
    ... )
    >>> detector.fit(X, y).score_samples(X).shape
    (400,)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "inlier_label": "no_validation",
        "outlier_label": "no_validation",
    }

    def __init__(self, estimator: Any, *, inlier_label: Any = "auto", outlier_label: Any = "auto"):
        self.estimator = estimator
        self.inlier_label = inlier_label
        self.outlier_label = outlier_label

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the inner estimator on the rows of X that y calls normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Their labels. None takes all rows.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights; those of the normal rows are passed on. A number counts for every row.
        **fit_params : dict
            Passed on to the inner estimator's `fit`, with metadata routing as it was requested.
            Weights of pipeline steps (`step__sample_weight`) and groups are cut to the normal rows;
            anything else, such as `X_val`, is passed as it is.

        Returns
        -------
        self : FitOnInliers
            The fitted meta-estimator.

        Raises
        ------
        ValueError
            If the labels do not say what is normal, or no row is.

        Warns
        -----
        UserWarning
            If a label is named, but y is missing: then it fits on all rows.
        """
        if sample_weight is not None:
            fit_params["sample_weight"] = sample_weight
        X = as_rows(X)
        if y is None:
            self._warn_if_a_label_is_named()
        else:
            X, fit_params = self._normal_rows(X, y, fit_params)
        if routing_enabled():
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        self.estimator_ = clone(self.estimator).fit(X, **fit_params)
        return self

    @available_if(inner_has("partial_fit"))
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **partial_fit_params: Any,
    ) -> Self:
        """Train the inner estimator further, on the rows of a chunk that y calls normal.

        The first call, if there was no `fit`, clones the estimator. Pipelines have no
        `partial_fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows of the chunk.
        y : array-like of shape (n_samples,), default=None
            Their labels. None takes all rows. A chunk without any normal row teaches nothing: it is
            passed over, unless it is the first.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights; those of the normal rows are passed on. A number counts for every row.
        **partial_fit_params : dict
            Passed on to the inner estimator's `partial_fit`, with metadata routing as it was
            requested.

        Returns
        -------
        self : FitOnInliers
            The meta-estimator, trained further.

        Raises
        ------
        ValueError
            If the labels do not say what is normal, or no row of the first chunk is.

        Warns
        -----
        UserWarning
            If a label is named, but y is missing: then it trains on all rows.
        """
        params = partial_fit_params
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        X = as_rows(X)
        is_first = "estimator_" not in vars(self)
        if y is None:
            self._warn_if_a_label_is_named()
        else:
            X, params = self._normal_rows(X, y, params, may_be_none=not is_first)
        if routing_enabled():
            params = process_routing(self, "partial_fit", **params).estimator.partial_fit
        if is_first or _num_samples(X):
            inner = clone(self.estimator) if is_first else self.estimator_
            self.estimator_ = inner.partial_fit(X, **params)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is passed on to the inner estimator.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping()
        for name in ("fit", "partial_fit"):
            mapping.add(caller=name, callee=name)
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)

    def _warn_if_a_label_is_named(self):
        for name in ("inlier_label", "outlier_label"):
            label = getattr(self, name)
            if not is_auto(label):
                warn(
                    f"{name}={label!r} names a label, but y is missing: FitOnInliers fits on all "
                    f"rows. Give fit(X, y), or leave {name} out. Some meta-estimators keep y to "
                    "themselves, as WindowedOutlierDetector does: put FitOnInliers around them."
                )

    def _normal_rows(self, X, y, fit_params, may_be_none=False):
        (X,) = indexable(X)
        check_one_label_per_row(X, y)
        self._check_rows_left_out(X)
        is_inlier = inlier_mask(y, self.inlier_label, self.outlier_label)
        if not (is_inlier.any() or may_be_none):
            raise ValueError(
                f"No row is labeled normal: all {len(is_inlier)} labels in y stand for outliers."
            )
        rows = np.flatnonzero(is_inlier)
        return _safe_indexing(X, rows), sliced_params(X, fit_params, rows)

    def _check_rows_left_out(self, X):
        """Check the rows that the inner estimator will not see, as it would check them."""
        first = first_step(self.estimator)
        tags = get_tags(first)
        takes_columns = isinstance(first, ColumnTransformer) or hasattr(X, "columns")
        if (
            takes_columns
            or tags.no_validation
            or tags.input_tags.string
            or tags.input_tags.categorical
        ):
            return
        with explained_gaps(X, first):
            check_array(
                X,
                accept_sparse=tags.input_tags.sparse,
                ensure_all_finite="allow-nan" if tags.input_tags.allow_nan else True,
                estimator=first,
                input_name="X",
            )
