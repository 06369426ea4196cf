"""The forward passes of the built-in networks, as ONNX nodes.

The weights come in the order of the NumPy engine, whose functions these mirror.
"""

from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from skae._engines.numpy import folded_norm, noise_of_draws
from skae._engines.options import code_mask, member_sizes
from skae.onnx._activations import ACTIVATIONS


class View(NamedTuple):
    """The names of what a network makes of rows.

    Parameters
    ----------
    reconstruction : str
        Of shape (n_samples, n_features), or (n_samples, n_draws, n_features).
    code : str
        Of shape (n_samples, n_codes).
    """

    reconstruction: str
    code: str


def views(graph, network, X, draws=False) -> list[View]:
    """Return what each member of a built-in network makes of rows.

    Parameters
    ----------
    graph : Graph
        Where the nodes go.
    network : Network
        Trained; without members it is its only one.
    X : str
        The rows, float32, without missing cells.
    draws : bool, default=False
        Whether to decode several codes drawn for each row; of a variational network.
    """
    blueprint = network.blueprint
    weights = [np.asarray(values, dtype=np.float32) for values in network.weights]
    if network.n_members is not None:
        return _views_of_members(graph, blueprint, weights, X)
    layers: Any = _LAYERS[blueprint.architecture](graph, blueprint, iter(weights))
    code = layers.encode(X)
    if not draws:
        return [View(layers.decode(code), code)]
    drawn = layers.draw(X)
    n_draws, n_codes = noise_of_draws(blueprint.sizes.latent_dim).shape
    flat = layers.decode(graph.reshape(drawn, -1, n_codes))
    return [View(graph.reshape(flat, -1, n_draws, prod(blueprint.layout.input_shape)), code)]


class _Layers(NamedTuple):
    """Functions that add nodes to a graph: from rows to codes, and back."""

    encode: Any
    decode: Any
    draw: Any = None


def _activated(graph, name, x):
    return ACTIVATIONS[name](graph, x)


def _weighted(graph, remaining, activation, batch_norm=False):
    """Return the next dense layer; batch normalization is folded into its weights."""
    kernel = next(remaining)
    if batch_norm:
        scale, bias = folded_norm(remaining)
        kernel = kernel * scale
    else:
        bias = next(remaining)
    return lambda x: _activated(graph, activation, graph("Add", graph("MatMul", x, kernel), bias))


def _hidden(graph, remaining, sizes):
    return [
        _weighted(graph, remaining, sizes.activation, sizes.batch_norm)
        for _ in sizes.hidden_layer_sizes
    ]


def _chained(layers):
    def function(x):
        for layer in layers:
            x = layer(x)
        return x

    return function


def _dense(graph, blueprint, remaining):
    sizes = blueprint.sizes
    encoder = _hidden(graph, remaining, sizes)
    encoder.append(_weighted(graph, remaining, sizes.latent_activation))
    decoder = _hidden(graph, remaining, sizes)
    decoder.append(_weighted(graph, remaining, sizes.output_activation))
    return _Layers(_chained(encoder), _chained(decoder))


def _views_of_members(graph, blueprint, weights, X):
    n_members = blueprint.layout.n_members
    latent_dims = member_sizes(blueprint.sizes.latent_dim, n_members)
    found = []
    for member, mask in enumerate(code_mask(latent_dims)):
        layers = _dense(graph, blueprint, iter([values[member] for values in weights]))
        code = layers.encode(X)
        if not mask.all():
            code = graph("Mul", code, mask)
        found.append(View(layers.decode(code), code))
    return found


def _vae(graph, blueprint, remaining):
    sizes = blueprint.sizes
    n_codes = sizes.latent_dim
    hidden = _hidden(graph, remaining, sizes)
    posterior = _chained([*hidden, _weighted(graph, remaining, "linear")])
    decoder = _hidden(graph, remaining, sizes)
    decoder.append(_weighted(graph, remaining, sizes.output_activation))

    def mean_of(both):
        mean = graph.between(both, 0, n_codes, axis=1)
        return _activated(graph, sizes.latent_activation, mean)

    def draw(X):
        both = posterior(X)
        log_variance = graph.between(both, n_codes, 2 * n_codes, axis=1)
        deviation = graph("Exp", graph("Mul", log_variance, np.float32(0.5)))
        mean, deviation = (
            graph("Unsqueeze", values, np.array([1])) for values in (mean_of(both), deviation)
        )
        return graph("Add", mean, graph("Mul", deviation, noise_of_draws(n_codes)))

    return _Layers(lambda X: mean_of(posterior(X)), _chained(decoder), draw)


