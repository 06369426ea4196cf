"""Explanations in words."""

from math import floor, isfinite, log10
from numbers import Real

# Beyond it, digits before the decimal point are no easier to read than a power of ten.
_MAX_WRITTEN_OUT = 1e7
_DIGITS = 3


def sentence(name, value, expected, share):
    """Return an explanation such as "temp_C is 74.1, expected 60.3: 81 % of the alarm".

    Parameters
    ----------
    name : object
        Of the column.
    value, expected : object
        What is there and what the detector expects; NaN or None if it is not known.
    share : float
        Of the error of the row; NaN if it is not known.
    """
    text = f"{name} is missing" if is_missing(value) else f"{name} is {_written(value, expected)}"
    if is_missing(expected):
        pass
    elif isinstance(value, str) and value == expected:
        text += ", as expected"
    else:
        text += f", expected {_written(expected, value)}"
    return f"{text}: {100 * share:.0f} % of the alarm" if isfinite(share) else text


def _written(value, other):
    """Return a value in words: a number with three digits of its difference to another."""
    if not _is_number(value):
        return str(value)
    size = abs(value)
    if not size < _MAX_WRITTEN_OUT:
        return f"{value:.{_DIGITS}g}"
    if value == int(value):
        return f"{value:.0f}"
    difference = size
    if _is_number(other) and isfinite(other):
        difference = abs(value - other) or size
    decimals = _DIGITS - 1 - floor(log10(difference))
    if decimals > 2 * _DIGITS:
        return f"{value:.{_DIGITS}g}"
    return f"{value:.{max(decimals, 0)}f}"


def _is_number(value):
    # The check of the class costs more than the sentence; what is not a float is rare.
    is_float = type(value) is float
    return is_float or (isinstance(value, Real) and not isinstance(value, bool))


def is_missing(value):
    """Tell whether a value is None, NaN or the like."""
    return value is None or value != value or type(value).__name__ == "NAType"
