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
    text = f"{name} is {'missing' if is_missing(value) else written(value, expected)}"
    if isinstance(value, str) and value == expected:
        text += ", as expected"
    elif not is_missing(expected):
        text += f", expected {written(expected, value)}"
    return f"{text}: {100 * share:.0f} % of the alarm" if isfinite(share) else text


def written(value, other):
    """Return a value in words: a number with three digits of its difference to another."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return str(value)
    number = float(value)
    if not isfinite(number) or abs(number) >= _MAX_WRITTEN_OUT:
        return f"{number:.{_DIGITS}g}"
    if number.is_integer():
        return f"{number:.0f}"
    difference = abs(number)
    if isinstance(other, Real) and isfinite(other):
        difference = abs(number - float(other)) or difference
    decimals = _DIGITS - 1 - floor(log10(difference))
    if decimals > 2 * _DIGITS:
        return f"{number:.{_DIGITS}g}"
    return f"{number:.{max(decimals, 0)}f}"


def is_missing(value):
    """Tell whether a value is None, NaN or the like."""
    return value is None or value != value or type(value).__name__ == "NAType"
