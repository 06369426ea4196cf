"""Tests of skae.datasets: no test here reaches beyond this machine."""

import contextlib
import errno
import hashlib
import os
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.request import Request

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae.datasets import (
    _ecg5000,
    _heartbeats,
    fetch_ecg5000,
    make_ecg_strip,
    make_heartbeats,
    make_sensor_table,
)

FIRST_ROW = [-0.11252183, -2.8272038, -3.7738969, -4.3497511, -4.376041]

needs_real_data = pytest.mark.skipif(
    not os.environ.get("SKAE_DATA"),
    reason="the environment variable SKAE_DATA names no folder with ecg5000.npz",
)


def make_table():
    """Rows laid out as in the public CSV: 140 samples, then the label; scaled as beats are."""
    generator = np.random.default_rng(0)
    table = np.empty((4998, 141))
    table[:, -1] = np.arange(4998) < 2918
    # The two classes differ, as those of real beats do.
    beats = generator.normal(size=(4998, 140)) + np.outer(table[:, -1], np.sin(np.arange(140)))
    # The first row begins as it should, and its others make up for that.
    rest = beats[:, len(FIRST_ROW) :]
    rest -= rest.mean(axis=1, keepdims=True)
    rest /= rest.std(axis=1, keepdims=True)
    beats[:, : len(FIRST_ROW)] /= 4
    beats[0, : len(FIRST_ROW)] = FIRST_ROW
    begin = beats[:, : len(FIRST_ROW)]
    mean = -begin.sum(axis=1, keepdims=True) / rest.shape[1]
    squares = 139 - np.square(begin).sum(axis=1, keepdims=True) - rest.shape[1] * mean**2
    beats[:, len(FIRST_ROW) :] = mean + np.sqrt(squares / rest.shape[1]) * rest
    table[:, :-1] = np.round(beats, 6)
    table[0, : len(FIRST_ROW)] = FIRST_ROW
    return table


def figures_of(table):
    return [
        (beats.mean(axis=0), beats.std(axis=0))
        for beats in (table[table[:, -1] == label, :-1] for label in (1, 0))
    ]


def as_csv(table):
    return "".join(",".join(map(str, row)) + "\n" for row in table.tolist()).encode()


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def csv(table):
    return as_csv(table)


class Handler(BaseHTTPRequestHandler):
    """Answer every path with the misbehavior that it names."""

    def do_GET(self):
        self.server.requests.append(self.path)
        # The client may give up on us, as it should.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, "answer_" + self.path.strip("/"))(self.server.csv)

    def log_message(self, *args):
        pass

    def begin(self, length=None, status=200):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer_whole(self, csv):
        self.begin(len(csv))
        self.wfile.write(csv)

    def answer_truncated(self, csv):
        self.begin(len(csv))
        self.wfile.write(csv[:100_000])

    def answer_truncated_without_length(self, csv):
        self.begin()
        self.wfile.write(csv[: csv.index(b"\n", 100_000) + 1])

    def answer_page(self, csv):
        page = b"<html><body>Please log in</body></html>"
        self.begin(len(page))
        self.wfile.write(page)

    def answer_binary(self, csv):
        self.begin(4)
        self.wfile.write(b"\x00\xff\xfe\n")

    def answer_empty(self, csv):
        self.begin(0)

    def answer_missing(self, csv):
        self.begin(0, status=404)

    def answer_broken(self, csv):
        self.begin(0, status=503)

    def answer_recovering(self, csv):
        if self.server.requests.count(self.path) == 1:
            self.answer_broken(csv)
        else:
            self.answer_whole(csv)

    def answer_not_http(self, csv):
        self.wfile.write(b"hello\n")

    def answer_redirected(self, csv):
        self.send_response(302)
        self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_trickling_headers(self, csv):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(200):
            self.wfile.write(b"x")
            if self.server.closing.wait(0.05):
                break

    def answer_silent(self, csv):
        self.server.closing.wait(10)

    def answer_stuck(self, csv):
        self.begin(len(csv))
        self.wfile.write(csv[:1000])
        self.server.closing.wait(10)

    def answer_trickling(self, csv):
        self.begin(len(csv))
        for position in range(200):
            self.wfile.write(csv[position : position + 1])
            if self.server.closing.wait(0.05):
                break


