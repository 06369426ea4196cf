"""Keras' process-wide settings: what they were when a network was fitted, and applying them."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace

from skae._engines.keras.loading import PROCESS_LOCK, load_keras


@dataclass(frozen=True)
class Settings:
    """The process-wide settings that shape the arithmetic of a network.

    Parameters
    ----------
    dtype_policy : str
        The policy of layers that name none, as JSON.
    floatx : str
        The dtype of tensors that name none.
    epsilon : float
        What Keras adds to keep divisors and logarithms from zero.
    image_data_format : str
        Which axis layers take for the channels if they are not told.
    """

    dtype_policy: str
    floatx: str
    epsilon: float
    image_data_format: str

    @classmethod
    def current(cls):
        """Return the settings of the process, the policy being that of the thread."""
        keras = load_keras()
        return cls(
            _as_json(keras.config.dtype_policy()),
            keras.config.floatx(),
            keras.config.epsilon(),
            keras.config.image_data_format(),
        )

    @classmethod
    def of_built_in(cls):
        """Return those of built-in networks, which compute in float32 with channels last.

        NumPy, which scores them, knows nothing else.
        """
        policy = _as_json(load_keras().DTypePolicy("float32"))
        return replace(
            cls.current(), dtype_policy=policy, floatx="float32", image_data_format="channels_last"
        )

    @contextmanager
    def applied(self):
        """Apply the settings within the block."""
        before = self.current()
        if before == self:
            yield
            return
        with PROCESS_LOCK:
            self._apply()
            try:
                yield
            finally:
                before._apply()

    def _apply(self):
        keras = load_keras()
        # First, because Keras makes its default policy of it.
        keras.config.set_floatx(self.floatx)
        policy = keras.dtype_policies.deserialize(json.loads(self.dtype_policy))
        keras.config.set_dtype_policy(policy)
        keras.config.set_epsilon(self.epsilon)
        keras.config.set_image_data_format(self.image_data_format)


def _as_json(policy):
    return json.dumps(load_keras().dtype_policies.serialize(policy), sort_keys=True)
