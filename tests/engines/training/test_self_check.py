"""The plain damage by which a finished training is checked."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from engines.training.self_check import damage_check, damaged


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(32, 48, 1), (32, 32, 3), (8, 200, 1)])
def test_each_copy_is_damaged_in_one_place_and_the_frames_stay(dtype: type, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(60, 180, (16, *shape)).astype(dtype)
    before = frames.copy()
    copies = damaged(frames)
    assert (frames == before).all()
    assert copies.dtype == dtype
    assert len(copies) == 48
    changed = (copies != np.concatenate([frames] * 3)).any(axis=3).mean(axis=(1, 2))
    assert (changed > 0).all()
    assert changed.max() < 0.5


def test_the_same_frames_get_the_same_damage() -> None:
    frames = np.random.default_rng(0).integers(60, 180, (60, 32, 32, 1)).astype(np.uint8)
    assert (damaged(frames) == damaged(frames)).all()
    assert len(damaged(frames)) == 60


def test_black_and_white_frames_are_damaged_visibly() -> None:
    """There is no room above white and none below black."""
    for value in (0, 255):
        frames = np.full((3, 32, 32, 1), value, np.uint8)
        frames[:, :4] = 255 - value
        changes = np.abs(damaged(frames).astype(int) - np.concatenate([frames] * 16)).max(axis=(1, 2, 3))
        assert (changes[1::3] > 50).all()
        assert (changes[2::3] > 50).all()


def test_scores_that_follow_the_damage_detect_it_and_others_do_not() -> None:
    good = np.random.default_rng(0).gamma(9.0, size=60).astype(np.float32)
    assert damage_check(good, good + 10).detected
    blind = damage_check(good, np.random.default_rng(1).gamma(9.0, size=60).astype(np.float32))
    assert not blind.detected
    assert blind.low < 0.5 < blind.high


def test_too_few_frames_prove_nothing() -> None:
    few = np.arange(3, dtype=np.float32)
    assert not damage_check(few, few + 0.5).detected
