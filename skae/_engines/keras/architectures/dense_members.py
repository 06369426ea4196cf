"""Several dense autoencoders side by side."""

from math import sqrt

from skae._engines.keras.architectures._layers import Layers
from skae._engines.keras.loading import load_keras


def build(layout, sizes, *, seed, fast_ops=False):
    """Build several dense autoencoders side by side as one functional model.

    Parameters
    ----------
    layout : Layout
        The model takes rows of shape (n_members, n_features), one row per member.
    sizes : Sizes
        Of each member. There is no batch normalization.
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

    units = sizes.hidden_layer_sizes
    row = keras.Input((n_members, n_features), name="input")
    # With the members first, each layer is one matrix product and transposes nothing.
    tensor = keras.ops.swapaxes(row, 0, 1)
    tensor = hidden(tensor, units, "encoder")
    code = dense(tensor, sizes.latent_dim, "code", sizes.latent_activation)
    tensor = hidden(
        _penalized(code, sizes.latent_l1, n_members), sizes.hidden_layer_sizes[::-1], "decoder"
    )
    output = keras.ops.swapaxes(dense(tensor, n_features, "output", sizes.output_activation), 0, 1)
    return keras.Model(row, output, name="autoencoders")


def _penalized(code, latent_l1, n_members):
    """Return the codes, of shape (n_members, n_rows, n_codes), with a penalty on their size."""
    if not latent_l1:
        return code
    keras = load_keras()
    # Keras divides the penalty by the length of the first axis, which must be that of the rows.
    rows_first = keras.ops.swapaxes(code, 0, 1)
    penalty = keras.layers.ActivityRegularization(l1=latent_l1 / n_members, name="penalty")
    return keras.ops.swapaxes(penalty(rows_first), 0, 1)


def _matmul_dense():
    keras = load_keras()

    class MatmulDense(keras.layers.EinsumDense):
        # One matrix product, where Keras' layer parses its equation and transposes.
        def call(self, inputs, training=None):
            return self.activation(keras.ops.matmul(inputs, self.kernel) + self.bias)

    return MatmulDense
