"""What is behind a decision: the features that make up an error, and the threshold."""

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest
from sklearn import config_context
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skae._detectors.checks import check_sign, check_two_axes
from skae._drift import DriftReport, compared
from skae._errors import mean_feature_errors
from skae._labels import inlier_mask
from skae._meta.delegation import of_rows, scores_steps, split_pipeline
from skae._meta.sentences import sentence
from skae._meta.source_columns import source_columns
from skae._meta.steps import transformed
from skae._meta.unwrap import fitted_offset
from skae._progress import followed
from skae._sklearn_compat import Interval, validate_parameter_constraints
from skae.thresholds import SHORT_NAMES, Quantile, as_rule, needs_labels

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["DriftReport", "drift_report", "explain", "threshold_report"]

# What an explanation in words is made of.
_FACTS = ["feature", "value", "reconstruction", "share"]


def explain(
    estimator: Any,
    X: ArrayLike,
    top: int | None = 5,
    *,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> "DataFrame":
    """Tell which features make up the error of each row.

    Parameters
    ----------
    estimator : estimator
        A fitted detector that has `reconstruct` and `reconstruction_error`, such as
        :class:`skae.AutoencoderOutlierDetector`, or a pipeline or meta-estimator with one inside.
    X : array-like of shape (n_samples, n_features)
        The rows to explain.
    top : int, default=5
        How many features of each row are listed, those with the largest contributions. None lists
        all.
    reference : array-like of shape (n_reference_samples, n_features), default=None
        Rows whose errors count as typical, ideally normal ones that the detector was not trained
        on. None uses those that set the offset in `fit`, whose mean errors the detector keeps as
        `feature_errors_`; training rows are reconstructed better than others, held-out ones
        (`validation_fraction`) are not.
    groups : array-like of shape (n_samples,), default=None
        For :class:`skae.WindowedOutlierDetector`, the stretch each time step belongs to. Its rows
        are time steps, and its features channels.

    Returns
    -------
    explanation : pandas.DataFrame
        One row per feature of a row of X; the rows in the order of X, the features of each by
        descending contribution. A feature is a column of X, whatever the steps before the detector
        turn it into: a category into several columns, a date into its parts. Where a step combines
        columns, as PCA does, what it returns is listed in their place. In these columns:

        - `row`: the label in the index of a DataFrame, or else the position.
        - `feature`: the name of the column, in X or at `fit`, or else the position.
        - `value`: what X holds.
        - `reconstruction`: what the detector expects instead, in the units of X: through
          `inverse_transform` of the steps, and as the most likely category where a column was
          one-hot encoded. NaN if a step cannot be inverted. Of combined columns, both are those
          that the detector sees.
        - `contribution`: the error of the feature (`feature_errors`) over the number of features
          that the detector sees, summed over those that a column was turned into. Those of all
          features add up to the error of the row, which is minus its score.
        - `unusualness`: the contribution over the mean contribution of that feature among the
          reference rows: 1 is typical. A feature with a mean of nearly zero, because it was always
          reconstructed perfectly, is assigned 2e-16 of the mean of all features, so that rounding
          does not count as unusual; if all means are zero, any error is infinitely unusual. NaN
          only if the detector keeps no `feature_errors_` and no `reference` is given.
        - `text`: the same in a sentence, such as "temp_C is 74.1, expected 60.3: 81 % of the
          alarm", where the alarm is the error of the row.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the detector in it does not reconstruct rows.
    ValueError
        If X, `reference` or `top` is invalid.

    See Also
    --------
    skae.displays.ReconstructionDisplay : Draws rows with their reconstructions.

    Notes
    -----
    A wrong value in one feature distorts the reconstruction of others too, so an error spreads
    beyond its cause. `contribution` says where the error is, `unusualness` where it is larger than
    is typical of the feature: a noisy feature contributes a lot to every row.

    Examples
    --------
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.inspection import explain
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(300, random_state=0)
    >>> detector = ReconstructionOutlierDetector(PCA(4), random_state=0).fit(X)
    >>> row = X[:1].copy()
    >>> row[0, 70] += 3  # one wrong value
    >>> explanation = explain(detector, row, top=2)
    >>> explanation.columns.to_list()
    ['row', 'feature', 'value', 'reconstruction', 'contribution', 'unusualness', 'text']
    >>> int(explanation.loc[0, "feature"])
    70
    """
    import pandas as pd

    check_is_fitted(estimator)
    check_two_axes(X)
    transforms, detector = split_pipeline(estimator)
    _check_reconstructs(detector)
    _check_top(top)
    inputs = transformed(transforms, X)
    errors = np.asarray(_feature_errors(detector, inputs, groups))
    reconstruction = np.asarray(of_rows(detector, "reconstruct", inputs, groups))
    columns = source_columns(transforms, detector, X, np.asarray(inputs), reconstruction)
    typical = columns.sums(_typical_errors(transforms, detector, reference, errors.shape[1]))
    contributions = columns.sums(errors) / errors.shape[1]
    n_rows, n_columns = contributions.shape
    n_listed = n_columns if top is None else min(top, n_columns)
    listed = np.argsort(-contributions, axis=1, kind="stable")[:, :n_listed]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = contributions / contributions.sum(axis=1, keepdims=True)
    found = {
        "value": columns.values,
        "reconstruction": columns.reconstruction,
        "contribution": contributions,
        "unusualness": _unusualness(contributions * errors.shape[1], typical),
        "share": shares,
    }
    found = {name: np.take_along_axis(of, listed, 1).ravel() for name, of in found.items()}
    explanation = pd.DataFrame(
        {
            "row": _row_labels(X, n_rows).to_flat_index().repeat(n_listed),
            "feature": pd.Index(columns.names).to_flat_index().take(listed.ravel()),
        }
        | found
    )
    facts = (explanation[name].tolist() for name in _FACTS)
    text = [sentence(*one) for one in zip(*facts, strict=True)]
    return explanation.drop(columns="share").assign(text=text)


def _row_labels(X, n_rows) -> Any:
    import pandas as pd

    return X.index if hasattr(X, "iloc") else pd.RangeIndex(n_rows)


def _check_reconstructs(detector):
    has_errors = hasattr(detector, "reconstruction_error") or hasattr(detector, "feature_errors")
    if not (hasattr(detector, "reconstruct") and has_errors):
        raise TypeError(
            f"{type(detector).__name__} has no reconstruction errors to explain: take a detector "
            "that reconstructs rows, such as skae.AutoencoderOutlierDetector or "
            "skae.ReconstructionOutlierDetector(PCA(...)). For other detectors, measure how "
            "score_samples changes as features do, for example with SHAP."
        )


def _check_top(top: int | None):
    if top is None or (isinstance(top, Integral) and not isinstance(top, bool) and top >= 1):
        return
    raise ValueError(f"top must be None or a whole number of features >= 1, got {top!r}.")


def _typical_errors(transforms, detector, reference, n_features):
    if reference is None:
        return getattr(detector, "feature_errors_", np.full(n_features, np.nan))
    reference = transformed(transforms, reference)
    return mean_feature_errors(
        _feature_errors(detector, reference), np.asarray(reference, dtype=float)
    )


def _feature_errors(detector, rows, groups=None):
    if hasattr(detector, "feature_errors"):
        return of_rows(detector, "feature_errors", rows, groups)
    return detector.reconstruction_error(rows, per_feature=True)


def _unusualness(errors, typical):
    finite = typical[np.isfinite(typical)]
    floor = np.finfo(np.float64).eps * finite.mean() if len(finite) else 0.0
    typical = np.maximum(typical, floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Zero to zero, or infinity to infinity, is typical.
        return np.where(errors == typical, 1.0, errors / typical)


def threshold_report(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    rules: Any = None,
    X_train: ArrayLike | None = None,
    inlier_label: Any = "auto",
    outlier_label: Any = "auto",
    confidence: float = 0.95,
    verbose: int = 0,
) -> "DataFrame":
    """Compare the thresholds and alarms of threshold rules for a fitted detector.

    The rules set their thresholds from the errors (minus `score_samples`) of the rows in X. Give
    rows that the detector was not trained on, because training errors are smaller than those of new
    rows. The alarms are counted in the same rows: expect slightly worse figures on new ones,
    especially if X is small and a rule has learned from its labels.

    Parameters
    ----------
    estimator : estimator
        A fitted outlier detector with `score_samples`, or a pipeline or meta-estimator with one
        inside.
    X : array-like of shape (n_samples, n_features)
        The rows, ideally held-out ones.
    y : array-like of shape (n_samples,), default=None
        Their labels. With them, the rules that need no labels see only the rows labeled normal,
        the others see all rows, and the report says how good the alarms are.
    rules : rule, str, float, list or dict of them, default=None
        Rules of :mod:`skae.thresholds`, their short names, or thresholds; a dict names them. None
        means all rules with their default parameters, those that learn from labels only if y has
        both classes.
    X_train : array-like of shape (n_train_samples, n_features), default=None
        The rows that the detector was trained on, normal ones only, to show how much their errors
        understate those of new rows.
    inlier_label, outlier_label : scalar, default="auto"
        What y calls normal rows, or the others; name at most one. "auto" is scikit-learn's coding:
        +1 for inliers, -1 for outliers.
    confidence : float, default=0.95
        Confidence level of the intervals.
    verbose : int, default=0
        1 shows one line with the rule and the time left (in a file, only its last state), 2 one
        line per rule.

    Returns
    -------
    report : pandas.DataFrame
        One row per rule, by its name. The first one, "fitted", is the estimator's own threshold
        (minus `offset_`), if it has one. The columns:

        - `threshold`: rows with larger errors are flagged.
        - `alarms`, `alarm_rate`: number and share of the rows of X that are flagged.
        - With y, `precision` (the share of outliers among the alarms), `recall` (of alarms among
          the outliers) and `fpr` (of alarms among the inliers), each with the ends `_low` and
          `_high` of an exact (Clopper-Pearson [1]_) interval; NaN for a share of nothing.
        - With y, for rules with a budget of false alarms (`Quantile`, `FalsePositiveRate`,
          `PeaksOverThreshold`), `recall_worst` and `recall_best`: the recall at the ends of the
          confidence interval of the threshold with exactly this budget. The interval lies between
          two errors of normal rows, whatever their distribution [2]_. The fewer normal rows lie
          above the threshold, the further apart they are; if even their largest error may be too
          low, `recall_worst` is 0.
        - With `X_train`, `threshold_train`, the rule's threshold from the training errors, and
          `ratio`, the threshold over that; NaN for rules that learn from labels, and if
          `threshold_train` is not positive. `report.attrs["error_ratio"]` is the mean error of the
          normal rows of X over that of the training rows: the further above 1, the more a threshold
          from training errors overpromises.
        - `note`: why a rule rejected these errors; the rest of its row is NaN.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it has no `score_samples`, or a rule is not one.
    ValueError
        If data, labels or `confidence` are invalid, or errors are not finite.

    See Also
    --------
    skae.ThresholdedOutlierDetector : Sets the threshold of a detector by a rule.
    skae.displays.ErrorDistributionDisplay : Draws the errors and the threshold.

    Notes
    -----
    The intervals assume that the rows of X are independent of each other and of the threshold. That
    holds for "fitted" on held-out rows, and nearly so for rules with few parameters to choose.

    References
    ----------
    .. [1] Clopper and Pearson (1934). The use of confidence or fiducial limits illustrated in the
           case of the binomial. Biometrika 26(4).
    .. [2] Scheffé and Tukey (1945). Non-parametric estimation. I. Validation of order statistics.
           Annals of Mathematical Statistics 16(2).

    Examples
    --------
    >>> from skae import FitOnInliers, ReconstructionOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from skae.inspection import threshold_report
    >>> from sklearn.decomposition import PCA
    >>> X, y = make_heartbeats(600, anomaly_share=0.2, random_state=0)
    >>> detector = FitOnInliers(ReconstructionOutlierDetector(PCA(4), random_state=0))
    >>> _ = detector.fit(X[:300], y[:300])
    >>> report = threshold_report(detector, X[300:], y[300:], rules=["quantile", "youden"])
    >>> report.index.to_list()
    ['fitted', 'Quantile(q=0.95)', 'Youden()']
    >>> bool((report["recall_low"] < report["recall"]).all())
    True
    """
    validate_parameter_constraints(
        {"confidence": [Interval(Real, 0, 1, closed="neither")]},
        {"confidence": confidence},
        "threshold_report",
    )
    check_is_fitted(estimator)
    errors = _checked_errors(estimator, X, "X")
    train_errors = None if X_train is None else _checked_errors(estimator, X_train, "X_train")
    is_outlier = None
    if y is not None:
        check_consistent_length(errors, y)
        is_outlier = ~inlier_mask(y, inlier_label, outlier_label)[~np.isnan(errors)]
    # Time steps without a score, of which the detector has warned.
    errors = errors[~np.isnan(errors)]
    train_errors = None if train_errors is None else train_errors[~np.isnan(train_errors)]
    normal_errors = errors if is_outlier is None else errors[~is_outlier]
    records = {}
    offset = fitted_offset(estimator)
    if offset is not None:
        records["fitted"] = {"threshold": -offset, "note": ""}
    named = _named_rules(rules, is_outlier)
    for name, rule in followed(named.items(), list(named), "threshold_report", verbose):
        record = _thresholds(rule, errors, normal_errors, is_outlier, train_errors)
        if is_outlier is not None and not record["note"]:
            record |= _recall_band(_budget(rule), errors, is_outlier, confidence)
        records[name if name not in records else f"{name} (rule)"] = record
    for record in records.values():
        if not record["note"]:
            record |= _alarms(errors > record["threshold"], is_outlier, confidence)
    report = _report(records, with_labels=y is not None, with_train=X_train is not None)
    if train_errors is not None:
        mean = normal_errors.mean() if len(normal_errors) else np.nan
        report.attrs["error_ratio"] = _ratio(mean, train_errors.mean())
    return report


def _checked_errors(estimator, X, name):
    if not hasattr(estimator, "score_samples"):
        raise TypeError(
            f"{type(estimator).__name__} has no `score_samples`: threshold_report needs an outlier "
            "detector that scores new rows (LocalOutlierFactor does with novelty=True)."
        )
    errors = -column_or_1d(estimator.score_samples(X)).astype(np.float64)
    is_unscored = np.isnan(errors) & scores_steps(estimator)
    unfit = np.count_nonzero(~np.isfinite(errors) & ~is_unscored)
    if unfit:
        raise ValueError(
            f"Of the {len(errors)} errors of {name} {unfit} are not finite, and no rule can set a "
            f"threshold from them: leave out the rows that np.isfinite(estimator.score_samples"
            f"({name})) is false for."
        )
    return errors


def _named_rules(rules: Any, is_outlier):
    if rules is None:
        has_both = is_outlier is not None and is_outlier.any() and not is_outlier.all()
        rules = [rule() for rule in SHORT_NAMES.values()]
        rules = [rule for rule in rules if has_both or not needs_labels(rule)]
        rules.sort(key=needs_labels)
    elif isinstance(rules, (str, Real)) or hasattr(rules, "threshold"):
        rules = [rules]
    elif hasattr(rules, "items"):
        return {name: as_rule(rule) for name, rule in rules.items()}
    rules = [as_rule(rule) for rule in rules]
    return {_name(rule): rule for rule in rules}


def _name(rule):
    with config_context(print_changed_only=False):
        return " ".join(repr(rule).split())


def _thresholds(rule, errors, normal_errors, is_outlier, train_errors):
    """Return the thresholds that a rule sets, or the reason why it sets none."""
    try:
        check_sign(rule, errors)
        if needs_labels(rule):
            return {"threshold": rule.threshold(errors, is_outlier), "note": ""}
        if not len(normal_errors):
            raise ValueError("y calls no row normal.")
        record = {"threshold": rule.threshold(normal_errors), "note": ""}
    except ValueError as error:
        return {"note": str(error)}
    if train_errors is not None:
        try:
            record["threshold_train"] = rule.threshold(train_errors)
        except ValueError:  # too few training rows must not hide the threshold
            return record
        record["ratio"] = _ratio(record["threshold"], record["threshold_train"])
    return record


def _ratio(of, to):
    return float(of / to) if to > 0 else np.nan


def _alarms(is_alarm, is_outlier, confidence):
    record = {"alarms": int(is_alarm.sum()), "alarm_rate": is_alarm.mean()}
    if is_outlier is not None:
        hits = np.sum(is_alarm & is_outlier)
        record |= _share("precision", hits, is_alarm.sum(), confidence)
        record |= _share("recall", hits, is_outlier.sum(), confidence)
        false_alarms = np.sum(is_alarm & ~is_outlier)
        record |= _share("fpr", false_alarms, np.sum(~is_outlier), confidence)
    return record


def _share(name, count, of, confidence):
    """Return a share and its exact interval, or nothing for a share of nothing."""
    if not of:
        return {}
    interval = binomtest(int(count), int(of)).proportion_ci(confidence)
    return {name: count / of, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _budget(rule):
    """Return the share of normal rows that a rule is to flag, None if it has no such aim."""
    budget = 1 - rule.q if isinstance(rule, Quantile) else getattr(rule, "rate", None)
    return budget if isinstance(budget, Real) and 0 < float(budget) < 1 else None


def _recall_band(budget, errors, is_outlier, confidence):
    """Return the recall at the ends of the interval of the threshold that keeps a budget."""
    if budget is None or not is_outlier.any():
        return {}
    normal = np.sort(errors[~is_outlier])[::-1]
    # How many of them lie above the threshold that this share of all normal rows exceeds.
    fewest, most = (int(count) for count in binom.interval(confidence, len(normal), budget))
    ends = [np.inf, *normal, -np.inf]
    found = errors[is_outlier]
    worst, best = (np.mean(found > end) for end in (ends[fewest], ends[most + 1]))
    return {"recall_worst": worst, "recall_best": best}


def _report(records, with_labels, with_train):
    import pandas as pd

    columns = ["threshold", "alarms", "alarm_rate"]
    if with_labels:
        shares = ("precision", "recall", "fpr")
        columns += [name + end for name in shares for end in ("", "_low", "_high")]
        columns += ["recall_worst", "recall_best"]
    if with_train:
        columns += ["threshold_train", "ratio"]
    table = [[record.get(column, np.nan) for column in columns] for record in records.values()]
    index = pd.Index(list(records), name="rule", dtype=object)
    report = pd.DataFrame(table, index=index, columns=columns)
    return report.assign(note=[record["note"] for record in records.values()])


def drift_report(
    estimator: Any, X_new: ArrayLike, X_reference: ArrayLike | None = None
) -> DriftReport:
    """Tell whether new rows have moved away from those that a detector learned from.

    Three questions: has the distribution of the errors moved, what does that do to the share of
    alarms, and in which features is it.

    Parameters
    ----------
    estimator : estimator
        A fitted outlier detector with `score_samples`, or a pipeline or meta-estimator with one
        inside.
    X_new : array-like of shape (n_samples, n_features)
        The new rows, such as a day's.
    X_reference : array-like of shape (n_reference_samples, n_features), default=None
        Rows like those to be expected, that the detector was not trained on. None uses the errors
        that set the offset in `fit`, of which detectors of skae keep at most 4,096 as
        `calibration_errors_`.

    Returns
    -------
    report : DriftReport
        With the attributes `statistic`, `p_value`, `effect`, `alarm_rate` and
        `reference_alarm_rate`, and `columns`, a DataFrame with one row per feature, the one whose
        errors have moved most first. It is empty for detectors that do not reconstruct rows. Of
        more than 4,096 rows, its means are over as many, evenly spaced:

        - `feature`: as in :func:`explain`.
        - `contribution` and `reference_contribution`: what the feature adds to the error of a row,
          on average. The sum over the features is the mean error.
        - `moved`: their difference.
        - `ratio`: their quotient.
        - `value` and `reference_value`: the mean, in the units of :func:`explain`, which are those
          of X where the steps before the detector can be inverted.
        - `deviation` and `reference_deviation`: the mean distance between value and reconstruction,
          in the same units. Both `reference_value` and this are NaN without `X_reference`.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it has no `score_samples`.
    ValueError
        If rows are invalid, or the detector keeps no errors and `X_reference` is missing.

    See Also
    --------
    skae.displays.DriftDisplay : Draws the report.

    Notes
    -----
    The test is that of Kolmogorov and Smirnov. Of thousands of rows, it finds differences that do
    not matter: read `effect` and `alarm_rate` before `p_value`. What a detector keeps are errors of
    rows that some other network was not trained on, or of training rows, by its `threshold`; they
    are not quite those that the final network finds in new normal rows. Give `X_reference` where
    the p-value is to decide.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import ReconstructionOutlierDetector
    >>> from skae.inspection import drift_report
    >>> from sklearn.decomposition import PCA
    >>> X = np.random.default_rng(0).normal(size=(600, 4)) @ np.diag([3, 2, 0.5, 0.5])
    >>> detector = ReconstructionOutlierDetector(PCA(2), random_state=0).fit(X[:300])
    >>> X_new = X[300:].copy()
    >>> X_new[:, 3] += 1.0  # a sensor has moved
    >>> report = drift_report(detector, X_new)
    >>> report.p_value < 0.001
    True
    >>> int(report.columns["feature"][0])
    3
    """
    return compared(estimator, X_new, X_reference, explain)
