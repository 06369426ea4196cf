"""A model and the compiled functions that train it: what the cache keeps between fits."""

import copy

import numpy as np

from skae._keras import load_keras, resolve
from skae.compiled import compiled
from skae.optimization import constant_then_cosine, fused_adam


class Trainer:
    """A model with its loss, metrics, optimizer, and the compiled functions that train it.

    Parameters
    ----------
    model : keras.Model
        Built; compiled here. Its weights change when it is trained.
    options : TrainingOptions
        How to train; of a later fit, equal in `graph_key`.
    row : ndarray of shape (1, *input_shape), float32
        Any row.
    """

    def __init__(self, model, options, row):
        self.model = model
        self._row_shape = row.shape[1:]
        self._compile(options)
        self._create_variables(row)
        self._fresh_optimizer = [v.value.numpy() for v in model.optimizer.variables]
        self._traced = {}

    def restart(self, options, n_steps):
        """Make the optimizer as new, for a training of `n_steps`."""
        optimizer = self.model.optimizer
        for variable, value in zip(optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)
        if options.learning_rate != "auto":
            optimizer.learning_rate = options.learning_rate
        elif isinstance(options.optimizer, str):
            optimizer._learning_rate.n_steps.assign(n_steps)

    def bind(self, X, sample_weight, X_val, options, seed):
        """Take the data of a training; `release` lets go of it."""
        import tensorflow as tf

        self._data = tf.convert_to_tensor(X)
        self._weight = None if sample_weight is None else tf.convert_to_tensor(sample_weight)
        self._data_val = None if X_val is None else tf.convert_to_tensor(X_val)
        self._batch_size = np.int32(options.batch_size)
        self._noise = np.float32(options.noise)
        self._seed = np.int32(seed)

    def release(self):
        """Let go of the data."""
        self._data = self._weight = self._data_val = None
        self._traced.pop("batch", None)

    def run_epochs(self, orders):
        """Train for one epoch an order of rows, without Python in between; return their logs."""
        weight = [] if self._weight is None else [self._weight]
        if len(weight) not in self._traced:
            self._traced[len(weight)] = self._trace_epochs(bool(weight))
        orders = np.stack(orders).astype(np.int32)
        table = self._traced[len(weight)](
            self._data, *weight, orders, self._batch_size, self._noise, self._seed
        )
        return [dict(zip(self._names, row, strict=True)) for row in table.numpy().tolist()]

    def run_epoch_by_batches(self, order, callbacks):
        """Train for one epoch, and come back to Python after each batch for the callbacks."""
        import tensorflow as tf

        if "batch" not in self._traced:
            arguments = (self._data, self._weight)
            self._traced["batch"] = compiled(
                lambda rows: self._step(*arguments, rows, self._noise, self._seed),
                ((None,), "int32"),
            )
        self.model.reset_metrics()
        for batch, start in enumerate(range(0, len(order), self._batch_size)):
            callbacks.on_train_batch_begin(batch)
            rows = order[start : start + self._batch_size]
            self._traced["batch"](tf.constant(rows, dtype=tf.int32))
            callbacks.on_train_batch_end(batch, self._logs())
        return self._logs()

    def evaluate(self):
        """Return the loss and the metrics of the validation rows, where there are any."""
        if self._data_val is None:
            return {}
        if "evaluate" not in self._traced:
            self._traced["evaluate"] = compiled(
                self._evaluate_in_graph, self._rows_signature, ((), "int32")
            )
        self._traced["evaluate"](self._data_val, self._batch_size)
        return self._logs()

    @property
    def _rows_signature(self):
        return ((None, *self._row_shape), "float32")

    def _trace_epochs(self, weighted):
        noisy = self._noise > 0

        def epochs(data, *arguments):
            weight = arguments[0] if weighted else None
            orders, batch_size, noise, seed = arguments[-4:]
            return self._epochs_in_graph(
                data, weight, orders, batch_size, noise if noisy else 0, seed
            )

        weight_signature = [((None,), "float32")] if weighted else []
        return compiled(
            epochs,
            self._rows_signature,
            *weight_signature,
            ((None, None), "int32"),
            ((), "int32"),
            ((), "float32"),
            ((), "int32"),
        )

    def _epochs_in_graph(self, data, weight, orders, batch_size, noise, seed):
        import tensorflow as tf

        n_epochs = tf.shape(orders)[0]

        def one_epoch(epoch, table):
            self.model.reset_metrics()
            order = orders[epoch]
            _loop_over_batches(
                order, batch_size, lambda rows: self._step(data, weight, rows, noise, seed)
            )
            results = self.model.get_metrics_result()
            self._names = list(results)
            values = tf.stack([tf.cast(value, tf.float32) for value in results.values()])
            return epoch + 1, table.write(epoch, values)

        _, table = tf.while_loop(
            lambda epoch, _: epoch < n_epochs,
            one_epoch,
            (tf.constant(0), tf.TensorArray(tf.float32, size=n_epochs)),
            parallel_iterations=1,
        )
        return table.stack()

    def _evaluate_in_graph(self, data, batch_size):
        import tensorflow as tf

        def step(rows):
            batch = tf.gather(data, rows)
            self.model.test_step((batch, batch))

        self.model.reset_metrics()
        _loop_over_batches(tf.range(tf.shape(data)[0]), batch_size, step)

    def _step(self, data, weight, rows, noise, seed):
        import tensorflow as tf

        target = tf.gather(data, rows)
        noisy = target
        if tf.is_tensor(noise) or noise:
            key = tf.stack([seed, tf.cast(self.model.optimizer.iterations, tf.int32)])
            noisy += noise * tf.random.stateless_normal(tf.shape(target), seed=key)
        batch = (noisy, target) if weight is None else (noisy, target, tf.gather(weight, rows))
        self.model.train_step(batch)

    def _logs(self):
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def _compile(self, options):
        loss = resolve("losses", options.loss)
        self.model.compile(
            optimizer=_optimizer(options.optimizer, options.learning_rate),
            loss=_trimmed(loss, options.trim_fraction) if options.trim_fraction else loss,
            metrics=[_metric(metric) for metric in options.metrics],
            jit_compile=False,
        )

    def _create_variables(self, row):
        """Create the variables of metrics and optimizer, which a loop inside a graph cannot."""
        self.model.test_step((row, row))
        self.model.reset_metrics()
        self.model.optimizer.build(self.model.trainable_variables)


def _metric(metric):
    # Resolved only for its error message: Keras names the curve after what it is given.
    resolve("metrics", metric)
    return copy.deepcopy(metric)


def _optimizer(optimizer, learning_rate):
    """Return a new optimizer; a float or the built-in schedule replaces its learning rate."""
    fresh = resolve("optimizers", optimizer)
    config = fresh.get_config()
    config.pop("name", None)
    if learning_rate != "auto":
        config["learning_rate"] = learning_rate
    elif isinstance(optimizer, str):
        config["learning_rate"] = constant_then_cosine()
    if optimizer == "adam":
        return fused_adam(config["learning_rate"])
    return type(fresh).from_config(config)


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


def _loop_over_batches(order, batch_size, step):
    """Call `step`, inside a graph, with each batch of an order of rows."""
    import tensorflow as tf

    def body(start):
        step(order[start : start + batch_size])
        return (start + batch_size,)

    tf.while_loop(
        lambda start: start < tf.size(order), body, (tf.constant(0),), parallel_iterations=1
    )
