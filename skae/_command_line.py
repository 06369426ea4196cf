"""The command line: each verb is a call of what Python users call."""

import argparse
import hashlib
import io
import os
import sys
import tempfile
import warnings
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.stats import beta
from sklearn.pipeline import make_pipeline

from skae import AutoencoderOutlierDetector, FitOnInliers, __version__
from skae._engines.keras.loading import load_keras
from skae._meta.unwrap import kept_errors, scores_and_labels
from skae._table_files import (
    check_file,
    columns_like_identifiers,
    fitted_kinds,
    kinds_of_columns,
    prepared,
    read_table,
    table_scaler,
)
from skae.inspection import explain
from skae.report import report
from skae.thresholds import FalsePositiveRate

# The last bytes of a model's file, before the checksum of all others. What follows a pickle is not
# read with it, so that joblib.load takes the file as it is.
_MARK = b"\nskae model 1 "
_N_MARK = len(_MARK) + 64
_BAD_INPUT = 2
# From so many rows on, most of them being suspicious is no matter of chance.
_MIN_ROWS_FOR_REMARK = 20
_MAX_EXPLAINED = 200

_EXAMPLES = """\
examples:
  skae fit readings.csv -o model.joblib --rate 0.01
  skae fit orders.csv -o model.joblib --label status=ok --drop order_id
  skae score new.csv -m model.joblib -o scores.csv --top 10
  skae report new.csv -m model.joblib -o page.html

Files are CSV, or Parquet by their suffix. Numbers, text, dates in ISO format and missing cells are
taken as they are; of a date, the day of the week and the hour count. Results go to stdout,
everything else to stderr. The exit code is 2 if the input is at fault.

A model is a Python pickle. Loading one runs the code that it names: the commands load only files
that `skae fit` has written whole, but who wants to can forge one. Load your own, or those of
people you trust.
"""


