"""Results show themselves as tables that people read; frame() keeps the names for programs."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import FitFailedWarning

from skae import FitOnInliers, ReconstructionOutlierDetector
from skae.datasets import make_heartbeats
from skae.displays import ErrorDistributionDisplay
from skae.inspection import drift_report
from skae.model_selection import compare_detectors

X, y = make_heartbeats(120, anomaly_share=0.2, random_state=0)


class Fails(IsolationForest):
    def fit(self, X, y=None):
        raise ValueError("never fits")


@pytest.fixture(scope="module")
def comparison():
    detectors = {
        "pca": FitOnInliers(ReconstructionOutlierDetector(PCA(4))),
        "forest <b>": IsolationForest(n_estimators=5, random_state=0),
    }
    metrics = ["roc_auc", "f1"]
    return compare_detectors(detectors, X, y, cv=3, scoring=metrics, baseline="forest <b>")


def test_a_comparison_is_its_table(comparison):
    heading, names, *lines = repr(comparison).splitlines()
    assert heading == "2 detectors in 3 folds, mean ± deviation, compared with forest <b>"
    assert re.split(r"\s{2,}", names.strip())[0].startswith("rank")
    for name in ("ROC AUC", "F1", "difference", "p-value", "fit time (s)"):
        assert name in names
    mean, std = comparison.frame().loc["pca", ["mean_roc_auc", "std_roc_auc"]]
    assert lines[0].split()[:2] == ["pca", "1"]
    assert f"{mean:.3f} ± {std:.3f}" in lines[0]
    assert "mean_roc_auc" in comparison.frame()


def test_html_escapes_and_fits(comparison):
    html = comparison._repr_html_()
    assert "<b>" not in html
    assert "forest &lt;b&gt;" in html
    assert "overflow-x:auto" in html


def test_failures_are_counted():
    with pytest.warns(FitFailedWarning, match="never fits"):
        comparison = compare_detectors([IsolationForest(n_estimators=5), Fails()], X, y, cv=2)
    assert "failed folds" in repr(comparison)
    assert re.search("Fails +2 +\N{EN DASH}", repr(comparison))


def test_a_display_is_the_first_rows_of_its_frame():
    display = ErrorDistributionDisplay(errors=np.arange(30.0), threshold=20.0)
    heading, names, *lines = repr(display).splitlines()
    assert heading.startswith("ErrorDistributionDisplay: 30 rows, 3 columns")
    assert names.split() == ["error", "label", "above", "threshold"]
    assert len(lines) == 10
    assert lines[0].split()[-1] == "no"
    assert "above_threshold" in display.frame()


def test_a_drift_report_is_its_figures_and_columns():
    detector = ReconstructionOutlierDetector(PCA(4)).fit(X[y == 1])
    report = drift_report(detector, X[:40] + 0.2)
    heading, *lines = repr(report).splitlines()
    assert "40 rows against" in heading
    assert f"effect {report.effect:.3g}" in heading
    assert len(lines) == 6
    assert lines[1].split()[0] == str(report.columns["feature"][0])
    assert "reference" not in report._repr_html_()


def test_a_drift_report_without_columns():
    forest = IsolationForest(n_estimators=5, random_state=0).fit(X)
    assert len(repr(drift_report(forest, X, X)).splitlines()) == 1


def test_missing_values_are_dashes():
    display = ErrorDistributionDisplay(errors=np.arange(3.0))
    assert pd.isna(display.frame()["label"]).all()
    assert "nan" not in repr(display).lower()
    assert "<NA>" not in repr(display)
