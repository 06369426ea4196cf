"""A variational autoencoder."""

from numbers import Real

from sklearn.utils import check_scalar

from skae._engines.keras.architectures._layers import Layers
from skae._engines.keras.architectures.dense import dense_around


def build(layout, sizes, *, seed, beta, fast_ops=False):
    """Build a dense variational autoencoder as one functional model (Kingma and Welling, 2014).

    Its encoder returns the mean of each row's Gaussian; only in training is the code drawn.

    Parameters
    ----------
    layout, sizes, seed
        As in `dense.build`. `latent_activation` is that of the means.
    beta : float
        Weight of the Kullback-Leibler divergence, summed over the code, in units of the rows' mean
        variance.
    fast_ops : bool, default=False
        As in `dense.build`.

    Returns
    -------
    autoencoder : keras.Model
        With the nested models "encoder" and "decoder".
    """
    from skae.layers import GaussianLatent

    check_scalar(beta, "beta", Real, min_val=0)
    layers = Layers(sizes, seed, fast_ops)

    def latent(tensor, row):
        return layers.latent([tensor, row], GaussianLatent, beta, seed=next(layers.seeds))

    return dense_around(latent, layers, layout, sizes)
