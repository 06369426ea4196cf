"""Real heartbeats, to fetch."""

import hashlib
import http.client
import os
import ssl
import tempfile
import threading
import time
from concurrent.futures import Future
from io import BytesIO
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from skae._progress import Progress
from skae._sklearn_compat import Interval, validate_params
from skae._warnings import warn

_N_TIMES = 140

_URL = "https://storage.googleapis.com/download.tensorflow.org/data/ecg.csv"
_ENVIRONMENT_VARIABLE = "SKAE_DATA"
_NPZ_NAME = "ecg5000.npz"
_HOW_TO_SET = (
    f"Copy {_NPZ_NAME} into the folder that the environment variable {_ENVIRONMENT_VARIABLE} "
    "names, or unset the variable to use the cached copy or the download."
)
_NPZ_SHA256 = "062af275a17031b9b91bf401f99e42ba78accb6593aa24842cacdd35ba0e37c1"
_NPZ_SHAPE_AND_COUNTS = ((5000, _N_TIMES), [2081, 2919])
_CSV_NAME = "ecg5000.csv"
_CSV_SHAPE = (4998, _N_TIMES + 1)
_CSV_FIRST_ROW = (-0.11252183, -2.8272038, -3.7738969, -4.3497511, -4.376041)

# No checksum of the CSV is published. What is known: it holds 4,998 of the 5,000 beats, whose
# figures stand in this file, by class and column. The tolerances hold for any two left out.
_FIGURES_PATH = Path(__file__).with_name("ecg5000_figures.csv")
_MAX_MISSING = 2
_MEAN_TOLERANCE = 0.01
_SPREAD_TOLERANCE = 0.11  # relative
# Every beat has mean 0 and, with 140 samples, standard deviation sqrt(139 / 140).
_BEAT_SPREAD = ((_N_TIMES - 1) / _N_TIMES) ** 0.5
_BEAT_TOLERANCE = 1e-4

# `sklearn.datasets.fetch_file` is not used: it waits forever for a server that hangs, and, since no
# checksum of the CSV is published, it would save a wrong file before we can check it.
_MAX_SILENCE_SECONDS = 30.0
_MAX_TOTAL_SECONDS = 300.0
_MAX_DOWNLOAD_BYTES = 64 * 2**20

