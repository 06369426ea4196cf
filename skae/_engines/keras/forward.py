"""The forward passes of a network through Keras, traced as functions of its weights."""

from math import prod
from typing import Any

import numpy as np

from skae._engines.keras.blueprints import build_network
from skae._engines.keras.cache import FORWARDS, as_operation, compiled, graph_settings
from skae._engines.keras.forks import check_process
from skae._engines.keras.halves import encoder_and_decoder, output_shape
from skae._engines.keras.loading import load_keras
from skae._engines.keras.packing import dtypes, packed, unpacked
from skae._engines.keras.settings import Settings

# Codes drawn for each row: as many as An and Cho (2015) draw for the reconstruction probability.
_N_DRAWS = 10

# In batches of a multiple of this many rows, most TensorFlow operations treat a row alike at any
# position: processors compute several values at once, and the remainder by other code. This is no
# guarantee: that exists for built-in networks, which NumPy scores.
_MULTIPLE_OF_ROWS = 16


class ForwardFunctions:
    """Forward passes of a model as functions of weights, each traced when first asked for.

    Parameters
    ----------
    model : keras.Model
        An autoencoder. Its own weights are ignored. It is traced under the settings of Keras that
        the process has now.
    layout : Layout
        How rows are laid out for it. Outside this class rows are flat. All members are given the
        same row, and their outputs are in an axis of their own, the second.

    Attributes
    ----------
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder of one.
    has_decoder : bool
        Whether it shows a decoder.
    """

    encoder: Any
    decoder: Any
    code_shape: Any

    def __init__(self, model, layout):
        self.model = model
        self._layout = layout
        self._settings = Settings.current()
        self.encoder, self.decoder = encoder_and_decoder(model)
        self.code_shape = None if self.encoder is None else self._code_shape()
        if self.code_shape is None:
            self.encoder = self.decoder = None
        self.has_decoder = self.decoder is not None
        self._traced = {}

    def __call__(self, task, weights, rows):
        """Do a `task` ("reconstruct", "encode", "decode" or "draws") with rows.

        The weights are packed: one vector for each dtype.
        """
        check_process()
        function = self._compiled(task)
        n_even = len(rows) - len(rows) % _MULTIPLE_OF_ROWS
        rest = rows[n_even:]
        blocks = [rows[:n_even]] if n_even else []
        if len(rest):
            blocks.append(np.resize(rest, (_MULTIPLE_OF_ROWS, *rest.shape[1:])))
        found = [function(*weights, _float32(block)).numpy() for block in blocks]
        return found[0][: len(rows)] if len(found) == 1 else np.concatenate(found)[: len(rows)]

    def _compiled(self, task):
        if task not in self._traced:
            signature = [((None,), dtype) for dtype in dtypes(self.model.weights)]
            n_values = prod(self._shape(task))
            with self._settings.applied():
                function = compiled(self._forward(task), *signature, ((None, n_values), "float32"))
            self._traced[task] = as_operation(function)
        return self._traced[task]

    def _shape(self, task):
        return self.code_shape if task == "decode" else self._layout.input_shape

    def _forward(self, task):
        keras = load_keras()
        ops = keras.ops
        apply = {
            "decode": self.decoder,
            "draws": self._draws,
            "encode": self.encoder,
            "reconstruct": self.model,
        }[task]
        shape, members = self._shape(task), self._layout.member_axes
        axes = (_N_DRAWS,) if task == "draws" else members

        def forward(*vectors_and_rows):
            *vectors, flat = vectors_and_rows
            rows = ops.reshape(flat, (-1, *shape))
            for n_members in () if task == "decode" else members:
                rows = ops.repeat(rows[:, None], n_members, axis=1)
            pairs = unpacked(self.model.weights, vectors)
            with keras.StatelessScope(state_mapping=pairs):
                output = apply(rows, training=False)
            return ops.cast(ops.reshape(output, (ops.shape(flat)[0], *axes, -1)), "float32")

        return forward

    def _draws(self, rows, training):
        """Return the rows decoded from codes drawn for each row, with the same noise for all."""
        keras = load_keras()
        ops = keras.ops
        latent = self.encoder.get_layer("latent")
        before = keras.Model(self.encoder.inputs[0], latent.input[0])
        mean, log_variance = latent.posterior(before(rows, training=training))
        noise = np.random.default_rng(0).standard_normal((_N_DRAWS, latent.units))
        codes = mean[:, None] + ops.exp(0.5 * log_variance)[:, None] * noise.astype(np.float32)
        return self.decoder(ops.reshape(codes, (-1, latent.units)), training=training)

    def _code_shape(self):
        shape = output_shape(self.encoder, (*self._layout.member_axes, *self._layout.input_shape))
        # An encoder may return several tensors; then there is no single latent code.
        return shape if isinstance(shape, tuple) else None


class KerasForward:
    """The forward passes of one trained network: shared functions and its own weights.

    Parameters
    ----------
    functions : ForwardFunctions
        Of a model of the same shapes.
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    """

    # Rows enough to fill the processor, few enough to bound the memory; TensorFlow has threads of
    # its own.
    batching = (8192, 1)

    def __init__(self, functions, weights):
        import tensorflow as tf

        self.functions = functions
        self._weights = [tf.constant(vector) for vector in packed(weights)]

    def reconstruct(self, X):
        """Return the reconstruction of each row, by each member if there are several."""
        return self.functions("reconstruct", self._weights, X)

    def encode_and_reconstruct(self, X):
        """Return the latent code and the reconstruction of each row."""
        return self.encode(X), self.reconstruct(X)

    def encode(self, X):
        """Return the latent code of each row, flat, by each member if there are several."""
        return self.functions("encode", self._weights, X)

    def decode(self, codes):
        """Return the row decoded from each flat latent code."""
        return self.functions("decode", self._weights, codes.reshape(len(codes), -1))

    def draws(self, X):
        """Return the rows decoded from codes drawn for each row, the draws as second axis."""
        return self.functions("draws", self._weights, X)


def forward_functions(blueprint, layout, model):
    """Return the functions of a network, made from a model of it; a built-in one's are shared.

    They never read the weights of the model, which may be trained further.

    Parameters
    ----------
    blueprint : BuiltInBlueprint, ConfigBlueprint or FunctionBlueprint
        How the network is built.
    layout : Layout
        How rows are laid out for it.
    model : callable
        Returns a model of the network.
    """
    check_process()
    key = blueprint.graph_key()

    def make():
        with blueprint.settings.applied():
            return ForwardFunctions(model(), layout)

    return make() if key is None else FORWARDS.shared((key, graph_settings()), make)


def forward(blueprint, layout, weights, functions=None):
    """Return the forward passes of a trained network."""
    if functions is None:
        functions = forward_functions(blueprint, layout, blueprint.build)
    return KerasForward(functions, weights)


def public_models(blueprint, layout, weights):
    """Return a model with trained weights, and its halves, for the user to look at or change."""
    with blueprint.settings.applied():
        model = build_network(blueprint, layout, fast_ops=False)
        model.set_weights(weights)
        models = ForwardFunctions(model, layout)
        # Keras exports only models that were called.
        _call(model, (*layout.member_axes, *layout.input_shape))
        if models.encoder is not None:
            _call(models.encoder, (*layout.member_axes, *layout.input_shape))
        if models.decoder is not None:
            _call(models.decoder, models.code_shape)
        return models


def _call(model, shape):
    model(np.zeros((1, *shape), dtype=np.float32))


def _float32(rows):
    import tensorflow as tf

    return tf.constant(rows, tf.float32)
