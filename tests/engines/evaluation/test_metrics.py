"""The figures are those of scikit-learn where it has them, and of a direct count where it has not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from engines.evaluation.metrics import PRO_LIMIT, PixelTally, auroc, average_precision, bootstrap, roc_curve


def two_kinds(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    normal, abnormal = rng.normal(0, 1, 60), rng.normal(0.8, 1, 90)
    return (normal.round(1), abnormal.round(1)) if ties else (normal, abnormal)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    normal, abnormal = two_kinds(seed, ties=ties)
    truth = np.concatenate([np.zeros(len(normal)), np.ones(len(abnormal))])
    scores = np.concatenate([normal, abnormal])
    assert auroc(normal, abnormal) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(normal, abnormal) == pytest.approx(
        metrics.average_precision_score(truth, scores), abs=1e-12
    )
    rates = roc_curve(normal, abnormal)
    for ours, theirs in zip(rates, metrics.roc_curve(truth, scores, drop_intermediate=False)[:2], strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_scores_that_are_all_equal_are_worth_a_coin() -> None:
    assert auroc(np.ones(10), np.ones(5)) == 0.5
    assert average_precision(np.ones(10), np.ones(5)) == pytest.approx(1 / 3)


def test_figures_without_one_of_the_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="0 normal and 3 abnormal scores"):
        auroc(np.array([]), np.ones(3))


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    normal, abnormal = two_kinds(0, ties=True)
    assert bootstrap(auroc, normal, abnormal, seed=1) == bootstrap(auroc, normal, abnormal, seed=1)
    assert bootstrap(auroc, normal, abnormal, seed=1) != bootstrap(auroc, normal, abnormal, seed=2)


@pytest.mark.parametrize("statistic", [auroc, average_precision])
def test_bootstrap_agrees_with_resampling_by_hand(statistic) -> None:
    normal, abnormal = two_kinds(0, ties=False)
    rng = np.random.default_rng(5)
    by_hand = [statistic(rng.choice(normal, len(normal)), rng.choice(abnormal, len(abnormal))) for _ in range(2000)]
    interval = bootstrap(statistic, normal, abnormal)
    assert interval.value == statistic(normal, abnormal)
    np.testing.assert_allclose((interval.low, interval.high), np.quantile(by_hand, (0.025, 0.975)), atol=0.01)


def test_bootstrap_interval_holds_the_truth_as_often_as_it_says() -> None:
    """AUROC of N(0,1) against N(1,1) is Φ(1/√2) = 0.7602; 95 % of the intervals hold it, give or take 200 draws."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        interval = bootstrap(auroc, rng.normal(0, 1, 60), rng.normal(1, 1, 60), seed=seed, resamples=400)
        held += interval.low <= 0.76025 <= interval.high
    assert 180 <= held <= 199


def pixel_scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heat of 3 normal and 4 abnormal frames [N, 32, 32], and the masks of the latter; two regions on each."""
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


def test_pixel_auroc_agrees_with_a_count_of_all_pixels() -> None:
    normal, abnormal, masks = pixel_scene(0)
    figures = tally(normal, abnormal, masks).figures()
    assert figures is not None
    background = np.concatenate([normal.ravel(), abnormal[~masks]])
    assert figures.auroc == pytest.approx(auroc(background, abnormal[masks]), abs=2e-4)
    assert figures.auroc_within == pytest.approx(auroc(abnormal[~masks], abnormal[masks]), abs=2e-4)
    assert figures.regions == 8


def test_pro_agrees_with_the_definition_worked_out_threshold_by_threshold() -> None:
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


def test_heat_that_equals_the_mask_gets_full_marks() -> None:
    _, _, masks = pixel_scene(0)
    figures = tally(np.zeros((3, 32, 32), np.float32), masks.astype(np.float32), masks).figures()
    assert figures is not None
    assert (figures.auroc, figures.auroc_within, figures.pro, figures.peak_hits) == (1.0, 1.0, 1.0, 1.0)


def test_heat_that_is_flat_gets_a_coin_s_marks() -> None:
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