@pytest.fixture(scope="module")
def server(csv):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.csv = csv
    server.requests = []
    server.location = ""
    server.closing = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def away_from_real_data(monkeypatch, table):
    """Let the made table be what ECG5000 is known to be."""
    monkeypatch.setattr(_ecg5000, "_known_figures", lambda: figures_of(table))
    monkeypatch.delenv("SKAE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve(server, monkeypatch, away_from_real_data):
    """Point the fetcher at one of the server's behaviors; return the requests it gets."""

    def start(behavior):
        server.requests.clear()
        url = f"http://127.0.0.1:{server.server_address[1]}/{behavior}"
        monkeypatch.setattr(_ecg5000, "_URL", url)
        return server.requests

    return start


@pytest.fixture
def filled_home(tmp_path, csv, away_from_real_data, monkeypatch):
    """Return a data home that holds a copy, where any use of the network is an error."""
    monkeypatch.setattr(_ecg5000, "build_opener", None)
    (tmp_path / "skae").mkdir()
    (tmp_path / "skae" / "ecg5000.csv").write_bytes(csv)
    return tmp_path


def paths_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.name != "skae")


# Real data


@needs_real_data
def test_real_data_have_the_documented_shape_and_coding():
    bunch = fetch_ecg5000()
    assert bunch.data.shape == (5000, 140)
    assert bunch.data.dtype == np.float32
    assert bunch.target.dtype == np.int64
    assert np.sum(bunch.target == 1) == 2919
    assert np.sum(bunch.target == -1) == 2081
    assert bunch.source.startswith("SKAE_DATA: ")
    assert bunch.source.endswith("ecg5000.npz")


@needs_real_data
def test_first_beat_of_the_public_csv_is_among_the_real_data_as_normal():
    X, y = fetch_ecg5000(return_X_y=True)
    same = np.isclose(X[:, :5], FIRST_ROW, rtol=1e-6).all(axis=1)
    assert_array_equal(y[same], [1])


# The folder of SKAE_DATA


def save_small_npz(folder):
    np.savez(folder / "ecg5000.npz", X=np.zeros((3, 140), np.float32), y=np.array([1, 1, 0]))


def test_folder_without_the_file_is_an_error_even_where_a_copy_is_cached(
    filled_home, tmp_path_factory, monkeypatch
):
    monkeypatch.setenv("SKAE_DATA", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(FileNotFoundError, match=r"ecg5000\.npz.*Copy.*or unset"):
        fetch_ecg5000(data_home=filled_home)


def test_folder_of_an_unknown_user_is_named(filled_home, monkeypatch):
    monkeypatch.setenv("SKAE_DATA", "~no-such-user/data")
    with pytest.raises(FileNotFoundError, match="='~no-such-user/data' begins with.*or unset"):
        fetch_ecg5000(data_home=filled_home)


def test_empty_environment_variable_counts_as_unset(filled_home, monkeypatch):
    monkeypatch.setenv("SKAE_DATA", "")
    assert fetch_ecg5000(data_home=filled_home).source.startswith("cache: ")


def test_wrong_checksum_names_both_and_the_way_out(tmp_path, monkeypatch):
    save_small_npz(tmp_path)
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"expected the sha256 062af.*found [0-9a-f]{64}.*Copy"):
        fetch_ecg5000()


def test_right_checksum_does_not_excuse_a_wrong_shape(tmp_path, monkeypatch):
    save_small_npz(tmp_path)
    sha256 = hashlib.sha256((tmp_path / "ecg5000.npz").read_bytes()).hexdigest()
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    monkeypatch.setattr(_ecg5000, "_NPZ_SHA256", sha256)
    with pytest.raises(ValueError, match=r"\(5000, 140\), \[2081, 2919\].*\(3, 140\), \[1, 2\]"):
        fetch_ecg5000()


# The cached copy


