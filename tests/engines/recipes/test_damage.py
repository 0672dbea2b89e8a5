"""Synthetic damage: visible where it says, nowhere else, of all sizes, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.recipes.damage import Palette, _removed, _Scene, damage
from engines.recipes.shapes import Shape, blob, field, half, line, log_uniform, patch, pick, spots

SHAPES = [patch, blob, line, spots, half]
PALETTE = Palette(low=-1.0, high=1.0, spread=0.3)


def frames(count: int, height: int = 64, width: int = 48, channels: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    return np.stack(
        [
            np.stack([0.3 * field(rng, height, width, 9.0) for _ in range(channels)], axis=2).clip(-1, 1)
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_stays_between_0_and_1_and_is_seldom_empty(shape: Shape) -> None:
    rng = np.random.default_rng(0)
    masks = [shape(rng, 40, 56) for _ in range(100)]
    assert all(mask.shape == (40, 56) and mask.dtype == np.float32 for mask in masks)
    assert min(mask.min() for mask in masks) >= 0.0
    assert max(mask.max() for mask in masks) <= 1.0 + 1e-6
    # A line or a blob may fall outside the frame.
    assert sum(mask.max() > 0.05 for mask in masks) >= 70


def test_patches_come_in_all_sizes() -> None:
    rng = np.random.default_rng(1)
    areas = np.array([(patch(rng, 128, 128) > 0.5).mean() for _ in range(300)])
    assert (areas < 0.001).mean() > 0.15
    assert (areas > 0.02).mean() > 0.15


def test_pick_follows_the_weights() -> None:
    rng = np.random.default_rng(2)
    drawn = [pick(rng, ((1, "a"), (3, "b"))) for _ in range(4000)]
    assert drawn.count("b") / len(drawn) == pytest.approx(0.75, abs=0.03)


def test_log_uniform_keeps_its_bounds_and_its_median() -> None:
    rng = np.random.default_rng(3)
    drawn = np.array([log_uniform(rng, 1.0, 100.0) for _ in range(4000)])
    assert drawn.min() >= 1.0
    assert drawn.max() <= 100.0
    assert np.median(drawn) == pytest.approx(10.0, rel=0.15)


def test_damage_is_marked_exactly_where_it_is_visible() -> None:
    rng = np.random.default_rng(4)
    good = frames(8)
    for index in range(60):
        frame, donor = good[index % 8], good[(index + 3) % 8]
        damaged, where = damage(rng, frame, donor, PALETTE)
        change = np.abs(damaged - frame).max(axis=2)
        visible = 0.08 * PALETTE.spread_of(frame)
        assert change[~where].max(initial=0.0) <= visible
        assert where.sum() == 0 or change[where].min() > visible


def test_damage_leaves_its_arguments_alone() -> None:
    good = frames(2)
    before = good.copy()
    for seed in range(30):
        damage(np.random.default_rng(seed), good[0], good[1], PALETTE)
    np.testing.assert_array_equal(good, before)


def test_damage_is_seldom_invisible_and_never_beyond_the_sensor() -> None:
    rng = np.random.default_rng(5)
    good = frames(4)
    results = [damage(rng, good[index % 4], good[(index + 1) % 4], PALETTE) for index in range(200)]
    assert np.mean([where.any() for _, where in results]) > 0.8
    assert max(np.abs(damaged).max() for damaged, _ in results) <= 1.0


@pytest.mark.parametrize("shape", [(32, 32, 1), (100, 60, 3), (16, 16, 1)])
def test_damage_keeps_shape_and_type(shape: tuple[int, int, int]) -> None:
    good = frames(2, *shape)
    for seed in range(40):
        damaged, where = damage(np.random.default_rng(seed), good[0], good[1], PALETTE)
        assert damaged.shape == shape
        assert damaged.dtype == np.float32
        assert where.shape == shape[:2]
        assert where.dtype == np.bool_


def test_same_seed_damages_alike() -> None:
    good = frames(2)
    first, second = (damage(np.random.default_rng(11), good[0], good[1], PALETTE) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_flat_frame_is_damaged_as_strongly_as_the_set_asks() -> None:
    """An empty board has no spread of its own: damage is then measured by the set's."""
    flat = np.zeros((48, 48, 1), np.float32)
    rng = np.random.default_rng(6)
    changes = [np.abs(damage(rng, flat, frames(1, 48, 48)[0], PALETTE)[0]).max() for _ in range(60)]
    assert np.median(changes) > 0.08 * PALETTE.spread_of(flat)


def test_removal_fills_a_hole_and_leaves_larger_things() -> None:
    """A hole of five pixels goes, a half that is dark stays."""
    frame = np.full((48, 48, 1), 0.5, np.float32)
    frame[:, 24:] = -0.5
    frame[10:15, 8:13] = -0.5
    scene = _Scene(frame, frame, np.ones((48, 48), np.float32), 0.5, PALETTE)
    results = [_removed(np.random.default_rng(seed), scene) for seed in range(60)]
    filled = [result for result in results if result[12, 10, 0] > 0.3]
    assert 5 < len(filled) < 55
    assert all(abs(float(result[24, 40, 0]) + 0.5) < 0.1 for result in results)
