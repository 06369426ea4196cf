"""Cloning and pickling of parameters that are Keras objects."""

import json

from sklearn.base import BaseEstimator

from skae._engines.keras.blueprints import ConfigBlueprint, config_of
from skae._engines.keras.loading import is_keras_model, load_keras, seeded_python_random

_MODULES_OF_OPTIMIZERS = ("keras.optimizers", "keras.optimizers.schedules")


def clone_sharing_models(estimator, names):
    """Clone an estimator, with its Keras objects among the parameters `names` shared.

    They are templates, or used as they are, and never changed. Copying them would go through Keras'
    file format, fails for some classes, and draws from Python's own generator.
    """
    shared = {name: getattr(estimator, name) for name in names}
    shared = {name: value for name, value in shared.items() if _is_keras_object(value)}
    copy = object.__new__(type(estimator))
    vars(copy).update(vars(estimator))
    vars(copy).update(dict.fromkeys(shared))
    return BaseEstimator.__sklearn_clone__(copy).set_params(**shared)


def _is_keras_object(value):
    return is_keras_model(value) or hasattr(value, "apply_gradients")


def pack_parameter(value):
    """Return a Keras model or optimizer as plain data, anything else as it is.

    Keras' own pickles contain the time of day, so two pickles of one object differ.
    """
    if is_keras_model(value):
        return {"keras_model": config_of(value), "weights": value.get_weights()}
    if hasattr(value, "apply_gradients"):
        return {"keras_optimizer": json.dumps(load_keras().optimizers.serialize(value))}
    return value


def unpack_parameter(value):
    """Return what `pack_parameter` was given."""
    if not isinstance(value, dict):
        return value
    if "keras_model" in value:
        with seeded_python_random(0):
            model = ConfigBlueprint(value["keras_model"]).build()
        model.set_weights(value["weights"])
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
