"""The one door to Keras: imported when first needed, and only on TensorFlow."""

import difflib
import os
import random
import sys
import threading
from contextlib import contextmanager

# Names that Keras accepts besides those that its modules list.
_SHORT_NAMES = {
    "losses": ("mae", "mape", "mse", "msle"),
    "metrics": ("mae", "mape", "mse", "msle"),
}
# Held while something process-wide is changed for the time of a block.
PROCESS_LOCK = threading.RLock()


def load_keras():
    """Import Keras and return it; raise on any backend but TensorFlow."""
    if "keras" not in sys.modules:
        _refuse_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    try:
        import keras
    except ModuleNotFoundError as error:
        # Keras' own configuration file can name a backend that is not installed.
        if error.name in ("jax", "torch", "openvino"):
            _refuse_backend(error.name)
        raise

    _refuse_backend(keras.backend.backend())
    return keras


def _refuse_backend(backend):
    if backend != "tensorflow":
        raise RuntimeError(
            f"skae needs Keras on its TensorFlow backend, but the backend is {backend!r}: set the "
            "environment variable KERAS_BACKEND=tensorflow before Keras is first imported."
        )


def is_keras_model(candidate):
    """Tell whether `candidate` is a `keras.Model`, without loading Keras to find out."""
    return "keras" in sys.modules and isinstance(candidate, load_keras().Model)


def resolve(kind, identifier):
    """Return what Keras calls `identifier` among its losses, optimizers, activations or metrics.

    Parameters
    ----------
    kind : {"activations", "losses", "metrics", "optimizers"}
        The Keras module to look in.
    identifier : str, callable or Keras object
        A name is looked up, anything else is left to Keras.

    Raises
    ------
    ValueError
        If Keras knows no such name; the message suggests the nearest ones.
    """
    module = getattr(load_keras(), kind)
    try:
        return module.get(identifier)
    except ValueError as error:
        if not isinstance(identifier, str):
            raise
        known = [name for name in dir(module) if not name.startswith("_")]
        known += _SHORT_NAMES.get(kind, ())
        lowered = {name.lower(): name for name in known}
        nearest = difflib.get_close_matches(identifier.lower(), lowered, n=2)
        hint = f" Did you mean {' or '.join(repr(lowered[name]) for name in nearest)}?"
        raise ValueError(
            f"keras.{kind} has nothing called {identifier!r}.{hint if nearest else ''}"
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
