"""The steps from rows to a verdict: what skl2onnx calls operators, each with its nodes.

skl2onnx knows an operator by the class of what it stands for. A detector stands for its verdict;
what comes before, and what scikit-learn has no estimator for, has a small class of its own here.
"""

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    guess_numpy_type,
)

from skae._detectors.base import scorer_of
from skae._errors import needs_draws
from skae._network.network import Network
from skae.onnx._errors import mean_errors, rows_of, without_nan
from skae.onnx._graph import DOUBLE, FLOAT, Graph, type_of
from skae.onnx._networks import View, views

_OLDEST_OPSET = 13


class _Step:
    """A step with one output."""

    name = "values"
    n_columns: Any = 1
    type: Any = DoubleTensorType

    def add(self, graph, inputs, output):
        """Add the nodes that compute the output, a name, from inputs, names or variables."""
        raise NotImplementedError


class Gathered(_Step):
    """Columns as rows of one dtype.

    Parameters
    ----------
    dtype : str or type
        "float32" or "float64".
    n_columns : int
        How many there are in all.
    """

    name = "rows"

    def __init__(self, dtype, n_columns):
        self.dtype = np.dtype(dtype)
        self.n_columns = n_columns
        self.type = FloatTensorType if self.dtype == np.float32 else DoubleTensorType

    def add(self, graph, inputs, output):
        """Convert each input, and join them."""
        columns = [graph.cast(name, type_of(self.dtype)) for name in inputs]
        graph("Concat", *columns, axis=1, output=output)


class Scores(_Step):
    """Rows, and for a model that is no network its codes or predictions too, as scores.

    Parameters
    ----------
    detector : estimator
        Fitted, one of those that score by how rows are reconstructed.
    decode : tuple of ndarray, default=None
        Of a transformer: the matrix and the summand that make rows of its codes.
    """

    name = "score_samples"

    def __init__(self, detector, decode=None):
        self.scorer = scorer_of(detector)
        self.decode = decode

    def add(self, graph, inputs, output):
        """Compute minus the errors."""
        scorer = self.scorer
        rows = rows_of(graph, inputs[0])
        if isinstance(scorer.model, Network):
            filled = graph("Where", rows.is_missing, scorer.model.stand_ins, rows.values)
            found = views(graph, scorer.model, filled, needs_draws(scorer.error))
        else:
            found = [self._view(graph, inputs[1])]
        errors = mean_errors(graph, scorer.weighted_errors, rows, found)
        graph("Neg", errors, output=output)

    def _view(self, graph, found):
        model_type = type_of(self.scorer.model.dtype)
        if self.decode is None:
            return View(graph.cast(found, model_type), found)
        matrix, summand = self.decode
        code = graph.cast(found, DOUBLE)
        reconstruction = graph("Add", graph("MatMul", code, matrix), summand)
        return View(graph.cast(reconstruction, model_type), code)


class Shifted(_Step):
    """What a detector of scikit-learn decides by, as its scores.

    Parameters
    ----------
    offset : float
        Of the detector.
    """

    name = "score_samples"

    def __init__(self, offset):
        self.offset = offset

    def add(self, graph, inputs, output):
        """Undo the offset."""
        column = graph.reshape(graph.cast(inputs[0], DOUBLE), -1, 1)
        graph("Add", column, np.array(self.offset), output=output)


class Averaged(_Step):
    """The scores of several detectors as their mean on a common scale.

    Parameters
    ----------
    detector : AveragedOutlierDetector
        Fitted.
    """

    name = "score_samples"

    def __init__(self, detector):
        self.medians, self.spreads = detector.error_medians_, detector.error_spreads_

    def add(self, graph, inputs, output):
        """Compute the mean, in which a detector whose scores never varied is zero."""
        errors = without_nan(graph, graph("Neg", graph("Concat", *inputs, axis=1)))
        varies = self.spreads > 0
        scale = np.where(varies, self.spreads, 1.0)
        scaled = graph("Div", graph("Sub", errors, self.medians), scale)
        scaled = graph("Where", varies, scaled, np.array(0.0))
        graph("Div", graph.sum(scaled), np.array(-float(len(scale))), output=output)


def declare(scope, step, inputs) -> Any:
    """Add a step, and return its output."""
    operator = scope.declare_local_operator(_ALIASES[type(step)], step)
    operator.inputs = list(inputs)
    output = scope.declare_local_variable(step.name, step.type([None, step.n_columns]))
    operator.outputs.append(output)
    return output


def declare_verdict(scope, detector, alias, scores, score_samples=False):
    """Add the verdict of a detector, and return its outputs."""
    operator = scope.declare_local_operator(alias, detector)
    operator.inputs = [scores]
    outputs = [("label", Int64TensorType), ("scores", FloatTensorType)]
    if score_samples:
        outputs.append(("score_samples", FloatTensorType))
    for name, of_type in outputs:
        operator.outputs.append(scope.declare_local_variable(name, of_type([None, 1])))
    return operator.outputs


def convert_verdict(offset, scope, operator, container):
    """Add the nodes of a verdict: labels from the sign of the scores less the offset."""
    _check_opset(container)
    graph = Graph(scope, container)
    scores, outputs = operator.inputs[0].full_name, [out.full_name for out in operator.outputs]
    decision = graph("Sub", scores, np.array(offset))
    is_outlier = graph("Less", decision, np.array(0.0))
    graph("Where", is_outlier, np.array(-1), np.array(1), output=outputs[0])
    graph.cast(decision, FLOAT, output=outputs[1])
    if len(outputs) > 2:
        graph.cast(scores, FLOAT, output=outputs[2])


def convert_global_scaler(scope, operator, container):
    """Add the nodes of GlobalMinMaxScaler."""
    scaler, (output,) = operator.raw_operator, operator.outputs
    dtype = guess_numpy_type(output.type)
    low, *numbers = (
        np.array(number, dtype=dtype)
        for number in (scaler.feature_range[0], scaler.data_min_, scaler.scale_)
    )
    graph = Graph(scope, container)
    columns = [graph.cast(each.full_name, type_of(dtype)) for each in operator.inputs]
    X = graph("Concat", *columns, axis=1)
    minimum, scale = numbers
    scaled = graph("Mul", graph("Sub", X, minimum), scale)
    graph("Add", scaled, low, output=output.full_name)


def keep_shapes(operator):
    """Leave the shapes as they were declared."""


def same_shape(operator):
    """Give the output the shape of the input."""
    n_columns = operator.raw_operator.n_features_in_
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), n_columns]


def _check_opset(container):
    if container.target_opset < _OLDEST_OPSET:
        raise ValueError(
            f"target_opset must be {_OLDEST_OPSET} or later, got {container.target_opset}: "
            "detectors of skae use operators that older versions of ONNX lack."
        )


def _convert_step(scope, operator, container):
    _check_opset(container)
    (output,) = operator.outputs
    inputs = [each.full_name for each in operator.inputs]
    operator.raw_operator.add(Graph(scope, container), inputs, output.full_name)


_ALIASES = {step: f"Skae{step.__name__}" for step in (Gathered, Scores, Shifted, Averaged)}


def register_steps():
    """Tell skl2onnx of the steps."""
    for step, alias in _ALIASES.items():
        update_registered_converter(step, alias, keep_shapes, _convert_step)
