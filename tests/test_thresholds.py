import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from skae.thresholds import MeanStd, Quantile, as_rule


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (MeanStd(), 3.0),
        (MeanStd(k=0), 2.0),
        (MeanStd(k=-1), 1.0),
        (Quantile(q=0), 1.0),
        (Quantile(q=0.5), 2.0),
        (Quantile(q=1), 3.0),
    ],
)
def test_hand_made_errors(rule, expected):
    threshold = rule.threshold([1.0, 3.0, 1.0, 3.0] if isinstance(rule, MeanStd) else [3, 1, 2])
    assert isinstance(threshold, float)
    assert threshold == pytest.approx(expected)


@pytest.mark.parametrize("rule", [MeanStd(), Quantile()])
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
    "rule", [MeanStd(k="2"), MeanStd(k=np.inf), Quantile(q=1.5), Quantile(q=95)]
)
def test_parameters_out_of_range_are_refused(rule):
    with pytest.raises(InvalidParameterError, match=rf"parameter of {type(rule).__name__}"):
        rule.threshold([1.0, 2.0])


def test_constant_errors_flag_nothing():
    assert MeanStd().threshold([2.0, 2.0]) == 2.0


@pytest.mark.parametrize(
    ("short_cut", "rule"),
    [("auto", MeanStd()), ("mean_std", MeanStd()), ("quantile", Quantile())],
)
def test_short_cuts(short_cut, rule):
    assert repr(as_rule(short_cut)) == repr(rule)


def test_rules_are_cloned():
    rule = MeanStd(k=3)
    assert as_rule(rule) is not rule
    assert as_rule(rule).k == 3
    assert clone(rule).get_params() == {"k": 3}


@pytest.mark.parametrize("no_rule", [None, 0.5, MeanStd, "median"])
def test_what_is_no_rule_is_refused(no_rule):
    with pytest.raises(TypeError, match="A threshold rule is one of"):
        as_rule(no_rule)
