"""What all autoencoders have: weights to draw, two halves, the shape of their output."""

from itertools import count
from typing import Any

import numpy as np

from skae._engines.keras.loading import load_keras

# Weights, in the order in which they are drawn, and what Keras calls their initializers.
_DRAWN = {
    "kernel": "kernel_initializer",
    "recurrent_kernel": "recurrent_initializer",
    "bias": "bias_initializer",
    "gamma": "gamma_initializer",
    "beta": "beta_initializer",
    "moving_mean": "moving_mean_initializer",
    "moving_variance": "moving_variance_initializer",
}


def draw_weights(autoencoder, seed):
    """Draw the initial weights of a built-in network anew, and restart its dropout.

    After this, a network that was trained before equals one just built.
    """
    seeds = count(seed)
    halves = encoder_and_decoder(autoencoder)
    for half in [autoencoder] if None in halves else halves:
        for layer in half.layers:
            # A recurrent layer keeps its weights in a cell.
            owner = getattr(layer, "cell", layer)
            for name, initializer in _DRAWN.items():
                _draw(getattr(owner, name, None), getattr(owner, initializer, None), seeds)
            if getattr(owner, "unit_forget_bias", False):
                _set_forget_bias(owner)
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([next(seeds), 0])


def _draw(variable, initializer, seeds):
    if variable is None:
        return
    if hasattr(initializer, "seed"):
        initializer = type(initializer).from_config(
            initializer.get_config() | {"seed": next(seeds)}
        )
    variable.assign(initializer(variable.shape, dtype=variable.dtype))


def _set_forget_bias(cell):
    """Set the bias of the forget gate to one, as Keras does when it builds a cell."""
    bias = np.zeros(cell.bias.shape, dtype=np.float32)
    bias[cell.units : 2 * cell.units] = 1.0
    cell.bias.assign(bias)


def encoder_and_decoder(autoencoder) -> tuple[Any, Any]:
    """Return the two halves of a model, or None for what it does not have.

    A model shows its halves by attributes `encoder` and `decoder` (a subclassed model), by nested
    models of these names, or by a layer named "latent" at which a functional model is cut.
    """
    encoder, decoder = (_nested(autoencoder, name) for name in ("encoder", "decoder"))
    return _cut_at_latent(autoencoder) if encoder is None else (encoder, decoder)


def _nested(autoencoder, name):
    half = getattr(autoencoder, name, None)
    if isinstance(half, load_keras().layers.Layer):
        return half
    return next((layer for layer in autoencoder.layers if layer.name == name), None)


def _cut_at_latent(autoencoder):
    keras = load_keras()
    names = [layer.name for layer in autoencoder.layers]
    if "latent" not in names:
        return None, None
    if isinstance(autoencoder, keras.Sequential):
        after = names.index("latent") + 1
        return keras.Sequential(autoencoder.layers[:after]), keras.Sequential(
            autoencoder.layers[after:]
        )
    if len(getattr(autoencoder, "inputs", None) or ()) != 1:
        return None, None
    code = autoencoder.get_layer("latent").output
    return keras.Model(autoencoder.inputs[0], code), keras.Model(code, autoencoder.outputs[0])


def output_shape(model, input_shape):
    """Return the shape of a model's output for one row, or its type's name if it has no shape.

    A functional model need not be called for that.
    """
    if getattr(model, "input_shape", None) == (None, *input_shape):
        shape = getattr(model, "output_shape", None)
        if isinstance(shape, tuple) and None not in shape[1:]:
            return shape[1:]
    output = model(np.zeros((2, *input_shape), dtype=np.float32))
    shape = getattr(output, "shape", None)
    return tuple(shape[1:]) if shape is not None else type(output).__name__
