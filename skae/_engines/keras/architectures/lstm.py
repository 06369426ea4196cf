"""A recurrent autoencoder, for signals."""

from skae._engines.keras.architectures._layers import Layers, joined
from skae._engines.keras.loading import load_keras


def build(layout, sizes, *, seed, fast_ops=False):
    """Build an autoencoder of long short-term memory (Malhotra et al., 2016).

    The encoder reads a signal step by step; the code is computed from the state after the last one.
    The decoder is given the code at every step, and the signal is computed from its states.

    Parameters
    ----------
    layout : Layout
        Of rows of (n_steps, n_channels).
    sizes : Sizes
        As in `dense.build`. The hidden layer sizes are the units of the recurrent layers, which
        have their own activations; `activation` is that of the dense layer behind the code.
    seed : int
        As in `dense.build`.
    fast_ops : bool, default=False
        As in `dense.build`.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    keras = load_keras()
    layers = Layers(sizes, seed, fast_ops)
    units_of_layers = sizes.hidden_layer_sizes
    n_steps, n_channels = layout.input_shape
    narrowest = [n_channels, *units_of_layers][-1]

    def recurrent(tensor, units_of_layers, half):
        for number, units in enumerate(units_of_layers, start=1):
            name = f"{half}_{number}"
            draw = keras.initializers.Orthogonal(seed=next(layers.seeds))
            settings = {"return_sequences": True, "recurrent_initializer": draw, "name": name}
            tensor = layers.weighted(keras.layers.LSTM, units, **settings)(tensor)
            tensor = layers.dropped(layers.normalized(tensor, name), name)
        return tensor

    def encode(signal):
        states = recurrent(signal, units_of_layers, "encoder")
        last = keras.layers.Cropping1D((n_steps - 1, 0), name="last_step")(states)
        return layers.latent(keras.layers.Flatten(name="flatten")(last))

    def decode(code):
        tensor = layers.hidden(code, keras.layers.Dense, narrowest, name="decoder_0")
        tensor = keras.layers.RepeatVector(n_steps, name="repeat")(tensor)
        tensor = recurrent(tensor, units_of_layers[::-1], "decoder")
        return layers.output(tensor, keras.layers.Dense, n_channels)

    return joined(layout.input_shape, sizes.latent_dim, encode, decode)
