"""The built-in optimizer and learning-rate schedule."""

import math

from skae._keras import load_keras

_RATE = 1e-3


def constant_then_cosine():
    """Return a Keras schedule: 0.001 over the first half of the steps, then a cosine to zero.

    The number of steps is a variable, `n_steps`: one graph serves trainings of any length.
    """
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
        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            step = tf.cast(self.iterations + 1, variable.dtype)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(self._momentums[index]),
                v=_handle(self._velocities[index]),
                beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
                beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
                lr=tf.cast(learning_rate, variable.dtype),
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )

    return FusedAdam(learning_rate, name="adam")


def _handle(variable):
    # Keras unwraps some of its variables on the way here.
    return variable.handle if hasattr(variable, "handle") else variable.value.handle
