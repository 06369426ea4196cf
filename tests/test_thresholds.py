"""The rules: each beside its definition, what they promise, and what they refuse."""

import warnings

import numpy as np
import pytest
from scipy.stats import beta, binom, expon, genpareto, lognorm, norm, pareto, uniform
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import confusion_matrix, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

from skae import ThresholdedOutlierDetector
from skae.thresholds import (
    FalsePositiveRate,
    FBeta,
    FixedThreshold,
    InterquartileFence,
    MeanStd,
    MedianMAD,
    MinimalCost,
    PeaksOverThreshold,
    Quantile,
    Youden,
    as_rule,
)

LABEL_FREE = [
    MeanStd(),
    Quantile(),
    MedianMAD(),
    InterquartileFence(),
    FalsePositiveRate(),
    FalsePositiveRate(confidence=None),
    PeaksOverThreshold(),
]
RULES = [
    *LABEL_FREE[:-1],
    PeaksOverThreshold(level=0.8),
    Quantile(q=0.5),
    Quantile(q=0.7),
    Quantile(q=1),
    FalsePositiveRate(rate=0.5),
    FalsePositiveRate(rate=0.5, confidence=None),
    PeaksOverThreshold(rate=0.1),
    Youden(),
    FBeta(),
    MinimalCost(),
    MinimalCost(1e9, 1.0),
    MinimalCost(1.0, 1e9),
]
HAIR = 4 * float(np.finfo(np.float32).eps)
SKEWED = np.random.default_rng(0).gamma(2.0, size=1000)


def test_a_budget_of_alarms_is_a_rate():
    rule = FalsePositiveRate.from_budget(5, 2000)
    assert rule.get_params() == {"rate": 0.0025, "confidence": 0.95}
    rule = FalsePositiveRate.from_budget(np.float64(0.2), np.int64(100), confidence=None)
    assert rule.get_params() == {"rate": 0.002, "confidence": None}
    errors = np.random.default_rng(0).random(9999)
    once = FalsePositiveRate.from_budget(1, 100, confidence=None).threshold(errors)
    assert np.sum(errors > once) == 99
    strict = FalsePositiveRate.from_budget(1, 100).threshold(errors)
    assert once < strict


@pytest.mark.parametrize(
    ("alarms", "rows"),
    [
        (0, 10),
        (-1, 10),
        (10, 10),
        (11, 10),
        ("1", 10),
        (1, None),
        (True, 10),
        (1, np.inf),
        (np.nan, 9),
    ],
)
def test_a_budget_that_is_none(alarms, rows):
    with pytest.raises(ValueError, match="a number of alarms above 0 and a larger number of rows"):
        FalsePositiveRate.from_budget(alarms, rows)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (MeanStd(), 3.0),
        (MeanStd(k=0), 2.0),
        (MeanStd(k=-1), 1.0),
        (Quantile(q=0), 1.0),
        (Quantile(q=0.5), 2.0),
        (Quantile(q=1), 3.0),
        (FixedThreshold(-7), -7.0),
    ],
)
def test_hand_made_errors(rule, expected):
    threshold = rule.threshold([1.0, 3.0, 1.0, 3.0] if isinstance(rule, MeanStd) else [3, 1, 2])
    assert isinstance(threshold, float)
    assert threshold == pytest.approx(expected)


@pytest.mark.parametrize("rule", LABEL_FREE, ids=repr)
@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([], "minimum of 1 is required"),
        ([1.0, np.nan], "errors contains NaN"),
        ([1.0, np.inf], "errors contains infinity"),
        ([[1.0], [2.0]], "one dimension"),
    ],
)
def test_unfit_errors_are_refused(rule, errors, message):
    with pytest.raises(ValueError, match=message):
        rule.threshold(errors)


