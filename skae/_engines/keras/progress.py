"""The progress shown while training."""

from time import monotonic

from skae._engines.keras.loading import load_keras
from skae._progress import SECONDS_BETWEEN_UPDATES, LinePerStep, single_line_output


def progress_callback(label, *, every_epoch):
    """Return a Keras callback that prints the progress of training to the standard output.

    Parameters
    ----------
    label : str
        Whose progress it is.
    every_epoch : bool
        One line per epoch, or one line in all. In a terminal or a notebook that line is updated as
        training proceeds; in a file it is written once, at the end.
    """
    output = LinePerStep() if every_epoch else single_line_output()

    class Progress(load_keras().callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.line, self.shown_at = "", monotonic()
            if not every_epoch:  # the first epoch waits for it
                output.show(f"[{label}] tracing")

        def on_epoch_end(self, epoch, logs=None):
            values = " - ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
            self.line = f"[{label}] epoch {epoch + 1}/{self.params['epochs']} - {values}"
            if every_epoch or monotonic() - self.shown_at > SECONDS_BETWEEN_UPDATES:
                output.show(self.line)
                self.shown_at = monotonic()

        def on_train_end(self, logs=None):
            output.finish(self.line)

    return Progress()
