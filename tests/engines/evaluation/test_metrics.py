"""Image-level figures agree with scikit-learn and with resampling by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.evaluation.metrics import auroc, average_precision, bootstrap, roc_curve


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


def test_equal_scores_give_the_figures_of_chance() -> None:
    assert auroc(np.ones(10), np.ones(5)) == 0.5
    assert average_precision(np.ones(10), np.ones(5)) == pytest.approx(1 / 3)


def test_figures_without_one_of_the_kinds_are_rejected() -> None:
    with pytest.raises(ValueError, match="0 normal and 3 abnormal scores"):
        auroc(np.array([]), np.ones(3))


def test_bootstrap_repeats_by_seed() -> None:
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


def test_bootstrap_interval_contains_the_truth_in_95_percent() -> None:
    """AUROC of N(0,1) against N(1,1) is Φ(1/√2) = 0.7602; 95 % of 200 intervals contain it, within chance."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        interval = bootstrap(auroc, rng.normal(0, 1, 60), rng.normal(1, 1, 60), seed=seed, resamples=400)
        held += interval.low <= 0.76025 <= interval.high
    assert 180 <= held <= 199
