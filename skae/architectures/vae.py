"""A variational autoencoder."""

from numbers import Real

from sklearn.utils import check_scalar

from skae.architectures._layers import Layers, activation_function, latent_penalty
from skae.architectures.dense import dense_around


def build_vae(
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
    beta=0.01,
    quick=False,
):
    """Build a dense variational autoencoder as one functional model (Kingma and Welling, 2014).

    Its encoder returns the mean of each row's Gaussian; only in training is the code drawn.

    Parameters
    ----------
    input_shape, hidden_layer_sizes, latent_dim, activation, latent_activation, output_activation,
    dropout, batch_norm, l2, latent_l1, seed
        As in `build_dense`. `latent_activation` is that of the means.
    beta : float, default=0.01
        Weight of the Kullback-Leibler divergence, summed over the code, in units of the rows' mean
        variance.
    quick : bool, default=False
        As in `build_dense`.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    from skae.layers import GaussianLatent

    check_scalar(beta, "beta", Real, min_val=0)
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
            GaussianLatent,
            latent_dim,
            beta,
            name="latent",
            activation=activation_function(latent_activation, quick),
            activity_regularizer=latent_penalty(latent_l1),
            seed=next(layers.seeds),
        )([tensor, row])

    return dense_around(
        latent, layers, input_shape, hidden_layer_sizes, latent_dim, output_activation
    )
