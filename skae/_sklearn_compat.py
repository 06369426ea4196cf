"""What scikit-learn keeps to itself and skae needs, in one place."""

import sys

from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._set_output import _safe_set_output
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "DocumentationLinkMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_BaseScorer",
    "_check_sample_weight",
    "_fit_context",
    "_routing_enabled",
    "_safe_indexing",
    "_safe_set_output",
    "is_pandas_na",
    "is_scalar_nan",
    "validate_parameter_constraints",
    "validate_params",
]


class DocumentationLinkMixin:
    """Makes an estimator's HTML representation link to its own page of skae's documentation."""

    _doc_link_module = "skae"
    _doc_link_template = "https://skae.readthedocs.io/en/stable/generated/{page}.html"

    def _doc_link_url_param_generator(self):
        name, module = type(self).__name__, type(self).__module__
        is_public_there = name in getattr(sys.modules[module], "__all__", ())
        return {"page": f"{module if is_public_there else 'skae'}.{name}"}
