"""Training batches: crops of large frames, the same work in every step, and anomalies where the visibility says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.networks.latent_maps import FULL_FRAME  # noqa: E402
from engines.recipes.anomaly_batch import make_anomaly_batch, training_crop, visibility_of  # noqa: E402
from engines.recipes.synthetic_anomalies import IntensityRange  # noqa: E402


def test_anomaly_batch_differs_from_clean_frames_exactly_where_visibility_is_above_0() -> None:
    frames = torch.rand(32, 1, 48, 32, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    batch = make_anomaly_batch(frames, IntensityRange(-1.0, 1.0, 0.4), np.random.default_rng(0))
    assert batch.clean.shape == batch.anomalous.shape == frames.shape
    assert batch.visibility.shape == (32, 1, 48, 32)
    assert 0.0 <= float(batch.visibility.min()) <= float(batch.visibility.max()) <= 1.0
    change = (batch.anomalous - batch.clean).abs() / 0.4
    assert float(change[batch.visibility == 0].max()) <= 0.0201
    assert float(change[batch.visibility > 0].min()) >= 0.0199
    assert float(change[batch.visibility == 1].min()) >= 0.399
    # Three frames of four are to have anomalies.
    anomalous = (batch.visibility.amax((1, 2, 3)) > 0).sum()
    assert 18 <= int(anomalous) <= 30


def test_small_changes_are_visible_where_the_surroundings_are_even() -> None:
    """On a set of bright and dark frames, the contrast of the set says nothing about the contrast within a frame."""
    even = torch.full((1, 1, 48, 48), 0.3)
    texture = even + 0.5 * torch.randn(even.shape, generator=torch.Generator().manual_seed(0))
    change = torch.full((1, 1, 48, 48), 0.06)
    found = [float(visibility_of(change, frames, std=0.6).mean()) for frames in (even, texture)]
    assert found == pytest.approx([1.0, 0.001])


def test_large_frames_are_halved_at_first() -> None:
    """Frames are repeated instead, or the plan made from minutes would not hold."""
    rng = np.random.default_rng(0)
    large, small = torch.rand(2, 1, 256, 192), torch.rand(2, 1, 112, 112)
    halved, crop = training_crop(large, 0.2, rng)
    assert halved.shape == (8, 1, 128, 96)
    assert crop == FULL_FRAME
    torch.testing.assert_close(halved[:2], halved[6:])
    torch.testing.assert_close(training_crop(large, 0.6, rng)[0], large)
    torch.testing.assert_close(training_crop(small, 0.0, rng)[0], small)


@pytest.mark.parametrize("progress", [0.2, 0.6])
def test_frames_larger_than_a_crop_are_trained_on_in_crops(progress: float) -> None:
    rng = np.random.default_rng(0)
    row = torch.arange(640.0)[None, None, :, None].expand(8, 1, 640, 1024)
    found = [training_crop(row, progress, rng) for _ in range(20)]
    assert {part.shape for part, _ in found} == {(8, 1, 256, 256)}
    assert len({crop.top for _, crop in found}) > 1
    for part, crop in found:
        scale = 640.0 * crop.height / 256.0
        assert scale == (2.0 if progress < 0.4 else 1.0)
        assert float(part[0, 0, 0, 0]) == pytest.approx(640.0 * crop.top + (scale - 1.0) / 2.0)
        assert 0.0 <= crop.left <= 1.0 - crop.width


def test_padding_stays_where_it_is_and_shows_no_anomaly() -> None:
    """The content of each frame is a rectangle; only what is in it is jittered, changed, and counted."""
    content = torch.zeros(16, 1, 48, 48)
    content[:8, :, 10:40], content[8:, :, :, 5:30] = 1.0, 1.0
    frames = torch.where(content > 0, torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0)) - 0.9, 0.25)
    rng, intensities = np.random.default_rng(0), IntensityRange(-1.0, 1.0, 0.3)
    batch = make_anomaly_batch(frames, intensities, rng, content).inspected(content, 0.25)
    assert float(batch.visibility[content == 0].max()) == 0.0
    for shown in (batch.clean, batch.anomalous):
        assert bool((shown[content == 0] == 0.25).all())
    # Jitter that saw the padding would have drawn it into the content.
    assert float(batch.clean[content == 1].max()) < 0.2
    assert bool((batch.counted_at(torch.zeros(16, 3, 12, 12))[:8, 0, 3:9] == 1.0).all())
    assert float(batch.counted_at(torch.zeros(16, 3, 12, 12))[:8, 0, 11].max()) == 0.0
