"""Docstrings agree with the signatures, and siblings with each other."""

import ast
import inspect
import re
from collections import defaultdict
from numbers import Integral, Real

import pytest
from numpydoc.docscrape import NumpyDocString
from sklearn.base import BaseEstimator

import skae

# Entries that differ from those of the same name in other estimators, each with the reason.
_DIFFERENT = {
    "AutoencoderEnsembleOutlierDetector": {
        "autoencoder_": "all members in one model",
        "batch_size": "each member sees other rows",
        "hidden_layer_sizes": "its members are always dense",
        "history_": "averaged over the members",
        "error": "its members have codes",
        "latent_dim": "may differ from member to member",
        "learning_rate": "the loss is averaged over the members",
        "loss": "its members are always dense",
        "output_activation_": "it has members, but no choice of architecture",
        "threshold": "each member leaves out some rows",
        "trim_fraction": "may differ from member to member",
    },
    "AutoencoderOutlierDetector": {
        "error": "one of its architectures has an error of its own",
        "latent_dim": "there is one network",
        "loss": "other architectures have another",
        "noise": "networks of the user's change the default",
        "output_activation_": "networks of the user's have none",
        "threshold": "may be trained twice",
        "trim_fraction": "there is one network",
    },
    "AveragedOutlierDetector": {"contamination": "has no parameter threshold"},
    "ConformalOutlierDetector": {
        "calibration_errors_": "keeps those of all calibration rows",
        "estimator": "around a FrozenEstimator, all rows calibrate",
        "estimator_": "fitted on some of the rows only",
        "offset_": "set by p-values instead of a threshold rule",
        "random_state": "draws other things than networks do",
        "verbose": "trains once, then calibrates",
    },
    "FitOnInliers": {"estimator": "needs no score_samples"},
    "ReconstructionOutlierDetector": {
        "estimator": "a model that reconstructs, not a detector",
        "error": "only transformers have codes",
        "estimator_": "may be a keras.Model",
        "random_state": "trains nothing itself",
        "threshold": "may be given a trained model",
    },
    "AdaptiveConformal": {
        "size": "they are the last ones",
        "threshold_": "its level may leave the unit interval",
    },
    "QuantileReservoir": {"random_state": "draws which errors stay"},
    "StreamingOutlierDetector": {
        "estimator": "is fitted already",
        "estimator_": "no clone",
        "rule_": "learns",
        "threshold": "sees errors one after the other",
    },
    "ThresholdedOutlierDetector": {
        "estimator": "its offset is replaced",
        "threshold": "may learn from labels",
        "inlier_label": "only some rules read labels",
        "outlier_label": "only some rules read labels",
        "verbose": "has folds",
    },
    "WindowedOutlierDetector": {
        "estimator": "sees windows, which have a shape",
        "estimator_": "sees windows",
        "feature_errors_": "its features are channels",
        "n_features_in_": "a row is a time step",
        "random_state": "draws places in a series",
        "threshold": "counts time steps",
        "verbose": "trains nothing itself",
    },
    "FalsePositiveRate": {"rate": "a share of rows"},
    "PeaksOverThreshold": {"rate": "a probability"},
    "InterquartileFence": {"k": "counts interquartile ranges"},
    "MeanStd": {"k": "counts standard deviations from the mean"},
    "MedianMAD": {"k": "counts standard deviations from the median"},
}

# What a documented type accepts, by its first word. Anything else, such as `callable` or the name
# of a class, accepts no default that a signature could show.
_TYPES = {
    "None": type(None),
    "array-like": (list, tuple),
    "bool": bool,
    "dict": dict,
    "float": Real,
    "int": Integral,
    "scalar": (Real, str),
    "sequence": (list, tuple),
    "str": str,
    "tuple": tuple,
}


