"""Good frames that vary: a little for what is sound, a lot for what a part is."""

from __future__ import annotations

import numpy as np

from engines.damage import Palette
from engines.shapes import field
from engines.views import jitter, view

PALETTE = Palette(low=-1.0, high=1.0, spread=0.3)


def frame(channels: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rng = np.random.default_rng(7)
    return np.stack([0.3 * field(rng, 64, 48, 9.0) for _ in range(channels)], axis=2).clip(-1, 1)


def test_jitter_changes_little_and_view_a_lot() -> None:
    rng, good = np.random.default_rng(0), frame()
    little = np.mean([np.abs(jitter(rng, good, PALETTE) - good).mean() for _ in range(50)])
    much = np.mean([np.abs(view(rng, good, PALETTE) - good).mean() for _ in range(50)])
    assert 0.0 < little < 0.5 * much


def test_jitter_stays_within_what_the_sensor_gives() -> None:
    rng, good = np.random.default_rng(1), frame() * 3
    assert max(np.abs(jitter(rng, good, PALETTE)).max() for _ in range(50)) <= 1.0


def test_views_keep_shape_type_and_their_argument() -> None:
    for channels in (1, 3):
        good = frame(channels)
        before = good.copy()
        for seed in range(20):
            seen = view(np.random.default_rng(seed), good, PALETTE)
            assert seen.shape == good.shape
            assert seen.dtype == np.float32
        np.testing.assert_array_equal(good, before)


def test_views_of_one_part_are_more_alike_than_views_of_two() -> None:
    """Otherwise there would be nothing to recognise; measured on a part with one bright corner."""
    left, right = np.zeros((48, 48, 1), np.float32), np.zeros((48, 48, 1), np.float32)
    left[8:20, 8:20], right[28:40, 28:40] = 1.0, 1.0
    rng = np.random.default_rng(2)
    lefts = [view(rng, left, PALETTE)[:24, :24].mean() for _ in range(40)]
    rights = [view(rng, right, PALETTE)[:24, :24].mean() for _ in range(40)]
    assert np.mean(lefts) > np.mean(rights) + 0.1
