"""The outlier contract around any model that reconstructs rows."""

from abc import abstractmethod
from collections.abc import Callable
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from skae._detectors.base import (
    DECISION_CONSTRAINTS,
    ReconstructionErrorDetector,
    unchanged_on_failure,
)
from skae._detectors.calibration import all_rows, unseen_rows
from skae._detectors.checks import warn_if_nothing_varies
from skae._detectors.keras_parameters import (
    checked_unpack,
    clone_sharing_models,
    contents,
    pack_parameter,
    unpack_parameter,
)
from skae._engines.keras.blueprints import check_reconstructs
from skae._engines.keras.forward import ForwardFunctions, KerasForward
from skae._engines.keras.loading import is_keras_model
from skae._engines.keras.settings import Settings
from skae._engines.keras.states import HOW_TO_KEEP_STATE, computes_alike
from skae._engines.options import Layout
from skae._network.scorer import COMBINED, Scorer
from skae._sklearn_compat import _check_method_params, _fit_context, routing_enabled
from skae.thresholds import needs_unseen_rows


class ReconstructionOutlierDetector(ReconstructionErrorDetector):
    """Outlier detector around any model that reconstructs rows.

    Rows that the model reconstructs badly are outliers. The model may be a regressor, which learns
    to predict X from X; a transformer with `inverse_transform`, such as
    :class:`~sklearn.decomposition.PCA`; or a trained `keras.Model`, which is used as it is.

    Parameters
    ----------
    estimator : estimator or keras.Model
        A scikit-learn estimator, or scikeras' `KerasRegressor`, is cloned and fitted. A
        `keras.Model` is neither: clones of the detector share it, and scores come from the weights
        it has when `fit` is called. It is unpickled uncompiled, with the weights and adapted
        statistics behind the scores, and pickled only if it can be unpickled: classes of your own
        must be registered (`keras.saving.register_keras_serializable`).
    error : {"mse", "combined", "mae", "msle", "standardized", "mahalanobis"} or callable, \
            default="mse"
        What a row is scored by. "combined" adds how badly the row is reconstructed, how unlike it
        is to the known row with the nearest code, and how far its code lies from the others;
        `error_parts` returns them. Only transformers have codes. "standardized" divides each
        feature's squared residual by its typical size; "mahalanobis" also accounts for correlated
        residuals. Both learn from the training rows, and expect scaled data. A callable is called
        with rows and their reconstructions, both read-only, and returns the error of each feature
        of each row; their mean is the error of the row. It sees the rows in batches, so it must
        judge each row on its own.
    threshold : str, float or rule, default="auto"
        The rule of :mod:`skae.thresholds` that sets the offset, or its short name: "mean_std",
        "quantile", "median_mad", "iqr", "fpr" or "pot". A float is the threshold of the error
        itself. "auto" is `FalsePositiveRate(0.05, confidence=None)`: of new normal rows like the
        training rows, 5 % are flagged on average, fewer if there are outliers among the training
        rows. It and "fpr" use errors of rows not fitted on: a twentieth of 1,000 rows or more; of
        fewer, the errors come from a clone that is fitted on a part of them before the one that is
        kept, and below 20 rows, with a warning, from the rows fitted on. The other rules, and all
        of them for a trained model, use the errors of the rows given to `fit`.
    contamination : float or "auto", default="auto"
        Share of outliers among the rows given to `fit`, in (0, 0.5]: the offset is that quantile of
        all their scores. "auto" leaves the offset to `threshold`.
    random_state : int, RandomState instance or None, default=None
        Determines which rows set the threshold, and which codes the combined error keeps.

    Attributes
    ----------
    estimator_ : estimator or keras.Model
        The fitted clone, or the `keras.Model` itself.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is
        `-offset_`.
    calibration_errors_ : ndarray of shape (n_calibration_samples,)
        The errors that set the offset, sorted; of more than 4,096, fewer, evenly spaced. What
        :func:`skae.inspection.drift_report` compares new errors with.
    feature_errors_ : ndarray of shape (n_features_in_,)
        Mean error of each feature over the rows that set the offset (at most 4,096 of them, evenly
        spaced): what :func:`skae.inspection.explain` compares errors with.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.AutoencoderOutlierDetector : Trains an autoencoder, faster than a `KerasRegressor`.

    Examples
    --------
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(500, anomaly_share=0.1, random_state=0)
    >>> detector = ReconstructionOutlierDetector(PCA(4), random_state=0).fit(X[y == 1])
    >>> detector.predict(X[y == -1][1:4])
    array([-1, -1, -1])
    """

    _parameter_constraints: dict = {
        "estimator": "no_validation",
        **DECISION_CONSTRAINTS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        error: str | Callable = "mse",
        threshold: Any = "auto",
        contamination: float | str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.error = error
        self.threshold = threshold
        self.contamination = contamination
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None, **fit_params: Any) -> Self:
        """Fit the model to reconstruct the rows of X, and set the offset from their errors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows, ideally normal ones only.
        y : Ignored
            Not used, present for API consistency by convention.
        **fit_params : dict
            Passed on to the model's `fit`, with metadata routing as it was requested.

        Returns
        -------
        self : ReconstructionOutlierDetector
            The fitted detector.

        Raises
        ------
        TypeError
            If the estimator can neither predict X from X nor undo its `transform`; if a
            `keras.Model`, which is not trained, is given `fit_params`.
        ValueError
            If the data is invalid, or the reconstruction is not finite or not of the shape of X.
        """
        with unchanged_on_failure(self):
            rule = self._checked_rule()
            kind = _kind(self.estimator)
            if self.error == COMBINED and kind != "transformer":
                raise ValueError(
                    f"error={COMBINED!r} compares latent codes, and is there for transformers with "
                    f"inverse_transform; {type(self.estimator).__name__} shows none. Give "
                    "error='mse'."
                )
            dtype = np.float32 if kind == "network" else [np.float64, np.float32]
            original = X
            X = self._validated(X, dtype=dtype, ensure_min_samples=2, reset=True)
            if kind == "network":
                names = getattr(self, "feature_names_in_", None)
                warn_if_nothing_varies(original, X, names, is_trained=True)
            if routing_enabled():
                fit_params = process_routing(self, "fit", **fit_params).estimator.fit
            random = check_random_state(self.random_state)
            calibration = self._calibration(rule, kind, len(X), random)
            errors = None
            if calibration.refits:
                errors = self._fit_on(X, kind, calibration, fit_params, random)
                calibration = all_rows(len(X))
            found = self._fit_on(X, kind, calibration, fit_params, random)
            if rule is None:
                errors = self._scorer.row_errors(X)
            self._set_offset(rule, found if errors is None else errors)
        return self

    def _calibration(self, rule, kind, n_samples, random):
        """Return which rows to fit on, and which ones set the threshold."""
        # What is fitted already has seen none of them, as far as can be known.
        is_fitted = kind == "network" or isinstance(self.estimator, FrozenEstimator)
        if is_fitted or not needs_unseen_rows(rule):
            return all_rows(n_samples)
        return unseen_rows(rule, n_samples, random, can_refit=True)

    def _fit_on(self, X, kind, calibration, fit_params, random):
        """Fit the model on some rows, and return the errors of those that set the threshold."""
        train_rows, held_out = calibration.train_rows, calibration.held_out
        is_whole = not len(held_out)
        train = X if is_whole else X[train_rows]
        if not is_whole:
            fit_params = _check_method_params(X, fit_params, train_rows)
        self.estimator_ = _fitted(self.estimator, kind, train, fit_params)
        self._scorer = Scorer(_MODELS[kind](self.estimator_, train), self.error)
        calibrating = None if is_whole else X[held_out]
        errors = self._scorer.fit(train, calibration=calibrating, random=random)
        self._check_finite(errors)
        return errors

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is passed on to the model.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self)
        if is_keras_model(self.estimator):
            return router
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def _validated_rows(self, X):
        # Some models, scikeras' among them, accept only the dtype they were fitted on.
        return self._validated(X, reset=False, dtype=self._scorer.model.dtype)

    def _about_infinite_errors(self):
        if callable(self.error):
            return super()._about_infinite_errors()
        return f"{type(self.estimator_).__name__} returns NaN, infinity or too large a number."

    def __sklearn_clone__(self):
        return clone_sharing_models(self, ["estimator"])

    def __getstate__(self):
        inherited: Any = super().__getstate__()
        state = dict(inherited)
        state |= _models(pack_parameter, state)
        if is_keras_model(vars(self).get("estimator_")):
            # What is behind the scores, in case the model has been trained further.
            state["estimator_"] |= self._scorer.model.contents
            self._scorer.model.check_copy(checked_unpack("estimator", state["estimator_"]))
        elif is_keras_model(self.estimator):
            checked_unpack("estimator", state["estimator"])
        return state

    def __setstate__(self, state):
        super().__setstate__(state | _models(unpack_parameter, state))
        if is_keras_model(vars(self).get("estimator_")):
            self._scorer.model.estimator = self.estimator_
            self._scorer.model.contents = contents(self.estimator_)


