"""Calibrated heatmaps: 1.0 is the highest heat of good parts, at every place and on every frame."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.window.heat import MAX_BYTES, HeatLevels
from tests.calibration.lines import calibration, heat, image, origin, scores, window


def good_frames(seed: int, *, frames: int = 200) -> np.ndarray:
    """Return the heat [N, 24, 32] of parts that are hot at an edge in column 20 and cold elsewhere."""
    heat = np.random.default_rng(seed).gamma(4.0, 0.02, size=(frames, 24, 32)).astype(np.float32)
    heat[:, :, 19:22] += np.random.default_rng(seed + 1).gamma(8.0, 0.5, size=(frames, 24, 3)).astype(np.float32)
    return heat


def level_of(frames: np.ndarray, *, suspected: tuple[int, ...] = ()) -> np.ndarray:
    levels = HeatLevels(left_out=20)
    for index, frame in enumerate(frames):
        levels.add(index, 100.0 if index in suspected else 1.0, frame)
    mask = np.zeros(len(frames), dtype=bool)
    mask[list(suspected)] = True
    return levels.level(mask)


def test_heat_of_good_parts_rarely_passes_one() -> None:
    """It never does on frames of the window, and on at most one pixel in ten thousand of fresh frames."""
    level = level_of(good_frames(0))
    assert (good_frames(0) / level).max() <= 1.0 + 1e-5
    assert np.mean(good_frames(7) / level > 1.0) < 1e-4


def test_heat_noise_where_good_parts_are_cold_stays_low() -> None:
    """Noise on a cold face stays far below 1, while the usual heat of the edge would be above 1 there."""
    level = level_of(good_frames(0))
    assert (good_frames(7)[:, :, :15] / level[:, :15]).max() < 0.9
    assert 6.0 / level[10, 5] > 1.5
    assert 6.0 / level[10, 20] < 1.0


def test_heat_level_leaves_suspected_frames_out() -> None:
    frames = good_frames(0)
    changed = frames.copy()
    changed[[5, 50]] *= 50
    rest = np.delete(frames, [5, 50], axis=0)
    assert np.allclose(level_of(changed, suspected=(5, 50)), level_of(rest))


def test_heat_level_of_large_maps_stays_within_its_memory() -> None:
    """Frames that may be left out are reduced to cells, and levels still cover every pixel."""
    levels = HeatLevels(left_out=2_000)
    frames = np.random.default_rng(0).gamma(4.0, size=(40, 200, 301)).astype(np.float32)
    tracemalloc.start()
    for index, frame in enumerate(frames):
        levels.add(index, float(index), frame)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 * MAX_BYTES < kept / 40 * 2_000 < 1.1 * MAX_BYTES
    level = levels.level(np.zeros(40, dtype=bool))
    assert level.shape == (200, 301)
    assert np.all(level >= frames.max(axis=0))


def test_calibration_heat_scales_one_map_and_many() -> None:
    made = calibration()
    raw = heat(0)
    assert made.heat(raw).dtype == np.float32
    assert np.allclose(made.heat(np.stack([raw, raw]))[1], made.heat(raw))
    with pytest.raises(CalibrationError, match="heatmap"):
        made.heat(raw[:3])


def test_heat_level_of_maps_without_heat_is_positive() -> None:
    collected = window(frames=100)
    for index, value in enumerate(scores(100)):
        collected.add(float(value), np.zeros((4, 4), dtype=np.float32), image(index))
    made = collected.finish(**origin())
    assert np.all(made.heat_level > 0)
    assert np.all(np.isfinite(made.heat(np.zeros((4, 4), dtype=np.float32))))


def test_heat_level_without_a_good_frame_is_rejected() -> None:
    levels = HeatLevels(left_out=2)
    with pytest.raises(CalibrationError, match="heat level: got no good frame"):
        levels.level(np.zeros(0, dtype=bool))
    with pytest.raises(CalibrationError, match=r"heatmap: got shape \(5,\), wanted \[h, w\]"):
        levels.add(0, 1.0, np.zeros(5, dtype=np.float32))
