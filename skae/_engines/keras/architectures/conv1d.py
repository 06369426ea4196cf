"""A convolutional autoencoder, for signals."""

from math import ceil, prod
from numbers import Integral

from sklearn.utils import check_scalar

from skae._engines.keras.architectures._layers import Layers, joined
from skae._engines.keras.loading import load_keras


def build(layout, sizes, *, seed, kernel_size, strides, fast_ops=False):
    """Build a convolutional encoder and its mirror image, the decoder, as one functional model.

    Each layer of the encoder sees `kernel_size` neighboring steps and keeps one in `strides` of
    them; the decoder reverses this.

    Parameters
    ----------
    layout : Layout
        Of rows of (n_steps, n_channels).
    sizes : Sizes
        As in `dense.build`, with filters as hidden layer sizes.
    seed : int
        As in `dense.build`.
    kernel_size : int
        How many neighboring steps a filter sees.
    strides : int
        By how much each layer shortens the signal.
    fast_ops : bool, default=False
        As in `dense.build`.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    for name, value in (("kernel_size", kernel_size), ("strides", strides)):
        check_scalar(value, name, Integral, min_val=1)
    keras = load_keras()
    layers = Layers(sizes, seed, fast_ops)
    filters = sizes.hidden_layer_sizes
    n_steps, n_channels = layout.input_shape
    lengths = [ceil(n_steps / strides**depth) for depth in range(len(filters) + 1)]
    narrowest = (lengths[-1], [n_channels, *filters][-1])
    moving = {"padding": "same", "strides": strides if filters else 1}

    def encode(tensor):
        for number, n_filters in enumerate(filters, start=1):
            shape = (keras.layers.Conv1D, n_filters, kernel_size)
            tensor = layers.hidden(tensor, *shape, name=f"encoder_{number}", **moving)
        return layers.latent(keras.layers.Flatten(name="flatten")(tensor))

    def decode(code):
        tensor = layers.hidden(code, keras.layers.Dense, prod(narrowest), name="decoder_0")
        tensor = keras.layers.Reshape(narrowest, name="signal")(tensor)
        for depth in range(len(filters) - 1, 0, -1):
            shape = (keras.layers.Conv1DTranspose, filters[depth - 1], kernel_size)
            tensor = layers.hidden(tensor, *shape, name=f"decoder_{depth}", **moving)
            tensor = _cut(tensor, lengths[depth])
        shape = (keras.layers.Conv1DTranspose, n_channels, kernel_size)
        return _cut(layers.output(tensor, *shape, **moving), n_steps)

    return joined(layout.input_shape, sizes.latent_dim, encode, decode)


def _cut(tensor, length):
    """Return a signal without the final steps by which its strides overshoot a length."""
    surplus = tensor.shape[1] - length
    return load_keras().layers.Cropping1D((0, surplus))(tensor) if surplus else tensor
