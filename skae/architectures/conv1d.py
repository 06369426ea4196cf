"""A convolutional autoencoder, for signals."""

from math import ceil, prod
from numbers import Integral

from sklearn.utils import check_scalar

from skae._keras import load_keras, resolve
from skae.architectures._layers import (
    Layers,
    activation_function,
    joined,
    latent_penalty,
)


def build_conv1d(
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
    kernel_size=7,
    strides=2,
    quick=False,
):
    """Build a convolutional encoder and its mirror image, the decoder, as one functional model.

    Each layer of the encoder looks at `kernel_size` neighbouring steps and leaves one of `strides`
    of them; the decoder goes back the same way.

    Parameters
    ----------
    input_shape : tuple of int
        Of one row: (n_steps, n_channels).
    hidden_layer_sizes : sequence of int
        Filters of the encoder's layers; the decoder has them the other way round.
    latent_dim, activation, latent_activation, output_activation, dropout, batch_norm, l2,
    latent_l1, seed
        As in `build_dense`.
    kernel_size : int, default=7
        How many neighbouring steps a filter sees.
    strides : int, default=2
        By how much each layer shortens the signal.
    quick : bool, default=False
        As in `build_dense`.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    for name, value in (("kernel_size", kernel_size), ("strides", strides)):
        check_scalar(value, name, Integral, min_val=1)
    keras = load_keras()
    layers = Layers(
        activation=activation,
        dropout=dropout,
        batch_norm=batch_norm,
        l2=l2,
        seed=seed,
        quick=quick,
    )
    n_steps, n_channels = input_shape
    lengths = [ceil(n_steps / strides**depth) for depth in range(len(hidden_layer_sizes) + 1)]
    narrowest = (lengths[-1], [n_channels, *hidden_layer_sizes][-1])
    moving = {"padding": "same", "strides": strides if hidden_layer_sizes else 1}

    def encode(tensor):
        for number, filters in enumerate(hidden_layer_sizes, start=1):
            sizes = (keras.layers.Conv1D, filters, kernel_size)
            tensor = layers.hidden(tensor, *sizes, name=f"encoder_{number}", **moving)
        return layers.weighted(
            keras.layers.Dense,
            latent_dim,
            name="latent",
            activation=activation_function(latent_activation, quick),
            activity_regularizer=latent_penalty(latent_l1),
        )(keras.layers.Flatten(name="flatten")(tensor))

    def decode(code):
        tensor = layers.hidden(code, keras.layers.Dense, prod(narrowest), name="decoder_0")
        tensor = keras.layers.Reshape(narrowest, name="signal")(tensor)
        for depth in range(len(hidden_layer_sizes) - 1, 0, -1):
            sizes = (keras.layers.Conv1DTranspose, hidden_layer_sizes[depth - 1], kernel_size)
            tensor = layers.hidden(tensor, *sizes, name=f"decoder_{depth}", **moving)
            tensor = _cut(tensor, lengths[depth])
        output = layers.weighted(
            keras.layers.Conv1DTranspose,
            n_channels,
            kernel_size,
            name="output",
            activation=resolve("activations", output_activation),
            **moving,
        )
        return _cut(output(tensor), n_steps)

    return joined(input_shape, latent_dim, encode, decode)


def _cut(tensor, length):
    """Return a signal without the steps at its end by which strides of it overshoot a length."""
    surplus = tensor.shape[1] - length
    return load_keras().layers.Cropping1D((0, surplus))(tensor) if surplus else tensor
