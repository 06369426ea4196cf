"""The built-in learning-rate schedule."""

import math

from skae._engines.keras.loading import load_keras
from skae._engines.options import FULL_RATE


def constant_then_cosine():
    """Return a schedule: 0.001 over the first half of the steps, then a cosine down to 0.

    The number of steps is a variable of it: one graph serves trainings of any length. Keras alone
    cannot load it.
    """
    keras = load_keras()
    ops = keras.ops

    class ConstantThenCosine(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self):
            self.n_steps = keras.Variable(1.0, trainable=False, name="n_steps")

        def __call__(self, step):
            progress = ops.cast(step, self.n_steps.dtype) / self.n_steps
            falling = ops.clip(2.0 * progress - 1.0, 0.0, 1.0)
            return FULL_RATE * 0.5 * (1.0 + ops.cos(math.pi * falling))

        def restart(self, n_steps):
            """Begin a training of so many steps."""
            self.n_steps.assign(n_steps)

        def step(self):
            """Do nothing: the optimizer asks for the rate."""

        def get_config(self):
            return {}

    return ConstantThenCosine()


class YieldingSchedule:
    """A schedule that assigns an optimizer's learning rate, until someone else does.

    The optimizer has a plain number for its rate, which callbacks can read and assign, and which is
    saved with it.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        Whose rate it is.
    """

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self._schedule = constant_then_cosine()
        self._last = load_keras().Variable(FULL_RATE, trainable=False, name="last_rate")

    def restart(self, n_steps):
        """Begin a training of so many steps."""
        self._schedule.restart(n_steps)
        self._optimizer.learning_rate = FULL_RATE
        self._last.assign(self._optimizer.learning_rate)

    def step(self):
        """Assign the rate of the next step, in a graph, if the present one is the schedule's."""
        keras = load_keras()
        rate = self._optimizer.learning_rate
        if not isinstance(rate, keras.Variable):  # a callback has put a schedule in its place
            return
        scheduled = self._schedule(self._optimizer.iterations)
        is_ours = keras.ops.equal(rate, self._last)
        rate.assign(keras.ops.where(is_ours, scheduled, rate))
        self._last.assign(keras.ops.where(is_ours, scheduled, self._last))
