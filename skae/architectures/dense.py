"""Dense autoencoders: one, and several side by side."""

from itertools import count
from math import prod, sqrt

from skae._keras import load_keras, resolve
from skae.architectures._layers import (
    Layers,
    activation_function,
    flat,
    joined,
    latent_penalty,
    shaped,
)


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
    layers = Layers(
        activation=activation,
        dropout=dropout,
        batch_norm=batch_norm,
        l2=l2,
        seed=seed,
        quick=quick,
    )

    def latent(tensor, row):
        return layers.weighted(
            keras.layers.Dense,
            latent_dim,
            name="latent",
            activation=activation_function(latent_activation, quick),
            activity_regularizer=latent_penalty(latent_l1),
        )(tensor)

    return dense_around(
        latent, layers, input_shape, hidden_layer_sizes, latent_dim, output_activation
    )


def dense_around(latent, layers, input_shape, hidden_layer_sizes, latent_dim, output_activation):
    """Return an autoencoder with dense layers before and after a latent layer.

    That is a function of what the encoder's hidden layers make of the rows, and of the rows.
    """
    dense = load_keras().layers.Dense

    def hidden(tensor, sizes, name):
        for number, units in enumerate(sizes, start=1):
            tensor = layers.hidden(tensor, dense, units, name=f"{name}_{number}")
        return tensor

    def encode(row):
        row = flat(row)
        return latent(hidden(row, hidden_layer_sizes, "encoder"), row)

    def decode(code):
        tensor = hidden(code, hidden_layer_sizes[::-1], "decoder")
        activation = resolve("activations", output_activation)
        output = layers.weighted(dense, prod(input_shape), name="output", activation=activation)
        return shaped(output(tensor), input_shape)

    return joined(input_shape, latent_dim, encode, decode)


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
            activation=activation_function(activation, quick),
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


def _matmul_dense():
    keras = load_keras()

    class MatmulDense(keras.layers.EinsumDense):
        def call(self, inputs):
            return self.activation(keras.ops.matmul(inputs, self.kernel) + self.bias)

    return MatmulDense
