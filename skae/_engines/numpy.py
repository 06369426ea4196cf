"""Forward passes of built-in networks in NumPy.

A fitted network is a few matrices. Scoring with them neither loads nor calls TensorFlow, and gives
the same result at fit, after loading, and in a worker process.

A row's result is the same to the bit regardless of the rows that come with it, because each row
passes through operations whose order the other rows cannot change:

- Every weighted layer is a product with the rows as a batch axis, `(n, 1, k) @ (k, m)`: NumPy
  hands BLAS one vector and one matrix at a time, always of the same shape, and small enough for
  one thread (`matmul_by_rows`). A single product of all
  rows, `(n, k) @ (k, m)`, would be cut into blocks by BLAS, with another order at the edges.
- Everything else is element by element, or a sum along the last axis of a contiguous array.

So arrays are kept contiguous here: NumPy sums a strided array in another order.
"""

import os
from math import ceil, prod
from typing import Any

import numpy as np

from skae._engines.options import code_mask, member_sizes
from skae._products import matmul_by_rows

# Rows computed at a time: their values stay in the processor's cache.
_MAX_ROWS_AT_ONCE = 1024
# Codes drawn for each row: as many as An and Cho (2015) draw for the reconstruction probability.
_N_DRAWS = 10
# Keras' default, which the built-in networks keep.
_BATCH_NORM_EPSILON = 1e-3


