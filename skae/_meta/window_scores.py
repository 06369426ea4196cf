"""The errors of windows, and those of the steps that lie in them."""

from typing import Any, NamedTuple

import numpy as np

from skae._errors import mean_feature_errors
from skae._meta.channels import (
    channel_errors,
    check_keeps_features,
    keeps_features,
    reconstructed,
    tells_channels,
)
from skae._meta.windows import (
    all_windows,
    covering_starts,
    n_windows_of,
    reduced,
    worst_windows,
)
from skae._network.scorer import in_batches
from skae._progress import Progress

_LABEL = "WindowedOutlierDetector"
# With a stride, windows of a block may begin at as many places; so many are tried at most.
_MAX_PLACES = 16
# Errors of steps that are enough to set a threshold from.
_MAX_CALIBRATION_STEPS = 2**21
# Values of windows that are given to the detector at once.
_MAX_VALUES = 2**23
# Windows whose features' errors are typical of all.
_MAX_TYPICAL = 4096


class WindowScores(NamedTuple):
    """A fitted detector of windows, and how steps get their errors from it.

    Parameters
    ----------
    estimator : estimator
        The fitted detector.
    width, stride, reduce : object
        As of :class:`skae.WindowedOutlierDetector`.
    verbose : int
        Whether to show how far scoring has come.
    """

    estimator: Any
    width: int
    stride: int
    reduce: str
    verbose: int

    def window_errors(self, values, starts, is_shown=False):
        """Return the error of each window that begins at `starts`; infinity where it is NaN."""
        windows = all_windows(values, self.width)
        verbose = self.verbose if is_shown else 0

        def errors_of(some):
            errors = -np.asarray(self.estimator.score_samples(windows[some]), dtype=np.float64)
            progress.advance(len(some))
            return np.where(np.isnan(errors), np.inf, errors)

        with Progress(_LABEL, len(starts), verbose, unit="windows") as progress:
            progress.begin("scoring")
            return in_batches(errors_of, starts, self._batching(values.shape[1]))

    def step_errors(self, series):
        """Return the error of each step; NaN where there is none."""
        errors = np.full(len(series.values), np.nan)
        parts = self._parts(series)
        if not parts:
            return errors
        every = np.concatenate([starts for _, starts in parts])
        of_windows = self.window_errors(series.values, every, is_shown=True)
        for (start, stop), starts in parts:
            mine, of_windows = of_windows[: len(starts)], of_windows[len(starts) :]
            errors[start:stop] = reduced(mine, stop - start, self.width, self.stride, self.reduce)
        return errors

    def block_errors(self, values, blocks, random):
        """Return the errors of steps in blocks, for each of some places where windows may begin.

        A new series begins at any phase of its period, and with a stride its windows see no other
        ones. So a list has the errors by windows at each phase, among `stride` steps.
        """
        total = (blocks[:, 1] - blocks[:, 0]).sum()
        n_places = min(self.stride, _MAX_PLACES, max(1, _MAX_CALIBRATION_STEPS // total))
        begins = blocks[:, 0]
        places = random.permutation(self.stride)[:n_places]
        found = [
            self._errors_from(begins + (place - begins) % self.stride, values, blocks)
            for place in places
        ]
        # Blocks may be too short for windows elsewhere than at their start.
        return [errors for errors in found if len(errors)] or [
            self._errors_from(begins, values, blocks)
        ]

    def _errors_from(self, firsts, values, blocks):
        """Return the errors of steps in blocks, the first window of each at a given place."""
        lengths = np.maximum(blocks[:, 1] - firsts - self.width + 1, 0)
        local = [np.arange(0, length, self.stride) for length in lengths]
        starts = np.concatenate([first + own for first, own in zip(firsts, local, strict=True)])
        if not len(starts):
            return np.empty(0)
        errors = self.window_errors(values, starts)
        found = []
        for own in filter(len, local):
            n_steps = own[-1] + self.width
            mine, errors = errors[: len(own)], errors[len(own) :]
            counts = n_windows_of(n_steps, self.width, self.stride, own)
            # At the ends of a block, steps lie in fewer windows than they would in a long series.
            inner = counts >= min(self.width // self.stride, counts.max())
            form = (n_steps, self.width, self.stride, self.reduce)
            found.append(reduced(mine, *form, starts=own)[inner])
        return np.concatenate(found)

    def typical_errors(self, values, blocks):
        """Return the mean error of each channel in blocks, or None if the detector has none."""
        starts = [np.arange(start, stop - self.width + 1) for start, stop in blocks]
        starts = np.concatenate(starts)
        starts = starts[:: 1 + (len(starts) - 1) // _MAX_TYPICAL]
        if not self.tells_channels(values):
            return None
        return mean_feature_errors(self._channel_errors(values, starts))

    def channel_errors(self, series):
        """Return the error of each channel of each step; NaN where there is none."""
        parts = self._parts(series)
        if parts:
            check_keeps_features(self.estimator, all_windows(series.values, self.width)[:1])
        return self._step_channel_errors(series, np.ones(len(series.values), dtype=bool))

    def _step_channel_errors(self, series, is_asked):
        """Return the error of each channel of each step, right for the steps asked for."""
        errors = np.full(series.values.shape, np.nan)
        n_asked = np.r_[0, np.cumsum(is_asked)]
        for (start, stop), starts in self._parts(series):
            needed = np.flatnonzero(n_asked[starts + self.width] > n_asked[starts])
            if not len(needed):
                continue
            by_channel = np.zeros((len(starts), *series.values.shape[1:]))
            by_channel[needed] = self._channel_errors(series.values, starts[needed])
            form = (stop - start, self.width, self.stride)
            if self.reduce == "max":
                errors[start:stop] = by_channel[worst_windows(by_channel.mean(axis=1), *form)]
            else:
                errors[start:stop] = reduced(by_channel, *form, "mean")
        return errors

    def causes(self, series, found, typical):
        """Return which channel adds most to the errors of each event, and its share.

        Parameters
        ----------
        series : Series
            The series.
        found : ndarray of shape (n_events, 2)
            Starts and ends (exclusive) of the events.
        typical : callable
            Returns the usual error of each channel; a noisy channel adds much to each error.

        Returns
        -------
        channels : ndarray of int or None
            None if nobody knows.
        shares : ndarray
        """
        n_channels = series.values.shape[1]
        if n_channels == 1:
            return np.zeros(len(found), dtype=int), np.ones(len(found))
        if not len(found) or not self.tells_channels(series.values):
            return None, np.full(len(found), np.nan)
        is_asked = np.zeros(len(series.values), dtype=bool)
        for start, stop in found:
            is_asked[start:stop] = True
        errors = self._step_channel_errors(series, is_asked)
        means = np.stack([errors[start:stop].mean(axis=0) for start, stop in found])
        worst = (means - typical()).argmax(axis=1)
        return worst, means[np.arange(len(means)), worst] / means.sum(axis=1)

    def reconstruction(self, series):
        """Return the reconstruction of each step, the mean over its windows; NaN without one."""
        values = series.values
        windows = all_windows(values, self.width)
        total = np.zeros_like(values, dtype=np.float64)
        counts = np.zeros(len(values), dtype=np.int64)
        size = self._batching(values.shape[1])[0]
        for (start, stop), starts in self._parts(series):
            check_keeps_features(self.estimator, windows[starts[:1]])
            counts[start:stop] = n_windows_of(stop - start, self.width, self.stride, starts - start)
            for first in range(0, len(starts), size):
                some = starts[first : first + size]
                found = reconstructed(self.estimator, windows[some])
                for place, part in enumerate(np.split(found, self.width, axis=1)):
                    total[some + place] += part
        return np.where(counts[:, None] > 0, total, np.nan) / np.maximum(counts, 1)[:, None]

    def tells_channels(self, values):
        """Tell whether the detector has errors of single channels."""
        return tells_channels(self.estimator) and keeps_features(
            self.estimator, all_windows(values, self.width)[:1]
        )

    def _channel_errors(self, values, starts):
        windows, n_channels = all_windows(values, self.width), values.shape[1]

        def errors_of(some):
            return channel_errors(self.estimator, windows[some], n_channels)

        return in_batches(errors_of, starts, self._batching(n_channels))

    def _parts(self, series):
        """Return each stretch that holds a window, with the starts of those that cover it."""
        return [
            ((start, stop), start + covering_starts(stop - start, self.width, self.stride))
            for start, stop in series.long_stretches(self.width)
        ]

    def _batching(self, n_channels):
        return max(1, min(8192, _MAX_VALUES // (self.width * n_channels))), 1
