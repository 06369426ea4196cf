"""Does what the wheel installed do its job? Run by `make wheel` from another folder."""

from importlib.metadata import requires
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae

assert ".venv-wheel" in skae.__file__, skae.__file__
assert (Path(skae.__file__).parent / "py.typed").exists()
assert any(line.startswith("keras") for line in requires("skae"))
X, y = skae.datasets.make_heartbeats(300, random_state=0)
detector = skae.FitOnInliers(
    make_pipeline(MinMaxScaler(), skae.AutoencoderOutlierDetector(epochs=50, random_state=0))
)
scores = detector.fit(X, y).score_samples(X)
assert np.median(scores[y == 1]) > np.median(scores[y == -1])
skae.show_versions()