def main(argv=None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments. None takes those of the process.

    Returns
    -------
    code : int
        0, or 2 if the input is at fault, which one line on stderr then says.
    """
    arguments = _parser().parse_args(argv)
    try:
        with _warnings_in_a_line():
            _check_output(arguments)
            arguments.run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:  # such as of `head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError) as error:
        _say(f"error: {error}")
        return _BAD_INPUT
    except KeyboardInterrupt:
        _say("interrupted; nothing was written.")
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        _say(f"error: {message} (see {self.prog} --help)")
        self.exit(_BAD_INPUT)


def _parser():
    style = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "epilog": _EXAMPLES,
        "allow_abbrev": False,
    }
    parser = _Parser(
        prog="skae", description="Find anomalies in a table with an autoencoder.", **style
    )
    parser.add_argument("--version", action="version", version=f"skae {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="fit | score | report")

    fit = verbs.add_parser("fit", help="learn from a table, and write a model", **style)
    fit.add_argument("-o", "--output", required=True, type=Path, help="the model's file")
    fit.add_argument("--label", metavar="COLUMN=VALUE", help="learn from rows with this value only")
    fit.add_argument("--rate", type=_rate, help="share of new normal rows to flag (0.05)")
    fit.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave it out")
    fit.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="learn from it, though its values look like names or numbers of the rows",
    )
    fit.set_defaults(run=_fit)

    score = verbs.add_parser("score", help="score and label each row of a table", **style)
    score.add_argument("-o", "--output", type=Path, help="write the scores there, not to stdout")
    score.add_argument("--top", type=_count, help="print so many of the worst rows, with reasons")
    score.add_argument("--id", type=_id, metavar="COLUMN", help="copy it in front of the scores")
    score.set_defaults(run=_score)

    page = verbs.add_parser("report", help="write an HTML page about a table", **style)
    page.add_argument("-o", "--output", required=True, type=Path, help="the page's file")
    page.add_argument("--label", metavar="COLUMN=VALUE", help="which rows are known to be normal")
    page.set_defaults(run=_report)

    for verb in (fit, score, page):
        verb.add_argument("data", type=Path, help="a CSV or Parquet file")
    for verb in (score, page):
        verb.add_argument("-m", "--model", required=True, type=Path, help="written by `skae fit`")
    return parser


def _rate(text):
    if not (_is_float(text) and 0 < float(text) < 1):
        raise argparse.ArgumentTypeError(f"a rate lies between 0 and 1, got {text}")
    return float(text)


def _id(text):
    if text in ("score", "label"):
        raise argparse.ArgumentTypeError(f"the scores have a column {text} of their own")
    return text


def _count(text):
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a number of rows is at least 1, got {text}")
    return int(text)


def _fit(arguments):
    table = read_table(arguments.data)
    is_normal = _is_normal(table, arguments.label)
    table = _without(table, [*arguments.drop, *_label_column(arguments.label)])
    kinds = _kinds_with_remarks(table, arguments.keep)
    if not kinds:
        raise ValueError(f"{arguments.data} has no column to learn from.")
    # As `score` reads them: true is not True.
    table = read_table(arguments.data, [name for name in kinds if kinds[name] != "numbers"])
    rate = 0.05 if arguments.rate is None else arguments.rate
    n_rows = len(table) if is_normal is None else int(is_normal.sum())
    _say_if_too_few(n_rows, rate)
    detector = _detector(kinds, arguments.rate)
    y = None
    if is_normal is not None:
        detector, y = FitOnInliers(detector), np.where(is_normal, 1, -1)
    _load_keras_quietly()
    with redirect_stdout(sys.stderr):  # the progress
        detector.fit(prepared(table, kinds), y)
    arguments.output.write_bytes(_model_bytes(detector))
    rows = "new rows like these" if is_normal is None else "new normal rows"
    # More than 4,096 errors are kept in part; at least as many as the rate needs, or half of the
    # rows, set the threshold.
    kept: Any = kept_errors(detector)
    n_errors = max(len(kept), min(_n_needed(rate), n_rows // 2))
    average, low, high = (100 * share for share in shares_flagged(rate, n_errors))
    print(
        f"{arguments.output}: learned from {n_rows} of {len(table)} rows, {_counted(kinds)}; flags "
        f"at most {average:.3g} % of {rows} on average "
        f"({low:.2g} to {high:.2g} % by 9 models in 10)."
    )


def _kinds_with_remarks(table, kept):
    _check_columns(table, kept)
    kinds, left_out = kinds_of_columns(table, kept)
    for name, reason in left_out.items():
        _say(f"the column {name} is left out: {reason}.")
    for name in columns_like_identifiers(table, kinds):
        if name not in kept:
            _say(
                f"the column {name} is another whole number in every row: if it identifies them, "
                f"--drop {name} leaves it out; --keep {name} keeps this remark away."
            )
    return kinds


def _n_needed(rate):
    return FalsePositiveRate(rate, confidence=None).min_errors


def _say_if_too_few(n_rows, rate):
    n_needed = 2 * _n_needed(rate)  # at most half of the rows set the threshold
    if n_rows < n_needed:
        _say(
            f"a rate of {rate:g} takes {n_needed} rows; with {n_rows} the threshold is the largest "
            "error, and more rows than that are flagged."
        )


def shares_flagged(rate, n_errors):
    """Return the largest share of new rows flagged on average, and limits for 90 % of samples.

    The share above the k-th largest of n errors has a beta distribution, whatever that of the
    errors, if those of new rows are alike. The threshold lies between that error and the next
    larger one.
    """
    k = max(int(round(rate * (n_errors + 1), 6)), 1)
    larger = max(k - 1, 1)
    low = beta.ppf(0.05, larger, n_errors + 1 - larger)
    high = beta.ppf(0.95, k, n_errors + 1 - k)
    return max(rate, 1 / (n_errors + 1)), low, high


def _detector(kinds, rate):
    threshold = "auto" if rate is None else FalsePositiveRate(rate, confidence=None)
    network = AutoencoderOutlierDetector(threshold=threshold, random_state=0, verbose=1)
    return make_pipeline(table_scaler(kinds), network)


def _counted(kinds):
    values = list(kinds.values())
    counts = [f"{values.count(kind)} of {kind}" for kind in dict.fromkeys(values)]
    return f"{len(values)} column{'s' * (len(values) != 1)} ({', '.join(counts)})"


def _score(arguments):
    detector, rows, table = _model_and_tables(arguments, arguments.id)
    ids = table[_id_columns(arguments.id)]
    scores, labels = scores_and_labels(detector, rows)
    _say_if_most_are_suspicious(detector, rows[labels == -1], len(rows))
    if arguments.top is not None:
        _print_worst(detector, rows, scores, labels, ids, arguments.top)
    if arguments.output is not None or arguments.top is None:
        table = ids.assign(score=scores, label=labels)
        table.to_csv(arguments.output or sys.stdout, index=False)


def _say_if_most_are_suspicious(detector, suspicious, n_rows):
    if n_rows < _MIN_ROWS_FOR_REMARK or len(suspicious) <= n_rows / 2:
        return
    sample = suspicious.iloc[:: 1 + len(suspicious) // _MAX_EXPLAINED]
    column = explain(detector, sample, top=1)["feature"].mode()[0]
    _say(
        f"{len(suspicious)} of {n_rows} rows are unlike all that the model has learned from, most "
        f"often by the column {column}: see whether it means the same in both files, or learn "
        f"without it (skae fit --drop {column})."
    )


def _print_worst(detector, rows, scores, labels, ids, n_worst):
    print(f"{np.sum(labels == -1)} of {len(rows)} rows are suspicious. The lowest scores:")
    worst = np.argsort(scores, kind="stable")[:n_worst]
    reasons = explain(detector, rows.iloc[worst], top=2)["text"].to_numpy().reshape(len(worst), -1)
    for row, reason in zip(worst, reasons, strict=True):
        flag = "!" if labels[row] == -1 else " "
        name = "".join(f" ({value})" for value in ids.iloc[row])
        print(f"{flag} row {rows.index[row]}{name}  score {scores[row]:.4g}  {'; '.join(reason)}")


def _report(arguments):
    detector, rows, table = _model_and_tables(arguments)
    is_normal = _is_normal(table, arguments.label)
    y = None if is_normal is None else np.where(is_normal, 1, -1)
    report(detector, rows, y, path=arguments.output)
    print(f"{arguments.output}: a report on {len(rows)} rows.")


def _id_columns(column):
    return [] if column is None else [column]


def _model_and_tables(arguments, id_column=None):
    """Return the detector, the rows as it takes them, and the table as it is in the file."""
    detector = _loaded(arguments.model)
    pipeline = detector.estimator_ if isinstance(detector, FitOnInliers) else detector
    kinds = fitted_kinds(pipeline[0])
    ids = _id_columns(id_column)
    text = [name for name in kinds if kinds[name] != "numbers"]
    table = read_table(arguments.data, [*text, *ids])  # the digits of 007 are a name
    _check_columns(table, ids)
    others = [name for name in table if name not in [*kinds, *ids]]
    rows = prepared(table, kinds)
    if others:
        _say(f"columns that the model does not use: {', '.join(others)}.")
    return detector, rows, table


def _label_column(label):
    return [] if label is None else [label.partition("=")[0]]


def _is_normal(table, label) -> Any:
    """Return which rows have the value of COLUMN=VALUE, or None without one."""
    if label is None:
        return None
    name, equals, value = label.partition("=")
    if not equals:
        raise ValueError(f"--label takes COLUMN=VALUE, such as status=ok; got {label}.")
    _check_columns(table, [name])
    column = table[name]
    is_normal = (column.astype(str) == value).to_numpy(dtype=bool)
    if not is_normal.any() and _is_float(value):
        is_normal = np.isin(np.asarray(column, dtype=object), [float(value)])
    if not is_normal.any():
        found = ", ".join(str(one) for one in column.unique()[:10])
        raise ValueError(f"no row has {label}; the column {name} holds {found}.")
    return is_normal


def _is_float(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without(table, names):
    _check_columns(table, names)
    return table.drop(columns=names)


def _check_columns(table, names):
    for name in names:
        if name not in table:
            raise ValueError(f"there is no column {name}, only {', '.join(table)}.")


def _check_output(arguments):
    """Raise before any work or any input is lost."""
    output = arguments.output
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise ValueError(f"{output} cannot be written: it is a folder, or lies in none.")
    for source in (arguments.data, getattr(arguments, "model", arguments.data)):
        if output.exists() and source.exists() and output.samefile(source):
            raise ValueError(f"{output} would overwrite the input {source}: name another file.")


def _model_bytes(detector):
    buffer = io.BytesIO()
    joblib.dump(detector, buffer)
    content = buffer.getvalue()
    return content + _MARK + hashlib.sha256(content).hexdigest().encode()


def _loaded(path):
    """Return the detector in a file, and load none that is not whole or by someone else."""
    check_file(path)
    written = path.read_bytes()
    content, end = written[:-_N_MARK], written[-_N_MARK:]
    if end != _MARK + hashlib.sha256(content).hexdigest().encode():
        raise ValueError(f"{path} is no model that `skae fit` has written, or not all of it.")
    return joblib.load(io.BytesIO(content))


def _load_keras_quietly():
    """Load Keras without the lines that TensorFlow logs at any level, unless a level is set.

    They come from C++ code, which writes to the second descriptor of the process.
    """
    if "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as elsewhere:
        os.dup2(elsewhere.fileno(), 2)
        try:
            load_keras().ops.zeros(1)  # the first tensor looks for a GPU, and logs what it finds
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextmanager
def _warnings_in_a_line():
    shown = set()

    def show(message, *args, **kwargs):
        if str(message) not in shown:  # the same is said of the scores and of the reasons
            shown.add(str(message))
            _say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def _say(text):
    print("skae:", " ".join(str(text).split()), file=sys.stderr)
