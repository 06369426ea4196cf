"""The built-in learning-rate schedule."""

import math

from skae._engines.keras.loading import load_keras

_RATE = 1e-3


def constant_then_cosine(n_steps):
    """Return a schedule of Keras' own: 0.001 over the first half of the steps, then a cosine to 0.

    It can be saved with an optimizer, but fits one number of steps only.
    """
    half = max(1, n_steps // 2)
    # A warm-up from a rate to that same rate is constant.
    return load_keras().optimizers.schedules.CosineDecay(
        _RATE, decay_steps=half, warmup_target=_RATE, warmup_steps=half
    )


def adjustable_constant_then_cosine():
    """Return the same schedule with the number of steps as a variable, `n_steps`.

    One graph serves trainings of any length, but Keras alone cannot load the schedule.
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