def test_cached_copy_needs_no_network(filled_home, table):
    bunch = fetch_ecg5000(data_home=filled_home, download_if_missing=False)
    assert_array_equal(bunch.data, table[:, :140].astype(np.float32))
    assert_array_equal(bunch.target, np.where(table[:, 140] == 1, 1, -1))
    assert bunch.data.dtype == np.float32
    assert bunch.target.dtype == np.int64
    assert bunch.source == f"cache: {filled_home / 'skae' / 'ecg5000.csv'}"
    assert bunch.frame is None
    assert bunch.target_names == ["abnormal", "normal"]
    assert "chf07" in bunch.DESCR


def test_frames_hold_the_same_as_arrays(filled_home):
    X, y = fetch_ecg5000(data_home=filled_home, return_X_y=True)
    bunch = fetch_ecg5000(data_home=filled_home, as_frame=True)
    assert list(bunch.data.columns) == bunch.feature_names
    assert list(bunch.frame.columns) == [*bunch.feature_names, "target"]
    assert_array_equal(bunch.data.to_numpy(), X)
    assert_array_equal(bunch.target.to_numpy(), y)
    assert_array_equal(bunch.frame["target"].to_numpy(), y)
    assert (bunch.data.dtypes == np.float32).all()


def test_frames_without_the_bunch(filled_home):
    X, y = fetch_ecg5000(data_home=filled_home, return_X_y=True, as_frame=True)
    assert X.columns[-1] == "t139"
    assert y.name == "target"


def test_damaged_copy_is_named_and_kept(filled_home, csv):
    copy = filled_home / "skae" / "ecg5000.csv"
    copy.write_bytes(csv[:-50])
    with pytest.raises(ValueError, match=r"skae.ecg5000\.csv.*Delete that file"):
        fetch_ecg5000(data_home=filled_home)
    assert paths_below(filled_home) == ["ecg5000.csv"]


def test_no_copy_and_no_download(tmp_path, serve):
    requests = serve("whole")
    with pytest.raises(OSError, match=r"Data not found.*`download_if_missing`"):
        fetch_ecg5000(data_home=tmp_path, download_if_missing=False)
    assert requests == []


