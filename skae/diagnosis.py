"""What a trained network shows of having learnt nothing."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae.errors import row_errors

_ROWS_LOOKED_AT = 4096
_SURELY_LEARNT = 0.5
_ADVICE = "Try more epochs, another learning_rate, or scaled data."


def warn_if_useless(network, X, errors, error):
    """Warn of a network that does no better than the mean, or whose latent layer is dead.

    Parameters
    ----------
    network : CompiledNetwork
        The trained network.
    X : ndarray of shape (n_samples, n_features)
        Rows that it reconstructs with these `errors`.
    errors : ndarray of shape (n_samples,)
        Measured by `error`.
    error : str or callable
        The measure.
    """
    looked_at = slice(None, None, 1 + len(X) // _ROWS_LOOKED_AT)
    X, reached = X[looked_at].astype(np.float32, copy=False), errors[looked_at].mean()
    mean = np.broadcast_to(X.mean(axis=0, dtype=np.float64), X.shape)
    of_the_mean = row_errors(error, X, mean).mean()
    if of_the_mean == 0:
        return
    # With one code for all rows it would be no better than the mean: no need to run the encoder.
    if reached < _SURELY_LEARNT * of_the_mean:
        return
    if reached >= of_the_mean:
        _warn(
            "The network reconstructs the rows no better than their mean does (error "
            f"{reached:.4g}, that of the mean {of_the_mean:.4g})."
        )
    if (
        network.functions.code_shape is not None
        and not np.ptp(network.encode(X, once=True), axis=0).any()
    ):
        _warn(
            "The latent layer is dead: every row has the same code. Use another latent_activation."
        )


def _warn(message):
    # The level of whoever called `fit`, past the wrappers in between.
    warnings.warn(f"{message} {_ADVICE}", ConvergenceWarning, stacklevel=6)
