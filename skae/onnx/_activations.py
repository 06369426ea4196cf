"""Activations in ONNX, as the NumPy engine computes them.

Runtimes approximate "Sigmoid", "Tanh" and "Mish" by rational functions, whose errors reach the
scores; so these are put together from exponentials.
"""

import numpy as np


def _number(value):
    return np.asarray(value, dtype=np.float32)


_ONE, _TWO = _number(1), _number(2)


def _sigmoid(graph, x):
    return graph("Reciprocal", graph("Add", graph("Exp", graph("Neg", x)), _ONE))


def _tanh(graph, x):
    # From the exponential of a negative number, which is never too large.
    power = graph("Exp", graph("Mul", graph("Abs", x), _number(-2)))
    size = graph("Div", graph("Sub", _ONE, power), graph("Add", _ONE, power))
    return graph("Mul", graph("Sign", x), size)


def _mish(graph, x):
    power = graph("Exp", graph("Min", x, _number(20)))
    product = graph("Mul", power, graph("Add", power, _TWO))
    return graph("Mul", x, graph("Div", product, graph("Add", product, _TWO)))


def _silu(graph, x):
    return graph("Mul", x, _sigmoid(graph, x))


def _gelu(graph, x):
    share = graph("Add", graph("Erf", graph("Mul", x, _number(0.5**0.5))), _ONE)
    return graph("Div", graph("Mul", x, share), _TWO)


def _clipped(graph, x, low, high):
    return graph("Clip", x, _number(low), _number(high))


def _hard_sigmoid(graph, x):
    return _clipped(graph, graph("Add", graph("Div", x, _number(6)), _number(0.5)), 0, 1)


def _hard_silu(graph, x):
    return graph("Mul", x, _hard_sigmoid(graph, x))


def _selu(graph, x):
    return graph("Selu", x, alpha=1.6732632423543772, gamma=1.0507009873554805)


def _log_sigmoid(graph, x):
    return graph("Neg", graph("Softplus", graph("Neg", x)))


def _squareplus(graph, x):
    root = graph("Sqrt", graph("Add", graph("Mul", x, x), _number(4)))
    return graph("Div", graph("Add", x, root), _TWO)


def _plain(kind, **attributes):
    return lambda graph, x: graph(kind, x, **attributes)


ACTIVATIONS = {
    None: lambda graph, x: x,
    "celu": _plain("Elu"),
    "elu": _plain("Elu"),
    "exponential": _plain("Exp"),
    "gelu": _gelu,
    "hard_shrink": _plain("Shrink", lambd=0.5, bias=0.0),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "hard_tanh": lambda graph, x: _clipped(graph, x, -1, 1),
    "leaky_relu": _plain("LeakyRelu", alpha=0.2),
    "linear": lambda graph, x: x,
    "log_sigmoid": _log_sigmoid,
    "log_softmax": _plain("LogSoftmax", axis=-1),
    "mish": _mish,
    "relu": _plain("Relu"),
    "relu6": lambda graph, x: _clipped(graph, x, 0, 6),
    "selu": _selu,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "soft_shrink": _plain("Shrink", lambd=0.5, bias=0.5),
    "softmax": _plain("Softmax", axis=-1),
    "softplus": _plain("Softplus"),
    "softsign": _plain("Softsign"),
    "squareplus": _squareplus,
    "swish": _silu,
    "tanh": _tanh,
    "tanh_shrink": lambda graph, x: graph("Sub", x, _tanh(graph, x)),
}
