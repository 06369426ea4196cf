"""An ONNX graph that grows node by node."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


class Graph:
    """The part of a graph that a converter adds to it.

    A value is known by its name. Arrays are constants.

    Parameters
    ----------
    scope, container : object
        What skl2onnx calls converters with.
    """

    def __init__(self, scope, container):
        self._scope = scope
        self._container = container

    def __call__(self, kind, *inputs, output=None, **attributes) -> str:
        """Add a node, and return the name of its (first) output.

        Parameters
        ----------
        kind : str
            What ONNX calls the operator.
        *inputs : str or ndarray
            Values and constants.
        output : str, default=None
            A name for the output; None makes one up.
        **attributes : dict
            Of the operator.
        """
        output = output or self._scope.get_unique_variable_name(kind.lower())
        self._container.add_node(
            kind,
            [value if isinstance(value, str) else self._constant(value) for value in inputs],
            [output],
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return output

    def cast(self, value, to, **kwargs) -> str:
        """Convert a value to another type."""
        return self("Cast", value, to=to, **kwargs)

    def sum(self, value, axis=1) -> str:
        """Sum over an axis, which stays with the length one."""
        return self("ReduceSum", value, np.array([axis]), keepdims=1)

    def reshape(self, value, *shape) -> str:
        """Lay out a value; a length of zero stays what it is."""
        return self("Reshape", value, np.array(shape))

    def between(self, value, start, stop, axis) -> str:
        """Return a slice along an axis."""
        return self("Slice", value, *(np.array([n]) for n in (start, stop, axis)))

    def _constant(self, values):
        name = self._scope.get_unique_variable_name("constant")
        values = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
        tensor = numpy_helper.from_array(values)
        self._container.add_initializer(name, tensor.data_type, list(values.shape), tensor)
        return name


def type_of(dtype):
    """Return what ONNX calls a dtype of NumPy."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
