"""A dense autoencoder."""

from math import prod

from skae._engines.keras.architectures._layers import Layers, flat, joined, shaped
from skae._engines.keras.loading import load_keras


def build(layout, sizes, *, seed, fast_ops=False):
    """Build a dense encoder and its mirror image, the decoder, as one functional model.

    Parameters
    ----------
    layout : Layout
        How the network sees a row.
    sizes : Sizes
        Layers and their settings. The decoder has the hidden layers in reverse order.
    seed : int
        Of the initial weights and the dropout. Nothing else is random.
    fast_ops : bool, default=False
        Whether its layers compute the same with fewer operations. Keras alone cannot load such a
        model.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    layers = Layers(sizes, seed, fast_ops)
    return dense_around(lambda tensor, row: layers.latent(tensor), layers, layout, sizes)


def dense_around(latent, layers, layout, sizes):
    """Return an autoencoder with dense layers before and after a latent layer.

    That is a function of the output of the encoder's hidden layers, and of the rows.
    """
    dense = load_keras().layers.Dense
    input_shape = layout.input_shape

    def hidden(tensor, units_of_layers, name):
        for number, units in enumerate(units_of_layers, start=1):
            tensor = layers.hidden(tensor, dense, units, name=f"{name}_{number}")
        return tensor

    def encode(row):
        row = flat(row)
        return latent(hidden(row, sizes.hidden_layer_sizes, "encoder"), row)

    def decode(code):
        tensor = hidden(code, sizes.hidden_layer_sizes[::-1], "decoder")
        return shaped(layers.output(tensor, dense, prod(input_shape)), input_shape)

    return joined(input_shape, sizes.latent_dim, encode, decode)
