"""Rows reach the training the same way from memory and from disk, at once or chunk by chunk."""

import tracemalloc

import keras
import numpy as np
import pytest

from skae import AutoencoderOutlierDetector
from skae._detectors.trained import is_on_disk
from skae._engines.options import Layout
from skae._network import feeding
from skae._network.feeding import Feed

T = np.random.default_rng(0).random((1000, 1), dtype=np.float32)
X = np.hstack([T, T**2, 1 - T, np.sqrt(T)])


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 200 rows of X, in blocks of 50, for anything larger than 300 rows."""
    monkeypatch.setattr(feeding, "MAX_BYTES_AT_ONCE", 300 * 16)
    monkeypatch.setattr(feeding, "_BYTES_PER_CHUNK", 200 * 16)
    monkeypatch.setattr(feeding, "_BYTES_PER_BLOCK", 50 * 16)


def on_disk(tmp_path, X):
    array = np.memmap(tmp_path / "rows", X.dtype, "w+", shape=X.shape)
    array[:] = X
    array.flush()
    return np.memmap(tmp_path / "rows", X.dtype, "r", shape=X.shape)


def detector(**params):
    # Keras' own mish, used when a callback listens, equals the fast one up to rounding.
    defaults = {"hidden_layer_sizes": (8,), "latent_dim": 2, "epochs": 3, "random_state": 0}
    defaults |= {"activation": "relu"}
    return AutoencoderOutlierDetector(**defaults | {"learning_rate": 0.02} | params)


def test_is_on_disk(tmp_path):
    array = on_disk(tmp_path, X)
    assert is_on_disk(array)
    assert is_on_disk(np.asarray(array)[10:].T)
    assert not is_on_disk(X)
    assert not is_on_disk(array[[1, 2]])


class TestFeed:
    def test_reads_rows_laid_out_in_float32_with_their_weights(self):
        weight = np.arange(1000, dtype=np.float32)
        feed = Feed(X.astype(np.float64), Layout((2, 2)), np.arange(500, 1000), weight)
        rows, weights = feed.read(slice(10, 12))
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, X[510:512].reshape(2, 2, 2))
        np.testing.assert_array_equal(weights, [510, 511])

    def test_few_rows_come_at_once_in_any_order(self):
        ((positions, order),) = Feed(X, Layout((4,))).shuffled_chunks(np.random.default_rng(0), 32)
        assert positions == slice(None)
        assert sorted(order) == list(range(1000))
        assert list(order) != list(range(1000))

    def test_each_row_comes_once_an_epoch_in_whole_batches(self, small_chunks):
        chunks = list(Feed(X, Layout((4,))).shuffled_chunks(np.random.default_rng(0), 32))
        sizes = [len(order) for _, order in chunks]
        assert sizes == [192, 192, 192, 192, 192, 40]
        assert sorted(np.concatenate([positions for positions, _ in chunks])) == list(range(1000))
        assert all(sorted(order) == list(range(len(order))) for _, order in chunks)

    def test_a_chunk_mixes_distant_blocks(self, small_chunks):
        positions, order = next(Feed(X, Layout((4,))).shuffled_chunks(np.random.default_rng(0), 32))
        assert np.all(np.diff(positions) > 0)
        assert np.ptp(positions) > 400
        assert np.any(np.diff(order) < 0)

    def test_a_batch_larger_than_a_chunk_is_not_cut(self, small_chunks):
        chunks = Feed(X, Layout((4,))).shuffled_chunks(np.random.default_rng(0), 900)
        assert [len(order) for _, order in chunks] == [900, 100]


class TestTraining:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("validation", [{}, {"validation_fraction": 0.5}])
    def test_from_disk_equals_from_memory(self, tmp_path, small_chunks, weighted, validation):
        weight = np.linspace(0, 1, 1000) if weighted else None
        expected = detector(**validation).fit(X, sample_weight=weight)
        array = on_disk(tmp_path, X)
        fitted = detector(**validation).fit(array, sample_weight=weight)
        np.testing.assert_array_equal(fitted.score_samples(array), expected.score_samples(X))
        assert fitted.history_ == expected.history_
        assert fitted.offset_ == expected.offset_

    def test_from_disk_of_another_dtype(self, tmp_path, small_chunks):
        array = on_disk(tmp_path, X.astype(np.float64))
        fitted = detector().fit(array, X_val=array[:500])
        expected = detector().fit(X, X_val=X[:500])
        np.testing.assert_array_equal(fitted.score_samples(array), expected.score_samples(X))
        np.testing.assert_array_equal(fitted.transform(array[:9]), expected.transform(X[:9]))
        np.testing.assert_array_equal(fitted.reconstruct(array), expected.reconstruct(X))
        assert fitted.history_ == expected.history_

    def test_by_batches_equals_by_chunks(self, small_chunks):
        numbers = []

        def listen(batch, logs):
            numbers.append(batch)

        hook = keras.callbacks.LambdaCallback(on_train_batch_end=listen)
        with_listener = detector(callbacks=[hook]).fit(X)
        no_listener = detector().fit(X)
        np.testing.assert_allclose(
            with_listener.history_["loss"], no_listener.history_["loss"], rtol=1e-5
        )
        np.testing.assert_allclose(
            with_listener.score_samples(X), no_listener.score_samples(X), rtol=1e-3
        )
        n_batches = 8
        assert numbers == [*range(n_batches)] * 3

    def test_chunks_learn_as_well_as_the_whole(self, monkeypatch):
        rows = np.sort(np.tile(X, (4, 1)), axis=0)
        whole = detector(epochs=20).fit(rows)
        monkeypatch.setattr(feeding, "MAX_BYTES_AT_ONCE", 0)
        monkeypatch.setattr(feeding, "_BYTES_PER_CHUNK", 1000 * 16)
        monkeypatch.setattr(feeding, "_BYTES_PER_BLOCK", 50 * 16)
        chunked = detector(epochs=20).fit(rows)
        assert chunked.history_["loss"][-1] < 1.3 * whole.history_["loss"][-1]
        assert len(chunked.history_["loss"]) == 20

    def test_an_array_on_disk_is_never_read_as_a_whole(self, tmp_path, monkeypatch):
        rows = np.random.default_rng(0).random((100_000, 20))
        array = on_disk(tmp_path, rows)
        del rows
        monkeypatch.setattr(feeding, "MAX_BYTES_AT_ONCE", 0)
        monkeypatch.setattr(feeding, "_BYTES_PER_CHUNK", 2**19)
        model = detector(epochs=1, batch_size=1000, validation_fraction=0.3, learning_rate=0.01)
        tracemalloc.start()
        try:
            model.fit(array).predict(array)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # Half of the array in float32; Python's own part of tracing a graph comes on top.
        assert peak < 8e6 + 20e6
        assert peak < array.nbytes
