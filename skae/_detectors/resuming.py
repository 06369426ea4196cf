"""Refusing to resume a network that is no longer the one that the parameters ask for."""

import numpy as np

from skae._engines.keras.loading import resolve

RESUMING = "warm_start=True, like partial_fit, resumes"
ACTIVATIONS = ("activation", "latent_activation", "output_activation")


def check_same(before, now):
    """Refuse parameters of a network that have changed since it was first fitted.

    Parameters
    ----------
    before, now : dict
        The values by the name of the parameter.

    Raises
    ------
    ValueError
        If one has changed.
    """
    for name, value in before.items():
        if not _is_same(name, value, now[name]):
            raise_changed(f"a network with {name}={value!r}", name, now[name])


def raise_changed(what, name, value):
    """Raise the error about a parameter that has changed."""
    raise ValueError(
        f"{RESUMING} {what}, but {name}={value!r}: fit with warm_start=False to start anew, or set "
        f"{name} back."
    )


def _is_same(name, before, now):
    if name in ACTIVATIONS:  # several names may stand for one function
        return resolve("activations", before) == resolve("activations", now)
    if isinstance(before, dict):
        return before.keys() == now.keys() and all(
            np.array_equal(value, now[key]) for key, value in before.items()
        )
    return np.array_equal(before, now)
