"""The features behind the errors of a few rows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import FitOnInliers, ReconstructionOutlierDetector
from skae.displays import ExplanationDisplay
from skae.inspection import explain

TABLE = pd.DataFrame(
    {
        "row": ["b", "b", "a"],
        "feature": ["age", "height", "age"],
        "value": [40.0, 1.7, np.nan],
        "reconstruction": [30.0, np.nan, 50.0],
        "contribution": [0.1, 0.3, 0.2],
    }
)


def widths(bars):
    return [patch.get_width() for patch in bars]


def names_on(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def titles(display):
    return [panel.get_title(loc="left") for panel in display.axes_]


@pytest.fixture(scope="module")
def fitted(heartbeats):
    X, y = heartbeats
    X = pd.DataFrame(
        X, columns=[f"t{i}" for i in range(140)], index=[f"beat{i}" for i in range(300)]
    )
    detector = make_pipeline(StandardScaler(), ReconstructionOutlierDetector(PCA(4)))
    return FitOnInliers(detector).fit(X, y), X


def test_bars_are_the_explanation(fitted):
    estimator, X = fitted
    display = ExplanationDisplay.from_estimator(estimator, X.iloc[:2], top=3)
    explanation = explain(estimator, X.iloc[:2], top=3)
    pd.testing.assert_frame_equal(display.frame(), explanation)
    errors = -estimator.score_samples(X.iloc[:2])
    for i, panel in enumerate(display.axes_):
        row = explanation.iloc[3 * i : 3 * i + 3]
        np.testing.assert_array_equal(widths(display.bars_[i]), row["contribution"])
        facts = zip(row["feature"], row["text"], strict=True)
        assert names_on(panel) == [
            f"{feature}\n{text.removeprefix(feature).split(':')[0].strip()}"
            for feature, text in facts
        ]
        share = row["contribution"].sum() / errors[i]
        assert titles(display)[i] == (
            f"row beat{i}: reconstruction error (mse) {errors[i]:.3g}, {100 * share:.0f} % shown"
        )
    assert display.axes_[0].get_xlabel() == ""
    assert display.axes_[1].get_xlabel() == "contribution to the reconstruction error (mse)"
    assert display.figure_ is display.axes_[0].figure


def test_contributions_of_all_features_are_the_error(fitted):
    estimator, X = fitted
    display = ExplanationDisplay.from_estimator(estimator, X.iloc[:1], top=None)
    assert len(display.bars_[0]) == 140
    assert titles(display)[0].endswith("100 % shown")


def test_reference_rows_set_what_is_unusual(fitted):
    estimator, X = fitted
    display = ExplanationDisplay.from_estimator(estimator, X.iloc[:1], reference=X.iloc[:1])
    np.testing.assert_allclose(display.frame()["unusualness"], 1)


def test_the_largest_is_on_top_whatever_the_order():
    display = ExplanationDisplay.from_explanation(TABLE)
    assert titles(display) == ["row b", "row a"]
    assert [widths(bars) for bars in display.bars_] == [[0.3, 0.1], [0.2]]
    for panel, bars in zip(display.axes_, display.bars_, strict=True):
        on_screen = [panel.transData.transform((0, bar.get_y()))[1] for bar in bars]
        assert on_screen == sorted(on_screen, reverse=True)
    # What is expected is not written if it is not known.
    assert names_on(display.axes_[0]) == ["height\nis 1.70", "age\nis 40, expected 30"]
    assert names_on(display.axes_[1]) == ["age\nis missing, expected 50"]
    pd.testing.assert_frame_equal(display.frame(), TABLE)


def test_contributions_are_enough():
    bare = TABLE[["row", "feature", "contribution"]]
    display = ExplanationDisplay.from_explanation(bare, errors=[0.8, 0.0], error_name="cost (€)")
    assert names_on(display.axes_[0]) == ["height", "age"]
    assert titles(display) == ["row b: cost (€) 0.8, 50 % shown", "row a: cost (€) 0"]
    assert display.axes_[1].get_xlabel() == "contribution to the cost (€)"


def test_panels_share_a_scale():
    _, axes = plt.subplots(2)
    for ax in (None, axes):
        display = ExplanationDisplay.from_explanation(TABLE, ax=ax)
        limits = [panel.get_xlim() for panel in display.axes_]
        assert limits[0] == limits[1]
        assert limits[0][1] > 0.3


def test_names_of_several_levels():
    table = TABLE.assign(row=[("x", 1), ("x", 1), ("x", 2)])
    assert titles(ExplanationDisplay.from_explanation(table)) == ["row ('x', 1)", "row ('x', 2)"]


def test_drawing_on_given_axes():
    figure, axes = plt.subplots(2)
    display = ExplanationDisplay.from_explanation(TABLE, ax=axes, color="red")
    assert display.axes_.tolist() == axes.tolist()
    assert display.figure_ is figure
    assert display.bars_[0][0].get_facecolor() == (1, 0, 0, 1)
    alone = ExplanationDisplay.from_explanation(TABLE[2:], ax=axes[0])
    assert alone.axes_[0] is axes[0]


@pytest.mark.parametrize("ax", [[1, 2], "two", range(3)])
def test_wrong_axes(ax):
    with pytest.raises(ValueError, match="2 rows in 1 panels each: ax must be 2 matplotlib axes"):
        ExplanationDisplay.from_explanation(TABLE, ax=ax)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"explanation": {"row": [0]}},
            TypeError,
            "must be a DataFrame as skae.inspection.explain",
        ),
        ({"explanation": TABLE[["row"]]}, ValueError, r"no column \['feature', 'contribution'\]"),
        ({"explanation": TABLE[:0]}, ValueError, "minimum of 1 is required"),
        (
            {"explanation": TABLE.assign(contribution=np.nan)},
            ValueError,
            "contribution contains Na",
        ),
        ({"explanation": TABLE.assign(contribution=np.inf)}, ValueError, "contains infinity"),
        ({"errors": [1.0]}, ValueError, "There are 1 errors, but explanation has 2 rows"),
        ({"errors": [1.0, np.nan]}, ValueError, "errors contains NaN"),
        (
            {"explanation": pd.concat([TABLE.assign(row=i) for i in range(26)])},
            ValueError,
            "X has 26 rows, and each gets a panel",
        ),
    ],
)
def test_unfit_explanations(arguments, error, message):
    with pytest.raises(error, match=message):
        ExplanationDisplay.from_explanation(**{"explanation": TABLE} | arguments)


def test_unfit_estimators(fitted):
    estimator, X = fitted
    draw = ExplanationDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(FitOnInliers(ReconstructionOutlierDetector(PCA(4))), X[:1])
    with pytest.raises(TypeError, match="IsolationForest has no reconstruction errors to explain"):
        draw(IsolationForest(n_estimators=2).fit(X), X[:1])
    with pytest.raises(ValueError, match="feature names should match"):
        draw(estimator, X.iloc[:1, :3])
    with pytest.raises(ValueError, match="contains NaN"):
        draw(estimator, X[:1] * np.nan)
    with pytest.raises(ValueError, match="top must be None or a whole number"):
        draw(estimator, X[:1], top=0)
    with pytest.raises(ValueError, match="X has 300 rows, and each gets a panel"):
        draw(estimator, X)
    with pytest.raises(ValueError, match="1 rows of different names"):
        draw(estimator, X.iloc[[0, 0]])
