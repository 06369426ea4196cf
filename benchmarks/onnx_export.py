"""How far the verdicts of ONNX graphs are from those of the detectors that they were made of.

Three pipelines, fitted on four fifths of the normal rows of ECG5000, judge all rows, by skae and by
onnxruntime. Printed and written to results/onnx_export.json are the labels that differ, the largest
difference of scores over the largest score, and the seconds for all rows. Under the combined error,
a row with two nearest codes, equally far, may get the error of either one: such rows are counted,
and shown apart.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from time import perf_counter

import numpy as np
import onnxruntime
from _timing import print_table, save
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector
from skae._detectors.base import scorer_of
from skae.datasets import fetch_ecg5000
from skae.onnx import to_onnx

PIPELINES = {
    "MinMaxScaler, single": lambda: make_pipeline(
        MinMaxScaler(), AutoencoderOutlierDetector(random_state=0)
    ),
    "StandardScaler, ensemble": lambda: make_pipeline(
        StandardScaler(), AutoencoderEnsembleOutlierDetector(random_state=0)
    ),
    'MinMaxScaler, error="mse"': lambda: make_pipeline(
        MinMaxScaler(), AutoencoderOutlierDetector(error="mse", random_state=0)
    ),
}
# Of the closeness of two codes, relative to its size.
TIE = 1e-5
ROUNDS = 5


def tied_rows(pipeline, X):
    """Return which rows have two nearest codes that are equally far, by any member."""
    scorer = scorer_of(pipeline[-1])
    if scorer.error != "combined":
        return np.zeros(len(X), dtype=bool)
    rows = pipeline[:-1].transform(X).astype(np.float32)
    codes = scorer.model.forward.encode(rows)
    codes = codes[:, None] if codes.ndim == 2 else codes
    found = np.zeros(len(X), dtype=bool)
    for member, (error, _) in enumerate(scorer.weighted_errors):
        standardized = (codes[:, member].astype(np.float64) - error.location) / error.scale
        distances = np.square(standardized[:, None] - error.kept_codes.T).sum(axis=2)
        first, second = np.sort(distances, axis=1)[:, :2].T
        found |= second - first <= TIE * second
    return found


def seconds(judge):
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        judge()
        times.append(perf_counter() - start)
    return float(np.median(times))


def compared(name, make, X, y, dtype):
    train, _ = train_test_split(X[y == 1], test_size=0.2, random_state=0)
    pipeline, X = make().fit(train), X.astype(dtype)
    model = to_onnx(pipeline, X[:1], score_samples=True).SerializeToString()
    session = onnxruntime.InferenceSession(model)
    label, _, scores = session.run(None, {"X": X})
    expected = pipeline.score_samples(X)
    differences = np.abs(scores[:, 0] - expected) / np.abs(expected).max()
    is_other = label[:, 0] != pipeline.predict(X)
    tied = tied_rows(pipeline, X)
    return {
        "pipeline": name,
        "dtype": np.dtype(dtype).name,
        "rows": len(X),
        "other_labels": int(is_other[~tied].sum()),
        "difference": float(differences[~tied].max()),
        "tied": int(tied.sum()),
        "tied_other_labels": int(is_other[tied].sum()),
        "tied_difference": float(differences[tied].max(initial=0)),
        "bytes": len(model),
        "seconds": seconds(lambda: session.run(None, {"X": X})),
        "seconds_of_skae": seconds(lambda: pipeline.predict(X)),
    }


def main():
    X, y = fetch_ecg5000(return_X_y=True)
    found = [
        compared(name, make, X, y, dtype)
        for name, make in PIPELINES.items()
        for dtype in (np.float32, np.float64)
    ]
    print_table(
        (
            "pipeline",
            "dtype",
            "labels differ",
            "difference",
            "tied",
            "of tied",
            "kB",
            "s",
            "skae s",
        ),
        [
            (
                row["pipeline"],
                row["dtype"],
                str(row["other_labels"]),
                f"{row['difference']:.1e}",
                str(row["tied"]),
                f"{row['tied_other_labels']}, {row['tied_difference']:.1e}",
                f"{row['bytes'] / 1000:.0f}",
                f"{row['seconds']:.2f}",
                f"{row['seconds_of_skae']:.2f}",
            )
            for row in found
        ],
    )
    save("onnx_export.json", found)


if __name__ == "__main__":
    main()
