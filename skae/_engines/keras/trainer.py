"""A model and the compiled functions that train it: what the cache keeps between fits."""

import copy
from typing import Any

import numpy as np

from skae._engines.keras.cache import as_operation, compiled, for_small_layers
from skae._engines.keras.loading import load_keras, resolve, summary
from skae._engines.keras.losses import Logarithmic, fast_msle, of_present, present, trimmed
from skae._engines.keras.schedule import YieldingSchedule, constant_then_cosine
from skae._engines.keras.settings import Settings
from skae._engines.keras.steps import KerasStep, PackedAdamStep, is_keras_own, updated_metrics

# Losses of Keras that expect labels and something of another shape; with one feature they run.
_OF_LABELS = ("circle", "ctc", "sparse_categorical_crossentropy")


class Trainer:
    """A model with its loss, metrics, optimizer, and the compiled functions that train it.

    Parameters
    ----------
    model : keras.Model
        Built; compiled here. Its weights change when it is trained.
    options : TrainingOptions
        How to train; of a later fit, equal in `graph_key`.
    layout : Layout
        How rows are laid out for it.
    """

    _names: list[str]

    def __init__(self, model, options, layout):
        self.model = model
        self._settings = Settings.current()
        self._input_shape = layout.input_shape
        self._members = layout.member_axes
        # Keras' losses average over the last axis of a row only; ours over all.
        is_own = options.loss == "auto" or np.any(options.trim_fraction)
        self._weight_axes = (None,) * (0 if is_own else len(layout.input_shape) - 1)
        self._compile(options)
        self._step = self._step_of_model(options)
        self._traced = {}

    def restart(self, options, n_steps, state=None):
        """Reset the optimizer, for a training of `n_steps`, or put back an earlier state."""
        self._step.restart()
        # Another optimizer cannot go on from it, and begins anew.
        if state is not None and state["kind"] == self._kind():
            self._step.resume(state["optimizer"])
            for variable, value in zip(self._random_states(), state["random"], strict=True):
                variable.assign(value)
        if options.learning_rate != "auto":
            self.model.optimizer.learning_rate = options.learning_rate
        if self._schedule is not None:
            self._schedule.restart(n_steps)

    def state(self):
        """Return, as plain data, what a later training resumes besides the weights.

        That is the state of the optimizer and of what is random in layers, such as dropout.
        """
        return {
            "kind": self._kind(),
            "optimizer": self._step.state(),
            "random": [variable.numpy() for variable in self._random_states()],
        }

    def _kind(self):
        return f"{type(self._step).__name__} {type(self.model.optimizer).__name__}"

    def _random_states(self):
        others = self.model.weights + self.model.metrics_variables
        known = {id(variable) for variable in others + self.model.optimizer.variables}
        return [variable for variable in self.model.variables if id(variable) not in known]

    def bind(self, options, seed):
        """Set the options of a training that are not part of the graph."""
        self._batch_size = np.int32(options.batch_size)
        self._noise = np.float32(options.noise)
        self._usual_variance.assign(options.usual_variance)
        if options.stand_ins is not None:
            self._stand_ins.assign(options.stand_ins.reshape(self._input_shape))
        self._seed = np.int32(seed)

    def run_epochs(self, data, orders, resume=False):
        """Train for one epoch per order of rows, all in one graph call; return their logs.

        Parameters
        ----------
        data : tuple of tensor
            The rows, and their weights if they have any.
        orders : sequence of ndarray of int, of shape (n_samples,) or (n_samples, n_members)
            One permutation of the rows for each epoch, or for each epoch and member.
        resume : bool
            Whether the first of them continues the previous epoch.
        """
        if ("epochs", len(data)) not in self._traced:
            with self._settings.applied():
                self._traced["epochs", len(data)] = self._trace_epochs(weighted=len(data) == 2)
        table = self._traced["epochs", len(data)](
            *data,
            np.stack(orders).astype(np.int32),
            self._batch_size,
            np.bool_(resume),
            self._noise,
            self._seed,
        )
        return [dict(zip(self._names, row, strict=True)) for row in table.numpy().tolist()]

    def run_batch(self, data, rows):
        """Train on some rows of the data; return the logs of the epoch so far."""
        if ("batch", len(data)) not in self._traced:
            with self._settings.applied():
                self._traced["batch", len(data)] = compiled(
                    self._batch_in_graph,
                    *self._data_signature(len(data) == 2),
                    ((None, *self._members), "int32"),
                )
        self._traced["batch", len(data)](*data, rows.astype(np.int32))
        return self._logs()

    def evaluate(self, rows, resume=False):
        """Return the loss and metrics of rows; with `resume`, including those evaluated before."""
        if "evaluate" not in self._traced:
            with self._settings.applied():
                self._traced["evaluate"] = compiled(
                    self._evaluate_in_graph, *self._data_signature(), ((), "int32"), ((), "bool")
                )
        self._traced["evaluate"](rows, self._batch_size, np.bool_(resume))
        return {name: value for name, value in self._logs().items() if name not in self._untouched}

    def check_evaluates(self):
        """Make sure that evaluating updates the loss.

        Raises
        ------
        ValueError
            If it does not.
        """
        if "loss" in self._untouched:
            raise ValueError(
                f"The network {self.model.name!r} has metrics of its own, and its test_step does "
                "not update the one named 'loss': val_loss would always be 0. Write the method "
                "test_step, which updates the metrics as its train_step does, or fit without "
                "validation rows."
            )

    def _data_signature(self, weighted=False):
        rows = ((None, *self._input_shape), "float32")
        return [rows, ((None,), "float32")] if weighted else [rows]

    def _trace_epochs(self, weighted):
        noisy = self._noise > 0

        def epochs(*arguments):
            *data, orders, batch_size, resume, noise, seed = arguments
            return self._epochs_in_graph(
                data, orders, batch_size, resume, noise if noisy else 0, seed
            )

        function = compiled(
            epochs,
            *self._data_signature(weighted),
            ((None, None, *self._members), "int32"),
            ((), "int32"),
            ((), "bool"),
            ((), "float32"),
            ((), "int32"),
        )
        return as_operation(function, for_small_layers())

    def _epochs_in_graph(self, data, orders, batch_size, resume, noise, seed):
        import tensorflow as tf

        n_epochs = tf.shape(orders)[0]

        def one_epoch(epoch, table):
            self._reset_metrics_unless(tf.logical_and(resume, epoch == 0))
            _loop_over_batches(
                orders[epoch], batch_size, lambda rows: self._train_on(*data, rows, noise, seed)
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
        self._step.finish()
        return table.stack()

    def _batch_in_graph(self, *data_and_rows):
        self._train_on(*data_and_rows, self._noise, self._seed)
        self._step.finish()

    def _evaluate_in_graph(self, data, batch_size, resume):
        import tensorflow as tf

        def step(rows):
            for n_members in self._members:
                rows = tf.repeat(rows[:, tf.newaxis], n_members, axis=1)
            batch = tf.gather(data, rows)
            self.model.test_step((self._filled(batch), batch))

        self._reset_metrics_unless(resume)
        _loop_over_batches(tf.range(tf.shape(data)[0]), batch_size, step)

    def _reset_metrics_unless(self, resume):
        import tensorflow as tf

        tf.cond(resume, lambda: None, self.model.reset_metrics)

    def _train_on(self, data, *weight_and_rows):
        import tensorflow as tf

        *weight, rows, noise, seed = weight_and_rows
        target = tf.gather(data, rows)
        noisy = self._filled(target)
        if tf.is_tensor(noise) or noise:
            key = tf.stack([seed, tf.cast(self.model.optimizer.iterations, tf.int32)])
            # Members see different rows, so they can share the noise, which is expensive to draw.
            shape = [tf.shape(target)[0], *[1 for _ in self._members], *self._input_shape]
            noisy += noise * tf.random.stateless_normal(shape, seed=key)
        weight = (tf.gather(values, rows)[..., *self._weight_axes] for values in weight)
        if self._schedule is not None:
            self._schedule.step()
        self._step.apply(noisy, target, *weight)

    def _filled(self, rows):
        import tensorflow as tf

        if not self._has_gaps:
            return rows
        return tf.where(tf.math.is_nan(rows), self._stand_ins, rows)

    def _logs(self):
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def _compile(self, options):
        import tensorflow as tf

        self._usual_variance = tf.Variable(tf.ones(()), trainable=False)
        self._stand_ins = tf.Variable(tf.zeros(self._input_shape), trainable=False)
        self._has_gaps = options.stand_ins is not None
        given: Any = None
        if options.loss != "auto":
            given = resolve("losses", options.loss)
            self._check_compares_rows("loss", options.loss, given)
        row_axes = tuple(range(1 + len(self._members), 1 + len(self._members + self._input_shape)))
        loss = given or Logarithmic(self._usual_variance, row_axes, self._has_gaps)
        if loss is resolve("losses", "msle"):
            loss = fast_msle
        if self._has_gaps and given:
            loss = of_present(loss, row_axes)
        if np.any(options.trim_fraction):
            loss = trimmed(loss, options.trim_fraction, self._members)
        is_auto = options.learning_rate == "auto"
        rate = None if is_auto else options.learning_rate
        self._schedule = None
        if is_auto and isinstance(options.optimizer, str) and not options.callbacks:
            self._schedule = rate = constant_then_cosine()
        self.model.compile(
            optimizer=_optimizer(options, rate),
            loss=loss,
            metrics=[self._metric(metric) for metric in options.metrics],
            jit_compile=False,
        )
        if self._has_gaps:
            self._leave_gaps_out_of_metrics()
        if loss is not given:
            # Keras alone could not load a model that a callback saves with a loss of ours.
            self.model.get_compile_config = lambda: None
        if is_auto and isinstance(options.optimizer, str) and options.callbacks:
            # One of them may assign another rate, or save the model, which Keras must then load.
            self._schedule = YieldingSchedule(self.model.optimizer)

    def _leave_gaps_out_of_metrics(self):
        """Let the metrics, of any kind, take missing cells for reconstructed exactly."""
        model = self.model
        if not is_keras_own(model):
            raise ValueError(
                f"The network {model.name!r} has a train_step or metrics of its own, which know "
                "nothing of missing cells (NaN), and X has some: put SimpleImputer() before the "
                "detector in a pipeline."
            )
        compute_metrics = model.compute_metrics

        def of_filled(x, y, y_pred, sample_weight=None):
            return compute_metrics(x, present(y, y_pred)[0], y_pred, sample_weight)

        model.compute_metrics = of_filled

    def _metric(self, metric):
        """Return a metric for Keras, which names the curve after what it is given."""
        found = resolve("metrics", metric)
        own = copy.deepcopy(found)
        self._check_compares_rows("metrics", metric, lambda *rows: _value(own, rows))
        return copy.deepcopy(metric)

    def _check_compares_rows(self, parameter, given, function):
        """Refuse a loss or metric that does not compare rows with their reconstructions."""
        import tensorflow as tf

        # Of a shape with no two lengths alike that could be taken for each other.
        shape = (self._input_shape[-1] + 1, *self._members, *self._input_shape)
        rows = tf.fill(shape, np.float32(0.5))
        reason = None
        if getattr(function, "name", getattr(function, "__name__", "")) in _OF_LABELS:
            reason = "it compares labels with predictions of them"
        else:
            try:
                function(rows, rows)
            except Exception as error:
                reason = summary(error)
        if reason:
            raise ValueError(
                f"{parameter}={given!r} does not compare rows with their reconstructions, two "
                f"arrays of one shape ({reason}): use for example 'mse', 'mae' or 'huber'."
            )

    def _step_of_model(self, options):
        """Return the training step of the model, with all its variables created.

        A loop inside a graph cannot create variables.
        """
        row = np.zeros((1, *self._members, *self._input_shape), dtype=np.float32)
        updated = updated_metrics(self.model, self.model.test_step, row)
        self._untouched = {"loss", *(metric.name for metric in self.model.metrics)} - {*updated}
        packs = options.optimizer == "adam" and not options.callbacks
        if packs and PackedAdamStep.fits(self.model):
            step = PackedAdamStep(self.model)
        else:
            step = KerasStep(self.model, row)
        self.model.reset_metrics()
        return step


def _value(metric, rows):
    """Return the value of a metric, a function or one of Keras', for rows, as a number."""
    if not isinstance(metric, load_keras().metrics.Metric):
        return metric(*rows)
    metric.update_state(*rows, sample_weight=None)
    return float(metric.result())


def _optimizer(options, learning_rate):
    """Return a new optimizer, with its own learning rate if `learning_rate` is None."""
    fresh: Any = resolve("optimizers", options.optimizer)
    config = fresh.get_config()
    config.pop("name", None)
    if learning_rate is not None:
        config["learning_rate"] = learning_rate
    return type(fresh).from_config(config)


def _loop_over_batches(order, batch_size, step):
    """Call `step`, inside a graph, with each batch of an order of rows."""
    import tensorflow as tf

    def body(start):
        step(order[start : start + batch_size])
        return (start + batch_size,)

    n_rows = tf.shape(order)[0]
    tf.while_loop(lambda start: start < n_rows, body, (tf.constant(0),), parallel_iterations=1)