class _FittedModel:
    """A fitted model as a scorer uses it.

    Parameters
    ----------
    estimator : estimator or keras.Model
        The fitted model.
    X : ndarray of shape (n_samples, n_features)
        Rows like those it was fitted on.
    """

    batching = (8192, 1)
    n_members = None

    def __init__(self, estimator, X):
        self.estimator = estimator
        self.dtype = X.dtype.name

    @property
    def forward(self):
        """What computes: the model itself."""
        return self

    @abstractmethod
    def _reconstruction(self, X) -> Any:
        """Return what the model makes of each row, as it comes."""

    def reconstruct(self, X):
        """Return the reconstruction of each row, checked to have its shape and dtype."""
        reconstruction = np.asarray(self._reconstruction(X.copy()), dtype=X.dtype)
        reconstruction = reconstruction.reshape(len(X), -1)
        if reconstruction.shape != X.shape:
            raise ValueError(
                f"{type(self.estimator).__name__} must return rows of the width it takes: "
                f"expected {X.shape[1]} features, got {reconstruction.shape[1]}."
            )
        return np.ascontiguousarray(reconstruction)


class _Regressor(_FittedModel):
    def _reconstruction(self, X):
        return self.estimator.predict(X)


class _Transformer(_FittedModel):
    def _reconstruction(self, X):
        return self.estimator.inverse_transform(self.estimator.transform(X))

    def encode_and_reconstruct(self, X):
        """Return the code and the reconstruction of each row."""
        codes = np.asarray(self.estimator.transform(X.copy()))
        return codes.reshape(len(X), -1), self.reconstruct(X)

    def decode(self, codes):
        """Return the row that belongs to each code."""
        return np.asarray(self.estimator.inverse_transform(codes))


