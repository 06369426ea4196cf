"""A sample of all rows that ever came by, in bounded memory."""

from dataclasses import dataclass

import numpy as np

_MAX_ROWS = 4096
# Of wide rows fewer are kept, but never less than are enough for a threshold.
_MAX_BYTES = 32 * 2**20
_MIN_ROWS = 256


@dataclass(frozen=True)
class Reservoir:
    """A uniform sample without replacement of the rows that came by [1]_.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32
        The sample.
    weights : ndarray of shape (n_samples,), float32
        Of its rows.
    n_seen : int, default=0
        How many rows came by.

    References
    ----------
    .. [1] Vitter (1985). Random sampling with a reservoir (algorithm R). ACM TOMS 11(1).
    """

    rows: np.ndarray
    weights: np.ndarray
    n_seen: int = 0

    @classmethod
    def empty(cls, n_features):
        """Return the sample of no rows."""
        return cls(np.empty((0, n_features), np.float32), np.empty(0, np.float32))

    def after(self, X, weights, random):
        """Return the sample after more rows have come by; this one stays as it is."""
        n_features = self.rows.shape[1]
        size = max(_MIN_ROWS, min(_MAX_ROWS, _MAX_BYTES // (4 * n_features)))
        n_free = max(0, size - self.n_seen)
        rows = np.concatenate([self.rows, X[:n_free]])
        kept_weights = np.concatenate([self.weights, weights[:n_free]])
        n_seen = self.n_seen + len(X)
        if len(X) > n_free:
            # Each later row replaces one of the sample, or none.
            slots = random.randint(0, np.arange(self.n_seen + n_free, n_seen) + 1)
            later = np.flatnonzero(slots < size)
            # Of several rows for one slot, the last stays.
            rows[slots[later]] = X[n_free + later]
            kept_weights[slots[later]] = weights[n_free + later]
        return Reservoir(rows, kept_weights, n_seen)