class Forward:
    """The forward passes of one trained network.

    Parameters
    ----------
    encode, decode : callable
        From an array of rows, float32, of shape (n_samples, n_features), to their codes and back;
        with members, these have an axis of their own, the second.
    draw : callable, default=None
        From rows to several codes for each, in the second axis; of a variational network.
    n_members : int, default=1
        How many rows come of each.
    """

    def __init__(self, encode, decode, draw: Any = None, n_members=1):
        self._encode = encode
        self._decode = decode
        self._draw = draw
        self._max_rows = max(1, _MAX_ROWS_AT_ONCE // n_members)

    @property
    def batching(self):
        """How many rows to give at once, and how many threads may do so."""
        return self._max_rows, _n_threads()

    def reconstruct(self, X):
        """Return the reconstruction of each row, by each member if there are several."""
        return self.decode(self.encode(X))

    def encode_and_reconstruct(self, X):
        """Return the latent code and the reconstruction of each row."""
        codes = self.encode(X)
        return codes, self.decode(codes)

    def encode(self, X):
        """Return the latent code of each row."""
        with _no_float_warnings():
            return self._encode(_float32(X))

    def decode(self, codes):
        """Return the row decoded from each latent code."""
        with _no_float_warnings():
            return self._decode(_float32(codes))

    def draws(self, X):
        """Return the rows decoded from codes drawn for each row, the draws as second axis."""
        with _no_float_warnings():
            codes = self._draw(_float32(X))
            flat = self._decode(codes.reshape(-1, codes.shape[-1]))
        return flat.reshape(*codes.shape[:2], -1)


def forward(blueprint, weights):
    """Return the forward passes of a network, or None where only Keras can compute them.

    Parameters
    ----------
    blueprint : BuiltInBlueprint, ConfigBlueprint or FunctionBlueprint
        How the network is built.
    weights : list of ndarray
        Its trained weights, as `keras.Model.get_weights` returns them.
    """
    if not can_compute(blueprint):
        return None
    remaining = iter([np.asarray(values, dtype=np.float32) for values in weights])
    return _FORWARDS[blueprint.architecture](blueprint, remaining)


def can_compute(blueprint):
    """Tell whether the forward passes of a network can be computed here."""
    if getattr(blueprint, "architecture", None) not in _FORWARDS:
        return False
    sizes = blueprint.sizes
    names = (sizes.activation, sizes.latent_activation, sizes.output_activation)
    return all(name is None or (isinstance(name, str) and name in ACTIVATIONS) for name in names)


def _float32(X):
    return np.ascontiguousarray(X, dtype=np.float32)


def _no_float_warnings():
    # Rows beyond float32 come out as infinity or NaN, as they do in Keras.
    return np.errstate(all="ignore")


def _n_threads():
    """Return how many threads to use: joblib limits those of its workers by this variable."""
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if limit.isdecimal() and int(limit) > 0:
        return int(limit)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


# A layer is a function that takes an array and may overwrite it, unless it is the first.


def _dense(kernel, bias, activation):
    """Return a dense layer for arrays of shape (n_rows, 1, n_inputs)."""
    activate = ACTIVATIONS[activation]

    def layer(values):
        values = matmul_by_rows(values, kernel)
        values += bias
        return activate(values)

    return layer


def _weighted(remaining, activation, batch_norm=False):
    """Return the next dense layer; batch normalization is folded into its weights."""
    kernel = next(remaining)
    if not batch_norm:
        return _dense(kernel, next(remaining), activation)
    scale, shift = folded_norm(remaining)
    return _dense(kernel * scale, shift, activation)


def folded_norm(remaining):
    """Return factors and summands that do what the next batch normalization does."""
    gamma, beta, mean, variance = (next(remaining) for _ in range(4))
    scale = gamma / np.sqrt(variance + np.float32(_BATCH_NORM_EPSILON))
    return scale, beta - mean * scale


def _hidden(remaining, n_layers, sizes):
    return [_weighted(remaining, sizes.activation, sizes.batch_norm) for _ in range(n_layers)]


def _chained(layers):
    def function(values):
        for layer in layers:
            values = layer(values)
        return values

    return function


def _each_row(layers):
    """Return layers as a function of rows, each passed to BLAS separately."""
    chained = _chained(layers)
    return lambda rows: chained(rows[:, None, :])[:, 0, :]


def _dense_forward(blueprint, remaining):
    sizes = blueprint.sizes
    n_hidden = len(sizes.hidden_layer_sizes)
    encoder = _hidden(remaining, n_hidden, sizes)
    encoder.append(_weighted(remaining, sizes.latent_activation))
    decoder = _hidden(remaining, n_hidden, sizes)
    decoder.append(_weighted(remaining, sizes.output_activation))
    return Forward(_each_row(encoder), _each_row(decoder))


def _members_forward(blueprint, remaining):
    sizes = blueprint.sizes
    n_hidden = len(sizes.hidden_layer_sizes)
    names = [sizes.activation] * n_hidden
    names = [*names, sizes.latent_activation, *names, sizes.output_activation]
    layers = [_dense(next(remaining), next(remaining), name) for name in names]
    latent_dims = member_sizes(sizes.latent_dim, blueprint.layout.n_members)
    if len(set(latent_dims)) > 1:
        mask = code_mask(latent_dims)[:, None, :]
        layers.insert(n_hidden + 1, lambda values: np.multiply(values, mask, out=values))
    encode, decode = _chained(layers[: -n_hidden - 1]), _chained(layers[-n_hidden - 1 :])
    return Forward(
        lambda rows: encode(rows[:, None, None, :])[:, :, 0, :],
        lambda codes: decode(codes[:, :, None, :])[:, :, 0, :],
        n_members=blueprint.layout.n_members,
    )


def _vae_forward(blueprint, remaining):
    sizes = blueprint.sizes
    n_hidden, n_codes = len(sizes.hidden_layer_sizes), sizes.latent_dim
    hidden = _hidden(remaining, n_hidden, sizes)
    hidden.append(_weighted(remaining, "linear"))
    posterior = _each_row(hidden)
    decoder = _hidden(remaining, n_hidden, sizes)
    decoder.append(_weighted(remaining, sizes.output_activation))
    activate = ACTIVATIONS[sizes.latent_activation]
    noise = noise_of_draws(n_codes)

    def encode(rows):
        return activate(posterior(rows)[:, :n_codes].copy())

    def draw(rows):
        both = posterior(rows)
        mean, log_variance = activate(both[:, :n_codes].copy()), both[:, n_codes:]
        return mean[:, None] + np.exp(np.float32(0.5) * log_variance)[:, None] * noise

    return Forward(encode, _each_row(decoder), draw)


def noise_of_draws(n_codes):
    """Return the standard normal noise of the codes drawn for a row, the same for each row."""
    return np.random.default_rng(0).standard_normal((_N_DRAWS, n_codes)).astype(np.float32)


def _conv1d_forward(blueprint, remaining):
    sizes, (n_steps, n_channels) = blueprint.sizes, blueprint.layout.input_shape
    filters = sizes.hidden_layer_sizes
    strides = blueprint.own_params["strides"] if filters else 1
    lengths = [ceil(n_steps / strides**depth) for depth in range(len(filters) + 1)]
    narrowest = (lengths[-1], [n_channels, *filters][-1])

    def convolution(make, activation, has_norm, *args):
        kernel = next(remaining)
        scale, shift = folded_norm(remaining) if has_norm else (1, next(remaining))
        return make(kernel, scale, shift, strides, ACTIVATIONS[activation], *args)

    has_norm = sizes.batch_norm
    layers = [convolution(_conv1d, sizes.activation, has_norm) for _ in filters]
    latent = _each_row([_weighted(remaining, sizes.latent_activation)])
    widened = _each_row([_weighted(remaining, sizes.activation, has_norm)])
    transposed = [
        convolution(_conv1d_transpose, sizes.activation, has_norm, lengths[depth])
        for depth in range(len(filters) - 1, 0, -1)
    ]
    transposed.append(convolution(_conv1d_transpose, sizes.output_activation, False, n_steps))
    encode, decode = _chained(layers), _chained(transposed)

    def encode_rows(rows):
        signals = encode(rows.reshape(-1, n_steps, n_channels))
        return latent(signals.reshape(len(rows), prod(narrowest)))

    def decode_codes(codes):
        signals = decode(widened(codes).reshape(-1, *narrowest))
        return signals.reshape(len(codes), n_steps * n_channels)

    return Forward(encode_rows, decode_codes)


def _conv1d(kernel, scale, bias, strides, activate):
    """Return a convolution with padding "same", as a product with all windows of a signal."""
    kernel_size = len(kernel)
    matrix = (kernel * scale).reshape(-1, kernel.shape[-1])

    def layer(signals):
        n_rows, length, n_channels = signals.shape
        n_padded = max((ceil(length / strides) - 1) * strides + kernel_size - length, 0)
        left = n_padded // 2
        padded = np.zeros((n_rows, n_padded + length, n_channels), dtype=np.float32)
        padded[:, left : left + length] = signals
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_size, axis=1)
        windows = windows[:, ::strides].swapaxes(2, 3)
        values = matmul_by_rows(windows.reshape(n_rows, windows.shape[1], -1), matrix)
        values += bias
        return activate(values)

    return layer


