"""The forward passes of a network, compiled as functions of its weights."""

import numpy as np

from skae._keras import load_keras
from skae.architectures import encoder_and_decoder
from skae.compiled import compiled
from skae.errors import row_errors_in_graph


class ForwardFunctions:
    """Forward passes of a model as functions of weights, each traced when first asked for.

    Parameters
    ----------
    model : keras.Model
        An autoencoder of rows of `input_shape`. Its own weights are not looked at.
    input_shape : tuple of int
        How the network lays out a row. Outside of this class rows are flat.

    Attributes
    ----------
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder of one.
    has_decoder : bool
        Whether it shows a decoder.
    """

    def __init__(self, model, input_shape):
        self.model = model
        self.input_shape = tuple(input_shape)
        self.encoder, self.decoder = encoder_and_decoder(model)
        self.code_shape = None if self.encoder is None else self._code_shape()
        if self.code_shape is None:
            self.encoder = self.decoder = None
        self.has_decoder = self.decoder is not None
        self._traced = {}

    def __call__(self, task, weights, rows):
        """Do a `task` ("reconstruct", "encode", "decode" or the name of an error) with rows.

        The weights are packed: one vector a dtype.
        """
        import tensorflow as tf

        if task not in self._traced:
            self._traced[task] = self._trace(task)
        # A lone row would take another floating-point path than the same row among others.
        padded = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows
        return self._traced[task](*weights, tf.constant(padded, tf.float32)).numpy()[: len(rows)]

    def _trace(self, task):
        keras = load_keras()
        part = {"encode": self.encoder, "decode": self.decoder}.get(task, self.model)
        shape = self.code_shape if task == "decode" else self.input_shape
        names_an_error = task not in ("reconstruct", "encode", "decode")

        def forward(*packed_and_rows):
            *packed, flat = packed_and_rows
            rows = keras.ops.reshape(flat, (-1, *shape))
            with keras.StatelessScope(state_mapping=_unpacked(self.model.weights, packed)):
                output = part(rows, training=False)
            output = keras.ops.reshape(output, (keras.ops.shape(flat)[0], -1))
            output = keras.ops.cast(output, "float32")
            return row_errors_in_graph(task, flat, output) if names_an_error else output

        signature = [((None,), dtype) for dtype in _by_dtype(self.model.weights)]
        return compiled(forward, *signature, ((None, int(np.prod(shape))), "float32"))

    def _code_shape(self):
        codes = self.encoder(np.zeros((2, *self.input_shape), dtype=np.float32))
        # An encoder may return several tensors; then there is no one latent code to speak of.
        return tuple(codes.shape[1:]) if hasattr(codes, "shape") else None


class CompiledNetwork:
    """One trained network: shared functions and its own weights.

    Parameters
    ----------
    functions : ForwardFunctions
        Of a model of the same shapes.
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    """

    def __init__(self, functions, weights):
        import tensorflow as tf

        self.functions = functions
        # Each tensor that a compiled function is given costs as much as the arithmetic of a row.
        self._weights = [
            tf.concat([tf.reshape(weight, [-1]) for weight in group], axis=0)
            for group in _by_dtype(weights).values()
        ]

    def reconstruct(self, X):
        """Return what the network makes of each row, an array of the shape of X."""
        return self.functions("reconstruct", self._weights, X)

    def row_errors(self, X, error):
        """Return the error of each row, by the name of the measure."""
        return self.functions(error, self._weights, X)

    def encode(self, X):
        """Return the latent code of each row, flat, of shape (n_samples, n_codes)."""
        return self.functions("encode", self._weights, X)

    def decode(self, codes):
        """Return the row that the decoder makes of each flat latent code."""
        return self.functions("decode", self._weights, codes)


def _by_dtype(weights):
    groups = {}
    for weight in weights:
        groups.setdefault(str(weight.dtype), []).append(weight)
    return groups


def _unpacked(variables, packed):
    """Return pairs of a variable and its value, cut out of the packed vectors."""
    import tensorflow as tf

    pairs = []
    for group, vector in zip(_by_dtype(variables).values(), packed, strict=True):
        values = tf.split(vector, [int(np.prod(variable.shape)) for variable in group])
        pairs += [
            (variable, tf.reshape(value, variable.shape))
            for variable, value in zip(group, values, strict=True)
        ]
    return pairs
