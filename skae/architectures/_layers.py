"""The layers that the built-in architectures are made of, each with a seed of its own."""

from itertools import count
from math import prod

from skae._keras import load_keras, resolve

# TensorFlow's number for the generator that it has on every device.
_PHILOX = 1


class Layers:
    """Makes the layers of one network.

    Parameters
    ----------
    activation : str, callable or None
        Of the hidden layers.
    dropout : float
        The share of a hidden layer's units that is dropped in training.
    batch_norm : bool
        Whether hidden layers are normalised over the batch, before their activation.
    l2 : float
        The penalty of the weights' squares.
    seed : int
        Of the initial weights and the dropout. Nothing else is random.
    quick : bool
        Whether the layers compute the same with fewer operations. Keras alone cannot load such a
        model.
    """

    def __init__(self, *, activation, dropout, batch_norm, l2, seed, quick):
        self._activation = activation
        self._dropout = dropout
        self._batch_norm = batch_norm
        self._l2 = l2
        self.seeds = count(seed)
        self._quick = quick
        self._dropout_class = _quick_dropout() if quick else load_keras().layers.Dropout

    def weighted(self, layer_class, *sizes, **kwargs):
        """Return a layer that has a kernel, initialised and penalised as all of the network's."""
        keras = load_keras()
        return layer_class(
            *sizes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(self.seeds)),
            kernel_regularizer=keras.regularizers.L2(self._l2) if self._l2 else None,
            **kwargs,
        )

    def hidden(self, tensor, layer_class, *sizes, name, **kwargs):
        """Return what a hidden layer makes of a tensor: normalised, activated, dropped."""
        keras = load_keras()
        kwargs = {"use_bias": not self._batch_norm, **kwargs}
        tensor = self.weighted(layer_class, *sizes, name=name, **kwargs)(tensor)
        if self._batch_norm:
            tensor = keras.layers.BatchNormalization(name=f"{name}_norm")(tensor)
        activation = activation_function(self._activation, self._quick)
        tensor = keras.layers.Activation(activation, name=f"{name}_activation")(tensor)
        if not self._dropout:
            return tensor
        seed = next(self.seeds)
        return self._dropout_class(self._dropout, seed=seed, name=f"{name}_dropout")(tensor)


def joined(input_shape, latent_dim, encode, decode):
    """Return an autoencoder of two functions of tensors, with them as its nested models."""
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
    """Return a tensor of vectors with each as a row of some shape."""
    if len(shape) == 1:
        return tensor
    assert prod(shape) == tensor.shape[-1]
    return load_keras().layers.Reshape(shape, name="row")(tensor)


def latent_penalty(latent_l1):
    """Return the penalty of the absolute values of the latent code, if there is one."""
    return load_keras().regularizers.L1(latent_l1) if latent_l1 else None


def activation_function(activation, quick):
    """Return a Keras activation; a quick one gives the same within rounding."""
    function = resolve("activations", activation)
    if quick and function is resolve("activations", "mish"):
        return _quick_mish
    if quick and function is resolve("activations", "silu"):
        return _quick_silu
    return function


def _quick_mish(tensor):
    import tensorflow as tf

    if tensor.dtype != tf.float32:
        return load_keras().activations.mish(tensor)

    @tf.custom_gradient
    def mish(x):
        # tanh(softplus(x)) by one exponential, which does for the gradient too. Beyond 20 it is 1.
        power = tf.exp(tf.minimum(x, 20.0))
        product = power * (power + 2.0)
        tanh = product / (product + 2.0)

        def gradient(upstream):
            return upstream * (tanh + x * (1.0 - tanh * tanh) * (power / (power + 1.0)))

        return x * tanh, gradient

    return mish(tensor)


def _quick_silu(tensor):
    # TensorFlow's own has a gradient that computes everything once more.
    return tensor * load_keras().ops.sigmoid(tensor)


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
