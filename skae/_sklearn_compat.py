"""The private names of scikit-learn that skae needs, in one place."""

import sys
from collections.abc import Callable

import numpy as np
from sklearn import base, get_config, utils
from sklearn.utils import _param_validation, metaestimators, validation
from sklearn.utils._repr_html import estimator as _repr_html

__all__ = [
    "BaseComposition",
    "DocumentationLinkMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "VisualBlock",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_num_samples",
    "_safe_indexing",
    "check_array",
    "check_random_state",
    "column_or_1d",
    "routing_enabled",
    "set_transform_output",
    "validate_data",
    "validate_parameter_constraints",
    "validate_params",
]

# By assignment: a type checker that does not look into scikit-learn, which declares no types, takes
# names that are only imported here for missing ones.
BaseComposition = metaestimators._BaseComposition
HasMethods = _param_validation.HasMethods
Interval = _param_validation.Interval
StrOptions = _param_validation.StrOptions
VisualBlock = _repr_html._VisualBlock
validate_parameter_constraints = _param_validation.validate_parameter_constraints
validate_params = _param_validation.validate_params
_check_method_params = validation._check_method_params
_check_sample_weight = validation._check_sample_weight
_fit_context = base._fit_context
_num_samples = validation._num_samples
_safe_indexing = utils._safe_indexing

# With the types that scikit-learn does not declare.
check_array: Callable[..., np.ndarray] = utils.check_array
check_random_state: Callable[..., np.random.RandomState] = utils.check_random_state
column_or_1d: Callable[..., np.ndarray] = utils.column_or_1d
validate_data: Callable[..., np.ndarray] = validation.validate_data


def routing_enabled():
    """Tell whether metadata routing is enabled."""
    return get_config()["enable_metadata_routing"]


def set_transform_output(estimator, *, transform):
    """Choose the container that `transform` returns. Does nothing without `transform`."""
    if not hasattr(estimator, "transform"):
        return
    if not hasattr(estimator, "set_output"):
        raise ValueError(
            f"Unable to configure output for {estimator} because `set_output` is not available."
        )
    estimator.set_output(transform=transform)


class DocumentationLinkMixin:
    """Makes an estimator's HTML representation link to its own page of skae's documentation."""

    _doc_link_module = "skae"
    _doc_link_template = "https://skae.readthedocs.io/en/stable/generated/{page}.html"

    def _doc_link_url_param_generator(self):
        name, module = type(self).__name__, type(self).__module__
        is_public_there = name in getattr(sys.modules[module], "__all__", ())
        return {"page": f"{module if is_public_there else 'skae'}.{name}"}
