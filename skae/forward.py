"""The forward passes of a network, compiled as functions of its weights."""

from math import prod

import numpy as np

from skae._keras import load_keras
from skae.architectures.parts import encoder_and_decoder, output_shape
from skae.compiled import as_operation, compiled
from skae.errors import row_errors_in_graph
from skae.packing import dtypes, packed, unpacked

# Codes drawn for each row: as many as An and Cho (2015) draw for the reconstruction probability.
_N_DRAWS = 10

# Among so many rows, or a multiple of them, a row takes the same floating-point path wherever it
# stands: processors compute several values at once, and what is left over in another way.
_ROWS_ALIKE = 16


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
        """Do a `task` ("reconstruct", "encode", "decode", "draws" or an error's name) with rows.

        The weights are packed: one vector a dtype. What is done only `once` is not worth a trace.
        """
        function = self._forward(task) if once else self._compiled(task)
        n_even = len(rows) - len(rows) % _ROWS_ALIKE
        rest = rows[n_even:]
        parts = [rows[:n_even]] if n_even else []
        if len(rest):
            parts.append(np.resize(rest, (_ROWS_ALIKE, *rest.shape[1:])))
        found = [function(*weights, _float32(part)).numpy() for part in parts]
        return found[0][: len(rows)] if len(found) == 1 else np.concatenate(found)[: len(rows)]

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
        parts = {
            "decode": self.decoder,
            "draws": self._draws,
            "encode": self.encoder,
            "reconstruct": self.model,
        }
        part = parts.get(task, self.model)
        shape = self._shape(task)

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
            drawn = (_N_DRAWS,) if task == "draws" else ()
            output = ops.reshape(output, (ops.shape(flat)[0], *self._members, *drawn, -1))
            output = ops.cast(output, "float32")
            return output if task in parts else row_errors_in_graph(task, flat, output)

        return forward

    def _draws(self, rows, training):
        """Return what the decoder makes of codes drawn for each row, the same noise for all."""
        keras = load_keras()
        ops = keras.ops
        latent = self.encoder.get_layer("latent")
        before = keras.Model(self.encoder.inputs[0], latent.input[0])
        mean, log_variance = latent.posterior(before(rows, training=training))
        noise = np.random.default_rng(0).standard_normal((_N_DRAWS, latent.units))
        codes = mean[:, None] + ops.exp(0.5 * log_variance)[:, None] * noise.astype(np.float32)
        return self.decoder(ops.reshape(codes, (-1, latent.units)), training=training)

    def _code_shape(self):
        shape = output_shape(self.encoder, self.input_shape)
        # An encoder may return several tensors; then there is no one latent code to speak of.
        return shape if isinstance(shape, tuple) else None


def _float32(rows):
    import tensorflow as tf

    return tf.constant(rows, tf.float32)


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

    def draws(self, X):
        """Return what the decoder makes of codes drawn for each row, the draws as second axis."""
        return self.functions("draws", self._weights, X)

    def row_errors(self, X, error):
        """Return the error of each row, or of each row by each member, by the measure's name."""
        return self.functions(error, self._weights, X)

    def encode(self, X, once=False):
        """Return the latent code of each row, flat, of shape (n_samples, n_codes)."""
        return self.functions("encode", self._weights, X, once)

    def decode(self, codes):
        """Return the row that the decoder makes of each flat latent code."""
        return self.functions("decode", self._weights, codes)
