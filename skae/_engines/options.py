"""Options for an engine: plain records that know neither Keras nor scikit-learn."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

# The learning rate "auto", before it falls, and about how many steps a training has.
FULL_RATE = 1e-3
AUTO_STEPS = 2000
_AUTO_EPOCHS = (2, 200)


@dataclass(frozen=True)
class Layout:
    """How rows are laid out for a network, and how many members it has.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of one row as the network sees it.
    n_members : int, default=None
        How many autoencoders are side by side in the network, each of which takes its own rows.
        None means that the network is a single one.
    """

    input_shape: tuple[int, ...]
    n_members: int | None = None

    @property
    def member_axes(self) -> tuple[int, ...]:
        """The axes that the members add to a batch, behind its first: one or none."""
        return () if self.n_members is None else (self.n_members,)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The settings of the built-in architectures, named like the detector's parameters."""

    hidden_layer_sizes: tuple[int, ...]
    latent_dim: int | tuple[int, ...]
    activation: str | Callable
    latent_activation: str | Callable | None
    output_activation: str | Callable | None
    dropout: float
    batch_norm: bool
    l2: float
    latent_l1: float

    def key(self) -> tuple | None:
        """Return the sizes as a cache key, or None if functions are among them."""
        values = tuple(asdict(self).values())
        return None if any(callable(value) for value in values) else values


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train, named like the detector's parameters.

    The loss "auto" counts the squared error of a row in units of `usual_variance`. The network sees
    `stand_ins`, one value for each feature, in place of missing cells; None if none is missing.
    """

    loss: Any
    metrics: tuple
    optimizer: Any
    learning_rate: float | str
    epochs: int | str
    batch_size: int
    trim_fraction: tuple[float, ...]
    noise: float
    usual_variance: float
    stand_ins: np.ndarray | None
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    callbacks: tuple
    verbose: int
    label: str

    def resolved(self, n_samples: int) -> "TrainingOptions":
        """Return the options with `epochs` and `batch_size` as numbers that fit the data."""
        batch_size = min(self.batch_size, n_samples)
        epochs = self.epochs
        if isinstance(epochs, str):
            epochs = int(np.clip(AUTO_STEPS // n_batches(n_samples, batch_size), *_AUTO_EPOCHS))
        return replace(self, batch_size=batch_size, epochs=epochs)

    def graph_key(self) -> tuple | None:
        """Return the options that shape the graph, or None if Keras objects are among them."""
        names = (self.loss, self.optimizer, *self.metrics)
        if self.callbacks or not all(isinstance(name, str) for name in names):
            return None
        scheduled = self.learning_rate == "auto"
        has_gaps = self.stand_ins is not None
        return (*names, scheduled, self.noise > 0, self.trim_fraction, has_gaps)


def falling_rate(n_steps: int) -> float:
    """Return the learning rate of a training that never ends, after so many steps.

    Full for as many steps as a whole training has, then in proportion to one over the root of the
    number of steps, by which stochastic gradient descent settles without ever standing still.
    """
    return FULL_RATE * (AUTO_STEPS / max(n_steps, AUTO_STEPS)) ** 0.5


def n_batches(n_samples: int, batch_size: int) -> int:
    """Return the number of batches for a number of rows; the last one may be smaller."""
    return -(-n_samples // batch_size)


def member_sizes(given: Any, n_members: int) -> tuple:
    """Return a value for each member: the same for all, or those given, again and again."""
    values = given if isinstance(given, tuple) else (given,)
    return tuple(values[member % len(values)] for member in range(n_members))


def code_mask(latent_dims: tuple[int, ...]) -> np.ndarray:
    """Return an array of shape (n_members, longest code): one where a member has a code."""
    return (np.arange(max(latent_dims)) < np.array(latent_dims)[:, None]).astype(np.float32)
