"""Compiled forward passes of a network, batch by batch."""

import numpy as np

from skae.architectures import encoder_and_decoder
from skae.errors import row_errors

# Rows in one forward pass: large enough to fill the processor, small enough to bound memory.
_ROWS = 4096


class CompiledNetwork:
    """A network's forward passes, each traced once, for any number of rows.

    Parameters
    ----------
    model : keras.Model
        An autoencoder of rows of `input_shape`.
    input_shape : tuple of int
        How the network lays out a row. Outside of this class rows are flat.

    Attributes
    ----------
    encoder, decoder : keras.Model or None
        The halves of the model, where it shows them.
    code_shape : tuple of int or None
        The shape of one latent code.
    """

    def __init__(self, model, input_shape):
        self.model = model
        self.input_shape = tuple(input_shape)
        self.encoder, self.decoder = encoder_and_decoder(model)
        self.code_shape = None if self.encoder is None else self._code_shape()
        self._compiled = {}

    def reconstruct(self, X):
        """Return what the network makes of each row, an array of the shape of X."""
        return np.concatenate([output for _, output in self._batches(self.model, X)])

    def row_errors(self, X, error):
        """Return the error of each row, one batch of reconstructions in memory at a time."""
        return np.concatenate(
            [row_errors(error, X[rows], output) for rows, output in self._batches(self.model, X)]
        )

    def encode(self, X):
        """Return the latent code of each row, flat, of shape (n_samples, n_codes)."""
        return np.concatenate([output for _, output in self._batches(self.encoder, X)])

    def decode(self, codes):
        """Return the row that the decoder makes of each flat latent code."""
        batches = self._batches(self.decoder, codes, self.code_shape)
        return np.concatenate([output for _, output in batches])

    def _code_shape(self):
        codes = self.encoder(np.zeros((2, *self.input_shape), dtype=np.float32))
        return tuple(codes.shape[1:])

    def _batches(self, model, X, shape=None):
        shape = shape or self.input_shape
        forward = self._forward(model, shape)
        for start in range(0, len(X), _ROWS):
            rows = slice(start, start + _ROWS)
            batch = X[rows].reshape(-1, *shape)
            # A lone row would take another floating-point path than the same row among others.
            padded = np.repeat(batch, 2, axis=0) if len(batch) == 1 else batch
            yield rows, np.asarray(forward(padded))[: len(batch)].reshape(len(batch), -1)

    def _forward(self, model, shape):
        if id(model) not in self._compiled:
            self._compiled[id(model)] = compiled(
                lambda rows: model(rows, training=False), (None, *shape), "float32"
            )
        return self._compiled[id(model)]


def compiled(function, shape, dtype):
    """Trace `function` once, for a tensor of `shape` in which None stands for any size.

    A concrete function, because TensorFlow warns of retracing when many plain ones come from one
    place in the code, as they do when many networks are fitted.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, dtype)]
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