@pytest.mark.parametrize(
    "rule",
    [
        MeanStd(k="2"),
        MeanStd(k=np.inf),
        Quantile(q=1.5),
        Quantile(q=95),
        MedianMAD(k=np.nan),
        InterquartileFence(k=None),
        FalsePositiveRate(rate=0),
        FalsePositiveRate(rate=5),
        FalsePositiveRate(confidence=1),
        FalsePositiveRate(rate=1, confidence=None),
        PeaksOverThreshold(rate=0.0),
        PeaksOverThreshold(level=98),
        MinimalCost(false_positive_cost=0),
        MinimalCost(false_negative_cost=np.inf),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(rule):
    with pytest.raises(InvalidParameterError, match=rf"parameter of {type(rule).__name__}"):
        rule.threshold([1.0, 2.0])


@pytest.mark.parametrize("rule", LABEL_FREE, ids=repr)
@pytest.mark.parametrize("error", [0.0, 2.0])
def test_constant_errors_flag_nothing(rule, error):
    assert error <= rule.threshold([error] * 500) <= error * (1 + 1e-6)


@pytest.mark.parametrize("rule", RULES, ids=repr)
# Shares of these numbers of rows are whole ranks, at which a quantile is the error of a row. The
# rounded errors tie, and of the last ones more than half are equal.
@pytest.mark.parametrize("n_errors", [501, 1001])
@pytest.mark.parametrize("tie", [None, 1, 0.1, "most"])
@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_decides_on_no_row(rule, n_errors, tie, sign):
    generator = np.random.default_rng(n_errors)
    errors = sign * (1 + generator.gamma(2.0, size=n_errors))
    is_outlier = generator.random(n_errors) < 0.3
    if tie == "most":
        errors[: int(0.8 * n_errors)] = sign * 1.7
    elif tie:
        errors = np.round(errors / tie) * tie
    threshold = rule.threshold(errors, is_outlier)
    verdicts = errors > threshold
    for change in (-1e-12, 1e-12, *generator.uniform(-1e-12, 1e-12, size=(5, n_errors))):
        np.testing.assert_array_equal(errors * (1 + change) > threshold, verdicts)
        if not tie:
            # Nor does it where the errors that the rule sees are rounded otherwise.
            again = rule.threshold(errors * (1 + change), is_outlier)
            np.testing.assert_array_equal(errors > again, verdicts)


@pytest.mark.parametrize(
    ("rule", "errors", "expected"),
    [
        # Between two errors.
        (FalsePositiveRate(rate=0.5, confidence=0.6), [1.0, 2.0, 5.0, 6.0], 5.5),
        (Youden(), [1.0, 2.0, 4.0, 8.0], 3.0),
        (FBeta(), [1.0, 2.0, 4.0, 8.0], 3.0),
        (MinimalCost(), [1.0, 2.0, 4.0, 8.0], 3.0),
        # Above the largest error, below the smallest one.
        (FalsePositiveRate(rate=0.5, confidence=0.9), [1.0, 2.0, 5.0, 8.0], 8 * (1 + HAIR)),
        (MinimalCost(1e9, 1.0), [5.0, 2.0, 4.0, 3.0], 5 * (1 + HAIR)),
        (MinimalCost(1.0, 1e9), [3.0, 5.0, 2.0, 4.0], 2 * (1 - HAIR)),
        # At an error: above it by a hair, and by less where the next one is nearer.
        (Quantile(q=0.5), [1.0, 2.0, 9.0], 2 * (1 + HAIR)),
        (Quantile(q=0.5), [-9.0, -2.0, -1.0], -2 * (1 - HAIR)),
        (Quantile(q=0.5), [1.0, 2.0, 2 + 1e-7], 2 + 5e-8),
        (Quantile(q=1.0), [1.0, 2.0, 9.0], 9 * (1 + HAIR)),
        (Quantile(q=0.5), [0.0, 0.0, 9.0], 0.0),
        (MedianMAD(), [1.0, 2.0, 2.0, 2.0, 9.0], 2 * (1 + HAIR)),
        (InterquartileFence(), [2.0] * 9 + [5.0], 2 * (1 + HAIR)),
        (MeanStd(), [0.1] * 7, 0.1 * (1 + HAIR)),
        (PeaksOverThreshold(rate=0.5), [1.0, 2.0, 9.0], 2 * (1 + HAIR)),
    ],
    ids=repr,
)
def test_threshold_beside_the_errors(rule, errors, expected):
    is_outlier = [False, False, True, True]
    assert rule.threshold(errors, is_outlier) == pytest.approx(expected, rel=1e-12)


def test_neighbors_that_differ_in_the_last_bit_keep_their_verdicts():
    # The middle of these two is rounded to the upper one.
    lower = np.nextafter(1.0, 2)
    upper = np.nextafter(lower, 2)
    assert (lower + upper) / 2 == upper
    for rule in (Youden(), FalsePositiveRate(rate=0.5, confidence=0.5)):
        errors = [0.5, lower, upper]
        threshold = rule.threshold(errors, [False, False, True])
        assert lower <= threshold < upper


def test_large_errors_do_not_overflow():
    assert Youden().threshold([1e308, 1.5e308], [False, True]) == pytest.approx(1.25e308)


@pytest.mark.parametrize("rule", LABEL_FREE, ids=repr)
@pytest.mark.parametrize("unit", [1e-9, 0.3, 1e9])
def test_a_change_of_unit_changes_the_unit(rule, unit):
    assert rule.threshold(unit * SKEWED) == pytest.approx(unit * rule.threshold(SKEWED), rel=1e-9)


@pytest.mark.parametrize("rule", LABEL_FREE, ids=repr)
def test_the_order_of_the_errors_does_not_matter(rule):
    assert rule.threshold(SKEWED[::-1]) == pytest.approx(rule.threshold(SKEWED), rel=1e-12)


@pytest.mark.parametrize(
    "rules",
    [
        [MedianMAD(k=k) for k in (-1, 0, 1, 3)],
        [InterquartileFence(k=k) for k in (-1, 0, 1.5, 3)],
        [FalsePositiveRate(rate=rate) for rate in (0.5, 0.1, 0.05, 0.01)],
        [FalsePositiveRate(rate, confidence=None) for rate in (0.5, 0.1, 0.05, 0.01)],
        [FalsePositiveRate(confidence=confidence) for confidence in (0.05, 0.5, 0.95, 0.999)],
        # From the quantile over where the tail begins to far beyond the rows.
        [PeaksOverThreshold(rate=rate) for rate in (0.5, 0.1, 0.02, 0.0199, 0.01, 1e-3, 1e-9)],
    ],
    ids=lambda rules: type(rules[0]).__name__,
)
def test_stricter_parameters_raise_the_threshold(rules):
    thresholds = [rule.threshold(SKEWED) for rule in rules]
    assert (np.diff(thresholds) > 0).all()


@pytest.mark.parametrize(
    ("short_name", "rule"),
    [
        ("auto", FalsePositiveRate(rate=0.05, confidence=None)),
        ("mean_std", MeanStd()),
        ("quantile", Quantile()),
        ("median_mad", MedianMAD()),
        ("iqr", InterquartileFence()),
        ("fpr", FalsePositiveRate()),
        ("pot", PeaksOverThreshold()),
        ("youden", Youden()),
        ("fbeta", FBeta()),
        ("min_cost", MinimalCost()),
        (0.5, FixedThreshold(0.5)),
    ],
)
def test_short_names(short_name, rule):
    assert repr(as_rule(short_name)) == repr(rule)


def test_rules_are_cloned():
    rule = MeanStd(k=3)
    assert as_rule(rule) is not rule
    assert as_rule(rule).k == 3
    assert clone(rule).get_params() == {"k": 3}


@pytest.mark.parametrize("no_rule", [None, MeanStd, "median", True])
def test_what_is_no_rule_is_refused(no_rule):
    with pytest.raises(TypeError, match="A threshold rule is a number, one of"):
        as_rule(no_rule)


def test_median_mad_by_hand():
    # Deviations from 3: 2, 1, 0, 1, 97.
    assert MedianMAD(k=2).threshold([1, 2, 3, 4, 100]) == pytest.approx(3 + 2 * 1.4826)


def test_median_mad_is_mean_and_standard_deviation_of_a_normal_distribution():
    errors = norm(loc=5, scale=2).ppf((np.arange(10_000) + 0.5) / 10_000)
    assert MedianMAD(k=3).threshold(errors) == pytest.approx(5 + 3 * 2, rel=1e-4)


def test_interquartile_fence_by_hand():
    assert InterquartileFence(k=2).threshold([1, 2, 3, 4, 100]) == 4 + 2 * (4 - 2)


@pytest.mark.parametrize("rule", [MedianMAD(), InterquartileFence()], ids=repr)
def test_a_few_outliers_hardly_move_a_robust_rule(rule):
    spoilt = np.r_[SKEWED, np.full(20, 1e6)]
    assert rule.threshold(spoilt) == pytest.approx(rule.threshold(SKEWED), rel=0.1)


class TestFalsePositiveRate:
    @pytest.mark.parametrize("n_errors", [59, 92, 93, 400, 2335])
    @pytest.mark.parametrize(("rate", "confidence"), [(0.05, 0.95), (0.2, 0.5), (0.1, 0.99)])
    def test_smallest_error_that_keeps_the_promise(self, n_errors, rate, confidence):
        # The tail above the k-th smallest of n uniform errors has the distribution
        # beta(n - k + 1, k).
        ranks = np.arange(1, n_errors + 1)
        kept = beta(n_errors - ranks + 1, ranks).cdf(rate) >= confidence
        rule = FalsePositiveRate(rate=rate, confidence=confidence)
        expected = n_errors if kept.sum() == 1 else ranks[kept][0] + 0.5
        assert rule.threshold(np.arange(1, n_errors + 1)) == pytest.approx(expected)

    def test_an_exact_tie_counts_as_kept(self):
        # The largest of two errors leaves more than a half above it once in four times, the middle
        # one of three every second time.
        largest = FalsePositiveRate(rate=0.5, confidence=0.75).threshold([1.0, 2.0])
        assert largest == pytest.approx(2.0)
        assert FalsePositiveRate(rate=0.5, confidence=0.5).threshold([1.0, 2.0, 3.0]) == 2.5

    @pytest.mark.parametrize(
        ("rate", "confidence", "needed"), [(0.05, 0.95, 59), (0.01, 0.95, 299), (0.01, 0.99, 459)]
    )
    def test_too_few_errors(self, rate, confidence, needed):
        rule = FalsePositiveRate(rate=rate, confidence=confidence)
        assert rule.threshold(np.arange(needed)) == pytest.approx(needed - 1)
        message = (
            rf"at least {needed} rows and got {needed - 1};.*a lower confidence or a higher rate"
        )
        with pytest.raises(ValueError, match=message):
            rule.threshold(np.arange(needed - 1))

    @staticmethod
    def check_share_of_broken_promises(truth, n_errors, rate, confidence, repetitions):
        rule = FalsePositiveRate(rate=rate, confidence=confidence)
        errors = truth.rvs(size=(repetitions, n_errors), random_state=0)
        broken = np.mean([truth.sf(rule.threshold(row)) > rate for row in errors])
        allowed = 1 - confidence
        assert broken <= allowed + 3 * np.sqrt(allowed * confidence / repetitions)
        # As near to that as a binomial distribution, which has steps, allows. The threshold lies
        # midway to the next error, which takes part of a step.
        above = np.flatnonzero(binom.cdf(np.arange(n_errors), n_errors, rate) <= allowed).max()
        at_next = binom.cdf(above - 1, n_errors, rate)
        assert broken >= at_next - 3 * np.sqrt(at_next * (1 - at_next) / repetitions)

    def test_promise_is_kept(self):
        self.check_share_of_broken_promises(expon(), 250, 0.05, 0.9, 400)

    @pytest.mark.slow
    @pytest.mark.parametrize("truth", [expon(), norm(), pareto(1)], ids=["exp", "norm", "pareto"])
    @pytest.mark.parametrize(
        ("n_errors", "rate", "confidence"),
        [(59, 0.05, 0.95), (500, 0.05, 0.95), (1000, 0.01, 0.99), (100, 0.2, 0.5)],
    )
    def test_promise_is_kept_in_many_samples(self, truth, n_errors, rate, confidence):
        self.check_share_of_broken_promises(truth, n_errors, rate, confidence, 4000)

    def test_promise_is_kept_where_errors_tie(self):
        generator = np.random.default_rng(0)
        above = [
            # 30 % of the rows have the error 1, 4 % have 2.
            generator.choice(3, p=[0.66, 0.3, 0.04], size=200)
            for _ in range(200)
        ]
        thresholds = [FalsePositiveRate().threshold(errors) for errors in above]
        # Between 1 and 2 it flags 4 %, which keeps the promise; between 0 and 1 it would flag 34 %.
        assert min(thresholds) == 1.5


class TestFalsePositiveRateOnAverage:
    @pytest.mark.parametrize(
        ("n_errors", "expected"),
        # The largest error until two may lie above: 0.05 * (39 + 1) - 1 is one above it.
        [(1, 1), (18, 18), (19, 19), (20, 20), (38, 38), (39, 38.5), (58, 57.5), (100, 96.5)],
    )
    def test_values(self, n_errors, expected):
        errors = np.random.default_rng(0).permutation(np.arange(1.0, n_errors + 1))
        rule = FalsePositiveRate(rate=0.05, confidence=None)
        assert rule.threshold(errors) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3, 0.5])
    @pytest.mark.parametrize("n_errors", [1, 9, 10, 19, 20, 39, 40, 99, 100, 199, 1000])
    def test_flags_what_a_p_value_of_the_rate_flags(self, n_errors, rate):
        # The share of the errors, with the row's own, that are as large: 1, 2, ... over n + 1.
        errors = np.arange(1.0, n_errors + 1)
        # Of two neighbors' gap, the half below the middle is left to them.
        rows = np.arange(n_errors + 1) + 0.75
        as_large = 1 + (errors >= rows[:, None]).sum(axis=1)
        flagged = rows > FalsePositiveRate(rate, confidence=None).threshold(errors)
        expected = as_large <= rate * (n_errors + 1) + 1e-9
        # With too few errors the largest is all there is.
        expected[-1] = True
        np.testing.assert_array_equal(flagged, expected)

    @pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.3, 3)])
    def test_how_many_errors_keep_the_promise(self, rate, needed):
        assert FalsePositiveRate(rate, confidence=None).min_errors == needed
        assert 1 / (needed + 1) <= rate + 1e-9 < 1 / needed

    @pytest.mark.parametrize("truth", [expon(), norm(), pareto(1)], ids=["exp", "norm", "pareto"])
    @pytest.mark.parametrize("n_errors", [19, 30, 100, 400])
    def test_promise_is_kept_on_average(self, truth, n_errors):
        rule = FalsePositiveRate(confidence=None)
        errors = truth.rvs(size=(4000, n_errors), random_state=0)
        rates = truth.sf([rule.threshold(row) for row in errors])
        bound = 3 * rates.std() / np.sqrt(len(rates))
        assert rates.mean() <= 0.05 + bound
        # As near to that as steps of 1 / (n + 1) allow, of which a half goes to the middle.
        assert rates.mean() >= 0.05 - 1.5 / (n_errors + 1) - bound


