"""Unfit input is refused before training: what came, why not, and what to give instead."""

from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.inspection import explain
from skae.preprocessing import ColumnGroupScaler
from skae.thresholds import FixedThreshold

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(100, 4))
UNIT = GENERATOR.random((100, 4))
Y = np.repeat([1, -1], [80, 20])
TABLE = pd.DataFrame(X, columns=list("abcd"))


def network(**params):
    return AutoencoderOutlierDetector(**{"epochs": 1, "random_state": 0} | params)


def pca(**params):
    return ReconstructionOutlierDetector(PCA(2), **params)


DETECTORS = [
    network(),
    AutoencoderEnsembleOutlierDetector(2, epochs=1, random_state=0),
    pca(),
    FitOnInliers(pca()),
    ThresholdedOutlierDetector(pca(), "youden", cv=3),
    ConformalOutlierDetector(pca(), random_state=0),
    AveragedOutlierDetector([("pca", pca()), ("machine", OneClassSVM())]),
    WindowedOutlierDetector(pca(), width=3),
]
every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: type(d).__name__)


@pytest.fixture
def no_training(monkeypatch):
    """Make whatever would train fail with another error."""
    monkeypatch.setattr("skae._detectors.trained.train_network", None)
    monkeypatch.setattr("sklearn.decomposition.PCA.fit", None)


class LazyFrame:
    """As polars has it: columns, but no rows yet."""

    columns = ("a", "b")

    def collect(self):
        """Compute the rows."""

    def __len__(self):
        raise TypeError("not supported")


