"""Words and numbers on axes: long names in lines, few digits."""

import re
from numbers import Integral
from textwrap import wrap

_MAX_LABEL = 50
_NAME_WIDTH = 32
_MAX_LINES = 3
# Also those of CamelCase; what separates them stays at the end of the line.
_WORD = re.compile(r"[A-Z]*[^\WA-Z_]*[\W_]|[A-Z]+[^\WA-Z_]*|[^\WA-Z_]+")
_LARGEST_WRITTEN_OUT = 1e5
_SMALLEST_WRITTEN_OUT = 1e-4


def axis_label(text, width=_MAX_LABEL):
    """Return the label of an axis, in lines that are no wider than a panel."""
    return "\n".join("\n".join(wrap(line, width)) for line in text.split("\n"))


def column_name(name, what="feature"):
    """Return the name of a column; one that is only a number says of what."""
    is_number = isinstance(name, Integral) or (isinstance(name, str) and name.isdecimal())
    return f"{what} {name}" if is_number else str(name)


def in_lines(name, width=_NAME_WIDTH):
    """Return a long name in lines that end where words do, without its middle if need be."""
    text = " ".join(str(name).split())
    if len(text) > width * _MAX_LINES:
        kept = width * _MAX_LINES // 2 - 1
        text = f"{text[:kept]}\N{HORIZONTAL ELLIPSIS}{text[-kept:]}"
    lines = [""]
    for word in _WORD.findall(text):
        for part in (word[i : i + width] for i in range(0, len(word), width)):
            if lines[-1] and len(lines[-1]) + len(part) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def n_lines(texts):
    """Return the number of lines of the tallest text."""
    return max((text.count("\n") + 1 for text in texts), default=1)


def whole_numbers():
    """Return a locator of ticks at whole numbers, as many as there is room for."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def set_log_scale(ax, *names):
    """Make axes ("x", "y") logarithmic, with ticks that are written out where that is short."""
    from matplotlib.ticker import FuncFormatter

    for name in names:
        getattr(ax, f"set_{name}scale")("log")
        axis = getattr(ax, f"{name}axis")
        axis.set_major_formatter(FuncFormatter(_tick_writer(axis, is_major=True)))
        axis.set_minor_formatter(FuncFormatter(_tick_writer(axis, is_major=False)))


def _tick_writer(axis, *, is_major):
    def write(value, _position):
        low, high = sorted(axis.get_view_interval())
        digit = f"{value:e}"[0]
        if not is_major and digit not in _minor_digits(high / low):
            return ""
        if low < _SMALLEST_WRITTEN_OUT or high > _LARGEST_WRITTEN_OUT:
            exponent = int(f"{value:e}".split("e")[1])
            power = rf"10^{{{exponent}}}" if exponent not in (0, 1) else str(10**exponent)
            return f"${power}$" if digit == "1" else rf"${digit} \times {power}$"
        return f"{value:,.0f}" if value >= 1000 else f"{value:g}"

    return write


def _minor_digits(ratio):
    """Return the first digits of the ticks between powers of ten that have room for numbers."""
    if ratio <= 2:  # there may be no power of ten in view
        return "123456789"
    if ratio > 30:
        return ""
    return "25" if ratio > 4 else "23456789"