class _TrainedNetwork(_FittedModel):
    """A `keras.Model` with its present contents and settings, from which the scores come."""

    def __init__(self, estimator, X):
        super().__init__(estimator, X)
        self._layout = Layout(_input_shape(estimator, X.shape[1]))
        self._settings = Settings.current()
        self.contents = contents(estimator)
        self._live = {}

    def _reconstruction(self, X):
        if "forward" not in self._live:
            with self._settings.applied():
                check_reconstructs(self.estimator, self._layout.input_shape)
                functions = ForwardFunctions(self.estimator, self._layout)
            self._live["forward"] = KerasForward(functions, self.contents["weights"])
        return self._live["forward"].reconstruct(X)

    def check_copy(self, copy):
        """Make sure that a copy of the model reconstructs as this one does."""
        with self._settings.applied():
            alike = computes_alike(
                lambda rows: self.reconstruct(rows.reshape(len(rows), -1)),
                copy,
                self._layout.input_shape,
            )
        if not alike:
            raise ValueError(
                f"estimator={copy.name!r} cannot be copied or saved: a model made from its "
                f"configuration and weights reconstructs rows otherwise. {HOW_TO_KEEP_STATE}"
            )

    def __getstate__(self):
        # The detector keeps the model, with these contents, and restores it when unpickled.
        return {**vars(self), "_live": {}, "estimator": None, "contents": None}


