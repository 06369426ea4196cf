"""Warnings that name the user's line."""

import sys
import warnings

# Packages whose calls lie between the user's line and the code in skae that warns.
_SKIPPED_PACKAGES = {
    "concurrent",
    "contextlib",
    "functools",
    "joblib",
    "multiprocessing",
    "skae",
    "sklearn",
    "threading",
}


def warn(message, category=UserWarning):
    """Warn as if from the innermost line outside skae and the libraries in between.

    Parameters
    ----------
    message : str
        What to say.
    category : type, default=UserWarning
        A class of warnings.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame) in _SKIPPED_PACKAGES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
