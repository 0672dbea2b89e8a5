"""A window that is continued from its arrays gives the calibration of one that was never interrupted."""

from __future__ import annotations

import io

import numpy as np
import pytest

from calibration import Arrays, Rule, Window
from tests.calibration.lines import heat, image, origin, scores, window


def on_disk(arrays: Arrays) -> Arrays:
    """The arrays as a file gives them back."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    buffer.seek(0)
    return dict(np.load(buffer, allow_pickle=False))


def fill(filled: Window, values: np.ndarray, first: int, last: int, *, bits: int = 8) -> None:
    for at in range(first, last):
        filled.add(values[at], heat(at), image(at, bits=bits), frame=at)
        if at % 90 == 60:
            filled.keep_out_alarmed(50.0 + at)


@pytest.mark.parametrize("interrupted", [1, 20, 64, 150, 299])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_continued_window_gives_the_same_calibration(interrupted: int, bits: int) -> None:
    values = scores(300, correlation=0.3, seed=4)
    values[100:104] += 30.0
    whole, first, second = (window(frames=300) for _ in range(3))
    fill(whole, values, 0, 300, bits=bits)
    fill(first, values, 0, interrupted, bits=bits)
    second.restore(on_disk(first.arrays()))
    fill(second, values, interrupted, 300, bits=bits)
    wanted, got = (each.finish(**origin(who="x")) for each in (whole, second))
    # The id is a hash of the whole content.
    assert got.id == wanted.id
    assert [out.thumbnail_png for out in got.left_out] == [out.thumbnail_png for out in wanted.left_out]


def test_an_extended_window_stays_extended() -> None:
    values = scores(400, correlation=0.9, seed=2)
    first = window(frames=100, max_frames=2_000, budget="1 per 50 frames", rule=Rule(1, 1))
    fill(first, values, 0, 100)
    assert first.target > 100
    second = window(frames=100, max_frames=2_000, budget="1 per 50 frames", rule=Rule(1, 1))
    second.restore(on_disk(first.arrays()))
    assert (second.target, second.extension_reason) == (first.target, first.extension_reason)
    assert not second.complete


def test_an_empty_window_can_be_continued() -> None:
    second = window(frames=100)
    second.restore(on_disk(window(frames=100).arrays()))
    fill(second, scores(100, seed=1), 0, 100)
    assert second.complete
