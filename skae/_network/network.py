"""A trained network as plain data: how it is built, how rows are laid out for it, its weights.

The arrays are authoritative. Live models are built from them on first use and are never pickled,
so that the bytes of a pickle depend only on the network, and loading one needs no TensorFlow.
"""

import numpy as np

from skae._engines import numpy as numpy_engine
from skae._engines.keras import forward as keras_engine
from skae._network.missing import FillingForward, KnownGaps


class Network:
    """A trained network, independent of the engine that computes with it.

    Parameters
    ----------
    blueprint : BuiltInBlueprint, ConfigBlueprint or FunctionBlueprint
        How to build the network.
    layout : Layout
        How rows are laid out for it.
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder.
    has_decoder : bool
        Whether it shows a decoder.
    present : PresentCells or KnownGaps
        Of the training rows.

    Attributes
    ----------
    has_gaps : ndarray of bool of shape (n_features,)
        Which columns lacked values in training.
    stand_ins : ndarray of shape (n_features,), float32
        What the network sees in place of missing cells.
    """

    # Rows are converted to it before they are reconstructed and compared.
    dtype = np.float32

    def __init__(self, blueprint, layout, weights, code_shape, has_decoder, present):
        self.blueprint = blueprint
        self.layout = layout
        self.weights = weights
        self.code_shape = code_shape
        self.has_decoder = has_decoder
        self.has_gaps = present.has_gaps
        self.stand_ins = present.means
        self._live = {}

    @classmethod
    def of_trained(cls, blueprint, layout, trained, present):
        """Return the network that training has left, as `train_network` returns it."""
        halves = trained.code_shape, trained.has_decoder
        network = cls(blueprint, layout, trained.weights, *halves, present)
        network._live["functions"] = trained.functions
        return network

    @property
    def n_members(self):
        """How many autoencoders are side by side in it; None means that it is a single one."""
        return self.layout.n_members

    @property
    def known_gaps(self):
        """What it knows of missing cells."""
        return KnownGaps(self.stand_ins, self.has_gaps)

    def has(self, half):
        """Tell whether the network shows an "encoder" or a "decoder"; loads no TensorFlow."""
        return self.code_shape is not None and (half == "encoder" or self.has_decoder)

    @property
    def public(self):
        """A Keras model from the same arrays, and its halves, to inspect or change."""
        if "public" not in self._live:
            arguments = (self.blueprint, self.layout, self.weights)
            self._live["public"] = keras_engine.public_models(*arguments)
        return self._live["public"]

    @property
    def forward(self):
        """The forward passes, by NumPy where it can, so that no score depends on TensorFlow."""
        if "forward" not in self._live:
            forward = numpy_engine.forward(self.blueprint, self.weights)
            if forward is None:
                functions = self._live.get("functions")
                forward = keras_engine.forward(self.blueprint, self.layout, self.weights, functions)
            self._live["forward"] = FillingForward(forward, self.stand_ins)
        return self._live["forward"]

    def __getstate__(self):
        return {**vars(self), "_live": {}}


def join_histories(before, after):
    """Append one history to another; a curve missing from one of them is NaN there."""
    lengths = [len(before["loss"]), len(after["loss"])]
    return {
        name: [
            *before.get(name, [np.nan] * lengths[0]),
            *after.get(name, [np.nan] * lengths[1]),
        ]
        for name in before | after
    }
