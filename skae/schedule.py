"""The built-in learning-rate schedule."""

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
