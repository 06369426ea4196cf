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
    """Return Keras' Adam with the update of a variable as one operation in place of ten.

    In a small network the number of operations is what a step costs.
    """
    import tensorflow as tf

    keras = load_keras()

    class FusedAdam(keras.optimizers.Adam):
        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            dtype = trainable_variables[0].dtype
            step = tf.cast(self.iterations + 1, dtype)
            beta1, beta2, epsilon = (
                tf.constant(value, dtype) for value in (self.beta_1, self.beta_2, self.epsilon)
            )
            shared = {
                "beta1_power": tf.pow(beta1, step),
                "beta2_power": tf.pow(beta2, step),
                "lr": tf.cast(learning_rate, dtype),
                "beta1": beta1,
                "beta2": beta2,
                "epsilon": epsilon,
            }
            for gradient, variable in zip(grads, trainable_variables, strict=True):
                self._update(gradient, variable, shared)

        def _update(self, gradient, variable, shared):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(self._momentums[index]),
                v=_handle(self._velocities[index]),
                grad=gradient,
                **shared,
            )

    return FusedAdam(learning_rate, name="adam")


def _handle(variable):
    # Keras unwraps some of its variables on the way here.
    return variable.handle if hasattr(variable, "handle") else variable.value.handle