def _conv1d(graph, blueprint, remaining):
    # ONNX has the channels before the steps.
    sizes, (n_steps, n_channels) = blueprint.sizes, blueprint.layout.input_shape
    filters, has_norm = sizes.hidden_layer_sizes, sizes.batch_norm
    strides = blueprint.own_params["strides"] if filters else 1
    lengths = [ceil(n_steps / strides**depth) for depth in range(len(filters) + 1)]
    n_narrow, narrow_channels = lengths[-1], [n_channels, *filters][-1]

    def convolution(make, activation, has_norm, *lengths):
        kernel = next(remaining)
        scale, shift = folded_norm(remaining) if has_norm else (np.float32(1), next(remaining))
        layer = make(graph, kernel, scale, shift, strides, *lengths)
        return lambda x: _activated(graph, activation, layer(x))

    encoder = [
        convolution(_convolved, sizes.activation, has_norm, length) for length in lengths[:-1]
    ]
    latent = _weighted(graph, remaining, sizes.latent_activation)
    widened = _weighted(graph, remaining, sizes.activation, has_norm)
    decoder = [
        convolution(_convolved_back, sizes.activation, has_norm, lengths[depth + 1], lengths[depth])
        for depth in range(len(filters) - 1, 0, -1)
    ]
    # Without hidden layers, the shortest signal is the whole one.
    last = lengths[min(1, len(filters))], n_steps
    decoder.append(convolution(_convolved_back, sizes.output_activation, False, *last))

    def swapped(signals):
        return graph("Transpose", signals, perm=[0, 2, 1])

    def encode(X):
        signals = _chained(encoder)(swapped(graph.reshape(X, 0, n_steps, n_channels)))
        return latent(graph.reshape(swapped(signals), 0, n_narrow * narrow_channels))

    def decode(code):
        signals = swapped(graph.reshape(widened(code), 0, n_narrow, narrow_channels))
        return graph.reshape(swapped(_chained(decoder)(signals)), 0, n_steps * n_channels)

    return _Layers(encode, decode)


def _convolved(graph, kernel, scale, bias, strides, length):
    """Return a convolution with padding "same"."""
    n_padded = max((ceil(length / strides) - 1) * strides + len(kernel) - length, 0)
    pads = [n_padded // 2, n_padded - n_padded // 2]
    weights = (kernel * scale).transpose(2, 1, 0)
    return lambda x: graph("Conv", x, weights, bias, strides=[strides], pads=pads)


def _convolved_back(graph, kernel, scale, bias, strides, length, length_out):
    """Return a transposed convolution with padding "same", cut to a length."""
    weights = (kernel * np.reshape(scale, (-1, 1))).transpose(2, 1, 0)
    left = max(len(kernel) - strides, 0) // 2
    n_lacking = max(left + length_out - ((length - 1) * strides + len(kernel)), 0)

    def layer(x):
        full = graph("ConvTranspose", x, weights, strides=[strides])
        if n_lacking:
            full = graph("Pad", full, np.array([0, 0, 0, 0, 0, n_lacking]))
        return graph("Add", graph.between(full, left, left + length_out, axis=2), bias[:, None])

    return layer


def _lstm(graph, blueprint, remaining):
    # ONNX has the steps before the rows.
    sizes, (n_steps, n_channels) = blueprint.sizes, blueprint.layout.input_shape
    units = sizes.hidden_layer_sizes

    def recurrent():
        cell = _recurrent(graph, *(next(remaining) for _ in range(3)))
        if not sizes.batch_norm:
            return cell
        scale, shift = folded_norm(remaining)
        return lambda x: graph("Add", graph("Mul", cell(x), scale), shift)

    encoder = _chained([recurrent() for _ in units])
    latent = _weighted(graph, remaining, sizes.latent_activation)
    widened = _weighted(graph, remaining, sizes.activation, sizes.batch_norm)
    decoder = _chained([recurrent() for _ in units])
    output = _weighted(graph, remaining, sizes.output_activation)

    def swapped(sequences):
        return graph("Transpose", sequences, perm=[1, 0, 2])

    def encode(X):
        sequences = encoder(swapped(graph.reshape(X, 0, n_steps, n_channels)))
        return latent(graph("Gather", sequences, np.array(n_steps - 1), axis=0))

    def decode(code):
        step = graph("Unsqueeze", widened(code), np.array([0]))
        repeated = graph("Tile", step, np.array([n_steps, 1, 1]))
        return graph.reshape(output(swapped(decoder(repeated))), 0, n_steps * n_channels)

    return _Layers(encode, decode)


def _recurrent(graph, kernel, recurrent_kernel, bias):
    """Return a layer of long short-term memory from sequences to sequences."""
    n_units = len(recurrent_kernel)

    def in_order(values):
        # Keras: input, forget, candidate, output. ONNX: input, output, forget, candidate.
        admit, forget, candidate, emit = np.split(values, 4, axis=-1)
        return np.concatenate([admit, emit, forget, candidate], axis=-1)

    weights, of_state = (in_order(values).T[None] for values in (kernel, recurrent_kernel))
    biases = np.concatenate([in_order(bias.ravel()), np.zeros(4 * n_units, np.float32)])[None]

    def layer(x):
        states = graph("LSTM", x, weights, of_state, biases, hidden_size=n_units)
        return graph("Squeeze", states, np.array([1]))

    return layer


_LAYERS = {"conv1d": _conv1d, "dense": _dense, "lstm": _lstm, "vae": _vae}
