"""Cloning and pickling of parameters that are Keras objects."""

import json

from sklearn.base import BaseEstimator

from skae._engines.keras.blueprints import ConfigBlueprint, config_of
from skae._engines.keras.loading import is_keras_model, load_keras, seeded_python_random


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
        return load_keras().optimizers.deserialize(json.loads(value["keras_optimizer"]))
    return value
