"""Masks of synthetic anomalies: within bounds, seldom empty, and of all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from engines.recipes.anomaly_masks import (
    MaskFunction,
    blob_mask,
    half_plane_mask,
    hill_mask,
    line_mask,
    log_uniform,
    patch_mask,
    smooth_noise,
    spot_mask,
    weighted_choice,
)

MASKS = [patch_mask, blob_mask, line_mask, spot_mask, half_plane_mask, hill_mask]


@pytest.mark.parametrize("draw_mask", MASKS)
def test_mask_is_between_0_and_1_and_seldom_empty(draw_mask: MaskFunction) -> None:
    rng = np.random.default_rng(0)
    masks = [draw_mask(rng, 40, 56) for _ in range(100)]
    assert all(mask.shape == (40, 56) and mask.dtype == np.float32 for mask in masks)
    assert min(mask.min() for mask in masks) >= 0.0
    assert max(mask.max() for mask in masks) <= 1.0 + 1e-6
    # A line or a blob may lie outside the frame.
    assert sum(mask.max() > 0.05 for mask in masks) >= 70


def test_patches_have_all_sizes() -> None:
    rng = np.random.default_rng(1)
    areas = np.array([(patch_mask(rng, 128, 128) > 0.5).mean() for _ in range(300)])
    assert (areas < 0.001).mean() > 0.15
    assert (areas > 0.02).mean() > 0.15


def test_hills_have_no_edge_and_all_sizes() -> None:
    rng = np.random.default_rng(1)
    hills = [hill_mask(rng, 128, 128) for _ in range(300)]
    large = [hill for hill in hills if (hill > 0.5).mean() > 0.02]
    assert max(float(np.abs(np.diff(hill, axis=0)).max()) for hill in large) < 0.3
    areas = np.array([(hill > 0.5).mean() for hill in hills])
    assert (areas < 0.001).mean() > 0.15
    assert (areas > 0.05).mean() > 0.15


def test_weighted_choice_follows_the_weights() -> None:
    rng = np.random.default_rng(2)
    drawn = [weighted_choice(rng, ((1, "a"), (3, "b"))) for _ in range(4000)]
    assert drawn.count("b") / len(drawn) == pytest.approx(0.75, abs=0.03)


def test_log_uniform_keeps_its_bounds_and_its_median() -> None:
    rng = np.random.default_rng(3)
    drawn = np.array([log_uniform(rng, 1.0, 100.0) for _ in range(4000)])
    assert drawn.min() >= 1.0
    assert drawn.max() <= 100.0
    assert np.median(drawn) == pytest.approx(10.0, rel=0.15)


@pytest.mark.parametrize("cell", [2.0, 8.0])
def test_smooth_noise_is_about_standard_normal_and_changes_over_one_cell(cell: float) -> None:
    noise = smooth_noise(np.random.default_rng(4), 200, 300, cell)
    assert noise.shape == (200, 300)
    assert abs(float(noise.mean())) < 0.15
    assert 0.6 < float(noise.std()) < 1.2
    step = round(2 * cell)
    near = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    far = np.corrcoef(noise[:, :-step].ravel(), noise[:, step:].ravel())[0, 1]
    assert near > 0.6
    assert abs(far) < 0.2