class TestNoTable:
    @every_detector
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: None, "got None"),
            (lambda: "X", "got a str"),
            (lambda: 5.0, "got 5.0"),
            (lambda: {"a": [1.0, 2.0]}, r"got a dict. Give pandas.DataFrame\(X\)"),
            (lambda: {1, 2}, "got a set"),
            (lambda: (row for row in X), "got a generator. Give numpy.stack"),
            (lambda: LazyFrame(), r"got a LazyFrame. Give X.collect\(\)"),
            (
                lambda: tf.data.Dataset.from_tensor_slices(X).batch(8),
                r"got a _BatchDataset. Give numpy.concatenate\(list\(X.as_numpy_iterator",
            ),
        ],
    )
    def test_containers(self, detector, make, message):
        with pytest.raises(TypeError, match=rf"X must be a table.*{message}"):
            detector.fit(make(), Y)

    @every_detector
    def test_a_tensor_is_a_table(self, detector):
        if isinstance(detector, WindowedOutlierDetector):
            pytest.skip("it has no use for labels")
        fitted = detector.fit(tf.constant(X), Y)
        assert fitted.predict(tf.constant(X)).tolist() == fitted.predict(X).tolist()

    @every_detector
    def test_a_single_row_is_not_printed(self, detector):
        with pytest.raises(ValueError, match=r"got 1D: X has shape \(4,\)\..*X.reshape\(1, -1\)"):
            detector.fit(X[0])

    def test_explaining_a_single_row(self):
        for detector in (pca(), make_pipeline(StandardScaler(), pca())):
            with pytest.raises(ValueError, match=r"got 1D: X has shape \(4,\)"):
                explain(detector.fit(X), X[0])

    @pytest.mark.parametrize("detector", [network(), pca()], ids=["network", "pca"])
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (X.astype(str), "it holds text"),
            (X.astype(str).astype(object), "it holds text"),
            (X.astype(str).tolist(), "it holds text"),
            (X.astype("S8"), "it holds text"),
            ([[1.0, 2.0], [3.0]], "as many numbers in each row"),
            (np.array([[1.0, "2", 3, 4]] * 5, dtype=object), "it holds text"),
            ((1e9 * X).astype("datetime64[s]"), r"datetime64\[s\].*the hour"),
            ((1e9 * X).astype("timedelta64[s]"), r"timedelta64\[s\].*np.timedelta64"),
            (X * 1j, "Complex data not supported: X has the dtype complex128"),
            (np.zeros(9, [("a", float), ("b", int)]), "the fields 'a', 'b': .*to_unstructured"),
            (TABLE.assign(city="Ulm"), r"do not: 'city' \(.*TableVectorizer.*OneHotEncoder"),
            (TABLE.assign(n="1.5"), r"do not: 'n' \("),
            (TABLE.assign(n=pd.Series(["1", 2.0] * 50, dtype=object)), r"'n' \(object\)"),
            (TABLE.assign(c=pd.Categorical(["u", "v"] * 50)), r"'c' \(category\)"),
            (
                TABLE.assign(c="x", t=pd.Timestamp("2026-01-01"), e=pd.Timestamp("2026", tz="UTC")),
                r"'c' \(.*'t' \(datetime64.*'e' \(datetime64.*UTC",
            ),
            (TABLE.assign(d=pd.Timedelta("1s")), r"'d' \(timedelta64"),
            (TABLE.assign(p=pd.Period("2026-01", "M")), r"'p' \(period"),
        ],
    )
    def test_no_numbers(self, detector, rows, message):
        with pytest.raises(ValueError, match=message):
            detector.fit(rows)
        fitted = detector.__sklearn_clone__().fit(X)
        with pytest.raises(ValueError, match=message):
            fitted.predict(rows)

    @pytest.mark.parametrize(
        "table",
        [
            TABLE.astype("float32"),
            TABLE.astype("Float64"),
            TABLE.astype(object),
            (10 * TABLE).round().astype("Int64"),
            TABLE > 0,
            TABLE.assign(c=pd.Categorical([1, 2] * 50)),
        ],
    )
    def test_columns_of_numbers(self, table):
        assert np.isfinite(pca().fit(table).score_samples(table)).all()

    def test_the_advice_for_columns_of_text_works(self):
        table = TABLE.assign(city=["Ulm", "Bonn"] * 50)
        encoder = ColumnTransformer(
            [("city", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough"
        )
        advised = make_pipeline(ColumnGroupScaler(encoder), pca())
        assert np.isfinite(advised.fit(table).score_samples(table)).all()


class TestGaps:
    @pytest.mark.parametrize("detector", [pca(), FitOnInliers(PCA(2)), FitOnInliers(pca())])
    @pytest.mark.parametrize("kind", ["array", "list", "objects"])
    def test_how_many_and_where(self, detector, kind):
        rows = X.copy()
        rows[[3, 90], 1] = rows[3, 2] = np.nan
        rows = {"array": rows, "list": rows.tolist(), "objects": rows.astype(object)}[kind]
        with pytest.raises(ValueError, match="contains NaN: 3 values are missing in 2 of 100") as e:
            detector.fit(rows, Y)
        assert "in features 1, 2. " in str(e.value)
        assert "SimpleImputer() before it" in str(e.value)
        assert "HistGradientBoosting" not in str(e.value)

    def test_names_of_columns(self):
        table = TABLE.mask(np.eye(100, 4, dtype=bool)).astype("Float64")
        fitted = pca().fit(TABLE)
        with pytest.raises(ValueError, match="4 values .* 4 of 100 rows, in features 'a', 'b', 'c"):
            fitted.predict(table)


class TestErrorCallable:
    @pytest.mark.parametrize("make", [network, pca], ids=["network", "pca"])
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (np.subtract, "which are zero or above.*got -"),
            (lambda rows, found: -abs(rows - found), "which are zero or above.*got -"),
            (lambda rows, found: np.emath.sqrt(rows - found), "real numbers.*dtype complex"),
            (lambda rows, found: np.full(rows.shape, "x"), "real numbers.*dtype <U1"),
            (
                lambda rows, found: rows * np.nan,
                r"error=<function.*NaN for (33|100) of",
            ),
            (lambda rows, found: [[1.0], [1.0, 2.0]], "inhomogeneous"),
            (lambda rows, found: np.square(rows, out=rows), "error=<function.*wrote into the rows"),
            (lambda rows, found: None, r"of the shape of X.*got shape \(\)"),
        ],
    )
    def test_refused(self, make, error, message):
        for params in ({}, {"contamination": 0.1}):
            with pytest.raises(ValueError, match=message):
                make(error=error, **params).fit(X)

    def test_at_scoring_too(self):
        fitted = pca(error=lambda rows, found: np.where(rows > 50, -1.0, 1.0)).fit(X)
        with pytest.raises(ValueError, match="zero or above.*got -1"):
            fitted.score_samples(np.full((1, 4), 60.0))

    def test_nan_at_scoring(self):
        def relative(rows, found):
            with np.errstate(invalid="ignore"):
                return abs(rows - found) * 0 / abs(rows)

        fitted = pca(error=relative).fit(X + 5)
        with pytest.raises(ValueError, match="relative.*got NaN for 1 of 2 rows.*division by zero"):
            fitted.score_samples([[1.0, 2, 3, 4], [1, 0, 3, 4]])

    @pytest.mark.parametrize("make", [network, pca], ids=["network", "pca"])
    def test_rows_stay_as_they_are(self, make):
        def careless(rows, found):
            rows -= found
            return rows**2

        for dtype in (np.float32, np.float64):
            rows = X.astype(dtype)
            before = rows.copy()
            with pytest.raises(ValueError, match="careless.*read-only"):
                make(error=careless).fit(rows)
            np.testing.assert_array_equal(rows, before)

    def test_of_the_shape_of_other_rows(self):
        fitted = pca(error=lambda rows, found: np.ones((100, 4)), threshold="mean_std").fit(X)
        with pytest.raises(ValueError, match=r"error=<function.*of X, \(3, 4\).*\(100, 4\)"):
            fitted.score_samples(X[:3])

    def test_what_it_raises_names_it(self):
        def unfit(rows, found):
            raise KeyError("weights")

        with pytest.raises(KeyError, match="weights") as e:
            pca(error=unfit).fit(X)
        assert "unfit" in e.value.__notes__[0]

    @pytest.mark.parametrize("dtype", [bool, int, np.float32])
    def test_other_numbers(self, dtype):
        def far(rows, found):
            return (abs(rows - found) > 0.1).astype(dtype)

        fitted = pca(error=far).fit(X)
        expected = (abs(X - fitted.reconstruct(X)) > 0.1).mean(axis=1)
        assert fitted.reconstruction_error(X) == pytest.approx(expected)