_DESCR = """ECG5000 heartbeats
------------------

Single heartbeats of one patient, 140 samples each, every beat scaled to mean 0 and standard
deviation 1. They were cut from record chf07 of the BIDMC Congestive Heart Failure Database
(PhysioNet), brought to equal length, and published as ECG5000 in the UCR Time Series
Classification Archive. Here its classes are reduced to two: target is +1 for a normal beat and
-1 for an abnormal one.

About three fifths of the beats are normal, so the abnormal ones are not rare; and all come from
one patient, so a score on them says nothing about other patients. Not for diagnosis.

References: H. A. Dau et al., The UCR Time Series Archive, IEEE/CAA Journal of Automatica Sinica
6(6), 2019. D. S. Baim et al., Survival of patients with severe congestive heart failure treated
with oral milrinone, Journal of the American College of Cardiology 7(3), 1986. A. L. Goldberger
et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101(23), 2000.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "n_retries": [Interval(Integral, 0, None, closed="left")],
        "delay": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_ecg5000(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 0,
) -> Any:
    """Load the ECG5000 heartbeats, downloading them if there is no copy.

    Sources, in this order: ``ecg5000.npz`` in the folder that the environment variable
    ``SKAE_DATA`` names, if it is set (5,000 beats); the copy of an earlier download in
    `data_home` (4,998 of the same beats); the web (about 8 MB).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds scikit-learn's data sets; the copy is in its subfolder ``skae``.
        None means that of :func:`sklearn.datasets.get_data_home`.

    download_if_missing : bool, default=True
        If False, raise an OSError if there is no local copy.

    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of the Bunch.

    as_frame : bool, default=False
        If True, the data are a pandas DataFrame and the target is a Series.

    n_retries : int, default=3
        How often to retry after a network or server error.

    delay : float, default=1.0
        Seconds between two attempts.

    verbose : int, default=0
        With 1, say that a download goes on, and how long it took.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes:

        data : {ndarray, DataFrame} of shape (n_samples, 140), float32
            One heartbeat per row, each scaled to mean 0 and standard deviation 1 as published,
            and so without a unit. 5,000 rows from ``SKAE_DATA``, 4,998 from the download.
        target : {ndarray, Series} of shape (n_samples,), int64
            +1 for a normal beat, -1 for an abnormal one.
        feature_names : list of str
            ``"t000"`` to ``"t139"``, the position of a sample within the beat.
        target_names : list of str
            The names of -1 and +1, in this order.
        frame : DataFrame of shape (n_samples, 141) or None
            Data and target together, if `as_frame=True`.
        source : str
            Where these rows were read from.
        DESCR : str
            Origin and citations.

    (data, target) : tuple, if `return_X_y=True`
        The two of the above.

    Raises
    ------
    FileNotFoundError
        If ``SKAE_DATA`` is set, but there is no such folder, or no ``ecg5000.npz`` in it.
    OSError
        If there is no copy and `download_if_missing=False`, or the download fails.
    ValueError
        If a file was read but does not hold the expected data.

    See Also
    --------
    make_heartbeats : Artificial heartbeats, which need neither data nor a network.

    Notes
    -----
    The rows from ``SKAE_DATA`` are sorted by label, normal ones first: shuffle or stratify when
    splitting them.

    A download is checked before it is saved, so that a failed one leaves no file behind: the scale
    of each beat, the number of beats of each class, and their means and standard deviations at each
    position. It comes by https, and by http only where no https connection can be made, with a
    warning; not where the server refuses or its certificate is not valid. If the copy cannot be
    saved, the rows are returned with a warning.

    References
    ----------
    H. A. Dau et al., "The UCR Time Series Archive", IEEE/CAA Journal of Automatica Sinica
    6(6), 2019. The beats are from record chf07 of the BIDMC Congestive Heart Failure Database,
    https://physionet.org/content/chfdb/.

    Examples
    --------
    >>> from skae.datasets import fetch_ecg5000
    >>> X, y = fetch_ecg5000(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (4998, 140)
    """
    folder = os.environ.get(_ENVIRONMENT_VARIABLE)
    if folder:
        rows = _read_npz(_expanded(folder) / _NPZ_NAME)
    else:
        path = Path(get_data_home(data_home)) / "skae" / _CSV_NAME
        rows = _read_or_download(path, download_if_missing, n_retries, delay, verbose)
    bunch = _as_bunch(rows, as_frame)
    return (bunch.data, bunch.target) if return_X_y else bunch


class _Rows(NamedTuple):
    data: np.ndarray
    is_normal: np.ndarray
    source: str


def _as_bunch(rows, as_frame):
    data, target, frame = rows.data, np.where(rows.is_normal, 1, -1).astype(np.int64), None
    feature_names = [f"t{position:03d}" for position in range(_N_TIMES)]
    if as_frame:
        import pandas as pd

        data = pd.DataFrame(data, columns=feature_names)
        target = pd.Series(target, name="target")
        frame = pd.concat([data, target], axis=1)
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=feature_names,
        target_names=["abnormal", "normal"],
        source=rows.source,
        DESCR=_DESCR,
    )


def _expanded(folder):
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{_ENVIRONMENT_VARIABLE}={folder!r} begins with a home directory that is not known "
            f"here. {_HOW_TO_SET}"
        ) from error


def _read_npz(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"{_ENVIRONMENT_VARIABLE} is set, but there is no {path}. {_HOW_TO_SET}"
        )
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != _NPZ_SHA256:
        raise ValueError(
            f"{path}: expected the sha256 {_NPZ_SHA256}, found {sha256}. {_HOW_TO_SET}"
        )
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        data, is_normal = arrays["X"], arrays["y"] == 1
    found = (data.shape, np.bincount(is_normal).tolist())
    if found != _NPZ_SHAPE_AND_COUNTS:
        raise ValueError(
            f"{path}: expected the shape and the numbers of abnormal and normal rows "
            f"{_NPZ_SHAPE_AND_COUNTS}, found {found}. {_HOW_TO_SET}"
        )
    return _Rows(data, is_normal, f"{_ENVIRONMENT_VARIABLE}: {path}")


def _read_or_download(path, download_if_missing, n_retries, delay, verbose):
    if path.is_file():
        how_to_fix = "Delete that file to download it again."
        return _parse_csv(path.read_bytes(), f"cache: {path}", how_to_fix)
    if not download_if_missing:
        raise OSError(
            f"Data not found: there is no {path}, and `download_if_missing` is False. Set it to "
            f"True, or set {_ENVIRONMENT_VARIABLE} to a folder that holds {_NPZ_NAME}."
        )
    with Progress("fetch_ecg5000", 1, verbose, "file") as progress:
        progress.begin("downloading about 8 MB")
        content, url = _download(n_retries, delay)
        progress.advance()
    how_to_fix = (
        "Nothing was saved. Another server, such as a proxy's login page, may have answered."
    )
    rows = _parse_csv(content, f"download: {url}", how_to_fix)
    try:
        _write_atomically(path, content)
    except OSError as error:
        warn(f"Could not save {path}, so the next call will download again: {error!r}")
    return rows


def _parse_csv(content, source, how_to_fix):
    try:
        lines = content.decode("ascii").splitlines()
        table = np.array([line.split(",") for line in lines], dtype=np.float32)
    except ValueError as error:
        raise ValueError(
            f"{source}: expected a CSV of {_CSV_SHAPE[0]} rows of {_CSV_SHAPE[1]} numbers, found "
            f"{len(content)} bytes that begin {content[:40]!r} and do not parse as one. "
            f"{how_to_fix}"
        ) from error
    difference = _difference_from_ecg5000(table)
    if difference:
        raise ValueError(f"{source}: {difference}. {how_to_fix}")
    return _Rows(table[:, :-1].copy(), table[:, -1] == 1, source)


def _difference_from_ecg5000(table):
    """Return what was expected and what was found, or an empty string."""
    if table.shape != _CSV_SHAPE:
        return f"expected rows and columns {_CSV_SHAPE}, found {table.shape}"
    if not np.all(np.isfinite(table)):
        return f"expected finite numbers, found {np.sum(~np.isfinite(table))} that are not"
    labels = np.unique(table[:, -1]).tolist()
    if labels != [0.0, 1.0]:
        return f"expected the labels [0.0, 1.0] in the last column, found {labels[:5]}"
    beginning = table[0, : len(_CSV_FIRST_ROW)]
    if table[0, -1] != 1 or not np.allclose(beginning, _CSV_FIRST_ROW, rtol=1e-6, atol=0):
        return (
            f"expected a first row that begins {list(_CSV_FIRST_ROW)} and is labeled 1.0, "
            f"found {beginning.tolist()} labeled {table[0, -1]}"
        )
    return _difference_from_figures(table[:, :-1].astype(np.float64), table[:, -1])


def _difference_from_figures(data, labels):
    """Return how the beats differ from the known figures, or an empty string."""
    counts, expected = np.bincount(labels.astype(int)), _NPZ_SHAPE_AND_COUNTS[1]
    if (counts > expected).any() or (counts < np.subtract(expected, _MAX_MISSING)).any():
        return (
            f"expected {expected} abnormal and normal beats, or up to {_MAX_MISSING} fewer, found "
            f"{counts.tolist()}"
        )
    is_scaled = np.abs(data.mean(axis=1)) < _BEAT_TOLERANCE
    is_scaled &= np.abs(data.std(axis=1) - _BEAT_SPREAD) < _BEAT_TOLERANCE
    if not is_scaled.all():
        return (
            "expected beats of mean 0 and standard deviation 1, found "
            f"{np.sum(~is_scaled)} that are not"
        )
    for name, label, (mean, spread) in zip(
        ("normal", "abnormal"), (1, 0), _known_figures(), strict=True
    ):
        beats = data[labels == label]
        is_mean = np.abs(beats.mean(axis=0) - mean) < _MEAN_TOLERANCE
        is_spread = np.abs(beats.std(axis=0) / spread - 1) < _SPREAD_TOLERANCE
        if not (is_mean & is_spread).all():
            return (
                f"expected the means and standard deviations of {name} beats that ECG5000 has, "
                f"found others at {np.sum(~(is_mean & is_spread))} of {_N_TIMES} positions"
            )
    return ""


def _known_figures():
    """Return mean and standard deviation at each position, of normal and of abnormal beats."""
    columns = np.loadtxt(_FIGURES_PATH, delimiter=",", skiprows=1).T
    return columns[:2], columns[2:]


def _download(n_retries, delay):
    """Return the content and the address that it came from."""
    deadline = time.monotonic() + _MAX_TOTAL_SECONDS
    while True:
        try:
            return _download_safely(deadline)
        except (OSError, http.client.HTTPException) as error:
            if n_retries == 0 or _is_refusal(error) or time.monotonic() > deadline:
                raise OSError(
                    f"Could not download {_URL}: {error!r}. Nothing was saved. Try again later, "
                    f"or set {_ENVIRONMENT_VARIABLE} to a folder that holds {_NPZ_NAME}."
                ) from error
            warn(f"Retry downloading {_URL} after {error!r}")
        n_retries -= 1
        time.sleep(delay)


def _is_refusal(error):
    """Tell whether to ask again, or in another way, is pointless or unsafe."""
    if isinstance(error, HTTPError):
        return error.code < 500
    return isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)


def _download_safely(deadline):
    try:
        return _download_once(_URL, deadline), _URL
    except OSError as error:
        # A server that answers, with whatever status, can be reached.
        if not _URL.startswith("https:") or isinstance(error, HTTPError) or _is_refusal(error):
            raise
        url = "http:" + _URL.removeprefix("https:")
        content = _download_once(url, deadline)
        # Only now: where nothing can be reached, this is not what the caller has to know.
        warn(f"Downloaded {url}, as there is no https connection: {error!r}")
        return content, url


def _download_once(url, deadline):
    """Download within the deadline, which no timeout of a socket ensures.

    Those are about single packets: a server that sends one byte of a header now and then could
    hold up the caller forever. So a thread downloads, and is left to itself when the time is up.
    """
    future = Future()

    def download():
        try:
            future.set_result(_read_url(url, deadline))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=download, daemon=True).start()
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError as error:
        if future.done():
            raise
        raise TimeoutError(f"no complete answer in {_MAX_TOTAL_SECONDS} seconds") from error


def _read_url(url, deadline):
    try:
        response = build_opener(_SafeRedirects).open(url, timeout=_MAX_SILENCE_SECONDS)
    except HTTPError as error:
        # This exception is also the server's answer, and holds its connection open.
        error.close()
        raise
    with response:
        content = _read_within_limits(response, deadline)
        expected = response.headers.get("Content-Length")
    if expected not in (None, str(len(content))):
        raise OSError(f"expected {expected} bytes, but the connection ended after {len(content)}")
    return content


class _SafeRedirects(HTTPRedirectHandler):
    """Follows no redirect to ftp, a file, or from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            message = f"redirected to {newurl}, which is not followed"
            raise HTTPError(req.full_url, code, message, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read_within_limits(response, deadline):
    content = bytearray()
    # `read1` returns what has arrived; `read` would wait for a full block, with a slow server far
    # beyond the deadline.
    while block := response.read1(2**16):
        content += block
        if len(content) > _MAX_DOWNLOAD_BYTES:
            raise OSError(f"expected about 8 MB, but more than {_MAX_DOWNLOAD_BYTES} bytes came")
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(content)} bytes came in {_MAX_TOTAL_SECONDS} seconds")
    return bytes(content)


def _write_atomically(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="part_", dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_bytes(content)
        part.replace(path)
