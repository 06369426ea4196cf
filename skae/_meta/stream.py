"""A series that arrives in chunks, and the scores of its steps as they become final."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skae._detectors.base import unchanged_on_failure
from skae._meta.series import Clock, is_gap_before
from skae._meta.windows import covering_starts, reduced


class SeriesStream:
    """The last steps of a series, and the errors of the windows among them.

    Parameters
    ----------
    read : callable
        From X and groups to a checked series.
    errors_of : callable
        From values and starts to the errors of windows.
    warn_of_short : callable
        From a number of steps; called for a stretch shorter than a window.
    form : tuple (width, stride, reduce)
        As of the detector.
    max_gap, clock : object
        Parameter of the detector, and the clock of the series in its `fit`.
    """

    def __init__(
        self, read: Callable, errors_of: Callable, warn_of_short: Callable, form, max_gap, clock
    ):
        self._read, self._errors_of, self._warn_of_short = read, errors_of, warn_of_short
        self._width, self._stride, self._reduce = form
        self._max_gap, self._clock = max_gap, clock
        self._forget()
        self._last: Any = None

    @property
    def n_pending(self):
        """How many steps have no final score yet."""
        return len(self._values) - self._n_final

    def update(self, X, groups):
        """Take steps, and return the scores that are final."""
        with unchanged_on_failure(self):
            series = self._read(X, groups)
            if groups is not None:
                groups = np.asarray(groups)
            is_gap = self._last is not None and self._is_gap(series, groups)
            scores = []
            for number, (start, stop) in enumerate(series.stretches):
                if number or is_gap:
                    scores.append(self._finished())
                scores.append(self._advanced(series.values[start:stop]))
            time = None if series.times is None else series.times[-1]
            label = None if series.index is None else series.index[-1]
            group = None if groups is None else groups[-1]
            self._last = time, label, group, series.clock.kind, groups is not None
        return np.concatenate(scores)

    def flush(self):
        """Return the scores of the steps that have none yet, and forget the series."""
        with unchanged_on_failure(self):
            scores = self._finished()
            self._last = None
        return scores

    def _is_gap(self, series, groups):
        """Tell whether there is a gap before the first step of what has arrived."""
        time, label, group, kind, had_groups = self._last
        if kind != series.clock.kind or had_groups != (groups is not None):
            raise ValueError(
                "What arrives must have groups, and an index of times or of numbers, where what "
                "arrived before had them, and none where it had none: end that series by flush()."
            )
        is_other = groups is not None and bool(groups[0] != group)
        return is_gap_before(series, time, label, is_other, self._max_gap, self._clock)

    def _forget(self):
        self._values, self._errors, self._n_final = np.empty((0, 0)), np.empty(0), 0

    def _advanced(self, values):
        """Take steps of the same stretch, and return the scores that are final."""
        self._values = np.concatenate([self._values, values]) if len(self._values) else values
        n_steps, width, stride = len(self._values), self._width, self._stride
        starts = np.arange(0, n_steps - width + 1, stride)
        if len(starts) > len(self._errors):
            new = self._errors_of(self._values, starts[len(self._errors) :])
            self._errors = np.concatenate([self._errors, new])
        # A later step is in the last window, should the stretch end here.
        n_final = n_steps - width
        if n_final <= self._n_final:
            return np.empty(0)
        errors = reduced(self._errors, n_steps, width, stride, self._reduce, starts=starts)
        scores = -errors[self._n_final : n_final]
        # What windows of later steps need is kept, from a place where a window begins.
        dropped = max(0, n_final - width + 1) // stride
        self._values = self._values[dropped * stride :].copy()
        self._errors = self._errors[dropped:]
        self._n_final = n_final - dropped * stride
        return scores

    def _finished(self):
        """Return the scores of the steps that have none yet, as their stretch ends."""
        n_steps, width = len(self._values), self._width
        if n_steps < width:
            if n_steps:
                self._warn_of_short(n_steps)
            self._forget()
            return np.full(n_steps, np.nan)
        starts = covering_starts(n_steps, width, self._stride)
        errors = self._errors
        if len(starts) > len(errors):
            errors = np.concatenate([errors, self._errors_of(self._values, starts[len(errors) :])])
        errors = reduced(errors, n_steps, width, self._stride, self._reduce, starts=starts)
        scores = -errors[self._n_final :]
        self._forget()
        return scores


def check_knows_gaps(series, max_gap, clock: Clock):
    """Refuse an index whose usual step is not known before the whole of it has arrived."""
    is_auto = isinstance(max_gap, str) and max_gap == "auto"
    if is_auto and series.clock.kind not in ("none", clock.kind):
        raise ValueError(
            "X has an index that the series in fit had not, so that its usual step, and with it "
            "max_gap='auto', is not known before all has arrived: fit the detector on a frame with "
            "such an index, set max_gap, or give X.to_numpy()."
        )