def _conv1d_transpose(kernel, scale, bias, strides, activate, length_out):
    """Return a transposed convolution with padding "same", cut to a length."""
    kernel_size, n_out, n_in = kernel.shape
    matrix = (kernel * np.reshape(scale, (-1, 1))).reshape(-1, n_in).T.copy()
    left = max(kernel_size - strides, 0) // 2

    def layer(signals):
        n_rows, length, _ = signals.shape
        taps = matmul_by_rows(signals, matrix).reshape(n_rows, length, kernel_size, n_out)
        n_full = max(length * strides + left, (length - 1) * strides + kernel_size)
        full = np.zeros((n_rows, n_full, n_out), dtype=np.float32)
        for tap in range(kernel_size):
            full[:, tap : tap + (length - 1) * strides + 1 : strides] += taps[:, :, tap]
        values = full[:, left : left + length_out] + bias
        return activate(values)

    return layer


def _lstm_forward(blueprint, remaining):
    sizes, (n_steps, n_channels) = blueprint.sizes, blueprint.layout.input_shape
    units = sizes.hidden_layer_sizes

    def recurrent():
        cell = _lstm_layer(*(next(remaining) for _ in range(3)))
        if not sizes.batch_norm:
            return cell
        scale, shift = folded_norm(remaining)
        return lambda sequences: cell(sequences) * scale + shift

    encoder = _chained([recurrent() for _ in units])
    latent = _each_row([_weighted(remaining, sizes.latent_activation)])
    widened = _each_row([_weighted(remaining, sizes.activation, sizes.batch_norm)])
    decoder = _chained([recurrent() for _ in units])
    output = _weighted(remaining, sizes.output_activation)

    def encode(rows):
        return latent(encoder(rows.reshape(-1, n_steps, n_channels))[:, -1].copy())

    def decode(codes):
        repeated = np.repeat(widened(codes)[:, None], n_steps, axis=1)
        return output(decoder(repeated)).reshape(len(codes), -1)

    return Forward(encode, decode)