class TestWeights:
    def test_rows_without_a_weight_are_not_held_out_either(self):
        weights = np.tile([0.0, 1.0], 50)
        detector = network(validation_fraction=0.5)
        given = detector.fit(X, sample_weight=weights).score_samples(X)
        without = detector.fit(X[1::2], sample_weight=1.0)
        np.testing.assert_array_equal(given, without.score_samples(X))

    def test_zero_on_all_inliers(self):
        with pytest.raises(ValueError, match="sample_weight is zero for every row"):
            FitOnInliers(network()).fit(X, Y, sample_weight=(Y == -1).astype(float))

    @pytest.mark.parametrize(
        "make",
        [network, lambda: FitOnInliers(network()), lambda: ConformalOutlierDetector(network())],
    )
    def test_a_number_is_the_weight_of_every_row(self, make):
        scores = make().set_params(random_state=0) if hasattr(make(), "random_state") else make()
        alike = [
            scores.__sklearn_clone__().fit(X, Y, sample_weight=weight).score_samples(X)
            for weight in (2.0, np.full(100, 2.0))
        ]
        assert np.array_equal(*alike)
        with pytest.raises(ValueError, match="sample_weight is zero for every row"):
            make().fit(X, Y, sample_weight=0.0)

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize(
        ("weight", "error", "message"),
        [
            (np.full(100, 1e38), ValueError, r"sample_weight.*1e\+38.*divide them by their mean"),
            (1e50, ValueError, r"sample_weight.*1e\+50"),
            (np.full(100, 1e-30), ValueError, "sample_weight.*1e-30, too small"),
            (np.nan, ValueError, "sample_weight must be finite; got nan"),
            (np.full(100, np.nan), ValueError, "sample_weight contains NaN"),
            ("balanced", TypeError, "sample_weight must be one number per row.*'balanced'"),
            ({1: 2}, TypeError, "sample_weight must be one number per row"),
        ],
    )
    def test_refused(self, weight, error, message):
        with pytest.raises(error, match=message):
            network().fit(X, sample_weight=weight)


class TestThreshold:
    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize("threshold", [-5, -5.0, np.float32(-5), FixedThreshold(-5)])
    @pytest.mark.parametrize("make", [network, pca], ids=["network", "pca"])
    def test_negative(self, make, threshold):
        with pytest.raises(ValueError, match=r"threshold=-5 is negative.*for offset_=-5 give 5"):
            make(threshold=threshold).fit(X)

    def test_negative_around_others(self):
        with pytest.raises(ValueError, match=r"for offset_=-0.5 give 0.5"):
            ThresholdedOutlierDetector(IsolationForest(random_state=0), -0.5).fit(X)
        # Its scores are positive, and so minus its scores may be negative.
        machine = OneClassSVM().fit(X)
        fitted = ThresholdedOutlierDetector(OneClassSVM(), -10.0).fit(X)
        assert np.array_equal(fitted.predict(X) == -1, -machine.score_samples(X) > -10)

    @pytest.mark.parametrize("threshold", [0, 0.0, 5])
    def test_not_negative(self, threshold):
        assert pca(threshold=threshold).fit(X).offset_ == -threshold

    @pytest.mark.parametrize(
        "make", [network, pca, lambda threshold: ThresholdedOutlierDetector(pca(), threshold)]
    )
    @pytest.mark.parametrize(
        ("threshold", "message"),
        [
            ("95%", r"'threshold' parameter.*'95%': .*Quantile\(0.95\)"),
            ("99.9 %", r"Quantile\(0.999\)"),
            ("0.5", "give the number, threshold=0.5"),
            ("most", "'threshold' parameter"),
        ],
    )
    def test_text(self, make, threshold, message):
        with pytest.raises(ValueError, match=message):
            make(threshold=threshold).fit(X)

    @pytest.mark.parametrize(
        ("contamination", "message"),
        [
            (5, "'contamination' parameter.*got 5: for 5 % give contamination=0.05"),
            (2.5, "for 2.5 % give contamination=0.025"),
            (0.7, "got 0.7: at most half of the rows"),
            (95, "got 95: at most half"),
        ],
    )
    def test_contamination(self, contamination, message):
        averaged = AveragedOutlierDetector([("pca", pca())], contamination=contamination)
        for detector in (pca(contamination=contamination), averaged):
            with pytest.raises(ValueError, match=message):
                detector.fit(X)


