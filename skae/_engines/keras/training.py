"""The training loop: a model and arrays in, weights and history out.

Keras' own training step runs inside one compiled function that loops over the batches of an epoch,
and over several epochs if no callback listens to them; `model.fit` would return to Python after
each batch. This module knows nothing of scikit-learn.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from skae._engines.keras.blueprints import build_network
from skae._engines.keras.cache import TRAINERS, graph_settings
from skae._engines.keras.forks import check_process
from skae._engines.keras.forward import forward_functions
from skae._engines.keras.halves import draw_weights
from skae._engines.keras.loading import load_keras
from skae._engines.keras.progress import progress_callback
from skae._engines.keras.trainer import Trainer
from skae._engines.options import n_batches

# Rows that one call of the compiled loop may process: Ctrl-C is handled between calls.
_MAX_ROWS_PER_CALL = 200_000
# Values beyond this size are far from those that weights start at, and a likely cause where
# training fails; looked for in about so many rows.
_LARGE = 100
_MAX_SAMPLE = 4096
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


@dataclass
class Trained:
    """What training leaves.

    Parameters
    ----------
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    history : dict of list of float
        One value per epoch for the loss and each metric.
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder.
    has_decoder : bool
        Whether it shows a decoder.
    state : dict
        Plain data from which, with the weights, a later training resumes as if never interrupted.
    functions : ForwardFunctions
        Its forward passes, for the engine that made them.
    """

    weights: list
    history: dict
    state: dict
    code_shape: tuple | None
    has_decoder: bool
    functions: Any = field(repr=False)


def train_network(blueprint, layout, feed, options, *, feed_val, seeds, weights=None, state=None):
    """Build a network, train it to reconstruct rows, and return what is left of it.

    Parameters
    ----------
    blueprint : BuiltInBlueprint, ConfigBlueprint or FunctionBlueprint
        How to build it.
    layout : Layout
        How rows are laid out.
    feed, feed_val : Feed
        The rows to train on, and those for the validation curves or None.
    options : TrainingOptions
        How to train.
    seeds : tuple of int
        Of the initial weights, and of the order of the rows and the noise.
    weights : list of ndarray, default=None
        What to start from in place of initial weights.
    state : dict, default=None
        `Trained.state` of the training that has left these weights, whose optimizer is to go on;
        by default it begins anew.
    """
    check_process()
    graph_keys = (blueprint.graph_key(), options.graph_key())
    seed_of_weights, seed_of_order = seeds

    def make_trainer():
        # A callback may save the model, which Keras alone must be able to load.
        with blueprint.settings.applied():
            model = build_network(blueprint, layout, fast_ops=not options.callbacks)
            return Trainer(model, options, layout)

    key = None if None in graph_keys else (*graph_keys, graph_settings())
    with TRAINERS.checked_out(key, make_trainer) as trainer:
        model = trainer.model
        if graph_keys[0] is not None:
            draw_weights(model, seed_of_weights)
        if weights is not None:
            model.set_weights(weights)
        history = train(trainer, feed, options, feed_val=feed_val, seed=seed_of_order, state=state)
        functions = forward_functions(blueprint, layout, lambda: model)
        return Trained(
            weights=model.get_weights(),
            history=history,
            state=trainer.state(),
            code_shape=functions.code_shape,
            has_decoder=functions.has_decoder,
            functions=functions,
        )


def train(trainer, feed, options, *, feed_val=None, seed=0, state=None):
    """Train the trainer's model to reconstruct rows; its weights change in place.

    Parameters
    ----------
    trainer : Trainer
        With the model's initial weights.
    feed : Feed
        The rows to train on, and how much each counts in the loss.
    options : TrainingOptions
        How to train.
    feed_val : Feed, default=None
        Rows for the validation curves, and for early stopping.
    seed : int
        Of the order of the rows and of the noise.
    state : dict, default=None
        Of an earlier training, whose optimizer is to go on.

    Returns
    -------
    history : dict of list of float
        One value per epoch for the loss and each metric, as `keras.Model.fit` records them.

    Raises
    ------
    ValueError
        If the loss stops being a finite number.
    """
    options = options.resolved(feed.n_rows)
    n_steps = options.epochs * n_batches(feed.n_rows, options.batch_size)
    trainer.restart(options, n_steps, state)
    trainer.bind(options, seed)
    with _lent(options.callbacks):
        return _history(trainer, feed, options, feed_val, seed)


def _history(trainer, feed, options, feed_val, seed):
    """Train, and return the history."""
    model = trainer.model
    callbacks = _callback_list(model, options, monitor="loss" if feed_val is None else "val_loss")
    run_epochs = _epochs_runner(trainer, feed, options, callbacks, no_listener=feed_val is None)
    if feed_val is not None:
        trainer.check_evaluates()
    evaluate = _evaluator(trainer, feed_val, options)
    generator = np.random.default_rng(seed)
    callbacks.on_train_begin()
    epoch = 0
    model.stop_training = False
    while epoch < options.epochs and not model.stop_training:
        callbacks.on_epoch_begin(epoch)
        for logs in run_epochs(generator, options.epochs - epoch):
            _check_finite(logs["loss"], epoch, options, feed)
            logs |= {f"val_{name}": value for name, value in evaluate().items()}
            callbacks.on_epoch_end(epoch, logs)
            epoch += 1
    callbacks.on_train_end(logs)
    return {name: list(values) for name, values in model.history.history.items()}


def _epochs_runner(trainer, feed, options, callbacks, no_listener):
    """Return a function that trains for some epochs and returns their logs.

    If only the history callback listens, and there is nothing to evaluate, many epochs run in one
    call.
    """
    by_batches = any(_listens_to_batches(callback) for callback in callbacks.callbacks)
    data = _tensors(feed.read()) if feed.at_once else None
    if data is None or by_batches:
        run_chunk = partial(_run_chunk, trainer)
        if by_batches:
            run_chunk = partial(_run_by_batches, trainer, options.batch_size, callbacks)
        return lambda generator, n_left: [
            _run_epoch_by_chunks(feed, data, generator, options.batch_size, run_chunk)
        ]
    no_listener = no_listener and len(callbacks.callbacks) == 1

    def run_epochs(generator, n_left):
        n_epochs = max(1, min(n_left, _MAX_ROWS_PER_CALL // feed.n_rows)) if no_listener else 1
        orders = [feed.shuffled(generator, feed.n_rows) for _ in range(n_epochs)]
        return trainer.run_epochs(data, orders)

    return run_epochs


def _run_epoch_by_chunks(feed, data, generator, batch_size, run_chunk):
    """Train for one epoch on the data, or, if that is None, on chunks read one by one."""
    n_before = 0
    for positions, order in feed.shuffled_chunks(generator, batch_size):
        chunk = _tensors(feed.read(positions)) if data is None else data
        logs = run_chunk(chunk, order, n_before)
        n_before += n_batches(len(order), batch_size)
    return logs


def _run_chunk(trainer, data, order, n_before):
    """Train on a chunk in one call; return the logs of the epoch so far."""
    return trainer.run_epochs(data, [order], resume=n_before > 0)[-1]


def _run_by_batches(trainer, batch_size, callbacks, data, order, n_before):
    """Train on a chunk, returning to Python after each batch for the callbacks."""
    if n_before == 0:
        trainer.model.reset_metrics()
    for number, start in enumerate(range(0, len(order), batch_size), start=n_before):
        callbacks.on_train_batch_begin(number)
        logs = trainer.run_batch(data, order[start : start + batch_size])
        callbacks.on_train_batch_end(number, logs)
    return logs


def _evaluator(trainer, feed, options):
    """Return a function that returns the loss and the metrics of a feed's rows, if there is one."""
    if feed is None:
        return dict
    if feed.at_once:
        rows = _tensors(feed.read())[0]
        return lambda: trainer.evaluate(rows)

    def evaluate():
        for chunk in feed.chunks(options.batch_size):
            logs = trainer.evaluate(_tensors(feed.read(chunk))[0], resume=chunk.start > 0)
        return logs

    return evaluate