def public_estimators():
    """Return the estimators among the public names of skae and of its public modules."""
    public = [getattr(skae, name) for name in skae.__all__]
    for module in filter(inspect.ismodule, public):
        public += [getattr(module, name) for name in module.__all__]
    return [
        found for found in public if inspect.isclass(found) and issubclass(found, BaseEstimator)
    ]


def documented(estimator, section):
    """Return the entries of a section by name, each with its type and description.

    An entry of several names, `first, second : type`, is one of each.
    """
    entries = NumpyDocString(inspect.getdoc(estimator))[section]
    return {
        name: (entry.type, " ".join(entry.desc))
        for entry in entries
        for name in entry.name.split(", ")
    }


def repeated_entries():
    """Return the entries of each name that several estimators document, by estimator."""
    entries = defaultdict(dict)
    for estimator in public_estimators():
        both = documented(estimator, "Parameters") | documented(estimator, "Attributes")
        for name, entry in both.items():
            entries[name][estimator.__name__] = entry
    return {name: found for name, found in entries.items() if len(found) > 1}


def differs(estimator, name):
    return name in _DIFFERENT.get(estimator, {})


def split_default(text):
    """Split `float or "auto", default=1.0` into the type and the text of the default."""
    type_, _, default = text.partition(", default=")
    return type_, default or None


def accepts(type_, value):
    """Tell whether a documented type, such as `float or "auto"`, accepts a value."""
    alternatives = re.split(r" or |, ", re.sub(r"[{}]", "", type_))
    if isinstance(value, str) and f'"{value}"' in alternatives:
        return True
    types = [_TYPES.get(alternative.split()[0]) for alternative in alternatives]
    if isinstance(value, bool):
        return bool in types
    return any(isinstance(value, known) for known in types if known)


@pytest.mark.parametrize(
    ("type_", "value", "accepted"),
    [
        ("int", 5, True),
        ("int", 5.0, False),
        ("int", True, False),
        ("int", None, False),
        ("float", 1, True),
        ("float", "auto", False),
        ('float or "auto"', "auto", True),
        ('{"max", "mean"}', "mean", True),
        ('{"max", "mean"}', "sum", False),
        ("bool", False, True),
        ("str or callable", "mish", True),
        ("callable or keras.Model", "mish", False),
        ("int, RandomState instance or None", None, True),
        ("int or sequence of int", (128, 64), True),
        ("tuple (min, max)", (0, 1), True),
    ],
)
def test_documented_type_accepts(type_, value, accepted):
    assert accepts(type_, value) is accepted


@pytest.mark.parametrize("name", repeated_entries())
def test_repeated_entries_are_identical(name):
    alike = defaultdict(list)
    for estimator, entry in repeated_entries()[name].items():
        if not differs(estimator, name):
            alike[entry].append(estimator)
    assert len(alike) <= 1, dict(alike)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(estimator, name) for estimator, names in _DIFFERENT.items() for name in names],
)
def test_exceptions_are_needed(estimator, name):
    entries = repeated_entries()[name]
    entry = entries.pop(estimator)
    assert entry not in entries.values()


@pytest.mark.parametrize("estimator", public_estimators())
def test_parameters_are_documented_in_the_order_of_the_signature(estimator):
    assert list(documented(estimator, "Parameters")) == list(
        inspect.signature(estimator).parameters
    )


@pytest.mark.parametrize(
    ("estimator", "parameter"),
    [
        pytest.param(estimator, parameter, id=f"{estimator.__name__}-{parameter.name}")
        for estimator in public_estimators()
        for parameter in inspect.signature(estimator).parameters.values()
    ],
)
def test_documented_default_is_the_one_of_the_signature(estimator, parameter):
    text, _ = documented(estimator, "Parameters")[parameter.name]
    type_, default = split_default(text)
    if parameter.default is parameter.empty:
        assert default is None
        return
    assert default is not None, f"{text!r} states no default"
    value = ast.literal_eval(default)
    assert (type(value), value) == (type(parameter.default), parameter.default)
    assert accepts(type_, value), f"{type_!r} does not accept {value!r}"
