"""Any input and parameters: a plausible result, or an error that names the argument.

Hypothesis draws estimators, parameters, data, containers, labels and weights, valid and not.
`judge` judges what comes out; `benchmarks/fuzz.py` counts the judgments of a long campaign.
"""

import pickle
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ReconstructionOutlierDetector,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae.preprocessing import GlobalMinMaxScaler
from skae.thresholds import MeanStd, Quantile


@dataclass
class Case:
    """What a user might try."""

    kind: str = "single"
    params: dict = field(default_factory=dict)
    around: str = "nothing"
    around_params: dict = field(default_factory=dict)
    n_rows: int = 30
    n_features: int = 3
    values: str = "normal"
    dtype: str = "float64"
    container: str = "array"
    labels: str = "none"
    weights: str = "none"
    scored: str = "same"


# Two shapes of networks only, as each new one is traced, which takes longer than all the rest.
SIZES = {"hidden_layer_sizes": (4,), "latent_dim": 2, "epochs": 2, "random_state": 0}
RULES = ("auto", "quantile", "mean_std", "median_mad", "iqr", "fpr")
ERRORS = ("auto", "combined", "mse", "mae", "msle", "standardized", "mahalanobis")

DATA = {
    "n_rows": st.sampled_from([30, 30, 30, 60, 12, 3, 2, 1, 0]),
    "n_features": st.sampled_from([3, 3, 3, 3, 1, 0]),
    "values": st.sampled_from(
        ["normal"] * 6
        + ["unit", "unit", "constant", "constant column", "offset", "one offset column", "tiny"]
        + ["huge", "beyond", "nan", "infinity", "integers", "negative"]
    ),
    "dtype": st.sampled_from(
        ["float64"] * 6
        + ["float32", "float16", "int64", "int8", "uint8", "bool", "object", "complex128", "str"]
    ),
    "container": st.sampled_from(
        ["array"] * 6
        + ["fortran", "list", "frame", "frame with text", "frame with dates", "sparse", "flat"]
        + ["3-D", "series", "masked", "dict", "generator", "none", "read-only", "structured"]
    ),
    "labels": st.sampled_from(
        ["none"] * 4 + ["sklearn"] * 4 + ["binary", "text", "one class", "short", "nan", "2-D"]
    ),
    "weights": st.sampled_from(
        ["none"] * 6 + ["ones", "random", "zeros", "negative", "short", "scalar", "nan", "huge"]
    ),
    "scored": st.sampled_from(
        ["same"] * 5
        + ["one row", "wider", "narrower", "empty", "float32", "nan", "infinity", "text", "list"]
        + ["1-D"]
    ),
}

