"""Samples of all rows that ever came by, in bounded memory."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import gen_batches

_MAX_ROWS = 4096
# Of wide rows fewer are kept, but never less than are enough for a threshold.
_MAX_BYTES = 32 * 2**20
_MIN_ROWS = 256
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Reservoir:
    """A uniform sample without replacement of the rows that came by [1]_.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32
        The sample.
    weights : ndarray of shape (n_samples,), float32
        Of its rows.
    keys : ndarray of shape (n_samples,)
        By which a row is recognized that comes by once more, in another pass over the same data: it
        is not taken twice.
    n_seen : int, default=0
        How many rows came by.

    References
    ----------
    .. [1] Vitter (1985). Random sampling with a reservoir (algorithm R). ACM TOMS 11(1).
    """

    rows: np.ndarray
    weights: np.ndarray
    keys: np.ndarray
    n_seen: int = 0

    @classmethod
    def empty(cls, n_features):
        """Return the sample of no rows."""
        return cls(np.empty((0, n_features), np.float32), np.empty(0, np.float32), np.empty(0))

    def after(self, X, weights, keys, rows, random):
        """Return the sample after some rows of X have come by; this one stays as it is."""
        size = max(_MIN_ROWS, min(_MAX_ROWS, _MAX_BYTES // (4 * X.shape[1])))
        new = rows[~np.isin(keys[rows], self.keys)]
        # Each row gets a place, by chance beyond the end once the sample is full.
        places = np.arange(self.n_seen, self.n_seen + len(new))
        late = places >= size
        places[late] = random.randint(0, places[late] + 1)
        taken = places < size
        places, new = places[taken], new[taken]
        n_free = np.count_nonzero(~late)

        def replaced(kept, values):
            kept = np.concatenate([kept, np.empty((n_free, *kept.shape[1:]), kept.dtype)])
            kept[places] = values[new]  # of several for one place, the last stays
            return kept

        return Reservoir(
            replaced(self.rows, X),
            replaced(self.weights, weights),
            replaced(self.keys, keys),
            self.n_seen + len(late),
        )


def row_keys(X, seed, random):
    """Return a number in [0, 1) for each row, the same wherever the same values come by.

    Rows that are equal to others among these are given random numbers: none of a frequent row would
    be treated like all of them.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        The rows.
    seed : int
        Of the numbers by which values are multiplied [1]_.
    random : RandomState
        Draws the keys of equal rows.

    References
    ----------
    .. [1] Carter, Wegman (1979). Universal classes of hash functions. Journal of Computer and
           System Sciences 18(2).
    """
    factors = np.random.RandomState(seed).randint(0, 2**64, X.shape[1], dtype=np.uint64)
    hashes = np.empty(len(X), np.uint64)
    for batch in gen_batches(len(X), _ROWS_AT_ONCE):
        bits = (np.asarray(X[batch], np.float32) + np.float32(0)).view(np.uint32)
        hashes[batch] = (bits * factors).sum(axis=1, dtype=np.uint64)
    keys = (hashes >> np.uint64(11)) / 2.0**53
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    is_repeated = counts[group] > 1
    keys[is_repeated] = random.random_sample(np.count_nonzero(is_repeated))
    return keys
