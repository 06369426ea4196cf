"""How the rows of an array, in memory or on disk, reach the training loop."""

import numpy as np

# An array of at most this size, in float32, is kept as one tensor during training.
MAX_BYTES_AT_ONCE = 64 * 2**20
_BYTES_PER_CHUNK = 32 * 2**20
_BYTES_PER_BLOCK = 2**20


def fits_at_once(n_samples, n_features):
    """Tell whether rows are few enough to be held as one tensor."""
    return 4 * n_samples * n_features <= MAX_BYTES_AT_ONCE


class RowSubset:
    """Some rows of an array, read when a slice of them is asked for."""

    def __init__(self, X, rows):
        self._X = X
        self._rows = rows

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, positions):
        return self._X[self._rows[positions]]


class Feed:
    """Rows of an array, in float32 and laid out for a network.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Of any real dtype.
    layout : Layout
        How rows are laid out for the network; each of several members takes the rows in an order
        of its own.
    rows : ndarray of int, default=None
        The rows to feed, ascending; all of them by default.
    sample_weight : ndarray of shape (n_samples,), float32, default=None
        How much each row of `X` counts.
    left_out : ndarray of bool of shape (n_samples, n_members), default=None
        Which rows a member does not take; only where all rows are fed, at once.
    """

    def __init__(self, X, layout, rows=None, sample_weight=None, left_out=None):
        self._X = X
        self._layout = layout
        self._rows = rows if rows is not None and len(rows) < len(X) else None
        self._sample_weight = sample_weight
        self.n_rows = len(X) if self._rows is None else len(self._rows)
        self._own_rows = None
        if left_out is not None:
            self._own_rows = [np.flatnonzero(~column) for column in left_out.T]
            # Of the members' rows, whose numbers differ by few, others are passed over each time.
            self.n_rows = min(map(len, self._own_rows))
        self._row_bytes = 4 * X.shape[1]

    @property
    def at_once(self):
        """Whether the rows are few enough to be held as one tensor."""
        return self._row_bytes * self.n_rows <= MAX_BYTES_AT_ONCE

    def read(self, positions=slice(None)):
        """Return the rows at some positions, and their weights, as a tuple of one or two arrays."""
        rows = positions if self._rows is None else self._rows[positions]
        read = np.ascontiguousarray(self._X[rows], dtype=np.float32)
        read = read.reshape(len(read), *self._layout.input_shape)
        return (read,) if self._sample_weight is None else (read, self._sample_weight[rows])

    def shuffled(self, generator, n_rows):
        """Return a permutation of rows, or one for each member, side by side."""
        if self._layout.n_members is None:
            return generator.permutation(n_rows)
        if self._own_rows is None:
            orders = [generator.permutation(n_rows) for _ in range(self._layout.n_members)]
        else:
            orders = [generator.permutation(rows)[:n_rows] for rows in self._own_rows]
        return np.stack(orders, axis=1)

    def chunks(self, batch_size):
        """Yield slices that cover all rows, each of whole batches except the last."""
        n_rows = self._rows_per_chunk(batch_size)
        for start in range(0, self.n_rows, n_rows):
            yield slice(start, min(start + n_rows, self.n_rows))

    def shuffled_chunks(self, generator, batch_size):
        """Yield pairs: the positions of a chunk's rows, ascending, and their order in training.

        With many rows, blocks of neighboring rows, which are fast to read, come in random order,
        and the rows within a chunk of blocks are shuffled.
        """
        if self.at_once:
            yield slice(None), self.shuffled(generator, self.n_rows)
            return
        n_rows = self._rows_per_chunk(batch_size)
        order = self._shuffled_blocks(generator)
        for start in range(0, len(order), n_rows):
            positions = np.sort(order[start : start + n_rows])
            yield positions, self.shuffled(generator, len(positions))

    def _shuffled_blocks(self, generator):
        n_rows = max(1, _BYTES_PER_BLOCK // self._row_bytes)
        positions = np.arange(self.n_rows)
        starts = generator.permutation(positions[::n_rows])
        return np.concatenate([positions[start : start + n_rows] for start in starts])

    def _rows_per_chunk(self, batch_size):
        return max(1, _BYTES_PER_CHUNK // (self._row_bytes * batch_size)) * batch_size