def _tensors(arrays):
    import tensorflow as tf

    return tuple(tf.convert_to_tensor(array) for array in arrays)


def _callback_list(model, options, monitor):
    keras = load_keras()
    callbacks = list(options.callbacks)
    if options.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor=monitor,
                mode="min",
                min_delta=options.tol,
                patience=options.n_iter_no_change,
                restore_best_weights=True,
            )
        )
    if options.verbose:
        callbacks.append(progress_callback(options.label, every_epoch=options.verbose > 1))
    # The last history in the list is the model's. One among the callbacks has earlier fits in it.
    callbacks.append(keras.callbacks.History())
    return keras.callbacks.CallbackList(
        callbacks,
        model=model,
        verbose=0,
        epochs=options.epochs,
    )


@contextmanager
def _lent(callbacks):
    """Take back, after the block, the model and parameters that callbacks are given in it.

    They get those they had before: a callback may be in use by a fit around this one.
    """
    callbacks = [each for each in callbacks if isinstance(each, load_keras().callbacks.Callback)]
    before = [(callback.model, callback.params) for callback in callbacks]
    try:
        yield
    finally:
        for callback, (model, params) in zip(callbacks, before, strict=True):
            # Keras' own method: those of subclasses may do more, with a model at hand.
            keras_own = load_keras().callbacks.Callback
            keras_own.set_model(callback, model)
            keras_own.set_params(callback, params)


def _listens_to_batches(callback):
    default = load_keras().callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(default, hook)
        for hook in _BATCH_HOOKS
    )


def _check_finite(loss, epoch, options, feed):
    if np.isfinite(loss):
        return
    rate = f"a smaller learning_rate (now {options.learning_rate!r})"
    others = f"or another loss (now {options.loss!r})."
    scale = "scale X (MinMaxScaler or StandardScaler before the detector)"
    rows = feed.read(slice(None, None, 1 + feed.n_rows // _MAX_SAMPLE))[0]
    largest = np.fmax.reduce(np.abs(rows), axis=None)
    how_to_fix = f"Try {rate}, {scale}, {others}"
    if largest > _LARGE:
        how_to_fix = (
            f"X has values of up to {largest:.4g} in size, and networks need some near 1: {scale}. "
            f"If that does not help, try {rate}, {others}"
        )
    raise ValueError(f"The training loss became {loss} in epoch {epoch + 1}. {how_to_fix}")
