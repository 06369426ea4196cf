"""The progress shown while training."""

import sys
from time import monotonic

from skae._engines.keras.loading import load_keras

_SECONDS_BETWEEN_UPDATES = 0.1


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
    output = _LinePerEpoch() if every_epoch else _single_line_output()

    class Progress(load_keras().callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.line, self.shown_at = "", monotonic()

        def on_epoch_end(self, epoch, logs=None):
            values = " - ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
            self.line = f"[{label}] epoch {epoch + 1}/{self.params['epochs']} - {values}"
            if every_epoch or monotonic() - self.shown_at > _SECONDS_BETWEEN_UPDATES:
                output.show(self.line)
                self.shown_at = monotonic()

        def on_train_end(self, logs=None):
            output.finish(self.line)

    return Progress()


def _single_line_output():
    # In a notebook the output stream is of a class of the kernel's.
    if type(sys.stdout).__module__.startswith("ipykernel"):
        return _NotebookLine()
    return _TerminalLine() if sys.stdout.isatty() else _FileLine()


class _LinePerEpoch:
    def show(self, line):
        print(line, flush=True)

    def finish(self, line):
        """Add nothing: all has been shown."""


class _FileLine:
    def show(self, line):
        """Show nothing: a file would keep each line, and the last one is enough."""

    def finish(self, line):
        print(line, flush=True)


class _TerminalLine:
    def show(self, line, end=""):
        # Blanks overwrite the rest of a longer line written before.
        print(f"\r{line:<78}", end=end, flush=True)

    def finish(self, line):
        self.show(line, end="\n")


class _NotebookLine:
    """Shows the line in a display, because a saved notebook keeps all output of a stream.

    The last line is printed: some consoles have the same kernel but do not update displays.
    """

    _handle = None

    def show(self, line):
        from IPython.display import display

        shown = {"text/plain": line}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def finish(self, line):
        if self._handle is not None:
            self.show("")
        print(line, flush=True)