@pytest.mark.usefixtures("no_training")
class TestParameters:
    @pytest.mark.parametrize("shape", [(4.0,), (None,), (-1, -4), ("4",), (True, 4), (4, 0)])
    def test_input_shape(self, shape):
        with pytest.raises(ValueError, match=r"input_shape must be .* whole numbers >= 1.*got \("):
            network(input_shape=shape).fit(X)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"learning_rate": 1e30}, r"learning_rate=1e\+30 is far too large"),
            ({"noise": 1e30}, r"noise=1e\+30 drowns X, whose values are at most"),
            ({"noise": 1e3}, "noise=1000.0 drowns X"),
        ],
    )
    def test_numbers_beyond_all_measure(self, params, message):
        with pytest.raises(ValueError, match=message):
            network(**params).fit(X)

    @pytest.mark.parametrize(
        "meta",
        [
            FitOnInliers(IsolationForest),
            ThresholdedOutlierDetector(IsolationForest),
            ConformalOutlierDetector(IsolationForest),
            WindowedOutlierDetector(IsolationForest, width=3),
            AveragedOutlierDetector([("forest", IsolationForest)]),
        ],
        ids=lambda meta: type(meta).__name__,
    )
    def test_classes(self, meta):
        with pytest.raises(TypeError, match=r"instance.*give IsolationForest\(\.\.\.\)"):
            meta.fit(X)

    def test_class_of_a_model(self):
        with pytest.raises(TypeError, match="a class: give an instance"):
            ReconstructionOutlierDetector(PCA).fit(X)

    @pytest.mark.parametrize("cv", [[], iter([])])
    def test_no_folds(self, cv):
        with pytest.raises(ValueError, match="cv=.* has no folds"):
            ThresholdedOutlierDetector(pca(), "quantile", cv=cv).fit(X)

    @pytest.mark.parametrize(
        "detector",
        [
            ThresholdedOutlierDetector(pca(), "youden"),
            ThresholdedOutlierDetector(pca(), "quantile", cv=3),
            FitOnInliers(pca()),
            ConformalOutlierDetector(pca()),
            AveragedOutlierDetector([("pca", pca())]),
        ],
    )
    def test_labels_of_another_number(self, detector):
        with pytest.raises(ValueError, match="y must have one label per row.*99 labels and 100"):
            detector.fit(X, Y[:99])


