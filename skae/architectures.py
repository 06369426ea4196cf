"""Functions that build autoencoders from sizes, and the parts of an autoencoder."""

from itertools import count
from math import prod, sqrt

import numpy as np

from skae._keras import load_keras, resolve

# TensorFlow's number for the generator that it has on every device.
_PHILOX = 1


def build_dense(
    input_shape,
    *,
    hidden_layer_sizes,
    latent_dim,
    activation,
    latent_activation,
    output_activation,
    dropout,
    batch_norm,
    l2,
    latent_l1,
    seed,
    quick=False,
):
    """Build a dense encoder and its mirror image, the decoder, as one functional model.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of one row as the network sees it.
    hidden_layer_sizes : sequence of int
        Units of the encoder's hidden layers; the decoder has them the other way round.
    latent_dim : int
        Units of the layer in the middle, which is named "latent".
    activation, latent_activation, output_activation : str, callable or None
        Keras activations of the hidden layers, the latent layer and the output.
    dropout : float
        The share of a hidden layer's units that is dropped in training.
    batch_norm : bool
        Whether hidden layers are normalised over the batch, before their activation.
    l2, latent_l1 : float
        Penalties of the weights' squares and of the latent code's absolute values.
    seed : int
        Of the initial weights and the dropout. Nothing else is random.
    quick : bool, default=False
        Whether its layers compute the same with fewer operations. Keras alone cannot load such a
        model.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    keras = load_keras()
    seeds = count(seed)
    n_features = prod(input_shape)
    one_dimensional = len(input_shape) == 1
    dropout_class = _quick_dropout() if quick else keras.layers.Dropout

    def dense(units, name, **kwargs):
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=name,
            **kwargs,
        )

    def hidden(tensor, sizes, name):
        for number, units in enumerate(sizes, start=1):
            tensor = dense(units, f"{name}_{number}", use_bias=not batch_norm)(tensor)
            if batch_norm:
                tensor = keras.layers.BatchNormalization(name=f"{name}_{number}_norm")(tensor)
            tensor = keras.layers.Activation(
                resolve("activations", activation), name=f"{name}_{number}_activation"
            )(tensor)
            if dropout:
                tensor = dropout_class(dropout, seed=next(seeds), name=f"{name}_{number}_dropout")(
                    tensor
                )
        return tensor

    def encode(row):
        flat = row if one_dimensional else keras.layers.Flatten(name="flatten")(row)
        return dense(
            latent_dim,
            "latent",
            activation=resolve("activations", latent_activation),
            activity_regularizer=keras.regularizers.L1(latent_l1) if latent_l1 else None,
        )(hidden(flat, hidden_layer_sizes, "encoder"))

    def decode(code):
        output = dense(n_features, "output", activation=resolve("activations", output_activation))
        flat = output(hidden(code, hidden_layer_sizes[::-1], "decoder"))
        return flat if one_dimensional else keras.layers.Reshape(input_shape, name="row")(flat)

    row = keras.Input(input_shape, name="row")
    code = keras.Input((latent_dim,), name="code")
    encoder = keras.Model(row, encode(row), name="encoder")
    decoder = keras.Model(code, decode(code), name="decoder")
    whole = keras.Input(input_shape, name="input")
    return keras.Model(whole, decoder(encoder(whole)), name="autoencoder")


def build_dense_members(
    input_shape,
    *,
    n_members,
    hidden_layer_sizes,
    latent_dim,
    activation,
    latent_activation,
    output_activation,
    l2,
    seed,
    quick=False,
):
    """Build several dense autoencoders side by side as one functional model.

    Parameters
    ----------
    input_shape : tuple of int
        The number of features, in a tuple.
    n_members : int
        How many there are. The model takes rows of shape (n_members, n_features), a row a member.
    hidden_layer_sizes, latent_dim, activation, latent_activation, output_activation
        Of each member, as in `build_dense`.
    l2 : float
        The penalty of a member's squared weights beside its own loss.
    seed : int
        Of the initial weights. Nothing else is random.
    quick : bool, default=False
        As in `build_dense`.

    Returns
    -------
    autoencoder : keras.Model
    """
    keras = load_keras()
    seeds = count(seed)
    (n_features,) = input_shape
    layer_class = _matmul_dense() if quick else keras.layers.EinsumDense

    def dense(tensor, units, name, activation):
        limit = sqrt(6 / (tensor.shape[-1] + units))
        layer = layer_class(
            "mbi,mio->mbo",
            output_shape=(None, units),
            bias_axes="mo",
            activation=resolve("activations", activation),
            # Glorot's, of a member alone: Keras would count the inputs or outputs of all.
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit, seed=next(seeds)),
            # Keras takes the mean loss of the members, but the sum of the penalties.
            kernel_regularizer=keras.regularizers.L2(l2 / n_members) if l2 else None,
            name=name,
        )
        return layer(tensor)

    row = keras.Input((n_members, n_features), name="input")
    # With the members first, each layer is one multiplication and moves nothing.
    tensor = keras.ops.swapaxes(row, 0, 1)
    for number, units in enumerate(hidden_layer_sizes, start=1):
        tensor = dense(tensor, units, f"encoder_{number}", activation)
    tensor = dense(tensor, latent_dim, "code", latent_activation)
    for number, units in enumerate(hidden_layer_sizes[::-1], start=1):
        tensor = dense(tensor, units, f"decoder_{number}", activation)
    output = keras.ops.swapaxes(dense(tensor, n_features, "output", output_activation), 0, 1)
    return keras.Model(row, output, name="autoencoders")


def _quick_dropout():
    import tensorflow as tf

    class QuickDropout(load_keras().layers.Dropout):
        def call(self, inputs, training=False):
            if not training:
                return inputs
            state = self.seed_generator.state
            seed_and_count = tf.cast(state.value, tf.uint64)
            state.assign_add([0, 1])
            uniform = tf.raw_ops.StatelessRandomUniformV2(
                shape=tf.shape(inputs),
                key=seed_and_count[:1],
                counter=seed_and_count,
                alg=_PHILOX,
                dtype=inputs.dtype,
            )
            kept = tf.floor(uniform + (1 - self.rate))
            # A product, forth and back, where Keras selects, which takes four times as long.
            return inputs * (kept * (1 / (1 - self.rate)))

    return QuickDropout


def _matmul_dense():
    keras = load_keras()

    class MatmulDense(keras.layers.EinsumDense):
        def call(self, inputs):
            return self.activation(keras.ops.matmul(inputs, self.kernel) + self.bias)

    return MatmulDense


BUILDERS = {"dense": build_dense, "dense_members": build_dense_members}

_DRAWN = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")


def draw_weights(autoencoder, seed):
    """Draw the initial weights of a built-in network anew, and let its dropout start anew.

    A network that was trained before and one just built are the same after this.
    """
    seeds = count(seed)
    halves = encoder_and_decoder(autoencoder)
    for part in [autoencoder] if None in halves else halves:
        for layer in part.layers:
            for name in _DRAWN:
                _draw(
                    getattr(layer, name, None), getattr(layer, f"{name}_initializer", None), seeds
                )
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([next(seeds), 0])


def _draw(variable, initializer, seeds):
    if variable is None:
        return
    if hasattr(initializer, "seed"):
        initializer = type(initializer).from_config(
            initializer.get_config() | {"seed": next(seeds)}
        )
    variable.assign(initializer(variable.shape, dtype=variable.dtype))


def encoder_and_decoder(autoencoder):
    """Return the two halves of a model, or None for what it does not have.

    A model shows its halves by attributes `encoder` and `decoder` (a subclassed model), by nested
    models of these names, or by a layer named "latent" at which a functional model is cut.
    """
    encoder, decoder = (_nested(autoencoder, name) for name in ("encoder", "decoder"))
    return _cut_at_latent(autoencoder) if encoder is None else (encoder, decoder)


def _nested(autoencoder, name):
    half = getattr(autoencoder, name, None)
    if isinstance(half, load_keras().layers.Layer):
        return half
    return next((layer for layer in autoencoder.layers if layer.name == name), None)


def _cut_at_latent(autoencoder):
    keras = load_keras()
    names = [layer.name for layer in autoencoder.layers]
    if "latent" not in names:
        return None, None
    if isinstance(autoencoder, keras.Sequential):
        after = names.index("latent") + 1
        return keras.Sequential(autoencoder.layers[:after]), keras.Sequential(
            autoencoder.layers[after:]
        )
    if len(getattr(autoencoder, "inputs", None) or ()) != 1:
        return None, None
    code = autoencoder.get_layer("latent").output
    return keras.Model(autoencoder.inputs[0], code), keras.Model(code, autoencoder.outputs[0])


def output_shape(model, input_shape):
    """Return the shape of what a model makes of one row, or the name of its type if it has none.

    A functional model tells without being called.
    """
    if getattr(model, "input_shape", None) == (None, *input_shape):
        shape = getattr(model, "output_shape", None)
        if isinstance(shape, tuple) and None not in shape[1:]:
            return shape[1:]
    output = model(np.zeros((2, *input_shape), dtype=np.float32))
    shape = getattr(output, "shape", None)
    return tuple(shape[1:]) if shape is not None else type(output).__name__
