"""Warnings name the line of whoever called skae, however long the way."""

import _thread
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skae._warnings
from skae import (
    AutoencoderEnsembleOutlierDetector,
    AutoencoderOutlierDetector,
    AveragedOutlierDetector,
    ConformalOutlierDetector,
    FitOnInliers,
    ThresholdedOutlierDetector,
    WindowedOutlierDetector,
)
from skae._warnings import warn
from skae.metrics import anomaly_scorer
from skae.model_selection import StratifiedOutlierKFold, compare_detectors

X = np.random.default_rng(0).normal(size=(60, 4))
y = np.repeat([1, -1], [50, 10])


def detector(**params):
    # A sigmoid cannot reach these values, which is worth a warning at fit.
    params = {"epochs": 1, "random_state": 0, "output_activation": "sigmoid"} | params
    return AutoencoderOutlierDetector(hidden_layer_sizes=4, latent_dim=2, **params)


def pipeline():
    return make_pipeline(FunctionTransformer(), detector())


def search(estimator):
    scoring = anomaly_scorer("roc_auc")
    cv = StratifiedOutlierKFold(2, random_state=0)
    return GridSearchCV(estimator, {"latent_dim": [1]}, scoring=scoring, cv=cv)


CALLS = {
    "fit": lambda: detector().fit(X),
    "fit_predict": lambda: detector().fit_predict(X),
    "fit_transform": lambda: detector().fit_transform(X),
    "ensemble": lambda: AutoencoderEnsembleOutlierDetector(
        2, epochs=1, random_state=0, output_activation="sigmoid"
    ).fit(X),
    "pipeline": lambda: pipeline().fit(X),
    "pipeline, fit_predict": lambda: pipeline().fit_predict(X),
    "FitOnInliers": lambda: FitOnInliers(detector()).fit(X, y),
    "FitOnInliers, pipeline": lambda: FitOnInliers(pipeline()).fit_predict(X, y),
    "Thresholded": lambda: ThresholdedOutlierDetector(pipeline(), cv=2).fit(X),
    "Averaged": lambda: AveragedOutlierDetector([("one", pipeline())]).fit(X),
    "Conformal": lambda: ConformalOutlierDetector(detector(), alpha=0.2).fit(X),
    "Windowed": lambda: WindowedOutlierDetector(detector(), width=5).fit(X),
    "search": lambda: search(detector()).fit(X, y),
    "cross_validate": lambda: cross_validate(
        detector(), X, y, scoring=anomaly_scorer("roc_auc"), cv=StratifiedOutlierKFold(2)
    ),
    "compare_detectors": lambda: compare_detectors({"one": detector()}, X, y),
    "named label without y": lambda: FitOnInliers(detector(), inlier_label=1).fit(X),
    "X_val": lambda: detector().fit(X, X_val=1000 * X),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_warning_names_the_users_line(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    ours = [w for w in caught if issubclass(w.category, (UserWarning, ConvergenceWarning))]
    assert any("between 0 and 1" in str(w.message) for w in ours)
    assert {w.filename for w in ours} == {__file__}


def test_a_failed_fold_names_the_users_line():
    class Failing(AutoencoderOutlierDetector):
        def fit(self, X, y=None):
            raise ValueError("never")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_detectors({"one": Failing(), "two": detector()}, X, y)
    failed = [w for w in caught if "failed in" in str(w.message)]
    assert [w.filename for w in failed] == [__file__]


CODE = compile("warn('found')", "<code of a user>", "exec")


@pytest.mark.parametrize(
    ("start", "filename"),
    [
        (lambda: threading.Thread(target=warn, args=("found",)).start(), threading.__file__),
        (lambda: _thread.start_new_thread(warn, ("found",)), skae._warnings.__file__),
        (lambda: ThreadPoolExecutor(1).submit(warn, "found"), threading.__file__),
        (lambda: exec(CODE, {"warn": warn}), "<code of a user>"),
        (lambda: exec(CODE, {"warn": warn, "__name__": 5}), "<code of a user>"),
    ],
    ids=["Thread", "start_new_thread", "pool", "exec", "exec with a number for a name"],
)
def test_a_warning_comes_without_a_line_of_the_users(start, filename):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start()
        deadline = time.monotonic() + 10
        while not caught and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [(str(w.message), w.filename) for w in caught] == [("found", filename)]


def test_a_warning_comes_from_a_command_line():
    code = "from skae._warnings import warn; warn('found')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("<string>:1: UserWarning: found")
