"""Good frames that vary: a little for what is sound, a lot for what a part is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.recipes.damage import Palette  # noqa: E402
from engines.recipes.shapes import field  # noqa: E402
from engines.recipes.views import jitter, views  # noqa: E402

PALETTE = Palette(low=-1.0, high=1.0, spread=0.3)


def frame(channels: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rng = np.random.default_rng(7)
    return np.stack([0.3 * field(rng, 64, 48, 9.0) for _ in range(channels)], axis=2).clip(-1, 1)


def batch(*frames: Any) -> Any:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def seen(frames: Any, seed: int = 0) -> Any:
    return views(frames, PALETTE.spread, torch.Generator().manual_seed(seed))


def test_jitter_changes_little_and_views_a_lot() -> None:
    rng, good = np.random.default_rng(0), frame()
    little = np.mean([np.abs(jitter(rng, good, PALETTE) - good).mean() for _ in range(50)])
    many = batch(*[good] * 50)
    assert 0.0 < little < 0.5 * float((seen(many) - many).abs().mean())


def test_jitter_stays_within_what_the_sensor_gives() -> None:
    rng, good = np.random.default_rng(1), frame() * 3
    assert max(np.abs(jitter(rng, good, PALETTE)).max() for _ in range(50)) <= 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_views_keep_shape_type_and_their_argument(channels: int) -> None:
    good = batch(*[frame(channels)] * 4)
    before = good.clone()
    result = seen(good)
    assert result.shape == good.shape
    assert result.dtype == torch.float32
    assert torch.equal(good, before)


def test_views_differ_within_a_batch_and_repeat_themselves_by_seed() -> None:
    good = batch(frame(), frame())
    first = seen(good, seed=3)
    assert not torch.allclose(first[0], first[1], atol=0.05)
    assert torch.equal(first, seen(good, seed=3))
    assert not torch.allclose(first, seen(good, seed=4), atol=0.05)


def test_views_of_one_part_are_more_alike_than_views_of_two() -> None:
    """Otherwise there would be nothing to recognise; measured on a part with one bright corner."""
    left, right = np.zeros((48, 48, 1), np.float32), np.zeros((48, 48, 1), np.float32)
    left[8:20, 8:20], right[28:40, 28:40] = 1.0, 1.0
    lefts, rights = (seen(batch(*[part] * 40))[:, :, :24, :24].mean() for part in (left, right))
    assert float(lefts) > float(rights) + 0.1


def test_views_of_a_wide_frame_are_not_stretched() -> None:
    """A square in a frame three times as wide as high stays about as wide as high."""
    wide = np.zeros((48, 144, 1), np.float32)
    wide[16:32, 64:80] = 1.0
    shown = (seen(batch(*[wide] * 200))[:, 0] > 0.5).float()
    high, across = ((shown.amax(axis) > 0).float().sum(1).median() for axis in (2, 1))
    assert float(across) == pytest.approx(float(high), rel=0.25)