class TestPeaksOverThreshold:
    @pytest.mark.parametrize(
        "truth", [expon(), norm(), uniform(), pareto(3)], ids=["exp", "norm", "uniform", "pareto"]
    )
    def test_one_in_ten_thousand(self, truth):
        errors = truth.rvs(size=(100, 20_000), random_state=0)
        found = [PeaksOverThreshold(rate=1e-4).threshold(row) for row in errors]
        assert np.median(found) == pytest.approx(truth.isf(1e-4), rel=0.05)
        assert np.std(found) < 0.25 * truth.isf(1e-4)

    @pytest.mark.parametrize("truth", [expon(), norm(), lognorm(0.5)], ids=["exp", "norm", "log"])
    def test_beyond_what_was_observed(self, truth):
        errors = truth.rvs(size=(100, 2000), random_state=0)
        found = [PeaksOverThreshold(rate=1e-4).threshold(row) for row in errors]
        assert np.median(found) == pytest.approx(truth.isf(1e-4), rel=0.15)

    @pytest.mark.parametrize("shape", [-0.5, -0.2, 0.0, 0.2, 0.4])
    def test_tail_of_the_very_distribution(self, shape):
        # The errors are the quantiles themselves, so that nothing is left to chance.
        truth = genpareto(shape, scale=3)
        errors = truth.ppf((np.arange(50_000) + 0.5) / 50_000)
        found = PeaksOverThreshold(rate=1e-3, level=0.9).threshold(errors)
        assert found == pytest.approx(truth.isf(1e-3), rel=0.02)

    def test_moments_as_published(self):
        errors = pareto(3).rvs(size=600, random_state=0)
        start = np.quantile(errors, 0.9)
        excesses = np.sort(errors[errors > start] - start)
        n_excesses = len(excesses)
        mean = excesses.mean()
        ranks = np.arange(1, n_excesses + 1)
        weighted = np.mean((n_excesses - ranks) / (n_excesses - 1) * excesses)
        shape = 2 - mean / (mean - 2 * weighted)
        scale = 2 * mean * weighted / (mean - 2 * weighted)
        expected = start + genpareto(shape, scale=scale).isf(0.001 / 0.1)
        assert shape > 0
        found = PeaksOverThreshold(rate=0.001, level=0.9).threshold(errors)
        assert found == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
    def test_quantile_where_no_tail_is_needed(self, rate):
        rule = PeaksOverThreshold(rate=rate)
        assert rule.threshold(SKEWED) == np.quantile(SKEWED, 1 - rate)
        assert rule.threshold([1.0, 2.0]) == 2 - rate

    def test_tail_begins_where_the_quantile_ends(self):
        quantile = np.quantile(SKEWED, 0.98)
        assert PeaksOverThreshold(rate=0.02 - 1e-9).threshold(SKEWED) == pytest.approx(quantile)

    @pytest.mark.parametrize("seed", range(20))
    def test_tail_does_not_end_below_the_largest_error(self, seed):
        errors = np.random.default_rng(seed).beta(2, 3, size=500)
        assert PeaksOverThreshold(rate=1e-12).threshold(errors) >= errors.max() * (1 - 1e-9)

    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            # Constant excesses, and excesses that are so but for the last digit.
            (np.repeat([1.0, 5.0], [9800, 200]), 5.0),
            (np.repeat([0.0, 1.0, np.nextafter(1, 2)], [980, 19, 1]), 1.0),
            (np.repeat([0.0, 0.501369250085074, 0.5013692500850742], [4977, 21, 2]), 0.50136925),
            # Above the tie are fewer rows than the rate allows anyway.
            (np.repeat([0.0, 1.0], [99_995, 5]), 0.0),
            (np.repeat([0.0, 7.0], [900, 100]), 7.0),
        ],
    )
    def test_ties(self, errors, expected):
        assert PeaksOverThreshold().threshold(errors) == pytest.approx(expected)

    def test_extreme_errors_warn_of_nothing(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for errors in (
                SKEWED * 1e305,
                SKEWED * 1e-305,
                np.r_[SKEWED, 1e300],
                1 / SKEWED**5,
                np.round(SKEWED),
            ):
                threshold = PeaksOverThreshold().threshold(errors)
                assert np.quantile(errors, 0.98) <= threshold < np.inf

    @pytest.mark.parametrize(("level", "needed"), [(0.98, 500), (0.9, 100), (0.95, 200)])
    def test_too_few_errors(self, level, needed):
        rule = PeaksOverThreshold(level=level)
        assert rule.threshold(SKEWED[:needed]) > np.quantile(SKEWED[:needed], level)
        message = (
            rf"at least {needed} rows, so that 10 lie above their {level}-quantile, and got "
            rf"{needed - 1}\. Give more rows, a lower level, or a rate of at least 1 - level"
        )
        with pytest.raises(ValueError, match=message):
            rule.threshold(SKEWED[: needed - 1])

    def test_too_few_errors_above_a_tie(self):
        errors = np.r_[np.zeros(5000), 1.0, 2.0, 3.0]
        with pytest.raises(ValueError, match="many of the 5003 tie: only 3 lie above"):
            PeaksOverThreshold().threshold(errors)


class TestMinimalCost:
    generator = np.random.default_rng(0)
    is_outlier = generator.random(200) < 0.3
    # Rounded, so that there are ties.
    errors = np.round(generator.normal(size=200) + 1.5 * is_outlier, 1)

    @pytest.mark.parametrize("costs", [(1, 10), (10, 1), (1, 1), (0.1, 0.3), (2.5, 4)])
    def test_is_the_cheapest_of_all_thresholds(self, costs):
        def cost(threshold):
            (_, flagged), (missed, _) = confusion_matrix(self.is_outlier, self.errors > threshold)
            return costs[0] * flagged + costs[1] * missed

        every = [*np.unique(self.errors), self.errors.min() - 1]
        threshold = MinimalCost(*costs).threshold(self.errors, self.is_outlier)
        assert cost(threshold) == pytest.approx(min(map(cost, every)))
        # The highest of those as cheap.
        assert all(cost(other) > cost(threshold) for other in every if other > threshold)

    def test_middle_between_the_two_sides(self):
        assert MinimalCost().threshold([1, 2, 4, 5], [False, False, True, True]) == 3

    def test_only_the_ratio_of_the_costs_matters(self):
        thresholds = {
            MinimalCost(factor, 3 * factor).threshold(self.errors, self.is_outlier)
            for factor in (0.01, 0.1, 1.0, 7.0)
        }
        assert len(thresholds) == 1

    def test_equal_costs_are_equal(self):
        # Flagging the one outlier flags one of 49 inliers, and 1 / 49 * 49 is a little below 1.
        errors = np.arange(50.0)
        threshold = MinimalCost(1, 1).threshold(errors, errors == 48)
        assert threshold == pytest.approx(49)
        assert threshold >= 49

    def test_dearer_misses_lower_the_threshold(self):
        thresholds = [
            MinimalCost(false_negative_cost=cost).threshold(self.errors, self.is_outlier)
            for cost in (1e-3, 0.1, 1.0, 10.0, 1e3)
        ]
        assert (np.diff(thresholds) <= 0).all()
        assert thresholds[0] >= self.errors[~self.is_outlier].max()
        assert thresholds[-1] < self.errors[self.is_outlier].min()

    def test_flagging_nothing_or_everything_may_be_the_cheapest(self):
        errors, is_outlier = np.array([1.0, 2.0, 3.0]), [True, False, False]
        assert MinimalCost(1, 1).threshold(errors, is_outlier) == pytest.approx(3.0)
        assert (errors > MinimalCost(1, 10).threshold(errors, is_outlier)).all()

    def test_constant_errors_are_all_flagged_or_none(self):
        errors, is_outlier = np.full(4, 2.0), [True, False, False, False]
        assert MinimalCost(1, 1).threshold(errors, is_outlier) == pytest.approx(2.0)
        assert not (errors > MinimalCost(1, 1).threshold(errors, is_outlier)).any()
        assert MinimalCost(1, 10).threshold(errors, is_outlier) < 2.0

    @pytest.mark.parametrize(
        ("is_outlier", "message"),
        [
            (None, "learns from labels and got none"),
            ([True, True], "all 2 rows are outliers"),
            ([False, False], "all 2 rows are inliers"),
        ],
    )
    def test_unfit_labels(self, is_outlier, message):
        with pytest.raises(ValueError, match=message):
            MinimalCost().threshold([1.0, 2.0], is_outlier)


@pytest.mark.parametrize(
    "rule",
    ["median_mad", "iqr", PeaksOverThreshold(rate=0.01, level=0.9), 0.01],
    ids=["median_mad", "iqr", "pot", "number"],
)
def test_as_the_threshold_of_a_detector(heartbeats, make_detector, rule):
    X, y = heartbeats
    detector = make_detector(threshold=rule, error="mse", epochs=20).fit(X[y == 1])
    errors = -detector.score_samples(X[y == 1])
    assert -detector.offset_ == pytest.approx(as_rule(rule).threshold(errors))


def test_a_rule_with_labels_is_no_threshold_of_a_detector(heartbeats, make_detector):
    with pytest.raises(ValueError, match="learns from labels, which AutoencoderOutlierDetector"):
        make_detector(threshold="min_cost").fit(heartbeats[0])


@pytest.mark.parametrize(
    ("rule", "parameter", "values"),
    [
        (MedianMAD(), "k", [0.5, 50.0]),
        (InterquartileFence(), "k", [0.5, 50.0]),
        (FalsePositiveRate(), "rate", [0.3, 0.02]),
        (PeaksOverThreshold(level=0.7), "rate", [0.25, 1e-6]),
        (MinimalCost(), "false_negative_cost", [1.0, 1e-6]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameters_can_be_searched(heartbeats, rule, parameter, values):
    X, y = heartbeats
    forest = IsolationForest(n_estimators=10, random_state=0)
    search = GridSearchCV(
        ThresholdedOutlierDetector(forest, rule),
        {f"threshold__{parameter}": values},
        scoring=make_scorer(f1_score, pos_label=-1, zero_division=0),
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {f"threshold__{parameter}": values[0]}
    assert getattr(search.best_estimator_.rule_, parameter) == values[0]
