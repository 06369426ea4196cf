"""Keras' own exporter writes the network of a fresh detector as an ONNX graph."""

import numpy as np
import onnxruntime
import pytest

from skae import AutoencoderEnsembleOutlierDetector, AutoencoderOutlierDetector

X = np.random.default_rng(0).random((60, 6)).astype(np.float32)
SHORT = {"epochs": 2, "batch_size": 32, "hidden_layer_sizes": (8,), "random_state": 0}

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # From Keras' patch of tf2onnx, which asks NumPy for a name that is gone. Look again in 2027-06.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
]


@pytest.mark.parametrize(
    "make",
    [
        lambda: AutoencoderOutlierDetector(**SHORT),
        lambda: AutoencoderOutlierDetector("vae", **SHORT),
        lambda: AutoencoderOutlierDetector("conv1d", **SHORT),
        lambda: AutoencoderOutlierDetector("lstm", **SHORT),
        lambda: AutoencoderEnsembleOutlierDetector(3, **SHORT),
    ],
    ids=["dense", "vae", "conv1d", "lstm", "ensemble"],
)
def test_the_network_of_a_fresh_detector(make, tmp_path):
    network = make().fit(X).autoencoder_
    path = str(tmp_path / "network.onnx")
    network.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    # The shape of a batch: signals have channels, ensembles a row for each member.
    rows = np.broadcast_to(X[:, :, None], (60, 6, 1)) if given.shape[-1] == 1 else X
    if given.shape[1] == 3:
        rows = np.repeat(X[:, None], 3, axis=1)
    (found,) = session.run(None, {given.name: rows})
    np.testing.assert_allclose(found, np.asarray(network(rows)), atol=1e-5)
