"""Warnings about a network that has learned nothing."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae._network.missing import PresentCells
from skae._network.scorer import evenly_spaced
from skae._warnings import warn

_LEARNED_RATIO = 0.5
_ADVICE = "Try more epochs, another learning_rate, or scaled data."


def warn_if_useless(scorer, X):
    """Warn about a network that does no better than the mean, or whose latent layer is dead.

    Parameters
    ----------
    scorer : Scorer
        With the trained network.
    X : ndarray of shape (n_samples, n_features)
        Rows that set the offset.
    """
    network = scorer.model
    X = evenly_spaced(X).astype(network.dtype, copy=False)
    error = scorer.reconstruction_errors(X).mean()
    mean = np.tile(PresentCells(X).means, (len(X), 1))
    error_of_mean = scorer.errors_of(X, mean).mean()
    if error_of_mean == 0:
        return
    # With one code for all rows it could not beat the mean: no need to run the encoder.
    if error < _LEARNED_RATIO * error_of_mean:
        return
    if error >= error_of_mean:
        _warn(
            "The network reconstructs the rows no better than their mean does (error "
            f"{error:.4g}, that of the mean {error_of_mean:.4g})."
        )
    if network.code_shape is not None and not np.ptp(network.forward.encode(X), axis=0).any():
        _warn(
            "The latent layer is dead: every row has the same code. Use another latent_activation."
        )


def _warn(message):
    warn(f"{message} {_ADVICE}", ConvergenceWarning)
