"""The layers of the built-in architectures, each with a seed of its own."""

from itertools import count
from math import prod

from skae._engines.keras.loading import load_keras, resolve

# TensorFlow's number for the generator available on every device.
_PHILOX = 1


class Layers:
    """Makes the layers of one network.

    Parameters
    ----------
    sizes : Sizes
        Of which activation, dropout, batch normalization and penalties are used here.
    seed : int
        Of the initial weights and the dropout. Nothing else is random.
    fast_ops : bool
        Whether the layers compute the same with fewer operations. Keras alone cannot load such a
        model.
    """

    def __init__(self, sizes, seed, fast_ops):
        self._sizes = sizes
        self.seeds = count(seed)
        self._fast_ops = fast_ops
        self._dropout_class = _fast_dropout() if fast_ops else load_keras().layers.Dropout

    def weighted(self, layer_class, *sizes, **kwargs):
        """Return a layer with a kernel, initialized and penalized like all of the network's."""
        keras = load_keras()
        l2 = self._sizes.l2
        return layer_class(
            *sizes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(self.seeds)),
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            **kwargs,
        )

    def hidden(self, tensor, layer_class, *sizes, name, **kwargs):
        """Return the output of a hidden layer: normalized, activated, dropped."""
        kwargs = {"use_bias": not self._sizes.batch_norm, **kwargs}
        tensor = self.weighted(layer_class, *sizes, name=name, **kwargs)(tensor)
        tensor = self.normalized(tensor, name)
        activation = self.activation(self._sizes.activation)
        tensor = load_keras().layers.Activation(activation, name=f"{name}_activation")(tensor)
        return self.dropped(tensor, name)

    def normalized(self, tensor, name):
        """Return a tensor, normalized over the batch if the network does that."""
        if not self._sizes.batch_norm:
            return tensor
        return load_keras().layers.BatchNormalization(name=f"{name}_norm")(tensor)

    def dropped(self, tensor, name):
        """Return a tensor, with a share dropped in training if the network does that."""
        rate = self._sizes.dropout
        if not rate:
            return tensor
        return self._dropout_class(rate, seed=next(self.seeds), name=f"{name}_dropout")(tensor)

    def latent(self, tensor, layer_class=None, *args, **kwargs):
        """Return the code of a tensor, by a latent layer that is dense by default."""
        l1 = self._sizes.latent_l1
        return self.weighted(
            layer_class or load_keras().layers.Dense,
            self._sizes.latent_dim,
            *args,
            name="latent",
            activation=self.activation(self._sizes.latent_activation),
            activity_regularizer=load_keras().regularizers.L1(l1) if l1 else None,
            **kwargs,
        )(tensor)

    def output(self, tensor, layer_class, *sizes, **kwargs):
        """Return the output of the last layer."""
        activation = resolve("activations", self._sizes.output_activation)
        return self.weighted(layer_class, *sizes, name="output", activation=activation, **kwargs)(
            tensor
        )

    def activation(self, activation):
        """Return a Keras activation; the fast one is equal up to rounding."""
        return activation_function(activation, self._fast_ops)


def joined(input_shape, latent_dim, encode, decode):
    """Return an autoencoder of two functions of tensors, which become its nested models."""
    keras = load_keras()
    row = keras.Input(input_shape, name="row")
    code = keras.Input((latent_dim,), name="code")
    encoder = keras.Model(row, encode(row), name="encoder")
    decoder = keras.Model(code, decode(code), name="decoder")
    whole = keras.Input(input_shape, name="input")
    return keras.Model(whole, decoder(encoder(whole)), name="autoencoder")


def flat(tensor):
    """Return a tensor with each row as one vector."""
    return tensor if len(tensor.shape) == 2 else load_keras().layers.Flatten(name="flatten")(tensor)


def shaped(tensor, shape):
    """Return a tensor of vectors, each reshaped as a row."""
    if len(shape) == 1:
        return tensor
    assert prod(shape) == tensor.shape[-1]
    return load_keras().layers.Reshape(shape, name="row")(tensor)


def activation_function(activation, fast_ops):
    """Return a Keras activation; the fast one is equal up to rounding."""
    function = resolve("activations", activation)
    if fast_ops and function is resolve("activations", "mish"):
        return _fast_mish
    if fast_ops and function is resolve("activations", "silu"):
        return _fast_silu
    return function


def _fast_mish(tensor):
    import tensorflow as tf

    if tensor.dtype != tf.float32:
        return load_keras().activations.mish(tensor)

    # Keras' mish keeps several tensors for its gradient, which recomputes two exponentials.
    @tf.custom_gradient
    def mish(x):
        # tanh(softplus(x)) from one exponential, reused by the gradient. Beyond 20 it is 1.
        power = tf.exp(tf.minimum(x, 20.0))
        product = power * (power + 2.0)
        tanh = product / (product + 2.0)

        def gradient(upstream):
            return upstream * (tanh + x * (1.0 - tanh * tanh) * (power / (power + 1.0)))

        return x * tanh, gradient

    return mish(tensor)


def _fast_silu(tensor):
    # The gradient of TensorFlow's own recomputes everything.
    return tensor * load_keras().ops.sigmoid(tensor)


def _fast_dropout():
    import tensorflow as tf

    class FastDropout(load_keras().layers.Dropout):
        def call(self, inputs, training=False):
            if not training:
                return inputs
            state = self.seed_generator.state
            before = tf.convert_to_tensor(state.value)
            state.assign(tf.add(before, [0, 1]))
            seed_and_count = tf.cast(before, tf.uint64)
            # The raw operation, because the public ones hash the seed again on each call.
            uniform = tf.raw_ops.StatelessRandomUniformV2(
                shape=tf.shape(inputs),
                key=seed_and_count[:1],
                counter=seed_and_count,
                alg=_PHILOX,
                dtype=inputs.dtype,
            )
            kept = tf.floor(uniform + (1 - self.rate))
            # A product in both passes; Keras selects, which takes four times as long.
            return inputs * (kept * (1 / (1 - self.rate)))

    return FastDropout
