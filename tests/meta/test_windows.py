"""The arithmetic of windows: where they begin, what steps get from them, what is held out."""

import numpy as np
import pytest

from skae._meta.windows import (
    all_windows,
    covering_starts,
    n_windows_of,
    random_starts,
    reduced,
    split,
    worst_windows,
)

FORMS = [(40, 4, 1), (41, 4, 3), (7, 7, 7), (50, 7, 7), (13, 6, 5), (30, 1, 1)]


def parts(*ends):
    return np.array(ends).reshape(-1, 2)


@pytest.mark.parametrize(("n_steps", "width", "stride"), FORMS)
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_each_step_has_what_its_windows_have(n_steps, width, stride, reduce):
    starts = covering_starts(n_steps, width, stride)
    errors = np.random.default_rng(0).random((len(starts), 2))
    found = reduced(errors, n_steps, width, stride, reduce)
    of_step = [errors[(starts <= step) & (starts + width > step)] for step in range(n_steps)]
    expected = [getattr(np, reduce)(errors, axis=0) for errors in of_step]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(
        n_windows_of(n_steps, width, stride, starts), [len(each) for each in of_step]
    )
    worst = worst_windows(errors[:, 0], n_steps, width, stride)
    np.testing.assert_array_equal(errors[worst, 0], [each[:, 0].max() for each in of_step])


def test_a_step_in_no_window_has_no_error():
    found = reduced(np.array([2.0]), 5, 3, 3, "mean", starts=np.array([0]))
    np.testing.assert_array_equal(found, [2, 2, 2, np.nan, np.nan])


@pytest.mark.parametrize("stride", [1, 4, 10])
def test_random_starts_lie_inside_stretches(stride):
    stretches = parts(0, 200, 200, 205, 300, 600)
    starts = random_starts(stretches, 10, stride, 1, np.random.RandomState(0))
    stretch = np.searchsorted(stretches[:, 0], starts, side="right") - 1
    assert (starts + 10 <= stretches[stretch, 1]).all()
    assert (np.diff(starts) > 0).all()
    assert set(starts % stride) == set(range(stride))


class TestSplit:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(
        "stretches",
        [
            parts(0, 5000),
            parts(0, 300),
            parts(0, 60),
            parts(0, 100, 100, 400, 900, 2000),
            parts(0, 12, 12, 24, 24, 36),
            parts(0, 100_000),
        ],
        ids=str,
    )
    def test_what_is_held_out_is_a_window_apart(self, stretches, seed):
        width = 10
        training, held_out = split(stretches, width, np.random.RandomState(seed))
        for part in (training, held_out):
            assert len(part)
            assert (part[:, 1] - part[:, 0] >= width).all()
        total = (stretches[:, 1] - stretches[:, 0]).sum()
        share = (held_out[:, 1] - held_out[:, 0]).sum() / total
        assert (0.05 if total > 50_000 else 0.15) < share < 0.6
        for start, stop in stretches:
            mine = [part for part in training.tolist() if start <= part[0] < stop]
            others = [part for part in held_out.tolist() if start <= part[0] < stop]
            for first, end in mine:
                assert start <= first
                assert end <= stop
                assert all(end + width <= other or last + width <= first for other, last in others)

    def test_a_short_series_has_nothing_to_spare(self):
        training, held_out = split(parts(0, 25), 10, np.random.RandomState(0))
        np.testing.assert_array_equal(training, [[0, 25]])
        assert not len(held_out)

    def test_blocks_are_spread_over_the_series(self):
        _, held_out = split(parts(0, 10_000), 10, np.random.RandomState(0))
        assert len(held_out) >= 8
        assert np.diff(held_out[:, 0]).max() < 2000


def test_windows_are_views():
    X = np.arange(12.0).reshape(6, 2)
    windows = all_windows(X, 3)
    assert np.shares_memory(windows, X)
    np.testing.assert_array_equal(windows[1], X[1:4].ravel())
