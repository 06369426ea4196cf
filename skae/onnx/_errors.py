"""The errors of rows, as ONNX nodes: in double precision, as NumPy computes them."""

from typing import NamedTuple

import numpy as np

from skae._engines.numpy import noise_of_draws
from skae._errors import (
    MSLE_FLOOR,
    MahalanobisError,
    ReconstructionProbability,
    StandardizedError,
)
from skae._network.combined import CombinedError
from skae.onnx._graph import DOUBLE, FLOAT

_NAN_AS = np.array(np.inf)


class Rows(NamedTuple):
    """The names of rows, and of what is there of them.

    Parameters
    ----------
    values : str
        The rows; NaN is a missing cell.
    is_missing : str
        Which cells are missing.
    n_present : str
        How many are there in each row, of shape (n_samples, 1).
    """

    values: str
    is_missing: str
    n_present: str


def rows_of(graph, X) -> Rows:
    """Return rows with what is there of them."""
    is_missing = graph("IsNaN", X)
    is_present = graph.cast(graph("Not", is_missing), DOUBLE)
    return Rows(X, is_missing, graph.sum(is_present))


def mean_errors(graph, weighted_errors, rows, views):
    """Return the error of each row: the weighted mean over members, infinity where it is NaN."""
    found = [
        graph("Mul", _row_errors(graph, error, rows, view), np.array(float(weight)))
        for (error, weight), view in zip(weighted_errors, views, strict=True)
    ]
    errors = found[0] if len(found) == 1 else graph("Sum", *found)
    errors = graph("Div", errors, np.array(float(len(found))))
    return without_nan(graph, errors)


def without_nan(graph, errors):
    """Return errors with infinity in place of NaN."""
    return graph("Where", graph("IsNaN", errors), _NAN_AS, errors)


def _row_errors(graph, error, rows, view):
    if isinstance(error, CombinedError):
        return _combined(graph, error, rows, view)
    return _mean(graph, rows, _MEASURES[_kind(error.measure)], error.measure, view.reconstruction)


def _kind(measure):
    return measure if isinstance(measure, str) else type(measure)


def can_measure(measure):
    """Tell whether there are nodes for an error, by its name or as it is fitted."""
    try:
        return _kind(measure) in _MEASURES
    except TypeError:  # a name that is no name
        return False


def _mean(graph, rows, measured, measure, reconstruction):
    """Return the mean error over the cells that are there."""
    is_drawn = isinstance(measure, ReconstructionProbability)
    stand_ins = graph("Gather", reconstruction, np.array(0), axis=1) if is_drawn else reconstruction
    filled = graph("Where", rows.is_missing, stand_ins, rows.values)
    if is_drawn:
        filled = graph("Unsqueeze", filled, np.array([1]))
    errors = measured(
        graph, measure, graph.cast(filled, DOUBLE), graph.cast(reconstruction, DOUBLE)
    )
    errors = graph("Where", rows.is_missing, np.array(0.0), errors)
    return graph("Div", graph.sum(errors), rows.n_present)


# Of each feature, from rows and reconstructions in double precision.


def _absolute(graph, measure, X, reconstruction):
    return graph("Abs", graph("Sub", X, reconstruction))


def _squared(graph, measure, X, reconstruction):
    return _square(graph, graph("Sub", X, reconstruction))


def _squared_logarithmic(graph, measure, X, reconstruction):
    logarithms = (
        graph("Log", graph("Add", graph("Max", values, np.array(MSLE_FLOOR)), np.array(1.0)))
        for values in (X, reconstruction)
    )
    return _square(graph, graph("Sub", *logarithms))


def _standardized(graph, measure, X, reconstruction):
    return graph("Div", _squared(graph, measure, X, reconstruction), measure.scale)


def _mahalanobis(graph, measure, X, reconstruction):
    residuals = graph("Sub", graph("Sub", X, reconstruction), measure.location)
    return _square(graph, graph("MatMul", residuals, measure.whitening))


def _of_draws(graph, measure, X, reconstruction):
    errors = _standardized(graph, measure.of_draw, X, reconstruction)
    total = graph("Squeeze", graph.sum(errors), np.array([1]))
    return graph("Div", total, np.array(float(len(noise_of_draws(1)))))


_MEASURES = {
    "mae": _absolute,
    "mse": _squared,
    "msle": _squared_logarithmic,
    MahalanobisError: _mahalanobis,
    ReconstructionProbability: _of_draws,
    StandardizedError: _standardized,
}


def _combined(graph, error, rows, view):
    code = graph.cast(view.code, FLOAT)
    standardized = graph("Div", graph("Sub", code, error.location), error.scale)
    closeness = graph("Sub", graph("MatMul", standardized, error.kept_codes), error.half_norms)
    nearest = graph("ArgMax", closeness, axis=1, keepdims=0)
    known = graph("Gather", error.known_rows, nearest, axis=0)
    white = graph.cast(graph("MatMul", standardized, error.whitening), DOUBLE)
    parts = (
        _mean(graph, rows, _squared, "mse", view.reconstruction),
        _mean(graph, rows, _squared, "mse", known),
        graph.sum(_square(graph, white)),
    )
    weights = error.weights / error.usual
    return graph(
        "Sum", *(graph("Mul", part, np.array(w)) for part, w in zip(parts, weights, strict=True))
    )


def _square(graph, values):
    return graph("Mul", values, values)
