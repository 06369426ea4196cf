"""The one door to Keras: imported when first needed, and only on TensorFlow."""

import difflib
import importlib
import os
import random
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

# Names that Keras accepts besides those that its modules list.
_SHORT_NAMES = {
    "losses": ("mae", "mape", "mse", "msle"),
    "metrics": ("mae", "mape", "mse", "msle"),
}
# Which parameter of a detector is looked up in a module of Keras.
_PARAMETERS = {
    "activations": "activation",
    "losses": "loss",
    "metrics": "metrics",
    "optimizers": "optimizer",
}
# Activations that no layer can have as they are, and why.
_UNFIT_ACTIVATIONS = {
    "glu": ("halves the width of a layer", "'silu' or 'gelu', whose gates keep it"),
    "threshold": ("needs arguments", "lambda x: keras.activations.threshold(x, 0.5, 0.0)"),
}
# What these modules list besides.
_OTHER_NAMES = ("deserialize", "get", "legacy", "schedules", "serialize")
# Held while something process-wide is changed for the time of a block.
PROCESS_LOCK = threading.RLock()

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_GPU_DRIVER = Path("/proc/driver/nvidia/version")
_PROFILER = "tensorflow.python.profiler.internal._pywrap_profiler_plugin"


def load_keras():
    """Import Keras and return it; raise on any backend but TensorFlow."""
    if "keras" not in sys.modules:
        _refuse_backend(os.environ.get("KERAS_BACKEND") or "tensorflow")
    try:
        with _quiet_tensorflow():
            import keras
    except ModuleNotFoundError as error:
        # Keras' own configuration file can name a backend that is not installed.
        if error.name in ("jax", "torch", "openvino"):
            _refuse_backend(error.name)
        raise
    except ValueError as error:
        # Or one that does not exist.
        _refuse_backend(str(error).removeprefix("Unable to import backend : "))

    _refuse_backend(keras.backend.backend())
    return keras


@contextmanager
def _quiet_tensorflow():
    """Ask TensorFlow for few log messages within the block, if the user has asked for nothing.

    Its libraries read the level when they are loaded, and keep it. Without a GPU, the first tensor
    logs an error about the missing one, which only level 3 silences; with one, errors are of
    interest. Exceptions are raised at any level.

    No level silences the first lines of a library. TensorFlow's remote profiler has a library of
    its own, which logs them a second time: it is left for when someone asks the profiler.
    """
    if _LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        yield
        return
    os.environ[_LOG_LEVEL] = "1" if _GPU_DRIVER.exists() else "3"
    sys.modules[_PROFILER] = _LazyModule(_PROFILER)
    try:
        yield
    finally:
        os.environ.pop(_LOG_LEVEL, None)
        # Who imports it from now on gets the real one.
        sys.modules.pop(_PROFILER, None)


class _LazyModule(ModuleType):
    """Stands for a module, and imports it when something of it is first asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):  # asked for by the import itself
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _refuse_backend(backend):
    if backend != "tensorflow":
        raise RuntimeError(
            f"skae needs Keras on its TensorFlow backend, but the backend is {backend!r}: set the "
            "environment variable KERAS_BACKEND=tensorflow before Keras is first imported."
        )


def is_keras_model(candidate):
    """Tell whether `candidate` is a `keras.Model`, without loading Keras to find out."""
    return "keras" in sys.modules and isinstance(candidate, load_keras().Model)


def resolve(kind, identifier, parameter=None):
    """Return what Keras calls `identifier` among its losses, optimizers, activations or metrics.

    Parameters
    ----------
    kind : {"activations", "losses", "metrics", "optimizers"}
        The Keras module to look in.
    identifier : str, callable or Keras object
        A name is looked up, anything else is left to Keras.
    parameter : str, default=None
        The parameter that holds it, where that is not the usual one.

    Raises
    ------
    TypeError
        If it is a class, or nothing that Keras could use.
    ValueError
        If Keras knows no such name; the message suggests the nearest ones.
    """
    module = getattr(load_keras(), kind)
    parameter = parameter or _PARAMETERS[kind]
    if isinstance(identifier, type):
        raise TypeError(
            f"{parameter} got the class {identifier.__name__}: give an instance, such as "
            f"{identifier.__name__}(), or a name."
        )
    try:
        found = module.get(identifier)
    except Exception as error:
        if isinstance(identifier, str):
            return _by_class_name(kind, parameter, identifier, error)
        found = None
    if found is None:
        raise TypeError(
            f"{parameter} takes names of keras.{kind}, functions and instances of its classes, got "
            f"{identifier!r}."
        )
    return found


def check_activation(parameter, activation):
    """Refuse what is no activation, or one that cannot stand behind a layer as it is.

    Raises
    ------
    TypeError, ValueError
        As `resolve` does, and for activations that change the width or need arguments.
    """
    function = resolve("activations", activation, parameter)
    for name, (reason, instead) in _UNFIT_ACTIVATIONS.items():
        if function is getattr(load_keras().activations, name, None):
            raise ValueError(f"{parameter}={activation!r} {reason}: give {instead}.")


def _by_class_name(kind, parameter, name, error):
    """Return the function, or an instance of the class, that Keras lists but does not find."""
    module = getattr(load_keras(), kind)
    names = [each for each in dir(module) if not each.startswith("_") and each not in _OTHER_NAMES]
    lowered = {each.lower(): each for each in (*names, *_SHORT_NAMES.get(kind, ()))}
    found = getattr(module, lowered.get(name.lower(), ""), None)
    if callable(found) and not isinstance(found, type):
        return found
    if isinstance(found, type):
        try:
            return found()
        except Exception:
            raise ValueError(
                f"{parameter}={name!r} needs arguments: give an instance of "
                f"keras.{kind}.{found.__name__}."
            ) from error
    nearest = difflib.get_close_matches(name.lower(), lowered, n=2)
    hint = f" Did you mean {' or '.join(repr(lowered[each]) for each in nearest)}?"
    raise ValueError(
        f"{parameter}: keras.{kind} has nothing called {name!r}.{hint if nearest else ''}"
    ) from error


def summary(error):
    """Return the class of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def seeded_python_random(seed):
    """Seed Python's own generator within the block, and restore its state afterward.

    Keras draws the seed of a layer without one from there. This makes models that users build
    reproducible, and leaves their `random` module unaffected.
    """
    with PROCESS_LOCK:
        before = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
