"""The private names of scikit-learn that skae needs, in one place."""

import sys

from sklearn import get_config
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "DocumentationLinkMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_sample_weight",
    "_fit_context",
    "_safe_indexing",
    "routing_enabled",
    "set_transform_output",
    "validate_parameter_constraints",
    "validate_params",
]


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
