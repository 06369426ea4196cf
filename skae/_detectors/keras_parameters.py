"""Cloning and pickling of parameters that are Keras objects."""

import copy
import json
import pickle

from sklearn.base import BaseEstimator

from skae._engines.keras.blueprints import ConfigBlueprint, config_of
from skae._engines.keras.loading import (
    is_keras_model,
    load_keras,
    seeded_python_random,
    summary,
)
from skae._engines.keras.states import layer_states, restore_states

_MODULES_OF_OPTIMIZERS = ("keras.optimizers", "keras.optimizers.schedules")


def clone_sharing_models(estimator, names):
    """Clone an estimator, with its Keras objects among the parameters `names` shared.

    They are templates, or used as they are, and never changed. Copying them would go through Keras'
    file format, fails for some classes, and draws from Python's own generator.
    """
    shared = {name: getattr(estimator, name) for name in names}
    shared = {name: value for name, value in shared.items() if _is_keras_object(value)}
    stripped = object.__new__(type(estimator))
    vars(stripped).update(vars(estimator))
    vars(stripped).update(dict.fromkeys(shared))
    check_copies(estimator)
    return BaseEstimator.__sklearn_clone__(stripped).set_params(**shared)


def check_copies(estimator):
    """Name the callback that cannot be copied, if there is one.

    Raises
    ------
    TypeError
        If there is one.
    """
    for position, callback in enumerate(getattr(estimator, "callbacks", None) or ()):
        try:
            copy.deepcopy(callback)
        except Exception as error:
            raise TypeError(
                f"callbacks[{position}], of class {type(callback).__name__}, cannot be copied, as "
                f"clone does in every search and meta-estimator ({summary(error)}). "
                "Open files and make locks in its on_train_begin instead of its constructor, or "
                "give it a method __deepcopy__ that returns self, so that all fits share it."
            ) from error


def check_pickles(estimator):
    """Name the callback that cannot be pickled, if there is one.

    Raises
    ------
    TypeError
        If there is one.
    """
    for position, callback in enumerate(estimator.callbacks or ()):
        try:
            pickle.dumps(callback)
        except (AttributeError, pickle.PicklingError):
            # Local classes and functions, which pickle names itself, and joblib's workers accept.
            continue
        except Exception as error:
            raise TypeError(
                f"callbacks[{position}], of class {type(callback).__name__}, cannot be pickled "
                f"({summary(error)}). Fitted, the detector needs it no more: "
                "set_params(callbacks=None) before saving, or write its __getstate__."
            ) from error


def _is_keras_object(value):
    return is_keras_model(value) or hasattr(value, "apply_gradients")


def pack_parameter(value):
    """Return a Keras model or optimizer as plain data, anything else as it is.

    Keras' own pickles contain the time of day, so two pickles of one object differ.
    """
    if is_keras_model(value):
        return {"keras_model": config_of(value), **contents(value)}
    if hasattr(value, "apply_gradients"):
        return {"keras_optimizer": json.dumps(load_keras().optimizers.serialize(value))}
    return value


def contents(model):
    """Return the weights of a model, and what its layers know besides them."""
    return {"weights": model.get_weights(), "states": layer_states(model)}


def checked_unpack(name, packed):
    """Unpack a parameter to learn, while the original is there, whether that is possible.

    Raises
    ------
    ValueError
        If Keras cannot make such a model again.
    """
    try:
        return unpack_parameter(packed)
    except Exception as error:
        raise ValueError(
            f"{name} is a keras.Model that could be saved but never loaded again: Keras cannot "
            f"make it from its configuration ({summary(error)}). In place of Lambda layers and "
            "local classes use layers of importable classes, registered by "
            "keras.saving.register_keras_serializable; "
            "AutoencoderOutlierDetector also takes a function that returns the model."
        ) from error


def unpack_parameter(value):
    """Return what `pack_parameter` was given."""
    if not isinstance(value, dict):
        return value
    if "keras_model" in value:
        with seeded_python_random(0):
            model = ConfigBlueprint(value["keras_model"]).build()
        model.set_weights(value["weights"])
        restore_states(model, value["states"])
        return model
    if "keras_optimizer" in value:
        return _optimizer(json.loads(value["keras_optimizer"]))
    return value


def _optimizer(config):
    """Build an optimizer from its configuration, which may come from a file.

    Keras would build any of its objects as a part, and call any of its functions as a schedule.
    """
    for part in _parts(config):
        if part.get("module") not in (None, *_MODULES_OF_OPTIMIZERS):
            raise ValueError(
                "A saved optimizer may consist of Keras' optimizers and learning-rate schedules, "
                "and of what is registered with keras.saving.register_keras_serializable; got "
                f"{part['class_name']!r} of {part['module']!r}."
            )
    optimizer = load_keras().optimizers.deserialize(config)
    if not hasattr(optimizer, "apply_gradients"):
        raise ValueError(f"Expected the configuration of a Keras optimizer, got {config!r}.")
    return optimizer


def _parts(config):
    """Yield the records of objects in a configuration, but for those registered with Keras."""
    if isinstance(config, dict):
        if "class_name" in config:
            if _is_registered(config):
                return
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _parts(item)


def _is_registered(record):
    is_function = record["class_name"] == "function"
    name = record.get("config" if is_function else "registered_name")
    registered = load_keras().saving.get_registered_object
    return isinstance(name, str) and registered(name) is not None
