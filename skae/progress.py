"""What long work shows of itself."""

import sys
from time import monotonic

from skae._keras import load_keras

_SECONDS_BETWEEN_UPDATES = 0.1


def progress_callback(label, *, every_epoch):
    """Return a Keras callback that prints the progress of training to the standard output.

    Parameters
    ----------
    label : str
        Whose progress it is.
    every_epoch : bool
        One line an epoch, or one line in all. In a terminal or a notebook that one line is written
        again as training goes on; in a file it stands once, at the end.
    """
    rewrites = sys.stdout.isatty() or "ipykernel" in sys.modules

    class Progress(load_keras().callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.line, self.shown_at = "", 0.0

        def on_epoch_end(self, epoch, logs=None):
            values = " - ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
            self.line = f"[{label}] epoch {epoch + 1}/{self.params['epochs']} - {values}"
            if every_epoch:
                print(self.line, flush=True)
            elif rewrites and monotonic() - self.shown_at > _SECONDS_BETWEEN_UPDATES:
                self.show(end="")
                self.shown_at = monotonic()

        def on_train_end(self, logs=None):
            if not every_epoch:
                self.show(end="\n")

        def show(self, end):
            # Blanks wipe the rest of a longer line that stood there before.
            print(f"\r{self.line:<78}" if rewrites else self.line, end=end, flush=True)

    return Progress()
