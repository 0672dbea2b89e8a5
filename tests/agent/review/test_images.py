"""Images kept for training: lossless, and bounded."""

from __future__ import annotations

import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.review.images import KeptImages, alarm_image, sample_images
from agent.review.reservoir import SHIFT_SECONDS, Reservoir, Slot
from tests.support.judged import gray


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 1)).astype(np.uint8)


@pytest.mark.parametrize("image", [noise(0), gray(40_123, sixteen_bit=True), np.repeat(noise(1), 3, axis=2)])
def test_image_comes_back_bit_for_bit(tmp_path: Path, image: np.ndarray) -> None:
    KeptImages(tmp_path, max_bytes=10**6).save_alarm("line1", "a1", image)
    read = cv2.imread(str(alarm_image(tmp_path, "line1", "a1")), cv2.IMREAD_UNCHANGED)
    assert read.dtype == image.dtype
    assert np.array_equal(read.reshape(image.shape), image)


def test_images_stay_below_their_limit_and_judged_ones_go_last(tmp_path: Path) -> None:
    images = KeptImages(tmp_path, max_bytes=5_000)
    images.save_alarm("line1", "judged", noise(0))
    images.protect("judged")
    for index in range(20):
        images.save_alarm("line1", f"a{index}", noise(index))
        images.save_sample("line1", Slot(7, index % 3), noise(100 + index))
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.png")) == images.bytes <= 5_000
    assert alarm_image(tmp_path, "line1", "judged").exists()
    assert alarm_image(tmp_path, "line1", "a19").exists()
    assert not alarm_image(tmp_path, "line1", "a0").exists()


def test_limit_counts_the_images_of_earlier_runs_oldest_first(tmp_path: Path) -> None:
    first = KeptImages(tmp_path, max_bytes=10**6)
    for index in range(4):
        first.save_alarm("line1", f"a{index}", noise(index))
        os.utime(alarm_image(tmp_path, "line1", f"a{index}"), (1000 + index, 1000 + index))
    again = KeptImages(tmp_path, max_bytes=first.bytes, judged=["a0"])
    assert again.bytes == first.bytes
    again.save_alarm("line1", "new", noise(9))
    assert alarm_image(tmp_path, "line1", "a0").exists(), "judged"
    assert not alarm_image(tmp_path, "line1", "a1").exists()


def test_image_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    images = KeptImages(tmp_path, max_bytes=100)
    images.save_alarm("line1", "a1", noise(0))
    assert images.bytes == 0
    assert list(tmp_path.rglob("*.png")) == []


def test_every_frame_of_a_shift_has_the_same_chance() -> None:
    counts, frames, size = np.zeros(60), 60, 6
    for seed in range(2_000):
        reservoir, kept = Reservoir(size, random.Random(seed)), {}
        for frame in range(frames):
            slot = reservoir.offer(1e9)
            if slot is not None:
                kept[slot.index] = frame
        assert len(kept) == size
        counts[list(kept.values())] += 1
    expected = 2_000 * size / frames
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_each_shift_has_a_sample_of_its_own_and_a_restart_continues_it() -> None:
    chance = random.Random(0)
    reservoir = Reservoir(2, chance)
    assert [reservoir.offer(5.0), reservoir.offer(5.0)] == [Slot(0, 0), Slot(0, 1)]
    again = Reservoir(2, chance, shift=reservoir.shift, seen=reservoir.seen + 10**6)
    assert again.offer(6.0) is None
    assert again.offer(SHIFT_SECONDS + 1.0) == Slot(1, 0)


def test_sample_of_zero_keeps_nothing(tmp_path: Path) -> None:
    reservoir = Reservoir(0, random.Random(0))
    assert [reservoir.offer(1.0) for _ in range(20)] == [None] * 20
    assert sample_images(tmp_path) == []