class TestLoss:
    SPELLINGS = (
        "binary_crossentropy",
        "BinaryCrossentropy",
        "bce",
        "BCE",
        keras.losses.BinaryCrossentropy(name="own"),
        keras.losses.binary_crossentropy,
        partial(keras.losses.binary_crossentropy, label_smoothing=0.1),
    )

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize("loss", SPELLINGS)
    def test_any_spelling(self, loss):
        for rows in (X, UNIT * 2, UNIT - 0.5):
            with pytest.raises(
                ValueError, match=r"binary_crossentropy needs values in \[0, 1\].*M"
            ):
                network(loss=loss).fit(rows)

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize(
        ("loss", "rows", "message"),
        [
            ("binary_focal_crossentropy", X, r"values in \[0, 1\].*MinMaxScaler"),
            ("dice", X, r"values in \[0, 1\]"),
            ("Tversky", X, r"values in \[0, 1\]"),
            ("categorical_crossentropy", X, "rows that are distributions"),
            ("categorical_crossentropy", UNIT, "rows that are distributions"),
            ("CategoricalFocalCrossentropy", UNIT, "rows that are distributions"),
            ("kld", UNIT, "rows that are distributions"),
            ("KLDivergence", X, "rows that are distributions"),
            ("poisson", X, "counts, X >= 0"),
            ("poisson", 9 * UNIT, "output_activation='softplus'.*would be 'linear'"),
            ("mape", X, "X > 0, as it divides"),
            ("hinge", X, "values of -1 and 1 only"),
            ("hinge", np.sign(X), "output_activation='tanh'"),
            ("SquaredHinge", UNIT, "values of -1 and 1 only"),
            ("categorical_hinge", X, "classes or sequences"),
            ("sparse_categorical_crossentropy", X, "classes or sequences"),
            ("Circle", X, "classes or sequences"),
            ("CTC", X, "classes or sequences"),
            (keras.losses.MeanSquaredLogarithmicError(name="own"), X, "msle needs X >= 0"),
            (keras.losses.BinaryCrossentropy(from_logits=True), UNIT, "from_logits=True"),
            (partial(keras.losses.binary_crossentropy, from_logits=True), UNIT, "from_logits=True"),
        ],
    )
    def test_refused(self, loss, rows, message):
        with pytest.raises(ValueError, match=message):
            network(loss=loss).fit(rows)
        with pytest.raises(ValueError, match=message):
            AutoencoderEnsembleOutlierDetector(2, loss=loss).fit(rows)

    @pytest.mark.usefixtures("no_training")
    def test_output_that_cannot_follow(self):
        with pytest.raises(ValueError, match="needs output_activation='sigmoid'.*'linear'"):
            network(loss="bce", output_activation="linear").fit(UNIT)
        with pytest.raises(ValueError, match="needs output_activation='softmax'.*'sigmoid'"):
            network(loss="kld").fit(UNIT / UNIT.sum(axis=1, keepdims=True))

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            ("cosine_similarity", "ignores the size of rows.*error='auto'"),
            (keras.losses.CosineSimilarity(), "ignores the size of rows"),
            ("dice", "for rows of zeros and ones"),
            ("binary_focal_crossentropy", "for rows of zeros and ones"),
        ],
    )
    def test_warned_of(self, loss, message):
        with pytest.warns(UserWarning, match=message):
            network(loss=loss).fit(UNIT)

    @pytest.mark.parametrize(
        ("loss", "rows", "output"),
        [
            ("mae", X, "auto"),
            ("huber", X, "auto"),
            ("log_cosh", X, "auto"),
            (lambda actual, found: keras.ops.mean((actual - found) ** 4, axis=-1), X, "auto"),
            ("binary_crossentropy", UNIT, "auto"),
            ("binary_crossentropy", UNIT, keras.activations.sigmoid),
            ("dice", (UNIT > 0.5).astype(float), "auto"),
            ("kld", UNIT / UNIT.sum(axis=1, keepdims=True), "softmax"),
            ("poisson", np.floor(9 * UNIT), "softplus"),
            ("mape", 1 + UNIT, "auto"),
            ("hinge", np.sign(X), "tanh"),
        ],
    )
    def test_what_suits_is_taken(self, loss, rows, output):
        fitted = network(loss=loss, output_activation=output).fit(rows)
        assert np.isfinite(fitted.score_samples(rows)).all()

    def test_own_networks_decide_on_their_output(self):
        def own(input_shape):
            return keras.Sequential(
                [keras.Input(input_shape), keras.layers.Dense(4, activation="softmax")]
            )

        shares = UNIT / UNIT.sum(axis=1, keepdims=True)
        assert network(architecture=own, loss="kld").fit(shares).offset_ < 0

    def test_an_error_that_ignores_sizes_too(self):
        def angle(rows, found):
            norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(found, axis=1)
            return np.repeat(1 - (rows * found).sum(axis=1, keepdims=True) / norms[:, None], 4, 1)

        assert network(loss="cosine_similarity", error=lambda *both: abs(angle(*both))).fit(X)


def test_explaining_behind_columns_without_names():
    steps = [
        ("scaled", StandardScaler(), [2, 0]),
        ("squared", FunctionTransformer(np.square), [1, 3]),  # does not name its columns
    ]
    fitted = make_pipeline(ColumnTransformer(steps), pca()).fit(X)
    explanation = explain(fitted, X[:2], top=None)
    assert sorted(explanation["feature"][:4]) == [0, 1, 2, 3]
    squared = explanation[(explanation["row"] == 0) & (explanation["feature"] == 2)]
    assert squared["value"].item() == X[0, 2]
    assert explanation["reconstruction"].isna().tolist() == [
        feature in (1, 3) for feature in explanation["feature"]
    ]
