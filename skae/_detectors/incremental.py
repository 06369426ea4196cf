"""Training chunk by chunk: `partial_fit`, and what it keeps from call to call."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from skae._detectors.base import unchanged_on_failure
from skae._detectors.calibration import Calibration, all_rows
from skae._detectors.losses import UNIT_INTERVAL
from skae._detectors.reservoir import Reservoir, row_keys
from skae._detectors.trained import Extent, NetworkDetector, TrainingData
from skae._engines.options import AUTO_STEPS, falling_rate, n_batches
from skae._network.diagnosis import warn_if_useless
from skae._network.missing import KnownGaps
from skae._network.network import join_histories
from skae._sklearn_compat import _fit_context, check_random_state
from skae._warnings import warn
from skae.thresholds import needs_unseen_rows

# The least that a call makes, so that small chunks teach something too.
_MIN_STEPS = 20
# The share of the rows that is held out, more if the first chunk is small.
_MIN_SHARE, _MAX_SHARE = 0.05, 0.3
# A history that grows forever would fill the memory.
_MAX_EPOCHS_KEPT = 10_000
# How far values may leave the unit interval, which a sigmoid cannot, before a warning.
_MAX_EXCESS = 0.1


@dataclass(frozen=True)
class Stream:
    """What `partial_fit` keeps from call to call, as plain data.

    Parameters
    ----------
    seed : int
        With the number of the call, the seed of all that is random in it.
    extent : tuple
        The `Extent` of the first chunk.
    means : ndarray of shape (n_features,), float32
        What the network sees in place of missing cells.
    has_gaps : ndarray of bool of shape (n_features,)
        Which columns lacked values so far.
    trained, held_out : Reservoir
        Samples of the rows trained on, and of those held out of training.
    share : float or None, default=None
        How many of the rows are held out: those whose key is smaller.
    n_calls, n_steps : int, default=0
        How many calls, and gradient steps, there were.
    state : dict or None, default=None
        Of the optimizer, as `Trained.state`.
    """

    seed: int
    extent: tuple
    means: np.ndarray
    has_gaps: np.ndarray
    trained: Reservoir
    held_out: Reservoir
    share: float | None = None
    n_calls: int = 0
    n_steps: int = 0
    state: dict | None = None


class IncrementalDetector(NetworkDetector):
    """Base class of detectors that can also be trained chunk by chunk."""

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on one more chunk of rows, and set the offset anew.

        Training resumes with the present weights and the present state of the optimizer: what was
        pickled in the middle and loaded again ends to the bit as if it had not been interrupted.
        After `fit`, it resumes with the fitted weights; `fit` starts anew.

        Each call trains for one epoch or more, until it has made 20 steps of `batch_size` rows. The
        learning rate "auto" is 0.001 for the first 2,000 steps of all calls, and then falls as one
        over the root of their number.

        The first chunk decides what `fit` learns from all rows: the output activation, the noise
        and the unit of the loss if these are "auto", and what stands in for missing cells. Let it
        be typical, of a few hundred rows or more and in random order if possible, and scaled as all
        later ones.

        What is usual, and the offset, are learned from a sample of all rows so far: at most 4,096
        of those trained on and, where `threshold` needs errors of rows not trained on, at most
        4,096 held out of training. These are a twentieth of all, or up to three tenths if the first
        chunk has few rows. Rows are recognized by their values, so that in several passes over the
        same data the same rows are held out. A detector that is trained this way, and its pickle,
        contain the rows of the samples. `history_` keeps the last 10,000 epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows of the chunk, ideally normal ones only: in the first call 2 or more. NaN is a
            missing cell; each column needs a value in the first chunk.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : float or array-like of shape (n_samples,), default=None
            How much each row counts in the loss, and in what the combined error learns; a number
            counts for every row. Rows of weight zero are as if not given.

        Returns
        -------
        self : estimator
            The detector, trained further.

        Raises
        ------
        ValueError
            If the data or a parameter is invalid, the loss stops being finite, a parameter that the
            network is built from has changed since the first call, `early_stopping=True` or
            `validation_fraction > 0`. The detector is then as it was before the call.

        Warns
        -----
        UserWarning
            If fewer rows are held out so far than `threshold` needs, so that errors of rows trained
            on set it; if later rows leave the range that the output activation reaches.
        ConvergenceWarning
            If the first rows are all equal, or vary by too little for their size; if after 2,000
            steps the network reconstructs no better than the mean of the rows, or its latent layer
            gives the same code for every row.
        """
        with unchanged_on_failure(self):
            rule = self._checked_rule()
            self._check_parameters()
            self._check_partial()
            data, stream = self._chunk(X, sample_weight)
            random = np.random.RandomState([stream.seed, stream.n_calls])
            n_before = stream.n_steps
            keys = row_keys(data.X, stream.seed, random)
            stream = _with_share(stream, rule, keys)
            calibration = _split(rule, keys, stream)
            network, stream = self._train_on_chunk(data, calibration, stream, random)
            stream = _with_samples_of(data, keys, calibration, stream, random)
            self._calibrate(rule, network, stream, random)
            if n_before < AUTO_STEPS <= stream.n_steps:
                warn_if_useless(self._scorer, stream.trained.rows)
            self._stream = stream
            # Of a fit with warm_start, whose rows are not these.
            self.__dict__.pop("_resumed_calibration", None)
        return self

    def _check_partial(self):
        """Reject parameters with which a chunk alone would have to do."""
        for name, is_set in (
            ("early_stopping", self.early_stopping),
            ("validation_fraction", self.validation_fraction > 0),
        ):
            if is_set:
                raise ValueError(
                    f"partial_fit does not support {name}={getattr(self, name)!r}, because a chunk "
                    "is no training of its own: leave it out, or use fit. Rows for the threshold "
                    "are held out without it."
                )

    def _chunk(self, X, sample_weight):
        """Return the rows of a chunk as training data, and the stream as it was before them."""
        stream: Stream | None = vars(self).get("_stream")
        is_first = not hasattr(self, "_scorer")
        min_rows = 2 if stream is None else 1
        data = self._checked_data(X, None, sample_weight, is_first=is_first, min_rows=min_rows)
        if stream is None:
            known = data.present if is_first else self._network.known_gaps
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            none = Reservoir.empty(data.X.shape[1])
            stream = Stream(
                seed, tuple(data.extent), known.means, known.has_gaps, trained=none, held_out=none
            )
            if not is_first:  # fit has made the steps at the full rate
                stream = replace(stream, n_steps=AUTO_STEPS)
        if not is_first:
            self._warn_if_out_of_reach(data.extent)
        has_gaps = stream.has_gaps | data.present.has_gaps
        data = data._replace(
            extent=Extent(*stream.extent),
            present=KnownGaps(stream.means, has_gaps),
            has_gaps=bool(has_gaps.any()),
        )
        return data, replace(stream, has_gaps=has_gaps)

    def _warn_if_out_of_reach(self, extent):
        low, high = UNIT_INTERVAL
        is_inside = extent.minimum > low - _MAX_EXCESS and extent.maximum < high + _MAX_EXCESS
        activation = getattr(self, "output_activation_", None)
        if not is_inside and isinstance(activation, str) and activation == "sigmoid":
            warn(
                "The network's output activation 'sigmoid' reaches values between 0 and 1 only, "
                f"but this chunk of X lies in [{extent.minimum:.4g}, {extent.maximum:.4g}]: scale "
                "every chunk as the first one, or start anew with output_activation='linear'."
            )

    def _train_on_chunk(self, data, calibration, stream, random):
        """Return the network after training on a chunk, and the stream; keep the history."""
        options = self._training_options(data, type(self).__name__)
        n_rows = len(calibration.train_rows)
        steps_per_epoch = n_batches(n_rows, options.batch_size)
        epochs = -(-_MIN_STEPS // steps_per_epoch)
        options = replace(options, epochs=epochs)
        # An optimizer of the user's has a rate of its own.
        if options.learning_rate == "auto" and isinstance(self.optimizer, str):
            options = replace(options, learning_rate=falling_rate(stream.n_steps))
        resumes = hasattr(self, "_scorer")
        network, trained = self._train(
            data, calibration, random, options, resumes, state=stream.state
        )
        history = trained.history
        if resumes:
            history = join_histories(self.history_, history)
        self.history_ = {name: values[-_MAX_EPOCHS_KEPT:] for name, values in history.items()}
        self.n_iter_ = getattr(self, "n_iter_", 0) + epochs
        n_steps = stream.n_steps + epochs * steps_per_epoch
        n_calls = stream.n_calls + 1
        return network, replace(stream, n_calls=n_calls, n_steps=n_steps, state=trained.state)

    def _calibrate(self, rule, network, stream, random):
        """Learn what is usual from the samples of the stream, and set the offset."""
        trained, held_out = stream.trained, stream.held_out
        X = trained.rows
        if needs_unseen_rows(rule) and _are_enough(rule, len(held_out.rows)):
            X = np.concatenate([trained.rows, held_out.rows])
        data = TrainingData(
            X, None, trained.weights, Extent(*stream.extent), network.known_gaps, False
        )
        n_trained = len(trained.rows)
        calibration = Calibration(np.arange(n_trained), np.arange(n_trained, len(X)))
        errors = self._learn_errors(network, data, calibration, random)
        if rule is None:
            errors = self._scorer.row_errors(trained.rows)
        self._set_offset(rule, errors)


def _with_share(stream, rule, keys):
    """Return the stream with the share of rows to hold out, which its first rows decide."""
    if stream.share is not None or not needs_unseen_rows(rule):
        return stream
    # With no more than are needed, a single row decides, and the rate varies much.
    wanted = min(2 * _n_needed(rule) + 1, len(keys) // 5)
    return replace(stream, share=float(np.clip(np.sort(keys)[wanted], _MIN_SHARE, _MAX_SHARE)))


def _split(rule, keys, stream):
    """Return which rows of a chunk to train on, and which ones to hold out."""
    if not needs_unseen_rows(rule):
        return all_rows(len(keys))
    order = np.argsort(keys, kind="stable")
    n_held_out = min(np.count_nonzero(keys < stream.share), len(keys) // 2)
    return Calibration(np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))


def _with_samples_of(data, keys, calibration, stream, random):
    """Return the stream with samples of the rows that a chunk was split into."""
    weights = data.sample_weight
    if weights is None:
        weights = np.ones(len(data.X), np.float32)
    trained, held_out = (
        sample.after(data.X, weights, keys, rows, random)
        for sample, rows in (
            (stream.trained, calibration.train_rows),
            (stream.held_out, calibration.held_out),
        )
    )
    return replace(stream, trained=trained, held_out=held_out)


def _n_needed(rule):
    """Return how many errors of rows not trained on a rule needs."""
    return max(1, getattr(rule, "min_errors", 0))


def _are_enough(rule, n_held_out):
    """Tell whether a rule can be kept by the rows held out so far; warn if not."""
    needed = _n_needed(rule)
    if n_held_out < needed:
        warn(
            f"Only {n_held_out} rows are held out of training so far, and threshold={rule!r} needs "
            f"{needed}, so the threshold comes from the errors of rows trained on, which are "
            "smaller than those of new rows: expect more false alarms than it promises until more "
            f"chunks have come. A first chunk of {5 * needed} rows is enough."
        )
    return n_held_out >= needed
