"""Refusing TensorFlow in a process that was forked after it was used: there it hangs for ever."""

import os
import sys

_is_forked_after_use = False


def _note_fork():
    # Its threads are not in the child. TensorFlow has no public name for whether it has run
    # anything, by whomever; importing it starts none.
    global _is_forked_after_use
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    _is_forked_after_use |= getattr(context, "_context_handle", None) is not None


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_note_fork)


def check_process():
    """Refuse to run TensorFlow in a process that was forked after TensorFlow was used.

    Raises
    ------
    RuntimeError
        If this is one.
    """
    if _is_forked_after_use:
        raise RuntimeError(
            "This process was forked after TensorFlow was used, and would hang in it: start "
            "processes with multiprocessing.get_context('spawn') or joblib's default backend, or "
            "use TensorFlow in the forked processes only. Named architectures with activations by "
            "name can be scored here, as that needs no TensorFlow."
        )
