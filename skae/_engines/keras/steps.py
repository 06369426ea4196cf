"""One step of training: a batch in, updated weights out.

There are two kinds. `KerasStep` is the model's own `train_step`, for every model and
optimizer. `PackedAdamStep` computes the same with everything that Adam updates in one vector: in a
small network, launching operations costs more than computing them.
"""

from math import prod

from skae._engines.keras.loading import load_keras
from skae._engines.keras.packing import dtypes, packed, unpacked


class KerasStep:
    """The step of a compiled model's own `train_step`.

    Parameters
    ----------
    model : keras.Model
        Built and compiled, with the variables of its metrics.
    row : ndarray of shape (1, ...)
        For a trial of a step that is not Keras' own, which may create variables on its first run.
    """

    def __init__(self, model, row):
        self._model = model
        model.optimizer.build(model.trainable_variables)
        if not is_keras_own(model):
            self._create_variables(row)
        self._fresh = [variable.value.numpy() for variable in model.optimizer.variables]

    def restart(self):
        """Reset the optimizer."""
        for variable, value in zip(self._model.optimizer.variables, self._fresh, strict=True):
            variable.assign(value)

    def state(self):
        """Return the optimizer's state, as a list of arrays."""
        return [variable.numpy() for variable in self._model.optimizer.variables]

    def resume(self, state):
        """Put back a state of the optimizer."""
        for variable, value in zip(self._model.optimizer.variables, state, strict=True):
            variable.assign(value)

    def apply(self, *batch):
        """Train on one batch: inputs, targets and, where rows have them, weights."""
        self._model.train_step(batch)

    def finish(self):
        """Do nothing: the model's weights are always up to date."""

    def _create_variables(self, row):
        model = self._model
        known = model.variables + model.optimizer.variables
        values = [variable.numpy() for variable in known]
        if "loss" not in updated_metrics(model, model.train_step, row):
            raise ValueError(
                f"The network {model.name!r} has a train_step or metrics of its own, and no step "
                "updates a metric named 'loss', so the loss that history_ records and early "
                "stopping looks at would always be 0: return one from the property metrics, and "
                "update it in train_step and test_step."
            )
        for variable, value in zip(known, values, strict=True):
            variable.assign(value)


class PackedAdamStep:
    """Keras' step with Adam, on weights in one vector.

    Parameters
    ----------
    model : keras.Model
        Built and compiled with Keras' Adam, whose settings and count of steps are used, with the
        variables of its metrics.
    """

    def __init__(self, model):
        import tensorflow as tf

        self._model = model
        self._loss_tracker = next(metric for metric in model.metrics if metric.name == "loss")
        self._variables = model.trainable_variables
        n_weights = sum(prod(variable.shape) for variable in self._variables)
        self._weights, self._momentum, self._velocity = (
            tf.Variable(tf.zeros(n_weights)) for _ in range(3)
        )

    @staticmethod
    def fits(model):
        """Tell whether this step can train a compiled model."""
        return (
            type(model.optimizer) is load_keras().optimizers.Adam
            and is_keras_own(model)
            and dtypes(model.trainable_variables) == ["float32"]
        )

    def restart(self):
        """Reset the optimizer, and continue from the present weights of the model."""
        import tensorflow as tf

        self._weights.assign(packed(self._variables)[0])
        for variable in (self._momentum, self._velocity):
            variable.assign(tf.zeros_like(variable))
        self._model.optimizer.iterations.assign(0)

    def state(self):
        """Return the optimizer's state, as a list of arrays."""
        return [variable.numpy() for variable in self._state_variables()]

    def resume(self, state):
        """Put back a state of the optimizer."""
        for variable, value in zip(self._state_variables(), state, strict=True):
            variable.assign(value)

    def _state_variables(self):
        return [self._momentum, self._velocity, self._model.optimizer.iterations]

    def apply(self, rows, target, weight=None):
        """Train on one batch: inputs, targets and, where rows have them, weights."""
        import tensorflow as tf

        model = self._model
        with tf.GradientTape() as tape:
            weights = self._weights.read_value()
            tape.watch(weights)
            scope = load_keras().StatelessScope(
                unpacked(self._variables, [weights]), collect_losses=True
            )
            with scope:
                prediction = model(rows, training=True)
                loss = model.compute_loss(rows, target, prediction, weight)
                self._loss_tracker.update_state(loss, sample_weight=tf.shape(rows)[0])
                model.compute_metrics(rows, target, prediction, weight)
        self._update(tape.gradient(loss, weights))
        for variable in model.non_trainable_variables + model.metrics_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)

    def finish(self):
        """Write the packed weights back to the model."""
        for variable, value in unpacked(self._variables, [self._weights]):
            variable.assign(value)

    def _update(self, gradient):
        import tensorflow as tf

        adam = self._model.optimizer
        rate = tf.cast(adam.learning_rate, tf.float32)
        n_steps = tf.cast(adam.iterations.assign_add(1), tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=self._weights.handle,
            m=self._momentum.handle,
            v=self._velocity.handle,
            beta1_power=tf.pow(adam.beta_1, n_steps),
            beta2_power=tf.pow(adam.beta_2, n_steps),
            lr=rate,
            beta1=adam.beta_1,
            beta2=adam.beta_2,
            epsilon=adam.epsilon,
            grad=gradient,
        )


def updated_metrics(model, step, row):
    """Run a step of a model with a row, and return the names of the metrics that it updates."""
    model.reset_metrics()
    before = {id(metric): _values(metric) for metric in model.metrics}
    step((row, row))
    return [metric.name for metric in model.metrics if _values(metric) != before.get(id(metric))]


def _values(metric):
    return [variable.numpy().tolist() for variable in metric.variables]


def is_keras_own(model):
    """Tell whether a model uses Keras' own training step and metrics."""
    keras_model = load_keras().Model
    return all(
        getattr(type(model), name) is getattr(keras_model, name)
        for name in ("train_step", "metrics")
    )