def _lstm_layer(kernel, recurrent_kernel, bias):
    """Return a layer of long short-term memory from sequences to sequences."""
    n_units = len(recurrent_kernel)
    sigmoid = ACTIVATIONS["sigmoid"]

    def layer(sequences):
        n_rows, n_steps, _ = sequences.shape
        inputs = matmul_by_rows(sequences, kernel) + bias
        state = carry = np.zeros((n_rows, 1, n_units), dtype=np.float32)
        states = np.empty((n_rows, n_steps, n_units), dtype=np.float32)
        for step in range(n_steps):
            gates = inputs[:, step : step + 1] + matmul_by_rows(state, recurrent_kernel)
            admit, forget, candidate, emit = np.split(gates, 4, axis=-1)
            carry = sigmoid(forget.copy()) * carry + sigmoid(admit.copy()) * np.tanh(candidate)
            state = sigmoid(emit.copy()) * np.tanh(carry)
            states[:, step] = state[:, 0]
        return states

    return layer


_FORWARDS = {
    "conv1d": _conv1d_forward,
    "dense": _dense_forward,
    "dense_members": _members_forward,
    "lstm": _lstm_forward,
    "vae": _vae_forward,
}


# Activations, as Keras defines them. Each may overwrite its argument.


def _relu(x):
    return np.maximum(x, 0, out=x)


def _sigmoid(x):
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    return np.reciprocal(x, out=x)


def _silu(x):
    return x * _sigmoid(x.copy())


def _mish(x):
    # tanh(softplus(x)) from one exponential. Beyond 20 it is 1.
    power = np.minimum(x, 20)
    np.exp(power, out=power)
    product = power + 2
    product *= power
    np.add(product, 2, out=power)
    product /= power
    product *= x
    return product


def _softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _gelu(x):
    # Imported here, because nothing else in a scoring process needs scipy.special.
    from scipy.special import erf

    return x * (1 + erf(x * np.float32(0.5**0.5))) / 2


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x):
    scale, alpha = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softmax(x):
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def _log_softmax(x):
    x -= x.max(axis=-1, keepdims=True)
    x -= np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return x


def _hard_sigmoid(x):
    return np.clip(x / 6 + np.float32(0.5), 0, 1)


def _shrunk(x, threshold):
    return np.where(np.abs(x) > threshold, x, 0)


ACTIVATIONS = {
    None: lambda x: x,
    "celu": _elu,
    "elu": _elu,
    "exponential": lambda x: np.exp(x, out=x),
    "gelu": _gelu,
    "hard_shrink": lambda x: _shrunk(x, 0.5),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "hard_swish": lambda x: x * _hard_sigmoid(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1, out=x),
    "leaky_relu": lambda x: np.where(x > 0, x, np.float32(0.2) * x),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: -_softplus(-x),
    "log_softmax": _log_softmax,
    "mish": _mish,
    "relu": _relu,
    "relu6": lambda x: np.clip(x, 0, 6, out=x),
    "selu": _selu,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "soft_shrink": lambda x: _shrunk(x, 0.5) - np.float32(0.5) * np.sign(_shrunk(x, 0.5)),
    "softmax": _softmax,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "swish": _silu,
    "tanh": lambda x: np.tanh(x, out=x),
    "tanh_shrink": lambda x: x - np.tanh(x),
}
