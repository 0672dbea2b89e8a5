"""Augmentation: jitter is slight, views are strong but still show which part it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.recipes.anomaly_masks import smooth_noise  # noqa: E402
from engines.recipes.augmentation import Turn, jitter, random_view  # noqa: E402
from engines.recipes.synthetic_anomalies import IntensityRange  # noqa: E402

INTENSITIES = IntensityRange(low=-1.0, high=1.0, std=0.3)


def frame(channels: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rng = np.random.default_rng(7)
    return np.stack([0.3 * smooth_noise(rng, 64, 48, 9.0) for _ in range(channels)], axis=2).clip(-1, 1)


def batch(*frames: Any) -> Any:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def view(frames: Any, seed: int = 0) -> Any:
    return random_view(frames, INTENSITIES.std, torch.Generator().manual_seed(seed))


def test_jitter_changes_little_and_views_a_lot() -> None:
    rng, good = np.random.default_rng(0), frame()
    little = np.mean([np.abs(jitter(rng, good, INTENSITIES) - good).mean() for _ in range(50)])
    many = batch(*[good] * 50)
    assert 0.0 < little < 0.5 * float((view(many) - many).abs().mean())


def test_jitter_stays_within_the_sensor_range() -> None:
    rng, good = np.random.default_rng(1), frame() * 3
    assert max(np.abs(jitter(rng, good, INTENSITIES)).max() for _ in range(50)) <= 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_view_keeps_shape_type_and_its_argument(channels: int) -> None:
    good = batch(*[frame(channels)] * 4)
    before = good.clone()
    result = view(good)
    assert result.shape == good.shape
    assert result.dtype == torch.float32
    assert torch.equal(good, before)


def test_views_differ_within_a_batch_and_repeat_by_seed() -> None:
    good = batch(frame(), frame())
    first = view(good, seed=3)
    assert not torch.allclose(first[0], first[1], atol=0.05)
    assert torch.equal(first, view(good, seed=3))
    assert not torch.allclose(first, view(good, seed=4), atol=0.05)


def test_views_of_one_part_are_more_alike_than_views_of_two() -> None:
    """Otherwise there would be nothing to recognise; measured on a part with one bright corner."""
    left, right = np.zeros((48, 48, 1), np.float32), np.zeros((48, 48, 1), np.float32)
    left[8:20, 8:20], right[28:40, 28:40] = 1.0, 1.0
    lefts, rights = (view(batch(*[part] * 40))[:, :, :24, :24].mean() for part in (left, right))
    assert float(lefts) > float(rights) + 0.1


def test_views_of_a_wide_frame_are_not_stretched() -> None:
    """A square in a frame three times as wide as high stays about as wide as high."""
    wide = np.zeros((48, 144, 1), np.float32)
    wide[16:32, 64:80] = 1.0
    bright = (view(batch(*[wide] * 200))[:, 0] > 0.5).float()
    height, width = ((bright.amax(axis) > 0).float().sum(1).median() for axis in (2, 1))
    assert float(width) == pytest.approx(float(height), rel=0.25)


def test_turns_are_the_eight_orientations_but_the_upright_one() -> None:
    frames = torch.arange(12.0).reshape(1, 1, 3, 4)
    quarters = [torch.rot90(frames, count, (2, 3)) for count in range(4)]
    expected = [turned for quarter in quarters for turned in (quarter, quarter.flip(3))][1:]
    turned = [turn.of(frames) for turn in Turn]
    assert len(turned) == 7
    assert all(
        sum(each.shape == other.shape and bool((each == other).all()) for other in turned) == 1 for each in expected
    )
