"""The built-in optimizer and learning-rate schedule."""

import math

from skae._keras import load_keras

_RATE = 1e-3


def constant_then_cosine(of_keras=False):
    """Return a Keras schedule: 0.001 over the first half of the steps, then a cosine to zero.

    The number of steps is a variable, `n_steps`: one graph serves trainings of any length. With
    `of_keras` it is a schedule of Keras' own, which can be saved; `set_length` replaces it.
    """
    return _keras_constant_then_cosine(2) if of_keras else _constant_then_cosine()


def set_length(optimizer, n_steps):
    """Tell an optimizer that has the built-in schedule how many steps it will take."""
    schedule = optimizer._learning_rate
    if hasattr(schedule, "n_steps"):
        schedule.n_steps.assign(n_steps)
    else:
        optimizer.learning_rate = _keras_constant_then_cosine(n_steps)


def _keras_constant_then_cosine(n_steps):
    half = max(1, n_steps // 2)
    # A warm-up from a rate to that rate is constant.
    return load_keras().optimizers.schedules.CosineDecay(
        _RATE, decay_steps=half, warmup_target=_RATE, warmup_steps=half
    )


def _constant_then_cosine():
    keras = load_keras()
    ops = keras.ops

    class ConstantThenCosine(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self):
            self.n_steps = keras.Variable(1.0, trainable=False, name="n_steps")

        def __call__(self, step):
            progress = ops.cast(step, self.n_steps.dtype) / self.n_steps
            falling = ops.clip(2.0 * progress - 1.0, 0.0, 1.0)
            return _RATE * 0.5 * (1.0 + ops.cos(math.pi * falling))

        def get_config(self):
            return {}

    return ConstantThenCosine()


def fused_adam(learning_rate):
    """Return Keras' Adam with the update of all variables as one operation, on one vector.

    In a small network the number of operations is what a step costs, above all of those that
    TensorFlow shares out among threads.
    """
    import tensorflow as tf

    keras = load_keras()

    class FusedAdam(keras.optimizers.Adam):
        def build(self, variables):
            keras.optimizers.Optimizer.build(self, variables)
            self._sizes = [math.prod(variable.shape) for variable in variables]
            self._packed, self._momentum, self._velocity = (
                self.add_variable((sum(self._sizes),), dtype=variables[0].dtype, name=name)
                for name in ("packed", "momentum", "velocity")
            )

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            dtype = self._packed.dtype
            step = tf.cast(self.iterations + 1, dtype)
            grads = self._of_all_variables(grads, trainable_variables)
            self._packed.assign(_one_vector(self._trainable_variables, dtype))
            tf.raw_ops.ResourceApplyAdam(
                var=self._packed.value.handle,
                m=self._momentum.value.handle,
                v=self._velocity.value.handle,
                beta1_power=tf.pow(tf.constant(self.beta_1, dtype), step),
                beta2_power=tf.pow(tf.constant(self.beta_2, dtype), step),
                lr=tf.cast(learning_rate, dtype),
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=_one_vector(grads, dtype),
            )
            updated = tf.split(self._packed, self._sizes)
            for variable, value in zip(self._trainable_variables, updated, strict=True):
                variable.assign(tf.reshape(tf.cast(value, variable.dtype), variable.shape))

        def _of_all_variables(self, grads, variables):
            # Keras leaves out variables that have no gradient; with zeros Adam leaves them alone.
            known = {
                self._get_variable_index(variable): gradient
                for variable, gradient in zip(variables, grads, strict=True)
            }
            return [
                known[index] if index in known else tf.zeros(size)
                for index, size in enumerate(self._sizes)
            ]

    return FusedAdam(learning_rate, name="adam")


def _one_vector(tensors, dtype):
    import tensorflow as tf

    return tf.concat([tf.reshape(tf.cast(tensor, dtype), [-1]) for tensor in tensors], axis=0)
