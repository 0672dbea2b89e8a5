"""Pixel-level figures agree with direct counts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from engines.evaluation.metrics import auroc
from engines.evaluation.pixel_metrics import PRO_LIMIT, PixelTally


def pixel_scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heatmaps of 3 normal and 4 abnormal images [N, 32, 32], and masks of the latter with two regions each."""
    rng = np.random.default_rng(seed)
    heat = rng.gamma(2.0, 1.0, (7, 32, 32)).astype(np.float32)
    masks = np.zeros((4, 32, 32), bool)
    for index, mask in enumerate(masks):
        mask[4:9, 5 + index : 9 + index] = True
        mask[20:22, 20:22] = True
    heat[3:][masks] += 2.0
    return heat[:3], heat[3:], masks


def tally(normal: np.ndarray, abnormal: np.ndarray, masks: np.ndarray) -> PixelTally:
    result = PixelTally(np.concatenate([normal, abnormal]))
    for heat in normal:
        result.add_normal(heat, (32, 32))
    for heat, mask in zip(abnormal, masks, strict=True):
        result.add_abnormal(heat, mask)
    return result


def test_pixel_auroc_agrees_with_that_of_all_pixels() -> None:
    normal, abnormal, masks = pixel_scene(0)
    figures = tally(normal, abnormal, masks).figures()
    assert figures is not None
    background = np.concatenate([normal.ravel(), abnormal[~masks]])
    assert figures.auroc == pytest.approx(auroc(background, abnormal[masks]), abs=2e-4)
    assert figures.auroc_within == pytest.approx(auroc(abnormal[~masks], abnormal[masks]), abs=2e-4)
    assert figures.regions == 8


def test_pro_agrees_with_its_definition_threshold_by_threshold() -> None:
    normal, abnormal, masks = pixel_scene(1)
    background = np.sort(np.concatenate([normal.ravel(), abnormal[~masks]]))
    regions = [ndimage.label(mask, structure=np.ones((3, 3)))[0] for mask in masks]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(np.concatenate([normal.ravel(), abnormal.ravel()]))[::-1]:
        rates.append(float(np.mean(background >= threshold)))
        parts = [
            np.mean(heat[labels == label] >= threshold)
            for heat, labels in zip(abnormal, regions, strict=True)
            for label in (1, 2)
        ]
        overlaps.append(float(np.mean(parts)))
        if rates[-1] >= PRO_LIMIT:
            break
    grid = np.linspace(0, PRO_LIMIT, 20001)
    wanted = np.interp(grid, rates, overlaps).mean()
    figures = tally(normal, abnormal, masks).figures()
    assert figures is not None
    assert figures.pro == pytest.approx(wanted, abs=2e-3)


def test_heatmap_equal_to_the_mask_is_perfect() -> None:
    _, _, masks = pixel_scene(0)
    figures = tally(np.zeros((3, 32, 32), np.float32), masks.astype(np.float32), masks).figures()
    assert figures is not None
    assert (figures.auroc, figures.auroc_within, figures.pro, figures.peak_hits) == (1.0, 1.0, 1.0, 1.0)


def test_flat_heatmap_gives_the_figures_of_chance() -> None:
    _, _, masks = pixel_scene(0)
    figures = tally(np.ones((3, 32, 32), np.float32), np.ones((4, 32, 32), np.float32), masks).figures()
    assert figures is not None
    assert figures.auroc == 0.5
    assert figures.pro == pytest.approx(PRO_LIMIT / 2)


def test_small_heatmaps_are_enlarged_to_the_mask() -> None:
    mask = np.zeros((64, 64), bool)
    mask[40:56, 8:24] = True
    heat = cv2.resize(mask.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA)
    result = PixelTally(heat[None])
    result.add_abnormal(heat, mask)
    figures = result.figures()
    assert figures is not None
    assert figures.auroc > 0.99
    assert figures.peak_hits == 1.0


def test_masks_without_defects_give_no_pixel_figures() -> None:
    result = PixelTally(np.ones((1, 8, 8), np.float32))
    result.add_abnormal(np.ones((8, 8), np.float32), np.zeros((8, 8), bool))
    assert result.figures() is None
