"""What layers know besides their weights: adapted statistics, vocabularies, and the like.

Keras' archive asks each layer to save and load its own state. A configuration and weights are less:
an adapted `Normalization` computes with constants that it derives when its state is loaded.
"""

import tempfile
from pathlib import Path

import numpy as np

from skae._engines.keras.loading import load_keras

HOW_TO_KEEP_STATE = (
    "A layer of it computes with something that is in neither: return that from its get_config, or "
    "write its save_own_variables and load_own_variables."
)
# How far a copy may differ, relative to the largest value: single operations may round otherwise.
_TOLERANCES = {"float16": 1e-2, "bfloat16": 1e-1}
_VARIABLES = ("save_own_variables", "load_own_variables")


def layer_states(model):
    """Return the states of the layers that have one, by the position of the layer.

    Each is a pair of dicts: arrays, and the contents of files.
    """
    return {
        position: (_variables(layer), _assets(layer))
        for position, layer in enumerate(all_layers(model))
        if _has_own_state(layer)
    }


def restore_states(model, states):
    """Give the layers of a model of the same structure these states, except trainable weights."""
    layers = all_layers(model)
    for position, (variables, files) in states.items():
        layer = layers[position]
        trainable = [(variable, variable.numpy()) for variable in layer.trainable_variables]
        if variables:
            layer.load_own_variables(dict(variables))
        if files:
            _load_assets(layer, files)
        for variable, value in trainable:
            variable.assign(value)


def computes_alike(function, copy, input_shape):
    """Tell whether the copy of a model computes what `function` does, the model, for rows.

    Layers may keep what they compute with where neither configuration nor states show it.
    """
    rows = np.random.default_rng(0).standard_normal((2, *input_shape)).astype(np.float32)
    expected, again = (np.asarray(function(rows), dtype=np.float32) for _ in range(2))
    actual = np.asarray(copy(rows, training=False), dtype=np.float32).reshape(expected.shape)
    tolerance = _TOLERANCES.get(copy.compute_dtype, 1e-3)
    tolerance = {"rtol": tolerance, "atol": tolerance * np.abs(expected).max()}
    # Where the model draws at random, nothing can be said.
    is_random = not np.array_equal(expected, again, equal_nan=True)
    return is_random or np.allclose(actual, expected, equal_nan=True, **tolerance)


def all_layers(model):
    """Return a model and the layers in it at any depth, in the same order for all of its clones."""
    # Keras has no public name for it: `layers` stops at layers that are no models.
    return model._flatten_layers()


def _has_own_state(layer):
    if hasattr(layer, "adapt") or hasattr(layer, "save_assets"):
        return True
    default = load_keras().layers.Layer
    methods = [getattr(type(layer), name) for name in _VARIABLES]
    # Those that Keras' own layers bring are about quantized weights.
    return any(
        method is not getattr(default, name) and method.__module__.split(".")[0] != "keras"
        for name, method in zip(_VARIABLES, methods, strict=True)
    )


def _variables(layer):
    store = {}
    layer.save_own_variables(store)
    return {name: _array(value) for name, value in store.items()}


def _array(value):
    return value.numpy() if hasattr(value, "numpy") else np.array(value)


def _assets(layer):
    if not hasattr(layer, "save_assets"):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _load_assets(layer, files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        layer.load_assets(folder)
