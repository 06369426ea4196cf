"""The process-wide cache of compiled functions, bounded.

Tracing a graph costs more than training a small network. What was traced for one fit serves the
next of the same shape. The key is made of everything that shapes the graph.

A trainer owns variables, so it is *checked out*: one fit has exclusive use of it, and returns it
when done. A concurrent fit makes its own. What only scores is given its weights with each call and
is shared.
"""

import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager

from skae._engines.keras.loading import load_keras
from skae._engines.keras.settings import Settings

_MAX_ENTRIES = 16


class _Cache:
    """Keeps the most recently used entries, up to a number."""

    def __init__(self):
        self._entries = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def checked_out(self, key, make):
        """Take the entry of `key`, or a new one, out of the cache; an exception drops it."""
        with self._lock:
            entry = self._entries.pop(key, None)
        entry = make() if entry is None else entry
        yield entry
        self._keep(key, entry)

    def shared(self, key, make):
        """Return the entry of `key`, or a new one, shared with others."""
        with self._lock:
            entry = self._entries.get(key)
        entry = make() if entry is None else entry
        self._keep(key, entry)
        return entry

    def _keep(self, key, entry):
        # None marks what no other fit could use.
        if key is None:
            return
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)

    def clear(self):
        with self._lock:
            self._entries.clear()

    def __len__(self):
        return len(self._entries)


TRAINERS = _Cache()
FORWARDS = _Cache()


def clear_cache() -> None:
    """Drop the compiled functions that are kept for later fits and scores of the same shape.

    They make the second fit of a shape fast; each holds a few megabytes, at most 16 of a kind.

    Examples
    --------
    >>> import skae
    >>> skae.clear_cache()
    """
    TRAINERS.clear()
    FORWARDS.clear()


def graph_settings():
    """Return the settings of the process that shape every graph."""
    load_keras()  # first, as it asks TensorFlow for quiet
    import tensorflow as tf

    return (
        Settings.current(),
        tf.config.functions_run_eagerly(),
        tuple(device.name for device in tf.config.list_logical_devices()),
        tf.constant(0).device,
    )


def compiled(function, *signature):
    """Trace `function` once, for tensors of the shapes and dtypes of `signature`.

    A concrete function, because TensorFlow warns about retracing when many plain ones come from one
    place in the code, as when many networks are fitted.

    Parameters
    ----------
    function : callable
        Of tensors.
    *signature : tuple of (shape, dtype)
        None in a shape means any size.
    """
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in signature]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    weakref.finalize(traced, _dismantle, traced.graph).atexit = False
    return traced


def _dismantle(graph):
    """Free a graph that is no longer used, and those of the loops and branches in it.

    TensorFlow leaves that to whoever asks for a concrete function, and Python's garbage collector
    does not see the cycles: each graph of a training would keep some megabytes for good.
    """
    from tensorflow.python.framework.func_graph import dismantle_func_graph
    from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow

    # Only these: the graph of a `tf.function` of the user's is not ours, and goes on being used.
    kinds = (
        control_flow.CondBranchFuncGraph,
        control_flow.WhileBodyFuncGraph,
        control_flow.WhileCondFuncGraph,
    )
    if getattr(graph, "_function_captures", None) is None:  # done, as another one holds it too
        return
    for function in list(graph._functions.values()):
        inner = getattr(function, "_cached_graph", None)
        if isinstance(inner, kinds):
            _dismantle(inner)
    dismantle_func_graph(graph)
    graph.inputs, graph.outputs, graph.structured_outputs = [], [], None
    graph._function_captures = None


def as_operation(function, config=None):
    """Return a fast way to call a concrete function.

    TensorFlow's own argument binding takes longer than the arithmetic of a row.

    Parameters
    ----------
    function : ConcreteFunction
        Which returns one tensor.
    config : tensorflow.compat.v1.ConfigProto, default=None
        How its graph is optimized; as the process has it if None.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context, execute

    captured = function.captured_inputs
    config_proto = b"" if config is None else config.SerializeToString()
    attributes = ("executor_type", "", "config_proto", config_proto)

    # By its own name, and not by the public operation that calls any function: TensorFlow keeps
    # what it has compiled for that when the function is gone.
    def operation(*arguments):
        tensors = [tf.convert_to_tensor(argument) for argument in arguments]
        inputs = [*tensors, *captured]
        return execute.execute(function.name, 1, inputs, attributes, context.context())[0]

    return operation


def for_small_layers():
    """Return a configuration that optimizes a graph once, and fuses nothing.

    By default TensorFlow goes over a graph twice, and makes one operation of a product, its bias
    and its activation, which takes longer to launch than small layers take to compute.
    """
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.meta_optimizer_iterations = rewrites.ONE
    rewrites.remapping = rewrites.OFF
    return config
