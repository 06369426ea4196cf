"""The built-in learning-rate schedule."""

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
