"""What losses ask of the rows and of the output of the network: the one table of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skae._engines.keras.loading import resolve
from skae._network.missing import extremes
from skae._network.scorer import evenly_spaced, in_batches
from skae._warnings import warn

# A MinMaxScaler on float32 reaches 1.0000001.
UNIT_INTERVAL = (-1e-6, 1 + 1e-6)


class Domain(NamedTuple):
    """The rows that a loss can compare, and the outputs that it can teach to return them."""

    holds: Callable
    needs: str
    how_to_fix: str
    outputs: tuple[str, ...] | None = None


def _in_unit_interval(X):
    low, high = extremes(X)
    return low >= UNIT_INTERVAL[0] and high <= UNIT_INTERVAL[1]


def _is_distribution(X):
    return _smallest(X) >= 0 and np.allclose(X.sum(axis=-1), 1, atol=1e-3)


def _is_binary(X):
    return (np.isin(X, (0, 1)) | np.isnan(X)).all()


def _smallest(X):
    return extremes(X)[0]


_UNIT = Domain(
    _in_unit_interval,
    "values in [0, 1]",
    "put MinMaxScaler() before the detector",
    ("sigmoid", "hard_sigmoid"),
)
_DISTRIBUTION = Domain(
    _is_distribution,
    "rows that are distributions (values >= 0 that sum to 1)",
    "put Normalizer('l1') before the detector if values are shares of a whole",
    ("softmax",),
)
_COUNTS = Domain(
    lambda X: _smallest(X) >= 0,
    "counts, X >= 0",
    "give the counts as they are",
    ("softplus", "exponential", "sigmoid"),
)
_SIGNS = Domain(
    lambda X: ((np.abs(X) == 1) | np.isnan(X)).all(),
    "values of -1 and 1 only",
    "give such values",
    ("tanh", "hard_tanh", "softsign"),
)
_NEVER = Domain(lambda X: False, "classes or sequences of labels, not rows", "")
_POSITIVE = Domain(lambda X: _smallest(X) > 0, "X > 0, as it divides by X", "use loss='mae'")
# The output may be anything: the loss cuts it off at zero.
_LOGARITHMS = Domain(
    lambda X: _smallest(X) >= 0,
    "X >= 0",
    "as it takes logarithms, put MinMaxScaler() before the detector",
)

# By the names of Keras' functions; those that are not here compare rows of any values.
_DOMAINS = {
    "binary_crossentropy": _UNIT,
    "binary_focal_crossentropy": _UNIT,
    "dice": _UNIT,
    "tversky": _UNIT,
    "categorical_crossentropy": _DISTRIBUTION,
    "categorical_focal_crossentropy": _DISTRIBUTION,
    "kl_divergence": _DISTRIBUTION,
    "poisson": _COUNTS,
    "mean_squared_logarithmic_error": _LOGARITHMS,
    "mean_absolute_percentage_error": _POSITIVE,
    "hinge": _SIGNS,
    "squared_hinge": _SIGNS,
    "categorical_hinge": _NEVER,
    "sparse_categorical_crossentropy": _NEVER,
    "circle": _NEVER,
    "ctc": _NEVER,
}
# Their minimum is at the row itself only where it is zeros and ones.
_OF_BINARY_ROWS = ("binary_focal_crossentropy", "dice", "tversky")
# They are not means over cells, or the minimum for a cell is not at its value.
_OF_WHOLE_ROWS = (
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "cosine_similarity",
    "dice",
    "hinge",
    "kl_divergence",
    "squared_hinge",
    "tversky",
)
_SHORT = {"mean_squared_logarithmic_error": "msle"}


def check_loss(loss, X, error, output_activation):
    """Refuse a loss that cannot teach a network to return rows like those of X.

    Parameters
    ----------
    loss : str, callable or keras.losses.Loss
        As the parameter of the detectors.
    X : ndarray
        The training rows, with the axes that the network sees.
    error : str or callable
        What rows will be scored by.
    output_activation : str, callable or None
        Of the network; a callable where it is not known.
    """
    name, from_logits = _identified(resolve("losses", loss))
    if from_logits:
        raise ValueError(
            f"The loss {name} with from_logits=True wants a network that returns logits, and rows "
            "could not be compared with those: leave it out, and give the network a sigmoid or "
            "softmax output."
        )
    if name == "cosine_similarity" and isinstance(error, str):
        warn(
            f"loss='cosine_similarity' ignores the size of rows, so that a network learns only "
            f"their direction, but error={error!r} compares sizes too: use loss='mse', or an error "
            "of your own that ignores sizes."
        )
    if name in _OF_WHOLE_ROWS and in_batches(lambda rows: np.isnan(rows).any(axis=-1), X).any():
        raise ValueError(
            f"The loss {name} cannot leave out missing cells (NaN), and X has some: use "
            "loss='mse', or put SimpleImputer() before the detector in a pipeline."
        )
    domain = _DOMAINS.get(name)
    if domain is not None:
        _check_rows(_SHORT.get(name, name), domain, X)
        _check_output(name, domain, X, output_activation)
    if name in _OF_BINARY_ROWS and not _is_binary(evenly_spaced(X)):
        warn(
            f"The loss {name} is for rows of zeros and ones: between them, its minimum is not at "
            "the row itself, so that normal rows have large errors too. Use "
            "loss='binary_crossentropy' or loss='mse'."
        )


def _identified(loss) -> tuple[Any, bool]:
    """Return the name of Keras' function behind a loss, None for others, and if it takes logits."""
    from_logits = getattr(loss, "from_logits", False)
    while isinstance(loss, partial):
        from_logits = from_logits or loss.keywords.get("from_logits", False)
        loss = loss.func
    function = getattr(loss, "fn", loss)
    is_of_keras = getattr(function, "__module__", "").split(".")[0] == "keras"
    return getattr(function, "__name__", None) if is_of_keras else None, from_logits


def _check_rows(name, domain, X):
    # Sums and distinct values take more than a pass over the rows.
    rows = evenly_spaced(X) if domain in (_DISTRIBUTION, _SIGNS) else X
    if not domain.holds(rows):
        fixes = [fix for fix in (domain.how_to_fix, "use loss='mse'") if fix]
        low, high = extremes(X)
        raise ValueError(
            f"The loss {name} needs {domain.needs}, but X has values down to {low:.4g} and up to "
            f"{high:.4g}: {', or '.join(fixes)}."
        )


def _check_output(name, domain, X, output_activation):
    if output_activation == "auto":
        output_activation = "sigmoid" if _in_unit_interval(X) else "linear"
    output = "linear" if output_activation is None else output_activation
    if domain.outputs is None or callable(output) or output in domain.outputs:
        return
    wanted = " or ".join(f"output_activation={name!r}" for name in domain.outputs)
    raise ValueError(
        f"The loss {name} needs {wanted}, but the output of this network would be {output!r}: set "
        "that, or use loss='mse'."
    )
