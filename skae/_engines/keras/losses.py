"""The losses of a training graph: skae's own, and what is made of those that are given."""

import numpy as np

from skae._engines.keras.loading import load_keras


class Logarithmic:
    """log(1 + mean squared error) of rows, which grows slowly for those far off.

    Parameters
    ----------
    usual_variance : tensorflow.Variable
        The unit of the squared errors.
    row_axes : tuple of int
        The axes of a batch that belong to a row.
    has_gaps : bool
        Whether cells may be missing.
    """

    __name__ = "logarithmic"

    def __init__(self, usual_variance, row_axes, has_gaps):
        self._usual_variance = usual_variance
        self._row_axes = row_axes
        self._has_gaps = has_gaps

    def __call__(self, y_true, y_pred):
        """Return the loss of each row."""
        ops = load_keras().ops
        if self._has_gaps:
            y_true, is_present = present(y_true, y_pred)
        errors = ops.mean(ops.square(y_true - y_pred), axis=self._row_axes)
        if self._has_gaps:
            errors = errors / _share(is_present, self._row_axes, errors.dtype)
        # TensorFlow turns log(1 + y) into its slow log1p.
        return ops.log(errors / self._usual_variance + np.float32(1))


def fast_msle(y_true, y_pred):
    """Return Keras' mean squared logarithmic error, with operations that are twice as fast.

    TensorFlow turns log(1 + y) into its slow log1p, and derives a gradient of many operations.
    """
    import tensorflow as tf

    keras = load_keras()
    ops = keras.ops
    one = 1 + keras.config.epsilon()
    expected = tf.nn.relu(y_true) + one

    @tf.custom_gradient
    def msle(y):
        shifted = tf.nn.relu(y) + one
        difference = tf.math.log(shifted / expected)

        def gradient(upstream):
            per_cell = difference / shifted * tf.cast(y > 0, y.dtype)
            return (upstream * tf.cast(2 / ops.shape(y)[-1], y.dtype))[..., None] * per_cell

        return tf.reduce_mean(tf.square(difference), axis=-1), gradient

    return msle(y_pred)


def present(y_true, y_pred):
    """Return rows with their reconstructions in missing cells, and which cells are there.

    There the loss has no gradient, whatever it is, because the rows have none.
    """
    ops = load_keras().ops
    is_present = ops.logical_not(ops.isnan(y_true))
    return ops.where(is_present, y_true, ops.stop_gradient(y_pred)), is_present


def of_present(loss, row_axes):
    """Return a loss, which is a mean over cells, as the mean over those that are there."""
    keras = load_keras()
    row_loss = loss.call if isinstance(loss, keras.losses.Loss) else loss

    class OfPresent(keras.losses.Loss):
        def call(self, y_true, y_pred):
            y_true, is_present = present(y_true, y_pred)
            values = row_loss(y_true, y_pred)
            share = _share(is_present, row_axes, values.dtype)
            return values / share[(..., *[None] * (len(values.shape) - len(share.shape)))]

    return OfPresent(name="loss_of_present")


def trimmed(loss, fractions, members):
    """Return a loss that leaves out the worst-reconstructed share of each batch.

    `members` is empty, or the number of members, each of which has its own rows and its own share.
    """
    keras = load_keras()
    ops = keras.ops
    row_loss = loss.call if isinstance(loss, keras.losses.Loss) else loss
    shares = np.reshape(1 - np.array(fractions, dtype=np.float32), (1, *members))

    class Trimmed(keras.losses.Loss):
        def call(self, y_true, y_pred):
            n_rows = ops.shape(y_true)[0]
            values = ops.reshape(row_loss(y_true, y_pred), (n_rows, *members, -1))
            values = ops.mean(values, axis=-1)
            n_rows = ops.cast(n_rows, values.dtype)
            n_kept = ops.ceil(n_rows * shares)
            last = ops.cast(n_kept, "int32") - 1
            largest = ops.take_along_axis(ops.sort(values, axis=0), last, axis=0)
            # Keras will divide by all rows; this makes it the mean over those kept.
            return values * ops.cast(values <= largest, values.dtype) * (n_rows / n_kept)

    return Trimmed(name="trimmed_loss")


def _share(is_present, row_axes, dtype):
    ops = load_keras().ops
    return ops.mean(ops.cast(is_present, dtype), axis=row_axes)
