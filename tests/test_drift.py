"""Drift: errors that have moved, alarms, and the features that it comes from."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, mannwhitneyu
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skae import (
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.inspection import DriftReport, drift_report
from skae.preprocessing import ColumnGroupScaler

UNITS = np.array([1.0, 1000.0, 0.01, 1.0, 1.0])
MEANS = np.array([0.0, 5000.0, 0.2, 20.0, 0.0])


def rows(n_rows, seed, shift=0.0):
    """Return rows of five features in unlike units; the second one may move, in its own unit."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n_rows, 2)) @ np.array([[1, 1, 0, 1, 0.5], [0, 1, 1, -1, 0.5]])
    Z += 0.3 * rng.normal(size=Z.shape)
    Z[:, 1] += shift
    names = ["flow", "pressure", "share", "temperature", "noise"]
    return pd.DataFrame(MEANS + UNITS * Z, columns=names)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), ReconstructionOutlierDetector(PCA(2))).fit(rows(800, 0))


def test_nothing_has_moved(pipeline):
    report = drift_report(pipeline, rows(800, 1), rows(800, 2))
    assert isinstance(report, DriftReport)
    assert report.p_value > 0.001
    assert abs(report.effect - 0.5) < 0.08
    assert abs(report.alarm_rate - report.reference_alarm_rate) < 0.05
    assert (report.columns["ratio"] - 1).abs().max() < 0.3


@pytest.mark.parametrize("is_given", [True, False])
def test_a_column_has_moved(pipeline, is_given):
    reference = rows(800, 2) if is_given else None
    report = drift_report(pipeline, rows(500, 1, shift=2.0), reference)
    assert report.p_value < 1e-6
    assert report.effect > 0.8
    assert report.alarm_rate > 2 * report.reference_alarm_rate
    first = report.columns.iloc[0]
    assert first["feature"] == "pressure"
    assert first["ratio"] > 2
    assert first["value"] == pytest.approx(7000, abs=300)
    if is_given:
        assert first["reference_value"] == pytest.approx(5000, abs=300)
        assert first["deviation"] > 2 * first["reference_deviation"] > 0
    else:
        assert np.isnan([first["reference_value"], first["reference_deviation"]]).all()


def test_figures_are_those_of_scipy_and_of_the_detector(pipeline):
    new, reference = rows(60, 1, shift=1.0), rows(90, 2)
    report = drift_report(pipeline, new, reference)
    errors, others = -pipeline.score_samples(new), -pipeline.score_samples(reference)
    test = ks_2samp(errors, others)
    assert (report.statistic, report.p_value) == (test.statistic, test.pvalue)
    assert report.effect == pytest.approx(mannwhitneyu(errors, others).statistic / (60 * 90))
    assert report.alarm_rate == np.mean(pipeline.predict(new) == -1)
    assert report.reference_alarm_rate == np.mean(pipeline.predict(reference) == -1)
    columns = report.columns
    assert columns["contribution"].sum() == pytest.approx(errors.mean())
    assert columns["reference_contribution"].sum() == pytest.approx(others.mean())
    assert columns["moved"].is_monotonic_decreasing
    (line,) = report.frame().to_dict("records")
    assert line["n_rows"], line["n_reference_rows"] == (60, 90)
    assert line["p_value"] == report.p_value
    assert "60 rows against 90" in repr(report)


def test_without_reference_contributions_are_what_the_detector_keeps(pipeline):
    report = drift_report(pipeline, rows(60, 1))
    kept = pd.Series(pipeline[-1].feature_errors_ / 5, index=rows(1, 0).columns)
    found = report.columns.set_index("feature")["reference_contribution"]
    pd.testing.assert_series_equal(found.sort_index(), kept.sort_index(), check_names=False)


def test_calibration_errors_are_those_that_set_the_offset():
    X = rows(300, 0).to_numpy()
    detector = ReconstructionOutlierDetector(PCA(2), threshold="quantile").fit(X)
    np.testing.assert_allclose(detector.calibration_errors_, np.sort(-detector.score_samples(X)))
    held_out = ReconstructionOutlierDetector(PCA(2)).fit(X).calibration_errors_
    assert 0 < len(held_out) < 300  # of rows that the PCA was not fitted on
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.calibration_errors_, detector.calibration_errors_)