NETWORK_PARAMS = {
    "error": st.sampled_from([*ERRORS, *ERRORS, "rmse", np.subtract, None]),
    "loss": st.sampled_from(
        ["auto", "mse", "mae", "msle", "huber", "log_cosh", "mean_absolute", 3]
    ),
    "threshold": st.sampled_from(
        [*RULES, "youden", 0.5, -5.0, float("nan"), "95%", Quantile(q=0.9), MeanStd, None, True]
    ),
    "contamination": st.sampled_from(["auto", 0.1, 0.5, 0.0, 0.6, 5, -0.1, "0.1"]),
    "validation_fraction": st.sampled_from([0.0, 0.2, 0.5, 0.99, 1.0, -0.1]),
    "noise": st.sampled_from(["auto", 0.0, 0.1, -1.0, float("inf")]),
    "dropout": st.sampled_from([0.0, 0.2, 1.0]),
    "output_activation": st.sampled_from(["auto", "linear", "sigmoid", "sigmoids"]),
    "activation": st.sampled_from(["mish", "relu", "tanh", "rely", 3]),
    "trim_fraction": st.sampled_from([0.0, "auto", 0.5, 0.9]),
    "batch_size": st.sampled_from([128, 7, 1, 0, 2.5]),
    "epochs": st.sampled_from([2, 1, 0, "many"]),
    "learning_rate": st.sampled_from(["auto", 0.01, 0.0, -1.0, "fast"]),
    "optimizer": st.sampled_from(["adam", "adam", "sgd", "adamm"]),
    "early_stopping": st.sampled_from([False, True, "yes"]),
    "metrics": st.sampled_from([None, ["mae"], ["mea"], "mae", [5]]),
    "verbose": st.sampled_from([0, -1]),
    "l2": st.sampled_from([0.0, 0.01, -1.0]),
}
SINGLE_PARAMS = NETWORK_PARAMS | {
    "architecture": st.sampled_from(["dense", "dense", "vae", "conv1d", "gru", 5]),
    "architecture_params": st.sampled_from([None, {"beta": 0.1}, {"kernel_size": 3}, {"b": 1}]),
    "input_shape": st.sampled_from([None, (3,), (3, 1), (1, 3), (6.0,), (None,), (-1, -3), 3]),
    "batch_norm": st.sampled_from([False, True]),
}
ENSEMBLE_PARAMS = NETWORK_PARAMS | {
    "n_estimators": st.sampled_from([2, 3, 1, 0, "two"]),
    "latent_dim": st.sampled_from([2, (1, 2), (2, 0), (), "small"]),
    "latent_activation": st.sampled_from(["linear", "softmax", None]),
    "trim_fraction": st.sampled_from([0.0, "auto", (0.0, 0.5), (0.0, 0.9), ()]),
}
RECONSTRUCTION_PARAMS = {
    "estimator": st.sampled_from(
        [PCA(1), PCA(2), LinearRegression(), PCA, None, "pca", IsolationForest(), StandardScaler()]
    ),
    **{name: NETWORK_PARAMS[name] for name in ("error", "threshold", "contamination")},
}
LABELS = st.sampled_from(["auto", "auto", 1, -1, 0, "good", "bad"])
AROUND_PARAMS = {
    "nothing": {},
    "scaler": {},
    "FitOnInliers": {"inlier_label": LABELS, "outlier_label": LABELS},
    "Thresholded": {
        "threshold": NETWORK_PARAMS["threshold"],
        "cv": st.sampled_from([None, None, 2, 5, 1, [], "folds"]),
    },
    "Conformal": {
        "alpha": st.sampled_from([0.2, 0.2, 0.5, 0.01, 0.0, 1.0, "small"]),
        "calibration_size": st.sampled_from([0.3, 10, 0.99, 0, 1000, "half"]),
        "calibration": st.sampled_from(["split", "split", "oob", "bag"]),
        "randomized_ties": st.booleans(),
    },
    "Windowed": {
        "width": st.sampled_from([2, 3, 100, 0, 2.5]),
        "stride": st.sampled_from([1, 2, 50, 0]),
        "reduce": st.sampled_from(["max", "mean", "min"]),
        "threshold": NETWORK_PARAMS["threshold"],
        "max_gap": st.sampled_from(["auto", None, 2, "10min", 0, "soon"]),
    },
}
PARAMS = {
    "single": SINGLE_PARAMS,
    "ensemble": ENSEMBLE_PARAMS,
    "reconstruction": RECONSTRUCTION_PARAMS,
    "forest": {},
}


@st.composite
def cases(draw):
    """Draw a case: a few of its sides are unusual, the others as usual."""
    kind = draw(st.sampled_from(["single", "single", "ensemble", "reconstruction", "forest"]))
    # A forest is of interest only inside something of skae's.
    ways = list(AROUND_PARAMS)[2:] if kind == "forest" else list(AROUND_PARAMS)
    around = draw(st.sampled_from(ways))
    sides = {}
    for name in draw(st.sets(st.sampled_from(sorted(DATA)), max_size=3)):
        sides[name] = draw(DATA[name])
    chosen = {}
    for given_params, limit in ((PARAMS[kind], 2), (AROUND_PARAMS[around], 2)):
        names = (
            draw(st.sets(st.sampled_from(sorted(given_params)), max_size=limit))
            if (given_params)
            else set()
        )
        chosen[id(given_params)] = {name: draw(given_params[name]) for name in sorted(names)}
    return Case(
        kind=kind,
        around=around,
        params=chosen[id(PARAMS[kind])],
        around_params=chosen[id(AROUND_PARAMS[around])],
        **sides,
    )


def estimator_of(case):
    """Return the estimator of a case, not fitted."""
    makers = {
        "single": lambda: AutoencoderOutlierDetector(**SIZES | case.params),
        "ensemble": lambda: AutoencoderEnsembleOutlierDetector(
            **{"n_estimators": 2} | SIZES | case.params
        ),
        "reconstruction": lambda: ReconstructionOutlierDetector(
            **{"estimator": PCA(1)} | case.params
        ),
        "forest": lambda: IsolationForest(n_estimators=5, random_state=0),
    }
    inner = makers[case.kind]()
    wrappers = {
        "nothing": lambda: inner,
        "scaler": lambda: make_pipeline(MinMaxScaler(), inner),
        "FitOnInliers": lambda: FitOnInliers(inner, **case.around_params),
        "Thresholded": lambda: ThresholdedOutlierDetector(inner, **case.around_params),
        "Conformal": lambda: ConformalOutlierDetector(
            inner, **{"alpha": 0.2, "random_state": 0} | case.around_params
        ),
        "Windowed": lambda: WindowedOutlierDetector(inner, **{"width": 2} | case.around_params),
    }
    return wrappers[case.around]()


