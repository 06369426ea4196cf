"""Whether rows have moved away from those that a detector learned from."""

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp, rankdata
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import as_rows
from skae._meta.delegation import check_scores_samples, split_pipeline
from skae._meta.unwrap import error_name, fitted_offset, kept_errors
from skae._presentation import TableRepr, percent, presented
from skae._sklearn_compat import _num_samples, _safe_indexing

if TYPE_CHECKING:
    from pandas import DataFrame

# Rows whose columns are looked at, evenly spaced.
_MAX_ROWS = 4096
_MAX_SHOWN = 5
# Of fewer errors the p-value is exact; of more, that takes long and changes nothing.
_FEW = 100
_COLUMNS = (
    "feature",
    "contribution",
    "reference_contribution",
    "moved",
    "ratio",
    "value",
    "reference_value",
    "deviation",
    "reference_deviation",
)


@dataclass(frozen=True, eq=False, repr=False)
class DriftReport(TableRepr):
    """What :func:`skae.inspection.drift_report` has found.

    Parameters
    ----------
    errors : ndarray of shape (n_samples,)
        Of the new rows: minus their scores.
    reference_errors : ndarray of shape (n_reference_samples,)
        What they are compared with.
    threshold : float or None
        Errors above it raise an alarm.
    statistic : float
        Of the two-sample test of Kolmogorov and Smirnov: the largest distance between the two
        cumulative distributions, in [0, 1].
    p_value : float
        How often errors of one distribution lie that far apart or farther.
    effect : float
        How often a new row has a larger error than a reference row, ties counted half: 0.5 where
        nothing has moved, 1 where each does.
    alarm_rate, reference_alarm_rate : float
        The share of rows that raise an alarm.
    columns : pandas.DataFrame
        One row per feature, as :func:`skae.inspection.drift_report` says.
    error_name : str
        What the errors are.
    """

    errors: np.ndarray
    reference_errors: np.ndarray
    threshold: float | None
    statistic: float
    p_value: float
    effect: float
    alarm_rate: float
    reference_alarm_rate: float
    columns: "DataFrame"
    error_name: str = "error"

    def _caption_and_table(self):
        caption = (
            f"{len(self.errors):,} rows against {len(self.reference_errors):,}: "
            f"{percent(self.alarm_rate)} alarms from {percent(self.reference_alarm_rate)}, "
            f"effect {self.effect:.3g} (0.5 is none), p-value {self.p_value:.2g}"
        )
        shown = self.columns[["feature", "moved", "ratio", "value", "reference_value"]]
        return caption, presented(shown.head(_MAX_SHOWN).dropna(axis="columns", how="all"))

    def frame(self) -> "DataFrame":
        """Return the figures of all rows as a table of one row, to be collected over time.

        Returns
        -------
        frame : pandas.DataFrame
            With the columns n_rows, n_reference_rows, statistic, p_value, effect, alarm_rate and
            reference_alarm_rate.
        """
        import pandas as pd

        counts = {"n_rows": len(self.errors), "n_reference_rows": len(self.reference_errors)}
        names = ("statistic", "p_value", "effect", "alarm_rate", "reference_alarm_rate")
        return pd.DataFrame([counts | {name: getattr(self, name) for name in names}])


def compared(estimator, X_new, X_reference, explain) -> DriftReport:
    """Return the report on new rows.

    Parameters
    ----------
    estimator, X_new, X_reference : object
        As of :func:`skae.inspection.drift_report`.
    explain : callable
        As :func:`skae.inspection.explain`: the one place that knows what a feature is.
    """
    check_is_fitted(estimator)
    check_scores_samples(estimator)
    X_new = as_rows(X_new)
    errors = _errors(estimator, X_new)
    _, detector = split_pipeline(estimator)
    if X_reference is None:
        reference_errors = _kept_errors(estimator, detector)
    else:
        X_reference = as_rows(X_reference)
        reference_errors = _errors(estimator, X_reference)
    n_most = max(len(errors), len(reference_errors))
    test = ks_2samp(errors, reference_errors, method="exact" if n_most <= _FEW else "asymp")
    offset = fitted_offset(estimator)
    threshold = None if offset is None else -offset
    return DriftReport(
        errors=errors,
        reference_errors=reference_errors,
        threshold=threshold,
        statistic=float(test.statistic),
        p_value=float(test.pvalue),
        effect=_effect(errors, reference_errors),
        alarm_rate=_alarm_rate(estimator, X_new, errors, threshold),
        reference_alarm_rate=_alarm_rate(estimator, X_reference, reference_errors, threshold),
        columns=_columns(estimator, detector, X_new, X_reference, explain),
        error_name=error_name(estimator),
    )


def _errors(estimator, X):
    errors = -np.ravel(np.asarray(estimator.score_samples(X), dtype=np.float64))
    errors[np.isnan(errors)] = np.inf
    return errors


def _kept_errors(estimator, detector):
    errors = kept_errors(estimator)
    if errors is None:
        raise ValueError(
            f"{type(detector).__name__} keeps no errors of its calibration to compare with: give "
            "X_reference, rows like those that are to be expected, such as the first day's."
        )
    return errors


def _effect(errors, others):
    ranks = rankdata(np.concatenate([errors, others]))[: len(errors)]
    n_rows, n_others = len(errors), len(others)
    return float((ranks.sum() - n_rows * (n_rows + 1) / 2) / (n_rows * n_others))


def _alarm_rate(estimator, X, errors, threshold):
    is_alarm = estimator.predict(X) == -1 if threshold is None else errors > threshold
    return float(np.mean(is_alarm))


def _columns(estimator, detector, X_new, X_reference, explain):
    import pandas as pd

    if not hasattr(detector, "reconstruction_error"):
        return pd.DataFrame(columns=list(_COLUMNS))
    new = _means(explain(estimator, _some(X_new), None))
    if X_reference is None:
        reference = new["typical"].to_frame("contribution").assign(value=np.nan, deviation=np.nan)
    else:
        reference = _means(explain(estimator, _some(X_reference), None)).reindex(new.index)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.divide(new["contribution"], reference["contribution"])
    found = new.assign(
        reference_contribution=reference["contribution"],
        moved=new["contribution"] - reference["contribution"],
        ratio=ratio,
        reference_value=reference["value"],
        reference_deviation=reference["deviation"],
    )
    found = found.sort_values("moved", ascending=False, kind="stable")
    return found.rename_axis("feature").reset_index()[list(_COLUMNS)]


def _some(X):
    n_rows = _num_samples(X)
    return _safe_indexing(X, np.arange(0, n_rows, 1 + (n_rows - 1) // _MAX_ROWS))


def _means(explanation):
    """Return the means of an explanation over the rows, without infinities, by feature."""
    contribution = explanation["contribution"]
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = contribution / explanation["unusualness"]
    # Text and dates have no mean, and no distance.
    value, expected = (_numbers(explanation[name]) for name in ("value", "reconstruction"))
    deviation = (value - expected).abs()
    table = explanation.assign(typical=typical, value=value, deviation=deviation)
    table = table[["feature", "contribution", "typical", "value", "deviation"]]
    finite = table.replace([np.inf, -np.inf], np.nan)
    return finite.groupby("feature", sort=False, dropna=False).mean()


def _numbers(column):
    return column.map(lambda value: value if isinstance(value, Real) else np.nan).astype(np.float64)
