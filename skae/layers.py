"""The Keras layers of skae.

Importing this module imports Keras and registers the layers with it: do so before
`keras.saving.load_model` of a saved variational autoencoder.
"""

from collections.abc import Callable
from typing import Any

import keras


@keras.saving.register_keras_serializable("skae")
class GaussianLatent(keras.layers.Layer):
    """The latent layer of a variational autoencoder: a Gaussian for each row [1]_.

    In training the code is drawn from the Gaussian; otherwise it is its mean. The Kullback-Leibler
    divergence from a standard Gaussian, in nats, summed over the code and averaged over the batch,
    is added to the loss with a weight [2]_, in units of the variance of the batch: the mean squared
    error has that unit too, so one weight serves data on any scale. A batch of one row has none.

    The layer is called with a pair: the output of the layers before it, and the rows
    themselves, both of shape (n_samples, ...).

    Parameters
    ----------
    units : int
        Size of the code.
    divergence_weight : float
        What [2]_ calls beta.
    activation : str or callable, default=None
        Of the means.
    kernel_initializer : str or keras.initializers.Initializer, default="glorot_uniform"
        Of the weights that give means and logarithms of variances.
    kernel_regularizer, activity_regularizer : keras.regularizers.Regularizer, default=None
        Of these weights, and of what the layer returns.
    seed : int, default=None
        Of the drawn codes.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    References
    ----------
    .. [1] Kingma, Welling (2014). Auto-encoding variational Bayes. ICLR 2014.
    .. [2] Higgins et al. (2017). beta-VAE: learning basic visual concepts with a constrained
           variational framework. ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.layers import GaussianLatent
    >>> rows = np.ones((5, 3))
    >>> GaussianLatent(2, divergence_weight=0.01)([rows, rows]).shape
    TensorShape([5, 2])
    """

    def __init__(
        self,
        units: int,
        divergence_weight: float,
        activation: str | Callable | None = None,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        kernel_regularizer: keras.regularizers.Regularizer | None = None,
        activity_regularizer: keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units
        self.divergence_weight = divergence_weight
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.Zeros()
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[0][-1], 2 * self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(2 * self.units,), initializer=self.bias_initializer
        )

    def posterior(self, hidden: Any) -> tuple[Any, Any]:
        """Return the means of the Gaussians and the logarithms of their variances."""
        both = keras.ops.matmul(hidden, self.kernel) + self.bias
        return self.activation(both[..., : self.units]), both[..., self.units :]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return codes drawn from the Gaussians in training, otherwise their means."""
        ops = keras.ops
        hidden, rows = inputs
        mean, log_variance = self.posterior(hidden)
        terms = ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance
        divergence = 0.5 * ops.mean(ops.sum(terms, axis=-1))
        self.add_loss(self.divergence_weight * ops.mean(ops.var(rows, axis=0)) * divergence)
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of a batch of codes."""
        return (*input_shape[0][:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration of the layer."""
        return super().get_config() | {
            "units": self.units,
            "divergence_weight": self.divergence_weight,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "seed": self.seed,
        }