def test_conformal_detectors_keep_their_own():
    X = rows(300, 0)
    conformal = ConformalOutlierDetector(
        make_pipeline(StandardScaler(), ReconstructionOutlierDetector(PCA(2))), random_state=0
    ).fit(X)
    report = drift_report(conformal, rows(50, 1))
    np.testing.assert_array_equal(report.reference_errors, conformal.calibration_errors_)


def test_of_many_errors_a_sample_is_kept():
    X = np.random.default_rng(0).normal(size=(10_000, 2))
    detector = ReconstructionOutlierDetector(PCA(1), threshold="quantile").fit(X)
    kept, errors = detector.calibration_errors_, -detector.score_samples(X)
    assert kept.base is None
    assert len(kept) <= 4096
    shares = np.linspace(0.01, 0.99, 50)
    exact = np.quantile(errors, shares)
    np.testing.assert_allclose(np.quantile(kept, shares), exact, rtol=0.05)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_of_an_autoencoder_inside_others():
    X = rows(200, 0)
    short = {"epochs": 3, "batch_size": 16, "hidden_layer_sizes": (8,), "random_state": 0}
    inner = make_pipeline(StandardScaler(), AutoencoderOutlierDetector(latent_dim=2, **short))
    detector = ThresholdedOutlierDetector(FitOnInliers(inner), "quantile").fit(X)
    report = drift_report(detector, rows(100, 1, shift=5.0))
    assert report.threshold == -detector.offset_
    assert report.error_name == "combined error"
    assert report.effect > 0.7
    assert report.columns["feature"][0] in set(X.columns)


def test_of_a_detector_without_reconstruction():
    forest = IsolationForest(n_estimators=20, random_state=0).fit(rows(300, 0))
    report = drift_report(forest, rows(200, 1, shift=5.0), rows(200, 2))
    assert report.effect > 0.7
    assert report.columns.empty
    assert "moved" in report.columns
    with pytest.raises(ValueError, match="IsolationForest keeps no errors .* give X_reference"):
        drift_report(forest, rows(10, 1))


def test_scores_on_another_scale_need_reference_rows():
    inner = ReconstructionOutlierDetector(PCA(2))
    windowed = WindowedOutlierDetector(inner, width=8)
    series = rows(300, 0)[["flow"]].to_numpy()
    windowed.fit(series)
    with pytest.raises(ValueError, match="WindowedOutlierDetector keeps no errors"):
        drift_report(windowed, series)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_with_infinite_errors_count_as_alarms():
    X = StandardScaler().fit_transform(rows(100, 0))
    detector = AutoencoderOutlierDetector(
        epochs=2, hidden_layer_sizes=(4,), batch_size=16, error="mse", random_state=0
    ).fit(X)
    nothing = np.vstack([X[:5], np.full((1, 5), np.nan)])
    with pytest.warns(UserWarning, match="no value"):
        report = drift_report(detector, nothing)
    assert np.isinf(report.errors[-1])
    assert np.isfinite(report.columns["contribution"]).all()


def test_bad_input(pipeline):
    with pytest.raises(NotFittedError):
        drift_report(ReconstructionOutlierDetector(PCA(2)), rows(10, 0))
    with pytest.raises(TypeError, match="score_samples"):
        drift_report(LocalOutlierFactor().fit(rows(50, 0)), rows(10, 0))
    with pytest.raises(ValueError, match="feature names"):
        drift_report(pipeline, rows(10, 0).drop(columns="flow"))


def test_columns_of_text_have_contributions_without_means():
    table = rows(300, 0).assign(site=["Oslo", "Turin", "Bern"] * 100)
    encoder = make_column_transformer((OneHotEncoder(), ["site"]), remainder="passthrough")
    pipeline = make_pipeline(ColumnGroupScaler(encoder), ReconstructionOutlierDetector(PCA(2)))
    report = drift_report(pipeline.fit(table), rows(100, 1, shift=3.0).assign(site="Oslo"))
    columns = report.columns.set_index("feature")
    assert set(columns.index) == set(table.columns)
    assert columns.loc["site"][["value", "deviation"]].isna().all()
    assert np.isfinite(columns["contribution"]).all()
    assert columns["value"].drop("site").notna().all()
