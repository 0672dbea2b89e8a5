"""PCA reconstruction: the residual of what the axes cannot represent."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

from engines.baselines.pca import Pca, evenly_spaced_frames


def test_residual_is_zero_on_the_axes_and_largest_on_a_spot() -> None:
    """Frames that vary in one direction only are reconstructed exactly; a spot is not, and is hottest."""
    ramp = np.linspace(0, 100, 32 * 32).reshape(32, 32, 1)
    frames = np.stack([(100 + factor * ramp).astype(np.uint8) for factor in np.linspace(0, 1, 20)])
    system = Pca()
    system.fit(frames, steps=1)
    spotted = frames[10:11].copy()
    spotted[0, 4:7, 20:23] = 0
    clean, dirty = system.score(frames[10:11]), system.score(spotted)
    assert clean.score[0] < 1e-4 < dirty.score[0]
    row, column = np.unravel_index(dirty.heatmap[0].argmax(), (32, 32))
    assert 4 <= row < 7
    assert 20 <= column < 23


def test_evenly_spaced_frames_include_the_first_and_the_last() -> None:
    frames = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert evenly_spaced_frames(frames, 4).ravel().tolist() == [0, 3, 6, 9]
    assert evenly_spaced_frames(frames, 20).ravel().tolist() == list(range(10))