def values_of(case):
    """Return the rows of a case as float64, before dtype and container."""
    random = np.random.default_rng(case.n_rows)
    shape = (case.n_rows, case.n_features)
    X = random.normal(size=shape)
    if case.n_features > 1:
        X[:, 1] = X[:, 0] ** 2  # something to learn
    changes = {
        "unit": lambda: random.random(shape),
        "constant": lambda: np.full(shape, 3.0),
        "offset": lambda: X + 1e9,
        "tiny": lambda: 1e-30 * X,
        "huge": lambda: 1e30 * X,
        "beyond": lambda: 1e300 * X,
        "integers": lambda: np.round(10 * X),
        "negative": lambda: X - 100,
    }
    if case.values in changes:
        return changes[case.values]()
    special = {"constant column": 3.0, "nan": np.nan, "infinity": np.inf}
    if X.size and case.values in ("constant column", "one offset column"):
        X[:, -1] = 3.0 if case.values == "constant column" else 1e9 + X[:, -1]
    elif X.size and case.values in special:
        X[len(X) // 2, -1] = special[case.values]
    return X


def contained(X, dtype, container) -> Any:
    """Return rows as a user might hand them over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of casts
        with np.errstate(all="ignore"):
            X = X.astype(dtype)
    frame = {"frame": {}, "frame with text": {"t": "a"}, "frame with dates": {"t": pd.Timestamp(0)}}
    if container in frame:
        names = [f"f{number}" for number in range(X.shape[1])]
        return pd.DataFrame(X, columns=names).assign(**frame[container])
    if container == "structured":
        return np.zeros(len(X), dtype=[("a", float), ("b", float)])
    if container == "read-only":
        X.setflags(write=False)
    if container == "sparse":
        numeric = np.issubdtype(X.dtype, np.number)
        return sparse.csr_array(X if numeric and X.dtype != np.float16 else X.astype(float))
    return {
        "fortran": lambda: np.asfortranarray(X),
        "list": X.tolist,
        "flat": X.ravel,
        "3-D": lambda: X[:, :, None],
        "series": lambda: pd.Series(X[:, 0] if X.shape[1] else []),
        "masked": lambda: np.ma.masked_invalid(X) if X.dtype.kind == "f" else np.ma.array(X),
        "dict": lambda: {"X": X},
        "generator": lambda: (row for row in X),
        "none": lambda: None,
    }.get(container, lambda: X)()


def labels_of(case):
    normal = np.arange(case.n_rows) % 5 > 0
    return {
        "none": lambda: None,
        "sklearn": lambda: np.where(normal, 1, -1),
        "binary": lambda: normal.astype(int),
        "text": lambda: np.where(normal, "good", "bad"),
        "one class": lambda: np.ones(case.n_rows),
        "short": lambda: np.ones(max(case.n_rows - 1, 0)),
        "nan": lambda: np.where(normal, 1.0, np.nan),
        "2-D": lambda: np.ones((case.n_rows, 2)),
    }[case.labels]()


def weights_of(case):
    n = case.n_rows
    return {
        "none": lambda: None,
        "ones": lambda: np.ones(n),
        "random": lambda: np.random.default_rng(0).random(n) + 0.1,
        "zeros": lambda: np.zeros(n),
        "negative": lambda: -np.ones(n),
        "short": lambda: np.ones(max(n - 1, 0)),
        "scalar": lambda: 2.0,
        "nan": lambda: np.full(n, np.nan),
        "huge": lambda: np.full(n, 1e30),
    }[case.weights]()


def scored_of(case, X):
    """Return rows to score, and whether they are fit to be scored."""
    plain = values_of(case)
    return {
        "same": lambda: X,
        "one row": lambda: plain[:1],
        "wider": lambda: np.hstack([plain, plain]),
        "narrower": lambda: plain[:, :-1],
        "empty": lambda: plain[:0],
        "float32": lambda: np.clip(plain, -3e38, 3e38).astype(np.float32),
        "nan": lambda: np.full_like(plain, np.nan),
        "infinity": lambda: np.full_like(plain, np.inf),
        "text": lambda: plain.astype(str),
        "list": plain.tolist,
        "1-D": lambda: plain[0] if len(plain) else plain.ravel(),
    }[case.scored]()


ALLOWED = (ValueError, TypeError, AttributeError)
WORDS = (
    r"\bX\b|\by\b|X_val|sample_weight|[Ss]ample weight|samples?\b|feature|rows?\b|labels?\b|inlier|"
    "outlier|array|DataFrame|sparse|dtype|finite|NaN|infinity|columns?|estimator|metric|loss|error|"
    "Expected|data"
)


# What estimators say that are not skae's: a scaler before, a model inside.
FOREIGN = ("could not convert string", "float() argument must be", "Eigenvalues did not converge")


def is_clear(error, estimator, case):
    """Tell whether an error names an argument, or what is wrong with the data."""
    is_foreign = case.around == "scaler" or case.kind in ("forest", "reconstruction")
    if is_foreign and any(words in str(error) for words in FOREIGN):
        return True
    names = "|".join(re.escape(name.split("__")[-1]) for name in estimator.get_params())
    return isinstance(error, ALLOWED) and re.search(f"{WORDS}|{names}", str(error)) is not None


def judge(case):
    """Return "right", "warned" or "clear error"; raise AssertionError for anything worse."""
    try:
        estimator = estimator_of(case)
    except TypeError:
        return "clear error"
    X = contained(values_of(case), case.dtype, case.container)
    weights = weights_of(case)
    fit_params = {} if weights is None or case.around == "Windowed" else {"sample_weight": weights}
    if case.around == "scaler":
        name = estimator.steps[-1][0]
        fit_params = {f"{name}__{key}": value for key, value in fit_params.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(X, labels_of(case), **fit_params)
            rows = scored_of(case, X)
            scores = estimator.score_samples(rows)
        except Exception as error:
            if is_clear(error, estimator, case):
                return "clear error"
            raise AssertionError(f"unclear: {type(error).__name__}: {error}") from error
        check_consistent(estimator, rows, scores)
    # Two epochs are few, which is said, but not why a far row should look normal.
    if case.scored == "same" and all("no better than" in str(w.message) for w in caught):
        check_plausible(case, estimator)
    return "warned" if caught else "right"


def check_consistent(estimator, rows, scores):
    """Check what holds for every fitted outlier detector, whatever the data."""
    assert scores.shape == (len(rows) if isinstance(rows, list) else rows.shape[0],)
    assert scores.dtype == np.float64
    # Of a series shorter than a window no step has a score.
    assert not np.isnan(scores).any() or isinstance(estimator, WindowedOutlierDetector)
    np.testing.assert_array_equal(estimator.score_samples(rows), scores)
    decision = estimator.decision_function(rows)
    np.testing.assert_array_equal(estimator.predict(rows), np.where(decision < 0, -1, 1))
    loaded = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(loaded.score_samples(rows), scores)


def is_perfect(case):
    """Tell whether a model reconstructs every row perfectly, so that no row stands out."""
    model = case.params.get("estimator", PCA(1))
    return not isinstance(model, PCA) or model.n_components >= case.n_features


def check_plausible(case, estimator):
    """Check that a row far from all others has a lower score than most of them."""
    plain = values_of(case)
    if case.container not in ("array", "fortran", "list", "read-only") or len(plain) < 12:
        return
    if case.dtype not in ("float64", "float32") or case.values in ("huge", "beyond", "infinity"):
        return
    if case.kind == "reconstruction" and is_perfect(case):
        return
    if case.kind == "forest" and case.values in ("constant", "tiny", "offset"):
        return  # in float32 it takes them for equal, and cannot split them
    if case.kind == "forest" and case.around == "Windowed":
        return  # of the few windows that are not held out it learns too little
    rows = contained(plain, case.dtype, case.container)
    far = plain.astype(np.float64) + 1000 * (1 + plain.std(axis=0))
    if case.around == "Windowed":
        scored = estimator.score_samples(far)
    else:
        scored = estimator.score_samples(far[:1])
    assert np.median(scored) < np.median(estimator.score_samples(rows)), "a far row looks normal"


# What a campaign found, kept.
FOUND: list[Case] = []

QUIET = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
    print_blob=False,
)


@pytest.mark.parametrize("case", FOUND, ids=str)
def test_what_was_found(case):
    judge(case)


@settings(QUIET, max_examples=150)
@given(cases())
@example(Case())
def test_a_plausible_result_or_an_error_that_names_the_argument(case):
    judge(case)


@pytest.mark.slow
@settings(QUIET, max_examples=3000)
@given(cases())
def test_many_cases(case):
    judge(case)


def test_scalers_of_any_values():
    for values in ("normal", "constant", "offset", "tiny", "huge", "integers"):
        X = values_of(Case(values=values))
        scaled = GlobalMinMaxScaler().fit_transform(X)
        assert np.isfinite(scaled).all()
        assert scaled.min() >= 0
        assert scaled.max() <= 1 + 1e-12
