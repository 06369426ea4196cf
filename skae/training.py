"""The training loop: arrays and a model in, weights and history out.

Keras' own training step runs inside one compiled function that loops over the batches of an epoch;
`model.fit` would go through Python once a batch. It knows nothing of scikit-learn.
"""

import copy
from dataclasses import dataclass, replace

import numpy as np

from skae._keras import load_keras, resolve
from skae.compiled import compiled
from skae.progress import progress_callback

_AUTO_LEARNING_RATE = 1e-3
_AUTO_STEPS = 2000
_AUTO_EPOCHS = (2, 200)
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train; the names are those of the detector's parameters."""

    loss: object
    metrics: tuple
    optimizer: object
    learning_rate: object
    epochs: object
    batch_size: int
    trim_fraction: float
    noise: float
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    callbacks: tuple
    verbose: int
    label: str

    def resolved(self, n_samples):
        """Return the options with `epochs` and `batch_size` as numbers that fit the data."""
        batch_size = min(self.batch_size, n_samples)
        epochs = self.epochs
        if epochs == "auto":
            epochs = int(np.clip(_AUTO_STEPS // _n_batches(n_samples, batch_size), *_AUTO_EPOCHS))
        return replace(self, batch_size=batch_size, epochs=epochs)


def train(model, X, options, *, rows=None, sample_weight=None, X_val=None, seed=0):
    """Train `model` to reconstruct the rows of `X`; its weights change in place.

    Parameters
    ----------
    model : keras.Model
        Built; compiled here.
    X : ndarray of shape (n_samples, *input_shape), float32
        The data.
    options : TrainingOptions
        How to train.
    rows : ndarray of int, default=None
        The rows of `X` to train on; all of them by default.
    sample_weight : ndarray of shape (n_samples,), float32, default=None
        What each row counts for in the loss.
    X_val : ndarray of shape (n_validation, *input_shape), float32, default=None
        Rows for the validation curves, and for early stopping.
    seed : int
        Of the order of the rows and of the noise.

    Returns
    -------
    history : dict of list of float
        One value an epoch for the loss and each metric, as `keras.Model.fit` records them.

    Raises
    ------
    ValueError
        If Keras does not know a name, or the loss stops being a finite number.
    """
    rows = np.arange(len(X)) if rows is None else rows
    options = options.resolved(len(rows))
    n_steps = options.epochs * _n_batches(len(rows), options.batch_size)
    compile_model(model, options, n_steps)
    _create_variables(model, X[:2])
    callbacks = _callback_list(model, options, monitor="loss" if X_val is None else "val_loss")
    run_epoch = _training_epoch(model, X, sample_weight, options, callbacks, seed)
    evaluate = _evaluation(model, X_val, options.batch_size)
    generator = np.random.default_rng(seed)
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch in range(options.epochs):
        callbacks.on_epoch_begin(epoch)
        logs = run_epoch(generator.permutation(rows))
        _check_finite(logs["loss"], epoch, options)
        logs |= {f"val_{name}": value for name, value in evaluate().items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callbacks.on_train_end(logs)
    return {name: list(values) for name, values in model.history.history.items()}


def join_histories(before, after):
    """Append one history to another; a curve that one of them lacks is NaN there."""
    lengths = [len(before["loss"]), len(after["loss"])]
    return {
        name: [
            *before.get(name, [np.nan] * lengths[0]),
            *after.get(name, [np.nan] * lengths[1]),
        ]
        for name in before | after
    }


def compile_model(model, options, n_steps):
    """Give the model its loss, metrics and a fresh optimizer."""
    loss = resolve("losses", options.loss)
    model.compile(
        optimizer=_optimizer(options.optimizer, options.learning_rate, n_steps),
        loss=_trimmed(loss, options.trim_fraction) if options.trim_fraction else loss,
        metrics=[_metric(metric) for metric in options.metrics],
        jit_compile=False,
    )


def _metric(metric):
    # Resolved only for its error message: Keras names the curve after what it is given.
    resolve("metrics", metric)
    return copy.deepcopy(metric)


def _optimizer(optimizer, learning_rate, n_steps):
    """Return a new optimizer; a float or the built-in schedule replaces its learning rate."""
    given = isinstance(optimizer, str)
    fresh = resolve("optimizers", optimizer)
    config = fresh.get_config()
    config.pop("name", None)
    if learning_rate != "auto":
        config["learning_rate"] = learning_rate
    elif given:
        config["learning_rate"] = _auto_schedule(n_steps)
    return type(fresh).from_config(config)


def _auto_schedule(n_steps):
    """Constant over the first half of the steps, falling to zero as a cosine over the second."""
    constant = n_steps // 2
    return load_keras().optimizers.schedules.CosineDecay(
        initial_learning_rate=_AUTO_LEARNING_RATE,
        warmup_target=_AUTO_LEARNING_RATE,
        warmup_steps=constant,
        decay_steps=max(1, n_steps - constant),
    )


def _trimmed(loss, fraction):
    """Return a loss that leaves the worst-reconstructed share of each batch out."""
    keras = load_keras()
    ops = keras.ops
    row_loss = loss.call if isinstance(loss, keras.losses.Loss) else loss

    class Trimmed(keras.losses.Loss):
        def call(self, y_true, y_pred):
            values = ops.reshape(row_loss(y_true, y_pred), (ops.shape(y_true)[0], -1))
            values = ops.mean(values, axis=1)
            n_rows = ops.cast(ops.shape(values)[0], values.dtype)
            n_kept = ops.ceil(n_rows * (1.0 - fraction))
            kept = values <= ops.take(ops.sort(values), ops.cast(n_kept, "int32") - 1)
            # Divided by the rows that are kept, where Keras will divide by all of them.
            return values * ops.cast(kept, values.dtype) * (n_rows / n_kept)

    return Trimmed(name="trimmed_loss")


def _create_variables(model, X):
    """Create the variables of metrics and optimizer, which a loop inside a graph cannot."""
    model.test_step((X, X))
    model.reset_metrics()
    model.optimizer.build(model.trainable_variables)


def _callback_list(model, options, monitor):
    keras = load_keras()
    callbacks = [copy.deepcopy(callback) for callback in options.callbacks]
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
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        model=model,
        verbose=0,
        epochs=options.epochs,
    )


def _training_epoch(model, X, sample_weight, options, callbacks, seed):
    """Return a function that trains on the rows of an order once and returns the epoch's logs."""
    import tensorflow as tf

    data = tf.convert_to_tensor(X)
    weight = None if sample_weight is None else tf.convert_to_tensor(sample_weight)

    def step(rows):
        target = tf.gather(data, rows)
        noisy = _with_noise(target, options.noise, seed, model.optimizer.iterations)
        model.train_step(
            (noisy, target) if weight is None else (noisy, target, tf.gather(weight, rows))
        )

    if any(_listens_to_batches(callback) for callback in callbacks.callbacks):
        return _batch_by_batch(model, step, options.batch_size, callbacks)
    loop = _compiled_loop(step, options.batch_size)

    def run_epoch(order):
        model.reset_metrics()
        loop(tf.constant(order, dtype=tf.int32))
        return _logs(model)

    return run_epoch


def _with_noise(target, noise, seed, step):
    import tensorflow as tf

    if not noise:
        return target
    key = tf.stack([tf.cast(seed, tf.int32), tf.cast(step, tf.int32)])
    return target + noise * tf.random.stateless_normal(tf.shape(target), seed=key)


def _compiled_loop(step, batch_size):
    """Return a compiled function that calls `step` with each batch of an order of rows."""
    import tensorflow as tf

    def loop(order):
        def body(start):
            step(order[start : start + batch_size])
            return (start + batch_size,)

        tf.while_loop(
            lambda start: start < tf.size(order), body, (tf.constant(0),), parallel_iterations=1
        )

    return compiled(loop, (None,), "int32")


def _batch_by_batch(model, step, batch_size, callbacks):
    """Return an epoch that comes back to Python after each batch, for callbacks that want it."""
    import tensorflow as tf

    step = compiled(step, (None,), "int32")

    def run_epoch(order):
        model.reset_metrics()
        for batch, start in enumerate(range(0, len(order), batch_size)):
            callbacks.on_train_batch_begin(batch)
            step(tf.constant(order[start : start + batch_size], dtype=tf.int32))
            callbacks.on_train_batch_end(batch, _logs(model))
        return _logs(model)

    return run_epoch


def _listens_to_batches(callback):
    default = load_keras().callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(default, hook)
        for hook in _BATCH_HOOKS
    )


def _evaluation(model, X_val, batch_size):
    """Return a function that computes the loss and metrics of the validation rows."""
    import tensorflow as tf

    if X_val is None:
        return dict
    data = tf.convert_to_tensor(X_val)
    everything = tf.range(len(X_val))

    def step(rows):
        batch = tf.gather(data, rows)
        model.test_step((batch, batch))

    loop = _compiled_loop(step, batch_size)

    def evaluate():
        model.reset_metrics()
        loop(everything)
        return _logs(model)

    return evaluate


def _logs(model):
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _check_finite(loss, epoch, options):
    if not np.isfinite(loss):
        raise ValueError(
            f"The training loss became {loss} in epoch {epoch + 1}. Try a smaller learning_rate "
            f"(now {options.learning_rate!r}), scale X (MinMaxScaler or StandardScaler before the "
            f"detector), or another loss (now {options.loss!r})."
        )


def _n_batches(n_samples, batch_size):
    return -(-n_samples // batch_size)
