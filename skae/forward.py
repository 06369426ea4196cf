"""The forward passes of a network, compiled as functions of its weights."""

from math import prod

import numpy as np

from skae._keras import load_keras
from skae.architectures import encoder_and_decoder, output_shape
from skae.compiled import as_operation, compiled
from skae.errors import row_errors_in_graph
from skae.packing import dtypes, packed, unpacked


class ForwardFunctions:
    """Forward passes of a model as functions of weights, each traced when first asked for.

    Parameters
    ----------
    model : keras.Model
        An autoencoder of rows of `input_shape`. Its own weights are not looked at.
    input_shape : tuple of int
        How the network lays out a row. Outside of this class rows are flat.
    n_members : int, default=None
        Of a model of several members, which takes a row for each. All are given the same row here,
        and what they make of it comes in an axis of its own, the second.

    Attributes
    ----------
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder of one.
    has_decoder : bool
        Whether it shows a decoder.
    """

    def __init__(self, model, input_shape, n_members=None):
        self.model = model
        self.input_shape = tuple(input_shape)
        self._members = () if n_members is None else (n_members,)
        self.encoder, self.decoder = encoder_and_decoder(model)
        self.code_shape = None if self.encoder is None else self._code_shape()
        if self.code_shape is None:
            self.encoder = self.decoder = None
        self.has_decoder = self.decoder is not None
        self._traced = {}

    def __call__(self, task, weights, rows, once=False):
        """Do a `task` ("reconstruct", "encode", "decode" or the name of an error) with rows.

        The weights are packed: one vector a dtype. What is done only `once` is not worth a trace.
        """
        import tensorflow as tf

        # A lone row would take another floating-point path than the same row among others.
        padded = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows
        function = self._forward(task) if once else self._compiled(task)
        return function(*weights, tf.constant(padded, tf.float32)).numpy()[: len(rows)]

    def _compiled(self, task):
        if task not in self._traced:
            signature = [((None,), dtype) for dtype in dtypes(self.model.weights)]
            n_values = prod(self._shape(task))
            self._traced[task] = as_operation(
                compiled(self._forward(task), *signature, ((None, n_values), "float32"))
            )
        return self._traced[task]

    def _shape(self, task):
        return self.code_shape if task == "decode" else self.input_shape

    def _forward(self, task):
        keras = load_keras()
        ops = keras.ops
        part = {"encode": self.encoder, "decode": self.decoder}.get(task, self.model)
        shape = self._shape(task)
        names_an_error = task not in ("reconstruct", "encode", "decode")

        def forward(*vectors_and_rows):
            *vectors, flat = vectors_and_rows
            rows = ops.reshape(flat, (-1, *shape))
            for n_members in self._members:
                rows, flat = (
                    ops.repeat(values[:, None], n_members, axis=1) for values in (rows, flat)
                )
            pairs = unpacked(self.model.weights, vectors)
            with keras.StatelessScope(state_mapping=pairs):
                output = part(rows, training=False)
            output = ops.reshape(output, (ops.shape(flat)[0], *self._members, -1))
            output = ops.cast(output, "float32")
            return row_errors_in_graph(task, flat, output) if names_an_error else output

        return forward

    def _code_shape(self):
        shape = output_shape(self.encoder, self.input_shape)
        # An encoder may return several tensors; then there is no one latent code to speak of.
        return shape if isinstance(shape, tuple) else None


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
        self._weights = [tf.constant(vector) for vector in packed(weights)]

    def reconstruct(self, X):
        """Return what the network, or each member of it, makes of each row."""
        return self.functions("reconstruct", self._weights, X)

    def row_errors(self, X, error):
        """Return the error of each row, or of each row by each member, by the measure's name."""
        return self.functions(error, self._weights, X)

    def encode(self, X, once=False):
        """Return the latent code of each row, flat, of shape (n_samples, n_codes)."""
        return self.functions("encode", self._weights, X, once)

    def decode(self, codes):
        """Return the row that the decoder makes of each flat latent code."""
        return self.functions("decode", self._weights, codes)
