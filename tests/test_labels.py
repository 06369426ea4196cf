import numpy as np
import pandas as pd
import pytest

from skae._labels import inlier_mask

NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "named", "expected"),
    [
        ([1, -1, 1], {}, [True, False, True]),
        ([1.0, -1.0], {}, [True, False]),
        ([1, 1], {}, [True, True]),
        ([-1, -1], {}, [False, False]),
        ([0, 1, 0], {"inlier_label": 0}, [True, False, True]),
        ([0, 1, 0], {"inlier_label": 1}, [False, True, False]),
        ([0, 1, 0], {"outlier_label": 1}, [True, False, True]),
        ([0, 0], {"outlier_label": 1}, [True, True]),
        ([True, False], {"inlier_label": True}, [True, False]),
        (["ok", "bad", "worse"], {"inlier_label": "ok"}, [True, False, False]),
        (["ok", "bad", "fine"], {"outlier_label": "bad"}, [True, False, True]),
        ([-1, 1], {"inlier_label": -1}, [True, False]),
    ],
)
def test_coding(y, named, expected):
    for labels in (y, np.array(y), np.array(y, dtype=object), pd.Series(y)):
        mask = inlier_mask(labels, **named)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("y", "named", "message"),
    [
        ([0, 1], {}, r"labels \{0, 1\}, which do not say"),
        ([True, False], {}, r"labels \{True, False\}, which do not say"),
        (["1", "-1"], {}, "do not say what is normal"),
        ([1, -1, 2], {}, r"labels \{1, -1, 2\}"),
        ([0, 1], {"inlier_label": 2}, r"inlier_label=2 does not occur in y.*\{0, 1\}"),
        ([0, 1], {"inlier_label": "0"}, "inlier_label='0' does not occur"),
        ([0, 1], {"outlier_label": "anomaly"}, "outlier_label='anomaly' does not occur"),
        ([0, 1], {"inlier_label": 0, "outlier_label": 1}, "got both"),
        ([1, NAN], {}, "y has missing values"),
        (["ok", None], {"inlier_label": "ok"}, "y has missing values"),
        ([[0, 1], [1, 0]], {"inlier_label": 0}, "1d array"),
        (list(range(20)), {}, r"9, \.\.\.\}"),
    ],
)
def test_refused(y, named, message):
    with pytest.raises(ValueError, match=message):
        inlier_mask(y, **named)


def test_pandas_missing_value():
    with pytest.raises(ValueError, match="missing values"):
        inlier_mask(pd.Series([1, -1, pd.NA], dtype="Int64"))


@pytest.mark.parametrize("missing", [None, NAN, pd.NA, pd.NaT])
def test_missing_value_among_objects(missing):
    with pytest.raises(ValueError, match="missing values"):
        inlier_mask(np.array(["ok", "bad", missing], dtype=object), inlier_label="ok")


@pytest.mark.parametrize(
    ("y", "is_explained"),
    [([0, 1], True), ([1, 0, 1], True), ([True, False], False), ([0, 2], False), ([0.0, 1], False)],
)
def test_only_labels_that_scikit_learn_may_have_made_are_called_renamed(y, is_explained):
    with pytest.raises(ValueError) as caught:
        inlier_mask(y)
    assert ("cross_val_scores" in str(caught.value)) == is_explained
    with pytest.raises(ValueError) as caught:
        inlier_mask(y, inlier_label="normal")
    assert ("cross_val_scores" in str(caught.value)) == is_explained
