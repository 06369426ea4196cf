"""Windows and stretches of a series: arithmetic on positions, without any detector.

A stretch is the start and the end (exclusive) of steps without a gap between them.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Blocks of about so many windows side by side are held out, or longer ones, so that there are about
# as many of them.
_WINDOWS_IN_BLOCK = 8
_N_BLOCKS = 30
# One block in three is held out; of a long series fewer, which hold so many windows side by side.
_MIN_SPACING, _MAX_SPACING = 3, 10
_WINDOWS_HELD_OUT = 500
# How many values of training windows are in memory at most.
_MAX_TRAINING_VALUES = 2**24


def all_windows(X, width):
    """Return all windows of a series as rows, a view of it: step after step, feature by feature."""
    n_features = X.shape[1]
    return sliding_window_view(X.reshape(-1), width * n_features)[::n_features]


def covering_starts(stop, width, stride):
    """Return the starts of windows that leave no step of a stretch from 0 out.

    That is every `stride` steps, and one more that ends with the stretch if no other does.
    """
    last = stop - width
    starts = np.arange(0, last + 1, stride)
    return starts if not len(starts) or starts[-1] == last else np.append(starts, last)


def random_starts(stretches, width, stride, n_features, random):
    """Return the starts of windows at random places, one in each `stride` steps of a stretch.

    So all phases of a period are covered, even if the stride divides it. Of a very long series,
    some of them are drawn.
    """
    starts = [np.arange(0)]
    for start, stop in stretches:
        n_places = max(stop - start - width + 1, 0)
        cells = np.arange(0, n_places, stride)
        room = np.minimum(stride, n_places - cells)
        starts.append(start + cells + (random.random_sample(len(cells)) * room).astype(np.int64))
    starts = np.concatenate(starts)
    max_windows = max(1, _MAX_TRAINING_VALUES // (width * n_features))
    if len(starts) > max_windows:
        starts = np.sort(random.choice(starts, max_windows, replace=False))
    return starts


def picked(windows, starts):
    """Return some windows, as a view if they follow each other."""
    if len(starts) and starts[-1] - starts[0] == len(starts) - 1:
        return windows[starts[0] : starts[-1] + 1]
    return windows[starts]


def reduced(errors, n_steps, width, stride, reduce, starts=None):
    """Return the error of each step of a stretch from those of the windows that contain it.

    Parameters
    ----------
    errors : ndarray of shape (n_windows,) or (n_windows, n_channels)
        The errors of windows every `stride` steps, and of those from `starts` on.
    n_steps : int
        The length of the stretch.
    width, stride : int
        As of the detector.
    reduce : {"max", "mean"}
        How.
    starts : ndarray of int, default=None
        The starts of the windows. None is those that cover the stretch.

    Returns
    -------
    errors : ndarray of shape (n_steps,) or (n_steps, n_channels)
        NaN for a step in no window.
    """
    if starts is None:
        starts = covering_starts(n_steps, width, stride)
    n_regular = len(starts) - bool(len(starts) and starts[-1] % stride)
    combine = np.maximum if reduce == "max" else np.add
    total = np.full((n_steps, *errors.shape[1:]), -np.inf if reduce == "max" else 0.0)
    # Of all windows, the steps at one place; no two are the same step. Slices are fast.
    for place in range(width):
        steps = slice(place, place + stride * n_regular, stride)
        total[steps] = combine(total[steps], errors[:n_regular])
    for start, error in zip(starts[n_regular:], errors[n_regular:], strict=True):
        steps = slice(start, start + width)
        total[steps] = combine(total[steps], error)
    counts = n_windows_of(n_steps, width, stride, starts)
    total[counts == 0] = np.nan
    if reduce == "max":
        return total
    return total / np.maximum(counts, 1).reshape(-1, *[1] * (total.ndim - 1))


def n_windows_of(n_steps, width, stride, starts):
    """Return how many windows contain each step."""
    changes = np.zeros(n_steps + 1, dtype=np.int64)
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + width, -1)
    return np.cumsum(changes)[:-1]


def worst_windows(errors, n_steps, width, stride):
    """Return for each step of a stretch which of its windows has the largest error."""
    starts = covering_starts(n_steps, width, stride)
    n_regular = len(starts) - bool(len(starts) and starts[-1] % stride)
    worst = np.zeros(n_steps, dtype=np.int64)
    largest = np.full(n_steps, -np.inf)

    def compare(steps, windows):
        is_larger = errors[windows] > largest[steps]
        largest[steps] = np.where(is_larger, errors[windows], largest[steps])
        worst[steps] = np.where(is_larger, windows, worst[steps])

    for place in range(width):
        compare(slice(place, place + stride * n_regular, stride), np.arange(n_regular))
    for window in range(n_regular, len(starts)):
        steps = slice(starts[window], starts[window] + width)
        compare(steps, np.full(width, window))
    return worst


def split(stretches, width, random):
    """Return which parts of a series to train on and which to hold out.

    Blocks spread over the series are held out, each at least a window apart from what is trained
    on: steps that lie in the same window, and their neighbors, have like errors.

    Parameters
    ----------
    stretches : ndarray of shape (n_stretches, 2)
        Starts and ends (exclusive) of the stretches, none shorter than a window.
    width : int
        Steps of a window.
    random : RandomState
        Draws where the blocks begin.

    Returns
    -------
    training, held_out : ndarray of shape (n_parts, 2)
        Stretches, none shorter than a window. No stretch is held out if the series is too short.
    """
    total = (stretches[:, 1] - stretches[:, 0]).sum()
    blocks = _blocks(stretches, max(total // _N_BLOCKS, _WINDOWS_IN_BLOCK * width), random)
    if len(blocks) < _MIN_SPACING:
        blocks = _blocks(stretches, max(total // _MIN_SPACING, width), None)
    wanted = total // (_WINDOWS_HELD_OUT * width)
    spacing = int(np.clip(wanted, _MIN_SPACING, _MAX_SPACING))
    # The blocks of some turns may leave nothing to train on.
    for turn in random.permutation(spacing):
        held_out = _with_a_window(blocks[turn::spacing], width)
        training = _with_a_window(_without(stretches, held_out, width), width)
        if len(held_out) and len(training):
            return training, held_out
    return stretches, stretches[:0]


def _blocks(stretches, length, random):
    """Cut stretches into blocks of about one length, from random places on."""
    blocks = []
    for start, stop in stretches:
        n_blocks = max(1, round((stop - start) / length))
        edges = np.linspace(start, stop, n_blocks + 1).astype(np.int64)
        if random is not None and n_blocks > 2:
            edges[1:-1] += random.randint(length // 2) - length // 4
        blocks.append(np.stack([edges[:-1], edges[1:]], axis=1))
    return np.concatenate(blocks)


def _with_a_window(parts, width):
    return parts[parts[:, 1] - parts[:, 0] >= width]


def _without(stretches, held_out, width):
    """Return what is left of stretches at a distance of a window from what is held out."""
    left = []
    for start, stop in stretches:
        position = start
        for first, end in held_out:
            if start <= first < stop:
                left.append((position, first - width))
                position = end + width
        left.append((position, stop))
    return np.array(left)
