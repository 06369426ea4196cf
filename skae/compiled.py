"""Compiled forward passes of a network."""

import numpy as np

from skae.architectures import encoder_and_decoder


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
        return self._call(self.model, X, self.input_shape)

    def encode(self, X):
        """Return the latent code of each row, flat, of shape (n_samples, n_codes)."""
        return self._call(self.encoder, X, self.input_shape)

    def decode(self, codes):
        """Return the row that the decoder makes of each flat latent code."""
        return self._call(self.decoder, codes, self.code_shape)

    def _code_shape(self):
        codes = self.encoder(np.zeros((2, *self.input_shape), dtype=np.float32))
        return tuple(codes.shape[1:])

    def _call(self, model, X, shape):
        if id(model) not in self._compiled:
            self._compiled[id(model)] = compiled(
                lambda rows: model(rows, training=False), (None, *shape), "float32"
            )
        # A lone row would take another floating-point path than the same row among others.
        rows = np.repeat(X, 2, axis=0) if len(X) == 1 else X
        output = self._compiled[id(model)](rows.reshape(-1, *shape))
        return np.asarray(output)[: len(X)].reshape(len(X), -1)


def compiled(function, shape, dtype):
    """Trace `function` once, for a tensor of `shape` in which None stands for any size.

    A concrete function, because TensorFlow warns of retracing when many plain ones come from one
    place in the code, as they do when many networks are fitted.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, dtype)]
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