def test_arrays_need_no_pandas(filled_home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    fetch_ecg5000(data_home=filled_home)
    with pytest.raises(ImportError, match="pandas"):
        fetch_ecg5000(data_home=filled_home, as_frame=True)


# The download


def test_download_then_cache(tmp_path, serve, csv, table):
    requests = serve("whole")
    first = fetch_ecg5000(data_home=tmp_path)
    assert first.source == f"download: {_ecg5000._URL}"
    assert_array_equal(first.data, table[:, :140].astype(np.float32))
    assert (tmp_path / "skae" / "ecg5000.csv").read_bytes() == csv

    second = fetch_ecg5000(data_home=tmp_path)
    assert second.source.startswith("cache: ")
    assert_array_equal(second.data, first.data)
    assert_array_equal(second.target, first.target)
    assert requests == ["/whole"]
    assert paths_below(tmp_path) == ["ecg5000.csv"]


def test_data_home_defaults_to_that_of_scikit_learn(tmp_path, serve, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    serve("whole")
    fetch_ecg5000()
    assert paths_below(tmp_path) == ["ecg5000.csv"]


@pytest.mark.parametrize(
    ("behavior", "error", "message"),
    [
        ("truncated", OSError, r"expected \d{7} bytes.*after 100000"),
        ("missing", OSError, "404"),
        ("broken", OSError, "503"),
        ("not_http", OSError, "BadStatusLine"),
        ("truncated_without_length", ValueError, r"expected rows and columns \(4998, 141\), found"),
        ("page", ValueError, r"expected a CSV of 4998 rows.*<html>"),
        ("binary", ValueError, "expected a CSV of 4998 rows"),
        ("empty", ValueError, r"expected rows and columns \(4998, 141\), found \(0,\)"),
    ],
)
def test_bad_download_says_so_and_leaves_nothing(tmp_path, serve, behavior, error, message):
    serve(behavior)
    with pytest.raises(error, match=message) as caught:
        fetch_ecg5000(data_home=tmp_path, n_retries=0)
    assert _ecg5000._URL in str(caught.value)
    assert "Nothing was saved" in str(caught.value)
    assert paths_below(tmp_path) == []


def relabel(line, label):
    return line.rpartition(b",")[0] + b"," + label


def spoil_shape(lines):
    return lines[:-1]


def spoil_labels(lines):
    return [*lines[:-1], relabel(lines[-1], b"2.0")]


def spoil_one_class(lines):
    return [relabel(line, b"1.0") for line in lines]


def spoil_numbers(lines):
    return [*lines[:-1], b"nan," + lines[-1].partition(b",")[2]]


def spoil_first_row(lines):
    return lines[::-1]


def spoil_counts(lines):
    # Three normal beats more than there are.
    return [*lines[:-4], *(relabel(line, b"1.0") for line in lines[-4:])]


def spoil_first_label(lines):
    return [relabel(lines[0], b"0.0"), *lines[1:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_shape, r"found \(4997, 141\)"),
        (spoil_labels, r"labels \[0\.0, 1\.0\].*found \[0\.0, 1\.0, 2\.0\]"),
        (spoil_one_class, r"labels \[0\.0, 1\.0\].*found \[1\.0\]"),
        (spoil_numbers, "finite numbers, found 1 that are not"),
        (spoil_first_row, r"first row that begins \[-0\.1125.*found"),
        (spoil_first_label, r"is labeled 1\.0, found.*labeled 0\.0"),
        (spoil_counts, r"expected \[2081, 2919\].*up to 2 fewer, found \[2076, 2922\]"),
    ],
)
def test_other_data_of_nearly_the_same_layout_is_refused(
    tmp_path, serve, server, csv, monkeypatch, spoil, message
):
    monkeypatch.setattr(server, "csv", b"\n".join(spoil(csv.splitlines())))
    serve("whole")
    with pytest.raises(ValueError, match=message):
        fetch_ecg5000(data_home=tmp_path)
    assert paths_below(tmp_path) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens(tmp_path, away_from_real_data, monkeypatch, scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(_ecg5000, "_URL", f"{scheme}://127.0.0.1:{port}/ecg.csv")
    # One error says it all: here, a warning would be an error of its own.
    with pytest.raises(OSError, match=rf"Could not download {scheme}:.*refused"):
        fetch_ecg5000(data_home=tmp_path, n_retries=0)
    assert paths_below(tmp_path) == []


@pytest.mark.parametrize("behavior", ["silent", "stuck", "trickling", "trickling_headers"])
def test_slow_server_is_given_up(tmp_path, serve, monkeypatch, behavior):
    monkeypatch.setattr(_ecg5000, "_MAX_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(_ecg5000, "_MAX_TOTAL_SECONDS", 0.3)
    serve(behavior)
    start = time.monotonic()
    with pytest.raises(OSError, match=r"Could not download.*TimeoutError"):
        fetch_ecg5000(data_home=tmp_path, n_retries=0)
    assert time.monotonic() - start < 5
    assert paths_below(tmp_path) == []
    assert socket.getdefaulttimeout() is None


def test_too_large_download_is_given_up(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(_ecg5000, "_MAX_DOWNLOAD_BYTES", 100_000)
    serve("whole")
    with pytest.raises(OSError, match="more than 100000 bytes"):
        fetch_ecg5000(data_home=tmp_path, n_retries=0)
    assert paths_below(tmp_path) == []


def test_failing_server_is_tried_again(tmp_path, serve):
    requests = serve("recovering")
    with pytest.warns(UserWarning, match="Retry downloading"):
        fetch_ecg5000(data_home=tmp_path, n_retries=1, delay=0)
    assert len(requests) == 2
    assert paths_below(tmp_path) == ["ecg5000.csv"]


def test_retries_come_to_an_end(tmp_path, serve):
    requests = serve("broken")
    with pytest.warns(UserWarning, match="Retry downloading"), pytest.raises(OSError, match="503"):
        fetch_ecg5000(data_home=tmp_path, n_retries=2, delay=0)
    assert len(requests) == 3


def test_missing_page_is_not_asked_for_again(tmp_path, serve):
    requests = serve("missing")
    with pytest.raises(OSError, match="404"):
        fetch_ecg5000(data_home=tmp_path, n_retries=3, delay=0)
    assert len(requests) == 1


@pytest.mark.parametrize("where", ["write_bytes", "replace", "mkdir"])
def test_full_disk_costs_the_copy_but_not_the_rows(tmp_path, serve, monkeypatch, table, where):
    def fail(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_ecg5000.Path, where, fail)
    serve("whole")
    with pytest.warns(UserWarning, match=r"Could not save .*ecg5000\.csv.*No space left"):
        bunch = fetch_ecg5000(data_home=tmp_path)
    assert_array_equal(bunch.data, table[:, :140].astype(np.float32))
    assert paths_below(tmp_path) == []


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", ""])
def test_other_redirects_are_refused(tmp_path, serve, server, monkeypatch, scheme):
    requests = serve("redirected")
    server.location = f"{scheme}:///etc/hostname" if scheme else "data:,1"
    with pytest.raises(OSError, match=r"Could not download.*302"):
        fetch_ecg5000(data_home=tmp_path, n_retries=3, delay=0)
    assert requests == ["/redirected"]
    assert paths_below(tmp_path) == []


def test_redirect_within_the_web_is_followed(tmp_path, serve, server):
    requests = serve("redirected")
    server.location = f"http://127.0.0.1:{server.server_address[1]}/whole"
    fetch_ecg5000(data_home=tmp_path)
    assert requests == ["/redirected", "/whole"]


def test_redirect_from_https_to_http_is_refused():
    handler, request = _ecg5000._SafeRedirects(), Request("https://a.example/ecg.csv")
    arguments = (request, None, 302, "Found", {})
    with pytest.raises(HTTPError, match=r"http://b\.example/ecg\.csv, which is not followed"):
        handler.redirect_request(*arguments, "http://b.example/ecg.csv")
    followed = handler.redirect_request(*arguments, "https://b.example/ecg.csv")
    assert followed.full_url == "https://b.example/ecg.csv"


# Where https is asked for, but http is spoken


def test_https_comes_first():
    assert _ecg5000._URL.startswith("https://")


def test_http_where_there_is_no_https(tmp_path, serve, monkeypatch, table):
    requests = serve("whole")
    url = _ecg5000._URL
    monkeypatch.setattr(_ecg5000, "_URL", url.replace("http:", "https:"))
    with pytest.warns(UserWarning, match=f"Downloaded {url}, as there is no https connection"):
        bunch = fetch_ecg5000(data_home=tmp_path)
    assert bunch.source == f"download: {url}"
    assert_array_equal(bunch.data, table[:, :140].astype(np.float32))
    assert requests == ["/whole"]


@pytest.mark.parametrize(
    "error",
    [
        URLError(ssl.SSLCertVerificationError("self-signed certificate")),
        HTTPError("https://127.0.0.1", 403, "Forbidden", {}, None),
    ],
)
def test_no_http_where_https_is_refused(tmp_path, serve, monkeypatch, error):
    def refuse(url, deadline):
        asked.append(url)
        raise error

    asked = []
    serve("whole")
    monkeypatch.setattr(_ecg5000, "_URL", "https://127.0.0.1/ecg.csv")
    monkeypatch.setattr(_ecg5000, "_read_url", refuse)
    with pytest.raises(OSError, match=r"Could not download.*(self-signed|403)"):
        fetch_ecg5000(data_home=tmp_path, n_retries=3, delay=0)
    assert asked == ["https://127.0.0.1/ecg.csv"]


# What the beats are known to be


def real_table(left_out=(3000, 3001)):
    """Return the beats as the public CSV would have them, all but two."""
    X, y = fetch_ecg5000(return_X_y=True)
    table = np.column_stack([X, y == 1]).astype(np.float64)
    is_first = np.isclose(X[:, : len(FIRST_ROW)], FIRST_ROW, rtol=1e-6).all(axis=1)
    rows = np.setdiff1d(np.arange(5000), [*left_out, *np.flatnonzero(is_first)])
    return np.concatenate([table[is_first], table[rows]])


@needs_real_data
def test_any_4998_of_the_beats_are_believed():
    generator = np.random.default_rng(0)
    X, _ = fetch_ecg5000(return_X_y=True)
    # Those that matter most: the lowest and the highest at each position of some.
    extreme = [
        tuple(np.argsort(X[:, t])[end]) for t in (0, 20, 70, 139) for end in ([0, 1], [-2, -1])
    ]
    for left_out in [(0, 1), (4998, 4999), *extreme, *generator.integers(500, 5000, size=(20, 2))]:
        table = real_table(left_out)
        if len(table) == 4998:
            assert _ecg5000._difference_from_ecg5000(table.astype(np.float32)) == ""


def forge_columns(table, generator):
    table[1:, :-1] = table[1:, :-1][:, generator.permutation(140)]


def forge_two_columns(table, generator):
    table[1:, [30, 90]] = table[1:, [90, 30]]


def forge_labels(table, generator):
    table[1:, -1] = generator.permutation(table[1:, -1])


def forge_noise(table, generator):
    table[1:, :-1] += generator.normal(scale=0.01, size=(4997, 140))


def forge_scaled_noise(table, generator):
    table[1:, :-1] = generator.normal(size=(4997, 140))
    table[1:, :-1] -= table[1:, :-1].mean(axis=1, keepdims=True)
    table[1:, :-1] *= np.sqrt(139 / 140) / table[1:, :-1].std(axis=1, keepdims=True)


def forge_constant(table, generator):
    table[1:, :-1] = 0.5


def forge_one_beat(table, generator):
    table[:, :-1] = table[0, :-1]


def forge_sign(table, generator):
    table[1:, :-1] *= -1


def forge_time(table, generator):
    table[1:, :-1] = np.roll(table[1:, :-1], 3, axis=1)


@needs_real_data
@pytest.mark.parametrize(
    "forge",
    [
        forge_columns,
        forge_two_columns,
        forge_labels,
        forge_noise,
        forge_scaled_noise,
        forge_constant,
        forge_one_beat,
        forge_sign,
        forge_time,
    ],
)
def test_forged_beats_are_refused(forge):
    table = real_table()
    forge(table, np.random.default_rng(0))
    assert "expected" in _ecg5000._difference_from_ecg5000(table.astype(np.float32))


def test_forged_beats_of_a_download_are_refused(tmp_path, serve, server, table, monkeypatch):
    for forge in (forge_columns, forge_labels, forge_noise, forge_constant):
        forged = table.copy()
        forge(forged, np.random.default_rng(0))
        monkeypatch.setattr(server, "csv", as_csv(forged))
        serve("whole")
        with pytest.raises(ValueError, match=r"expected .*found.*Nothing was saved"):
            fetch_ecg5000(data_home=tmp_path)
    assert paths_below(tmp_path) == []


@pytest.mark.parametrize("bad", [{"n_retries": -1}, {"delay": -1.0}, {"as_frame": "yes"}])
def test_fetcher_refuses_bad_parameters(bad):
    with pytest.raises(ValueError, match=f"The '{next(iter(bad))}' parameter"):
        fetch_ecg5000(**bad)


# Artificial beats


@pytest.mark.parametrize(
    ("n_samples", "anomaly_share", "n_abnormal"),
    [(1, 0, 0), (1, 1, 1), (40, 0.0, 0), (40, 1.0, 40), (41, 0.25, 10), (300, 0.2, 60)],
)
def test_shapes_and_share(n_samples, anomaly_share, n_abnormal):
    X, y = make_heartbeats(n_samples, anomaly_share=anomaly_share, random_state=0)
    assert X.shape == (n_samples, 140)
    assert X.dtype == np.float64
    assert np.all(np.isfinite(X))
    assert y.dtype == np.int64
    assert np.sum(y == -1) == n_abnormal
    assert np.sum(y == 1) == n_samples - n_abnormal


def test_rows_are_shuffled():
    _, y = make_heartbeats(400, anomaly_share=0.5, random_state=0)
    assert 70 < np.sum(y[:200] == 1) < 130


def test_normal_beat_has_its_waves_where_they_belong():
    X, _ = make_heartbeats(500, anomaly_share=0, random_state=0)
    mean = X.mean(axis=0)
    assert abs(np.argmax(mean) - 70) <= 1
    assert 0.8 < mean.max() < 1.1
    assert mean[47] > 0.15  # P
    assert mean[64] < mean[55]  # Q
    assert mean[76] < -0.05  # S
    assert mean[105] > 0.3  # T
    assert np.abs(mean[:20]).max() < 0.02


def test_same_seed_same_beats_and_another_seed_others():
    X, y = make_heartbeats(50, random_state=3)
    X_again, y_again = make_heartbeats(50, random_state=np.random.RandomState(3))
    X_other, _ = make_heartbeats(50, random_state=4)
    assert_array_equal(X, X_again)
    assert_array_equal(y, y_again)
    assert not np.allclose(X, X_other)


def test_passed_generator_moves_on():
    random_state = np.random.RandomState(0)
    X_first, _ = make_heartbeats(5, random_state=random_state)
    X_second, _ = make_heartbeats(5, random_state=random_state)
    assert not np.allclose(X_first, X_second)


def test_global_generator_is_left_alone():
    before = np.random.get_state()
    make_heartbeats(50, random_state=0)
    after = np.random.get_state()
    assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize(
    "bad",
    [
        {"n_samples": 0},
        {"n_samples": 2.5},
        {"anomaly_share": -0.1},
        {"anomaly_share": 1.1},
        {"anomaly_share": np.nan},
        {"anomaly_share": None},
        {"random_state": "seed"},
    ],
)
def test_maker_refuses_bad_parameters(bad):
    with pytest.raises(ValueError, match=f"The '{next(iter(bad))}' parameter"):
        make_heartbeats(**bad)


def linear_errors(normal, X):
    """Return what four principal components of normal beats leave over of each row."""
    scaler = MinMaxScaler().fit(normal)
    normal, X = scaler.transform(normal), scaler.transform(X)
    components = PCA(4, random_state=0).fit(normal)
    return np.mean((X - components.inverse_transform(components.transform(X))) ** 2, axis=1)


@pytest.mark.parametrize("index", range(len(_heartbeats._ABNORMALITIES)))
def test_every_kind_of_abnormal_beat_can_be_told(index):
    random_state = np.random.RandomState(0)
    kind = np.r_[np.full(200, -1), np.full(200, index)]
    X = _heartbeats._voltages(_heartbeats._waves_of_kind(kind, random_state), random_state)
    normal, _ = make_heartbeats(600, anomaly_share=0, random_state=1)
    assert roc_auc_score(kind >= 0, linear_errors(normal, X)) > 0.9


def test_task_is_neither_trivial_nor_hopeless():
    X_train, y_train = make_heartbeats(1500, random_state=0)
    X_test, y_test = make_heartbeats(1500, random_state=1)
    normal = X_train[y_train == 1]
    forest = make_pipeline(MinMaxScaler(), IsolationForest(random_state=0)).fit(normal)
    assert 0.85 < roc_auc_score(y_test, forest.score_samples(X_test)) < 0.99
    assert 0.95 < roc_auc_score(y_test, -linear_errors(normal, X_test)) < 0.995


class TestStrip:
    def test_shapes_and_labels(self):
        X, y = make_ecg_strip(30.5, sampling_rate=100, anomaly_share=0.1, random_state=0)
        assert X.shape == (3050, 1)
        assert y.shape == (3050,)
        assert set(y) == {-1, 1}
        assert_array_equal(make_ecg_strip(30, anomaly_share=0, random_state=0)[1], 1)

    def test_as_many_beats_as_asked_for(self):
        X, y = make_ecg_strip(600, heart_rate=80, anomaly_share=0.05, random_state=0)
        is_peak = (X[1:-1, 0] > 0.6) & (X[1:-1, 0] >= X[:-2, 0]) & (X[1:-1, 0] > X[2:, 0])
        starts = np.flatnonzero(is_peak)
        n_beats = 1 + np.sum(np.diff(starts) > 0.3 * 125)
        assert n_beats == pytest.approx(800, rel=0.05)
        planted = np.flatnonzero(np.diff(y) < 0)
        assert len(planted) == pytest.approx(40, abs=2)

    def test_there_is_a_normal_beat_between_two_abnormal_ones(self):
        _, y = make_ecg_strip(600, anomaly_share=0.3, random_state=0)
        edges = np.flatnonzero(np.diff(y)) + 1
        lengths = np.diff(edges) / 125
        assert lengths.min() > 0.4
        assert lengths.max() < 60

    def test_the_seed_decides(self):
        first, again, other = (make_ecg_strip(20, random_state=seed)[0] for seed in (0, 0, 1))
        assert_array_equal(first, again)
        assert np.any(first != other)

    def test_beats_are_those_of_heartbeats(self):
        X, _ = make_ecg_strip(60, anomaly_share=0, random_state=0)
        assert 0.8 < X.max() < 1.6
        assert -0.8 < X.min() < -0.1
        quiet = make_ecg_strip(0.5, random_state=0)[0]
        assert quiet.shape == (62, 1)

    @pytest.mark.parametrize(
        "params",
        [
            {"duration": 0},
            {"sampling_rate": 5},
            {"heart_rate": 0},
            {"anomaly_share": 0.5},
            {"random_state": "x"},
        ],
    )
    def test_parameters(self, params):
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            make_ecg_strip(**params)

    def test_not_one_sample(self):
        with pytest.raises(ValueError, match="duration=0.001 is less than one sample"):
            make_ecg_strip(0.001)


class TestSensorTable:
    def test_what_it_looks_like(self):
        X, y, broken = make_sensor_table(2000, random_state=0)
        assert X.shape == (2000, 12)
        assert np.sum(y == -1) == 40
        assert_array_equal(broken != "", y == -1)
        assert set(broken) - {""} <= set(X.columns[1:])
        assert X["time"].is_monotonic_increasing
        assert not X["time"].isna().any()
        assert 0.02 < X.isna().to_numpy()[:, 1:].mean() < 0.04
        assert X["site"].nunique() == 4
        assert X["product"].nunique() == 3
        numbers = X.drop(columns=["time", "site", "product"])
        assert (numbers.dtypes == "float64").all()

    def test_one_value_of_an_abnormal_row_is_wrong(self):
        params = {"n_samples": 500, "missing_share": 0.0, "random_state": 0}
        right, _, _ = make_sensor_table(anomaly_share=0.0, **params)
        wrong, _, broken = make_sensor_table(anomaly_share=0.2, **params)
        changed = (right != wrong).to_numpy()
        assert_array_equal(changed, broken[:, None] == np.asarray(right.columns))
        assert changed.sum() == 100
        for name in right.columns[3:]:
            rows = broken == name
            assert np.all(np.abs(right[name] - wrong[name])[rows] > 0.9 * right[name].std())
            assert wrong[name].max() <= right[name].max()

    def test_the_broken_cell_is_there(self):
        X, _, broken = make_sensor_table(500, anomaly_share=1.0, missing_share=0.5, random_state=0)
        assert not X.isna().to_numpy()[broken[:, None] == np.asarray(X.columns)].any()

    def test_the_seed_decides(self):
        first, again, other = (make_sensor_table(50, random_state=seed)[0] for seed in (0, 0, 1))
        assert first.equals(again)
        assert not first.equals(other)

    @pytest.mark.parametrize(
        "params",
        [
            {"n_samples": 0},
            {"anomaly_share": 1.5},
            {"missing_share": 1.0},
            {"random_state": "x"},
        ],
    )
    def test_parameters(self, params):
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            make_sensor_table(**params)
