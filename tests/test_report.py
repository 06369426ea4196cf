"""The report is one page that needs nothing else, and says what the numbers behind it say."""

import re
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from skae import ReconstructionOutlierDetector, WindowedOutlierDetector
from skae.inspection import explain, threshold_report
from skae.report import Report, report

NAMES = ["a$b$", "<script>alert(1)</script>", 'c"\\frac$x', "d&amp;"]


class Reader(HTMLParser):
    """What a page loads, and the headings and rows of text in it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.rows = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        if self.rows:
            self.rows[-1].append(data)


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 4)) @ random.normal(size=(4, 4))
    return pd.DataFrame(values, columns=NAMES)


@pytest.fixture(scope="module")
def fitted(table):
    return ReconstructionOutlierDetector(PCA(2)).fit(table[:300])


def test_the_page_holds_everything(fitted, table, tmp_path):
    page = report(fitted, table[300:], path=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page.html
    read = Reader(page.html)
    assert read.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in read.addresses)
    assert "script" not in read.tags
    assert "link" not in read.tags
    for address in read.addresses:
        picture = b64decode(address.partition(",")[2])
        assert b"<svg" in picture
        assert not re.search(rb'href="(?!#)', picture.replace(b'xlink:href="#', b""))
    assert "charset" in page.html
    assert "width=device-width" in page.html
    assert not plt.get_fignums()


def test_what_it_says_is_what_the_functions_return(fitted, table):
    rows = table[300:]
    page = report(fitted, rows)
    is_alarm = fitted.predict(rows) == -1
    assert f"{is_alarm.sum()} of 300 rows raise an alarm" in page.html
    worst = np.argsort(fitted.score_samples(rows))[0]
    said = explain(fitted, rows.iloc[[worst]], top=3)["text"]
    lines = [" ".join(row) for row in Reader(page.html).rows]
    (line,) = [line for line in lines if line.startswith(str(rows.index[worst]) + " ")]
    assert line.endswith("; ".join(said))
    for name in threshold_report(fitted, rows).index:
        assert name in page.html


def test_labels(fitted, table):
    y = np.where(np.arange(300) < 20, "bad", "good")
    page = report(fitted, table[300:], y, inlier_label="good")
    assert "of the 20 labeled outliers are among them" in page.html
    assert "recall" in page.html


def test_training_curve_of_what_is_trained(scaled_detector, heartbeats):
    page = report(scaled_detector, heartbeats[0][:50])
    assert "<h2>Training</h2>" in page.html
    assert "FitOnInliers" in page.html


def test_rows_with_times_are_drawn_over_time(fitted, table):
    times = pd.date_range("2025-01-01", periods=300, freq="h")
    page = report(fitted, table[300:].set_index(times))
    assert "Errors over time" in page.html
    assert "Errors over time" not in report(fitted, table[300:]).html


def test_the_page_says_how_many_of_many_rows_are_drawn(fitted):
    random = np.random.default_rng(0)
    times = pd.date_range("2025-01-01", periods=4_100, freq="h")
    rows = pd.DataFrame(random.normal(size=(4_100, 4)), columns=NAMES, index=times)
    found = re.search(
        r"([\d,]+) of 4,100 rows are drawn: one in 3, and the 100 largest errors",
        report(fitted, rows).html,
    )
    assert 1_367 <= int(found[1].replace(",", "")) <= 1_467
    assert "rows are drawn" not in report(fitted, rows[:2_000]).html


def test_any_detector_has_a_report(table):
    forest = IsolationForest(n_estimators=10, random_state=0).fit(table[:300].to_numpy())
    page = report(forest, table[300:].to_numpy())
    assert "no reconstruction errors to explain" in page.html
    assert "Has the data moved?" not in page.html  # it keeps no errors
    assert "Training" not in page.html


def test_a_series_has_events():
    random = np.random.default_rng(0)
    series = np.sin(np.arange(800) / 5)[:, None] + 0.01 * random.normal(size=(800, 1))
    detector = WindowedOutlierDetector(
        ReconstructionOutlierDetector(PCA(3)), width=30, random_state=0
    ).fit(series[:500])
    later = series[500:].copy()
    later[100:105] += 3
    page = report(detector, later)
    assert "time steps raise an alarm" in page.html
    assert "The worst events:" in page.html


def test_a_notebook_shows_it_in_a_frame():
    shown = Report('<p title="x">1 & 2</p>')._repr_html_()
    (address,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert "&lt;p title=&quot;x&quot;&gt;1 &amp; 2" in address
    assert "characters of HTML" in repr(Report(""))


def test_bad_input(fitted, table):
    with pytest.raises(NotFittedError):
        report(ReconstructionOutlierDetector(PCA(2)), table)
    with pytest.raises(TypeError, match="score_samples"):
        report(StandardScaler().fit(table), table)
    with pytest.raises(ValueError, match="labels"):
        report(fitted, table[300:], ["x"] * 300)


def test_without_matplotlib_it_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from skae.report import report\n"
        "try:\n    report(None, None)\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "skae.report needs matplotlib to draw: pip install skae[plot].\n"
