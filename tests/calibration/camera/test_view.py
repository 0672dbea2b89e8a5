"""The view of a camera: reduction, alignment, and the usual view of a window."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.camera.view import Aligner, ViewHistory, glance
from tests.calibration.camera.test_monitor import levels, scene


def test_glance_view_is_the_mean_over_blocks_and_channels() -> None:
    image = np.random.default_rng(0).integers(0, 65_536, (300, 520, 3)).astype(np.uint16)
    seen = glance(image)
    # 520 pixels are reduced to 104 by fives, then to 52 by twos.
    wanted = image.astype(np.float64).reshape(30, 10, 52, 10, 3).mean(axis=(1, 3, 4)) / 65_535
    np.testing.assert_allclose(seen.view, wanted, rtol=1e-5)
    assert seen.level == pytest.approx(wanted.mean(), rel=1e-5)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (0, -5), (-4, 7), (12, 12)])
def test_align_finds_the_shift_of_a_camera_that_moved(down: int, right: int) -> None:
    """The content that enters at the edges is not in the reference."""
    large = levels(scene(3, size=256)).astype(np.float32)
    middle = large[64:192, 64:192]
    moved = large[64 - down : 192 - down, 64 - right : 192 - right]
    aligned = Aligner(middle).align(moved)
    assert aligned.shift * 128 == pytest.approx(np.hypot(down, right), abs=0.01)
    assert aligned.match == pytest.approx(1.0, abs=1e-5)
    assert aligned.contrast == pytest.approx(1.0, abs=1e-5)


def test_align_finds_half_the_contrast() -> None:
    view = glance(scene(3)).view
    assert Aligner(view).align(0.5 * view + 0.1).contrast == pytest.approx(0.5, abs=1e-5)


def test_align_of_a_flat_view_matches_nothing() -> None:
    view = glance(scene(3)).view
    flat = Aligner(view).align(np.full_like(view, 0.3))
    assert (flat.match, flat.match_in_place) == (0.0, 0.0)
    assert Aligner(np.full_like(view, 0.3)).align(view).match == 0.0


def test_history_of_a_long_window_keeps_every_nth_image() -> None:
    history = ViewHistory()
    for index in range(2000):
        history.add(np.full((8, 8, 1), index % 200, np.uint8))
    reference = history.reference(longest_repeat=0)
    assert reference is not None
    assert len(history._kept) <= 256
    assert float(reference.image.mean()) * 255 == pytest.approx(100, abs=5)


def test_history_median_ignores_a_few_odd_images() -> None:
    history = ViewHistory()
    for index in range(40):
        history.add(np.full((8, 8, 1), 250 if index % 10 == 0 else 100, np.uint8))
    reference = history.reference(longest_repeat=3)
    assert reference is not None
    np.testing.assert_allclose(reference.image, 100 / 255, rtol=1e-6)
    assert reference.longest_repeat == 3
    assert ViewHistory().reference(longest_repeat=0) is None
