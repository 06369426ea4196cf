"""One line of progress on the standard output, wherever that is shown."""

import sys
from time import monotonic

SECONDS_BETWEEN_UPDATES = 0.1


class Progress:
    """The progress of steps of a kind, with the time left, for the time of a `with` block.

    Parameters
    ----------
    label : str
        Whose progress it is.
    n_steps : int
        How many steps there are.
    verbose : int
        0 shows nothing. 1 shows one line, which is updated in a terminal or a notebook and written
        once, at the end, to a file; 2 one line per step.
    unit : str, default=""
        What the steps are.
    """

    def __init__(self, label, n_steps, verbose, unit=""):
        self.label, self.n_steps, self.unit = label, n_steps, unit and f" {unit}"
        self.n_done, self.phase, self.shown_at = 0, "", 0.0
        self.output = None
        if verbose:
            self.output = LinePerStep() if verbose > 1 else single_line_output()

    def __enter__(self):
        self.started_at = monotonic()
        return self

    def __exit__(self, kind, error, traceback):
        if self.output is None:
            return
        line = f"{self._beginning()} in {_duration(monotonic() - self.started_at)}"
        if isinstance(self.output, LinePerStep) and kind is None:
            self.output.show(line)
        self.output.finish(line if kind is None else self._line())

    def begin(self, phase):
        """Show what is done from now on."""
        self.phase = f" - {phase}"
        self._show()

    def advance(self, n_steps=1):
        """Count steps that are done."""
        self.n_done += n_steps
        if monotonic() - self.shown_at > SECONDS_BETWEEN_UPDATES:
            self._show()

    def _show(self):
        if self.output is not None:
            self.output.show(self._line())
            self.shown_at = monotonic()

    def _beginning(self):
        return f"[{self.label}] {self.n_done:,} of {self.n_steps:,}{self.unit} done"

    def _line(self):
        left = ""
        if 0 < self.n_done < self.n_steps:
            each = (monotonic() - self.started_at) / self.n_done
            left = f" - about {_duration(each * (self.n_steps - self.n_done))} left"
        return f"{self._beginning()}{self.phase}{left}"


def followed(results, phases, label, verbose):
    """Yield results as they come, and show which one is being waited for.

    Parameters
    ----------
    results : iterable
        It works when it is asked for the next one.
    phases : list of str
        What each result is of.
    label, verbose : object
        As of :class:`Progress`.
    """
    with Progress(label, len(phases), verbose) as progress:
        results = iter(results)
        for phase in phases:
            progress.begin(phase)
            yield next(results)
            progress.n_done += 1


def _duration(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def single_line_output():
    """Return what shows lines one over the other, in a file the last one only."""
    # In a notebook the output stream is of a class of the kernel's.
    if type(sys.stdout).__module__.startswith("ipykernel"):
        return _NotebookLine()
    return _TerminalLine() if sys.stdout.isatty() else _FileLine()


class LinePerStep:
    """Prints each line, and keeps it."""

    def show(self, line):
        """Print a line."""
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