_MODELS = {"network": _TrainedNetwork, "regressor": _Regressor, "transformer": _Transformer}


def _models(convert, state):
    """Convert the two attributes that may be a `keras.Model`, once if they are the same one."""
    converted = {"estimator": convert(state["estimator"])}
    if "estimator_" in state:
        same = state["estimator_"] is state["estimator"]
        converted["estimator_"] = converted["estimator"] if same else convert(state["estimator_"])
    return converted


def _fitted(estimator, kind, X, fit_params):
    """Return a clone fitted to reconstruct the rows of X, or the `keras.Model` itself."""
    if kind == "network":
        if fit_params:
            raise TypeError(
                "A keras.Model is used as it is, so fit has nothing to pass on to it; got "
                f"{sorted(fit_params)}."
            )
        return estimator
    estimator = clone(estimator)
    X = X.copy()  # some estimators, those with copy=False, write into it
    if kind == "transformer":
        return estimator.fit(X, None, **fit_params)  # FrozenEstimator insists on a y
    # Regressors warn about a target of one column.
    return estimator.fit(X, X.ravel() if X.shape[1] == 1 else X, **fit_params)


def _kind(estimator):
    """Return how an estimator reconstructs rows: "network", "transformer" or "regressor"."""
    if is_keras_model(estimator):
        return "network"
    if not isinstance(estimator, type) and hasattr(estimator, "fit"):
        if is_regressor(estimator):  # some of which, such as PLSRegression, transform as well
            return "regressor"
        if _can_decode(estimator):
            return "transformer"
        # Not every regressor says that it is one: scikeras' does not.
        if hasattr(estimator, "predict") and not _predicts_labels(estimator):
            return "regressor"
    hint = ", a class: give an instance, with parentheses" if isinstance(estimator, type) else ""
    raise TypeError(
        "estimator must be able to reconstruct rows: a regressor, a transformer with "
        f"inverse_transform, or a trained keras.Model; got {estimator!r}{hint}."
    )


def _can_decode(estimator):
    decodes = hasattr(estimator, "transform") and hasattr(estimator, "inverse_transform")
    return decodes and not is_outlier_detector(estimator)


def _predicts_labels(estimator):
    return (
        is_classifier(estimator)
        or is_clusterer(estimator)
        or is_outlier_detector(estimator)
        or hasattr(estimator, "predict_proba")  # mixtures, and scikeras' KerasClassifier
    )


def _input_shape(model, n_features):
    """Return how a trained network lays out a row of `n_features`."""
    if not (model.built or model.weights):
        raise ValueError(
            f"The network {model.name!r} has no weights yet: train it first, or use "
            "AutoencoderOutlierDetector(architecture=...), which trains."
        )
    shape = getattr(model, "input_shape", None)
    if shape is None:  # a subclassed model knows what it was first called with
        shape = (model.get_build_config() or {}).get("input_shape", (None, n_features))
    if not all(length is None or isinstance(length, int) for length in shape):
        raise ValueError(
            f"The network {model.name!r} must have one input, the rows, but it has {len(shape)}: "
            f"{shape}."
        )
    lengths = tuple(shape)[1:]
    if lengths.count(None) == 1:  # the network accepts signals of any length
        known = prod(length for length in lengths if length is not None)
        lengths = tuple(n_features // known if length is None else length for length in lengths)
    if None in lengths or prod(lengths) != n_features:
        raise ValueError(
            f"The network {model.name!r} takes rows of shape {tuple(shape)[1:]}, but X has "
            f"{n_features} features."
        )
    return lengths
