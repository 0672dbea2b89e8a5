"""Synthetic anomalies: visible where the mask says, nowhere else, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.recipes.anomaly_masks import smooth_noise
from engines.recipes.synthetic_anomalies import IntensityRange, _Region, _structure_removed, add_anomalies

INTENSITIES = IntensityRange(low=-1.0, high=1.0, std=0.3)


def frames(count: int, height: int = 64, width: int = 48, channels: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    return np.stack(
        [
            np.stack([0.3 * smooth_noise(rng, height, width, 9.0) for _ in range(channels)], axis=2).clip(-1, 1)
            for _ in range(count)
        ]
    )


def test_anomaly_is_marked_exactly_where_it_is_visible() -> None:
    rng = np.random.default_rng(4)
    good = frames(8)
    for index in range(60):
        frame, donor = good[index % 8], good[(index + 3) % 8]
        anomalous, mask = add_anomalies(rng, frame, donor, INTENSITIES)
        change = np.abs(anomalous - frame).max(axis=2)
        visible = 0.08 * INTENSITIES.std_of(frame)
        assert change[~mask].max(initial=0.0) <= visible
        assert mask.sum() == 0 or change[mask].min() > visible


def test_add_anomalies_does_not_change_its_arguments() -> None:
    good = frames(2)
    before = good.copy()
    for seed in range(30):
        add_anomalies(np.random.default_rng(seed), good[0], good[1], INTENSITIES)
    np.testing.assert_array_equal(good, before)


def test_anomaly_is_seldom_invisible_and_never_outside_the_sensor_range() -> None:
    rng = np.random.default_rng(5)
    good = frames(4)
    results = [add_anomalies(rng, good[index % 4], good[(index + 1) % 4], INTENSITIES) for index in range(200)]
    assert np.mean([mask.any() for _, mask in results]) > 0.8
    assert max(np.abs(anomalous).max() for anomalous, _ in results) <= 1.0


@pytest.mark.parametrize("shape", [(32, 32, 1), (100, 60, 3), (16, 16, 1)])
def test_add_anomalies_keeps_shape_and_type(shape: tuple[int, int, int]) -> None:
    good = frames(2, *shape)
    for seed in range(40):
        anomalous, mask = add_anomalies(np.random.default_rng(seed), good[0], good[1], INTENSITIES)
        assert anomalous.shape == shape
        assert anomalous.dtype == np.float32
        assert mask.shape == shape[:2]
        assert mask.dtype == np.bool_


def test_same_seed_gives_the_same_anomalies() -> None:
    good = frames(2)
    first, second = (add_anomalies(np.random.default_rng(11), good[0], good[1], INTENSITIES) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_flat_frame_gets_anomalies_in_the_contrast_of_the_set() -> None:
    """An empty board has no contrast of its own; its anomalies have that of the set."""
    flat = np.zeros((48, 48, 1), np.float32)
    rng = np.random.default_rng(6)
    changes = [np.abs(add_anomalies(rng, flat, frames(1, 48, 48)[0], INTENSITIES)[0]).max() for _ in range(60)]
    assert np.median(changes) > 0.08 * INTENSITIES.std_of(flat)


def test_removal_fills_a_hole_and_keeps_larger_structure() -> None:
    """A hole of five pixels is filled, a dark half of the frame stays."""
    frame = np.full((48, 48, 1), 0.5, np.float32)
    frame[:, 24:] = -0.5
    frame[10:15, 8:13] = -0.5
    region = _Region(frame, frame, np.ones((48, 48), np.float32), 0.5, INTENSITIES)
    results = [_structure_removed(np.random.default_rng(seed), region) for seed in range(60)]
    filled = [result for result in results if result[12, 10, 0] > 0.3]
    assert 5 < len(filled) < 55
    assert all(abs(float(result[24, 40, 0]) + 0.5) < 0.1 for result in results)
