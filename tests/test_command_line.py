"""The command line: results on stdout, the rest on stderr, and one line for bad input."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from skae._command_line import main, shares_flagged
from skae._table_files import day_and_hour, kinds_of_columns
from skae.datasets import make_sensor_table
from skae.thresholds import FalsePositiveRate

ROOT = Path(__file__).parents[1]


def table_of(n_rows, random_state):
    table, y, _ = make_sensor_table(n_rows, random_state=random_state)
    return table.assign(order=[f"A{i}" for i in range(n_rows)], state=np.where(y == 1, "ok", "bad"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two tables, and a model of the first one."""
    folder = tmp_path_factory.mktemp("files")
    table_of(400, 0).to_csv(folder / "old.csv", index=False)
    table_of(100, 1).to_csv(folder / "new.csv", index=False)
    arguments = [str(folder / "old.csv"), "-o", str(folder / "model.joblib")]
    assert main(["fit", *arguments, "--label", "state=ok", "--rate", "0.02"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def refused(capsys, *argv):
    """Return the one line that a command with bad input says."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("skae: error: ")
    return line


def test_the_real_command_is_quiet(tmp_path):
    # TensorFlow logs from C++, past what Python calls stderr.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "skae", "fit", "old.csv", "-o", str(tmp_path / "model.joblib")]
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "learned from 400 of 400 rows" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    left_out, *progress = done.stderr.splitlines()
    assert (
        left_out == "skae: the column order is left out: its text is another one in most rows "
        "(--keep order keeps it)."
    )
    assert progress
    assert all(line.startswith("[AutoencoderOutlierDetector") for line in progress)


def test_fit_says_what_it_did(capsys):
    arguments = ["fit", "old.csv", "-o", "other.joblib", "--label", "state=ok", "--drop", "time"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    n_normal = (pd.read_csv("old.csv")["state"] == "ok").sum()
    assert f"learned from {n_normal} of 400 rows, 11 columns (2 of text, 9 of numbers)" in said.out
    assert "flags at most 5 % of new normal rows on average" in said.out


@pytest.mark.parametrize(("rate", "n_errors"), [(0.05, 150), (0.01, 199), (0.01, 50)])
def test_the_limits_hold_nine_times_in_ten(rate, n_errors):
    random = np.random.RandomState(0)
    rule = FalsePositiveRate(rate, confidence=None)
    # Of uniform errors, the share above a threshold is known.
    shares = np.array([1 - rule.threshold(random.rand(n_errors)) for _ in range(2000)])
    average, low, high = shares_flagged(rate, n_errors)
    assert 0.7 * average < shares.mean() < 1.05 * average
    assert (shares < low).mean() < 0.07
    assert 0.01 < (shares > high).mean() < 0.07


def test_too_few_rows_for_a_rate_are_remarked(capsys):
    assert main(["fit", "old.csv", "-o", "other.joblib", "--rate", "0.0001"]) == 0
    said = capsys.readouterr()
    assert "skae: a rate of 0.0001 takes 19998 rows; with 400 the threshold is" in said.err
    # One in 201 rows, after 200 of 400 have set the threshold.
    assert "flags at most 0.498 % of new rows like these on average" in said.out


class TestNumbersThatIdentifyRows:
    """A detector would find each new row abnormal by them."""

    N_ROWS = 60
    LEFT_OUT = "skae: the column id is left out: it looks like a number of the row"
    REMARK = "skae: the column id is another whole number in every row"

    def said(self, capsys, ids, *argv):
        random = np.random.RandomState(0)
        values = np.asarray(ids)
        table = pd.DataFrame({"a": random.normal(size=self.N_ROWS), "id": values})
        table.to_csv("ids.csv", index=False)
        capsys.readouterr()
        assert main(["fit", "ids.csv", "-o", "ids.joblib", *argv]) == 0
        err = capsys.readouterr().err
        (line,) = [line for line in err.splitlines() if " column id " in line] or [""]
        return line, list(joblib.load("ids.joblib").feature_names_in_)

    @pytest.mark.parametrize("ids", ["counted", "falling", "tens", "few gaps", "a gap"])
    def test_a_count_of_the_rows_is_left_out(self, capsys, ids):
        ids = {
            "counted": np.arange(200_000, 200_000 + self.N_ROWS),
            "falling": -np.arange(self.N_ROWS),
            "tens": 10 * np.arange(self.N_ROWS),
            "few gaps": np.arange(self.N_ROWS) + np.arange(self.N_ROWS) // 20,
            "a gap": np.where(np.arange(self.N_ROWS) == 7, np.nan, np.arange(self.N_ROWS)),
        }[ids]
        line, columns = self.said(capsys, ids)
        assert line.startswith(self.LEFT_OUT)
        assert columns == ["a"]

    def test_others_are_remarked(self, capsys):
        ids = np.random.RandomState(0).permutation(1000)[: self.N_ROWS]
        for order in (ids, np.sort(ids)):
            line, columns = self.said(capsys, order)
            assert line.startswith(self.REMARK)
            assert "--drop id" in line
            assert columns == ["a", "id"]

    def test_kept(self, capsys):
        line, columns = self.said(capsys, np.arange(self.N_ROWS), "--keep", "id")
        assert line == ""
        assert columns == ["a", "id"]

    @pytest.mark.parametrize("ids", ["repeated", "fractions"])
    def test_measurements_are_not_meant(self, capsys, ids):
        ids = {
            "repeated": np.arange(self.N_ROWS) // 2,
            "fractions": np.arange(self.N_ROWS) + 0.5,
        }[ids]
        line, columns = self.said(capsys, ids)
        assert line == ""
        assert columns == ["a", "id"]


def test_most_rows_being_suspicious_is_remarked(capsys):
    table = pd.read_csv("new.csv")
    table["power_kW"] += 1000
    table.to_csv("moved.csv", index=False)
    assert main(["score", "moved.csv", "-m", "model.joblib"]) == 0
    remark = r"rows are unlike all that the model has learned from, most often by the column "
    assert re.search(rf"skae: \d+ of 100 {remark}power_kW: see", capsys.readouterr().err)
    table.head(10).to_csv("moved.csv", index=False)
    assert main(["score", "moved.csv", "-m", "model.joblib"]) == 0
    assert "unlike" not in capsys.readouterr().err


def test_python_loads_the_model_too():
    detector = joblib.load("model.joblib")
    assert "state" not in detector.feature_names_in_
    assert "order" not in detector.feature_names_in_
    assert "time" in detector.feature_names_in_


def test_scores_are_those_of_the_detector_in_order(capsys):
    assert main(["score", "new.csv", "-m", "model.joblib", "-o", "scores.csv"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "does not use: order, state" in said.err
    scores = pd.read_csv("scores.csv")
    assert scores.columns.to_list() == ["score", "label"]
    table = pd.read_csv("new.csv").drop(columns=["order", "state"])
    detector = joblib.load("model.joblib")
    offset = detector.offset_
    table["time"] = pd.to_datetime(table["time"])
    assert scores["score"].to_numpy() == pytest.approx(detector.score_samples(table), rel=1e-9)
    assert (scores["label"] == np.where(scores["score"] < offset, -1, 1)).all()


def test_python_takes_dates_as_text(capsys):
    detector = joblib.load("model.joblib")
    table = pd.read_csv("new.csv")[detector.feature_names_in_]
    assert main(["score", "new.csv", "-m", "model.joblib", "-o", "scores.csv"]) == 0
    assert (detector.predict(table) == pd.read_csv("scores.csv")["label"]).all()
    table.loc[3, "time"] = "nope"
    with pytest.raises(ValueError, match="nope"):
        detector.predict(table)
    table["time"] = np.nan
    with pytest.warns(UserWarning, match="Values are missing"):
        assert np.isfinite(detector.score_samples(table)).all()


def test_true_and_false_are_the_same_in_both_files():
    table = table_of(300, 2)[["load_pct", "power_kW"]]
    table = table.assign(is_open=np.where(np.arange(300) % 3, "true", "false"))
    table.to_csv("doors.csv", index=False)
    assert main(["fit", "doors.csv", "-o", "doors.joblib"]) == 0
    assert main(["score", "doors.csv", "-m", "doors.joblib", "-o", "doors_scores.csv"]) == 0
    assert (pd.read_csv("doors_scores.csv")["label"] == -1).mean() < 0.2


def test_dates_of_all_kinds_are_read_as_utc():
    text = pd.Series(["2026-01-05T08:00:00+01:00", "2026-07-06T08:00:00+02:00"])
    zoned = pd.to_datetime(text, utc=True).dt.tz_convert("Europe/Oslo")
    for column in (text, zoned, zoned.dt.tz_convert(None)):
        parts = day_and_hour(pd.DataFrame({"when": column}))
        assert parts.to_numpy().tolist() == [[0, 7], [0, 6]]


def test_complex_numbers_are_left_out():
    kinds, left_out = kinds_of_columns(pd.DataFrame({"a": np.arange(40) * 1j, "b": 1.5}))
    assert kinds == {"b": "numbers"}
    assert left_out == {"a": "its numbers are complex"}


def test_scores_go_to_stdout_without_a_file(capsys):
    assert main(["score", "new.csv", "-m", "model.joblib"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 101


def test_top_prints_the_worst_rows_with_reasons(capsys):
    assert main(["score", "new.csv", "-m", "model.joblib", "-o", "scores.csv", "--top", "3"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    scores = pd.read_csv("scores.csv")
    assert heading.startswith(f"{(scores['label'] == -1).sum()} of 100 rows")
    rows = [int(re.search(r"row (\d+)", line)[1]) for line in lines]
    assert rows == (scores["score"].nsmallest(3).index + 1).to_list()
    assert all("of the alarm" in line for line in lines)


def test_an_identifier_is_copied(capsys):
    table = pd.read_csv("new.csv")
    table["order"] = [f"{number:03d}" for number in range(len(table))]
    table.to_csv("orders.csv", index=False)
    arguments = ["score", "orders.csv", "-m", "model.joblib", "--id", "order"]
    assert main([*arguments, "--top", "2", "-o", "scores.csv"]) == 0
    said = capsys.readouterr()
    assert said.err == "skae: columns that the model does not use: state.\n"
    scores = pd.read_csv("scores.csv", dtype={"order": str})
    assert scores.columns.to_list() == ["order", "score", "label"]
    assert scores["order"].to_list() == table["order"].to_list()
    worst = scores["score"].nsmallest(2).index
    for row, line in zip(worst, said.out.splitlines()[1:], strict=True):
        assert f" row {row + 1} ({row:03d})  score" in line


def test_a_column_of_the_model_can_be_the_identifier(capsys):
    outputs = []
    for argv in ([], ["--id", "power_kW"]):
        assert main(["score", "new.csv", "-m", "model.joblib", *argv]) == 0
        outputs.append(pd.read_csv(io.StringIO(capsys.readouterr().out)))
    assert outputs[0].equals(outputs[1].drop(columns="power_kW"))


def test_parquet_scores_as_csv_does(capsys):
    pytest.importorskip("pyarrow")
    table = pd.read_csv("new.csv")
    table["time"] = pd.to_datetime(table["time"])
    table["site"] = table["site"].astype("category")
    table.to_parquet("new.parquet")
    scores = []
    for name in ("new.csv", "new.parquet"):
        assert main(["score", name, "-m", "model.joblib"]) == 0
        scores.append(capsys.readouterr().out)
    assert scores[0] == scores[1]


@pytest.mark.parametrize("argv", [["score", "--top", "3"], ["report", "-o", "page.html"]])
def test_a_warning_is_shown_once(capsys, argv):
    table = pd.read_csv("new.csv")
    table.loc[7, "time"] = None
    table.to_csv("gap.csv", index=False)
    assert main([*argv, "gap.csv", "-m", "model.joblib"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == len(set(said))
    assert any("Values are missing" in line for line in said)


def test_a_report_is_written(capsys):
    arguments = ["report", "new.csv", "-m", "model.joblib", "-o", "page.html"]
    assert main([*arguments, "--label", "state=ok"]) == 0
    assert capsys.readouterr().out == "page.html: a report on 100 rows.\n"
    page = Path("page.html").read_text()
    assert "labeled outliers" in page
    assert "Has the data moved?" in page


class TestBadInput:
    MODEL = ("-m", "model.joblib")
    OUT = ("-o", "x.joblib")

    def test_missing_file(self, capsys):
        assert "no file nowhere.csv" in refused(capsys, "fit", "nowhere.csv", *self.OUT)
        assert "no file nowhere.csv" in refused(capsys, "score", "nowhere.csv", *self.MODEL)
        assert "no file none" in refused(capsys, "score", "new.csv", "-m", "none")

    def test_empty_files(self, capsys):
        Path("empty.csv").write_text("")
        Path("header.csv").write_text("a,b\n")
        assert "empty.csv is empty" in refused(capsys, "fit", "empty.csv", *self.OUT)
        assert "no rows below its header" in refused(capsys, "fit", "header.csv", *self.OUT)

    def test_no_table(self, capsys):
        Path("binary.csv").write_bytes(bytes(range(128, 256)))
        assert "no table" in refused(capsys, "fit", "binary.csv", *self.OUT)
        Path("ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n")
        assert "no table" in refused(capsys, "fit", "ragged.csv", *self.OUT)

    def test_folder(self, capsys):
        Path("folder").mkdir()
        for argv in (["fit", "folder", *self.OUT], ["score", "new.csv", "-m", "folder"]):
            assert refused(capsys, *argv).endswith("error: folder is a folder: name a file.")

    def test_other_encoding(self, capsys):
        Path("latin.csv").write_text("a,town\n1,K\xf6ln\n", encoding="latin-1")
        line = refused(capsys, "fit", "latin.csv", *self.OUT)
        assert line.endswith("latin.csv is no table in UTF-8: save it in that encoding.")

    def test_columns_of_the_same_name(self, capsys):
        Path("twice.csv").write_text("a,b,a,,\n1,2,3,4,5\n")
        line = refused(capsys, "fit", "twice.csv", *self.OUT)
        assert line.endswith("twice.csv has more than one column of the same name: a.")

    def test_identifier(self, capsys):
        line = refused(capsys, "score", "new.csv", *self.MODEL, "--id", "x")
        assert "no column x, only" in line

    def test_other_separators(self, capsys):
        Path("semicolons.csv").write_text("a;b\n1,5;2\n")
        assert "separate the values by commas" in refused(
            capsys, "fit", "semicolons.csv", *self.OUT
        )

    def test_no_column_to_learn_from(self, capsys):
        pd.DataFrame({"name": [f"n{i}" for i in range(30)]}).to_csv("names.csv", index=False)
        capsys.readouterr()
        assert main(["fit", "names.csv", *self.OUT]) == 2
        assert "no column to learn from" in capsys.readouterr().err.splitlines()[-1]

    def test_other_columns(self, capsys):
        pd.read_csv("new.csv").drop(columns=["site", "power_kW"]).to_csv("less.csv", index=False)
        line = refused(capsys, "score", "less.csv", *self.MODEL)
        assert line.endswith("needs columns that the file lacks: site, power_kW.")

    def test_text_among_numbers(self, capsys):
        table = pd.read_csv("new.csv").astype({"power_kW": object})
        table.loc[4, "power_kW"] = "high"
        table.to_csv("text.csv", index=False)
        line = refused(capsys, "score", "text.csv", *self.MODEL)
        assert line.endswith("the column power_kW was one of numbers, and is 'high' in row 5.")

    @pytest.mark.parametrize(("value", "said"), [("inf", "inf"), ("-Infinity", "-inf")])
    def test_infinity(self, capsys, value, said):
        table = pd.read_csv("new.csv").astype({"power_kW": object})
        table.loc[2, "power_kW"] = value
        table.to_csv("infinite.csv", index=False)
        expected = f"the column power_kW takes numbers or empty cells, and is {said} in row 3."
        assert refused(capsys, "fit", "infinite.csv", *self.OUT, "--drop=order").endswith(expected)
        assert refused(capsys, "score", "infinite.csv", *self.MODEL).endswith(expected)

    @pytest.mark.parametrize("value", ["nope", "31.01.2025", "2025-02-30"])
    def test_unreadable_date(self, capsys, value):
        table = pd.read_csv("new.csv")
        table.loc[7, "time"] = value
        table.to_csv("dates.csv", index=False)
        line = refused(capsys, "score", "dates.csv", *self.MODEL)
        assert line.endswith(f"the column time was one of dates, and is '{value}' in row 8.")

    @pytest.mark.parametrize("change", ["other", "cut", "joblib"])
    def test_no_model(self, capsys, change):
        written = Path("model.joblib").read_bytes()
        path = Path("broken.joblib")
        path.write_bytes({"other": b"a,b\n1,2\n", "cut": written[:-1000]}.get(change, b""))
        if change == "joblib":
            joblib.dump({"a": 1}, path)
        assert "is no model" in refused(capsys, "score", "new.csv", "-m", "broken.joblib")

    def test_what_is_no_model_is_not_unpickled(self, capsys):
        class Touch:
            def __reduce__(self):
                return Path.touch, (Path("touched"),)

        joblib.dump(Touch(), "evil.joblib")
        refused(capsys, "score", "new.csv", "-m", "evil.joblib")
        assert not Path("touched").exists()

    @pytest.mark.parametrize(
        ("argv", "said"),
        [
            (["fit", "old.csv", *OUT, "--rate=0"], "a rate lies between 0 and 1, got 0"),
            (["fit", "old.csv", *OUT, "--rate=5"], "a rate lies between 0 and 1, got 5"),
            (["fit", "old.csv", *OUT, "--rate=nan"], "a rate lies between 0 and 1, got nan"),
            (["fit", "old.csv", *OUT, "--rate=x"], "a rate lies between 0 and 1, got x"),
            (["score", "new.csv", *MODEL, "--top=0"], "a number of rows is at least 1, got 0"),
            (["score", "new.csv", *MODEL, "--id=score"], "have a column score of their own"),
            (["score", "new.csv"], "required: -m/--model"),
            (["predict", "new.csv"], "invalid choice: 'predict'"),
            ([], "required: fit | score | report"),
        ],
    )
    def test_arguments(self, capsys, argv, said):
        with pytest.raises(SystemExit) as left:
            main(argv)
        assert left.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert "--help" in line

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            ("state", "takes COLUMN=VALUE"),
            ("color=red", "no column color, only time"),
            ("state=fine", "no row has state=fine; the column state holds"),
        ],
    )
    def test_label(self, capsys, label, said):
        assert said in refused(capsys, "fit", "old.csv", *self.OUT, "--label", label)

    def test_output_that_cannot_be_written(self, capsys):
        line = refused(capsys, "fit", "old.csv", "-o", "nowhere/model.joblib")
        assert "cannot be written" in line

    @pytest.mark.parametrize("way", ["name", "path", "symlink_to", "hardlink_to"])
    @pytest.mark.parametrize(
        ("verb", "inputs", "target"),
        [
            ("fit", ["old.csv"], "old.csv"),
            ("score", ["new.csv", *MODEL], "new.csv"),
            ("score", ["new.csv", *MODEL], "model.joblib"),
            ("report", ["new.csv", *MODEL], "new.csv"),
            ("report", ["new.csv", *MODEL], "model.joblib"),
        ],
    )
    def test_output_over_an_input(self, capsys, tmp_path, verb, inputs, target, way):
        before = Path(target).read_bytes()
        output = {"name": Path(target), "path": Path.cwd() / target}.get(way, tmp_path / "other")
        if way.endswith("link_to"):
            getattr(output, way)(Path(target).absolute())
        line = refused(capsys, verb, *inputs, "-o", str(output))
        assert line.endswith(f"would overwrite the input {target}: name another file.")
        assert Path(target).read_bytes() == before

    def test_kept_column(self, capsys):
        assert "no column x, only" in refused(capsys, "fit", "old.csv", *self.OUT, "--keep", "x")

    def test_dropped_column(self, capsys):
        assert "no column x, only" in refused(capsys, "fit", "old.csv", *self.OUT, "--drop", "x")


def test_a_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -m skae score new.csv -m model.joblib | head -1"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "score,label\n"
    assert done.stderr == "skae: columns that the model does not use: order, state.\n"


def test_label_of_numbers(capsys):
    table = pd.DataFrame({"a": np.r_[np.linspace(0, 1, 30), 9.0], "bad": [0.0] * 30 + [1.0]})
    table.to_csv("numbers.csv", index=False)
    assert main(["fit", "numbers.csv", "-o", "numbers.joblib", "--label", "bad=0"]) == 0
    assert "learned from 30 of 31 rows, 1 column" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--help"], ["fit", "--help"], ["score", "--help"]])
def test_help_has_examples(capsys, argv):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "skae score new.csv -m model.joblib -o scores.csv --top 10" in shown
    assert "pickle" in shown
