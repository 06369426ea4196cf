"""Ctrl-C or an error during fit leaves the estimator as it was."""

import keras
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skae import AutoencoderOutlierDetector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((60, 5), dtype=np.float32)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_unfitted_stays_unfitted(error):
    detector = AutoencoderOutlierDetector(epochs=5, callbacks=[Interrupt(error)])
    before = set(vars(detector))
    with pytest.raises(error):
        detector.fit(X)
    assert set(vars(detector)) == before
    with pytest.raises(NotFittedError):
        detector.predict(X)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("warm_start", [False, True])
def test_fitted_stays_as_it_was(error, warm_start):
    detector = AutoencoderOutlierDetector(epochs=5, random_state=0, warm_start=warm_start).fit(X)
    scores, offset, history = detector.score_samples(X), detector.offset_, detector.history_
    detector.set_params(callbacks=[Interrupt(error)])
    with pytest.raises(error):
        detector.fit(X[:, :3] if not warm_start else X[:30])
    np.testing.assert_array_equal(detector.score_samples(X), scores)
    assert (detector.offset_, detector.history_, detector.n_features_in_) == (offset, history, 5)
