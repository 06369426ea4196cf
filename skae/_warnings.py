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

    Where there is none, as in a thread whose target is a method of a detector, the outermost line
    is named.

    Parameters
    ----------
    message : str
        What to say.
    category : type, default=UserWarning
        A class of warnings.
    """
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and _package(frame) in _SKIPPED_PACKAGES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    # Code run by exec may have no name, or any object in its place.
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
