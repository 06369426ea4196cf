"""Several dense autoencoders side by side."""

from math import sqrt

from skae._engines.keras.architectures._layers import Layers
from skae._engines.keras.loading import load_keras
from skae._engines.options import code_mask, member_sizes


def build(layout, sizes, *, seed, fast_ops=False):
    """Build several dense autoencoders side by side as one functional model.

    Parameters
    ----------
    layout : Layout
        The model takes rows of shape (n_members, n_features), one row per member.
    sizes : Sizes
        Of each member; codes may differ in size, and the shorter ones end in zeros. There is no
        batch normalization.
    seed : int
        Of the initial weights and the dropout. Nothing else is random.
    fast_ops : bool, default=False
        As in `dense.build`.

    Returns
    -------
    autoencoder : keras.Model
    """
    keras = load_keras()
    layers = Layers(sizes, seed, fast_ops)
    n_members, (n_features,) = layout.n_members, layout.input_shape
    layer_class = _matmul_dense() if fast_ops else keras.layers.EinsumDense

    def dense(tensor, units, name, activation):
        limit = sqrt(6 / (tensor.shape[-1] + units))
        draw = keras.initializers.RandomUniform(-limit, limit, seed=next(layers.seeds))
        return layer_class(
            "mbi,mio->mbo",
            output_shape=(None, units),
            bias_axes="mo",
            activation=layers.activation(activation),
            # Glorot's, for a single member: Keras would count the inputs or outputs of all.
            kernel_initializer=draw,
            # Keras takes the mean loss of the members, but the sum of the penalties.
            kernel_regularizer=keras.regularizers.L2(sizes.l2 / n_members) if sizes.l2 else None,
            name=name,
        )(tensor)

    def hidden(tensor, units_of_layers, half):
        for number, units in enumerate(units_of_layers, start=1):
            name = f"{half}_{number}"
            tensor = layers.dropped(dense(tensor, units, name, sizes.activation), name)
        return tensor

    def code(tensor):
        # Rows first, as others take codes, and Keras its penalties: it divides them by that axis.
        tensor = keras.ops.swapaxes(dense(tensor, max(latent_dims), "code", None), 0, 1)
        tensor = keras.layers.Activation(layers.activation(sizes.latent_activation))(tensor)
        if len(set(latent_dims)) > 1:
            tensor = keras.ops.multiply(tensor, code_mask(latent_dims))
        penalty = sizes.latent_l1 / n_members
        return keras.layers.ActivityRegularization(l1=penalty, name="latent")(tensor)

    latent_dims = member_sizes(sizes.latent_dim, n_members)
    units = sizes.hidden_layer_sizes
    row = keras.Input((n_members, n_features), name="input")
    # With the members first, each layer is one matrix product and transposes nothing.
    tensor = hidden(keras.ops.swapaxes(row, 0, 1), units, "encoder")
    tensor = hidden(keras.ops.swapaxes(code(tensor), 0, 1), units[::-1], "decoder")
    output = keras.ops.swapaxes(dense(tensor, n_features, "output", sizes.output_activation), 0, 1)
    return keras.Model(row, output, name="autoencoders")


def _matmul_dense():
    keras = load_keras()

    class MatmulDense(keras.layers.EinsumDense):
        # One matrix product, where Keras' layer parses its equation and transposes.
        def call(self, inputs, training=None):
            return self.activation(keras.ops.matmul(inputs, self.kernel) + self.bias)

    return MatmulDense
