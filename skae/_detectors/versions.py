"""The versions that a detector is saved with, and a warning where it is loaded under others."""

import sys
from functools import cache

from sklearn.exceptions import InconsistentVersionWarning

from skae import __version__
from skae._show_versions import version_of
from skae._warnings import warn

# Of the attributes of fitted detectors and of what they hold: the next number for a change that
# makes older files unfit, or other files unfit for older versions of skae.
FORMAT = 1
_KEY = "_saved_with"


class InconsistentVersionsWarning(InconsistentVersionWarning):
    """A detector is loaded under other versions than it was saved with.

    It is a kind of :class:`sklearn.exceptions.InconsistentVersionWarning`, so that what is done
    about those is done about these.

    Parameters
    ----------
    message : str
        What differs.
    """

    def __init__(self, message):
        UserWarning.__init__(self, message)

    def __str__(self):
        return str(self.args[0])


def with_versions(state):
    """Return a state to be saved, and with it the versions of its format, of skae and of Keras."""
    return {**state, _KEY: _present()}


def checked_versions(name, state):
    """Return a loaded state without its versions, and warn if they are not the present ones.

    Parameters
    ----------
    name : str
        Of the detector's class.
    state : dict
        As `with_versions` returns it.
    """
    # Names that are not interned would end up in all later instances, and change their pickles.
    state = {sys.intern(key): value for key, value in state.items()}
    saved, present = state.pop(_KEY, {}), _present()
    if saved != present:
        warn(
            f"{name} was saved with {_words(saved)}, and is loaded with {_words(present)}. It may "
            "not work, or have other scores: fit it again with these versions, or load it with "
            "those that it was saved with.",
            InconsistentVersionsWarning,
        )
    return state


@cache
def _versions():
    return {"format": FORMAT, "skae": __version__, "keras": version_of("keras")}


def _present():
    return dict(_versions())


def _words(versions):
    if not versions:
        return "an older version of skae"
    names = {"skae": "skae", "keras": "Keras", "format": "format"}
    return ", ".join(f"{word} {versions.get(key)}" for key, word in names.items())
