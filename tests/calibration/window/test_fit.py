"""Windows against the scores that a model is known to give: a foreign level, an upper tail, and neither."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.window.fit import Misfit, TrainingScores, check_fit

WINDOWS = 200


def good_scores(seed: int, count: int, factor: float = 1.0) -> NDArray[np.float64]:
    """Scores like those of real good images: the logarithm is normal."""
    return factor * np.exp(np.random.default_rng(seed).normal(0.0, 0.8, count))


def known(count: int, damaged: float | None = 100.0, seed: int = 10_000) -> TrainingScores:
    return TrainingScores(np.sort(good_scores(seed, count)), damaged)


def with_defects(scores: NDArray[np.float64], share: float, factor: float) -> NDArray[np.float64]:
    """Every so many-th frame is a defect, whose score is multiplied."""
    changed = scores.copy()
    changed[:: round(1 / share)] *= factor
    return changed


def share_stopped(windows: list[tuple[NDArray[np.float64], TrainingScores]]) -> float:
    found = [check_fit(scores, training) for scores, training in windows]
    return float(np.mean([finding is not None and finding.stops for finding in found]))


@pytest.mark.parametrize("held_out", [36, 114, 512])
@pytest.mark.parametrize("frames", [60, 300, 1000])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_good_windows_are_seldom_stopped_also_where_the_light_differs(
    held_out: int, frames: int, factor: float
) -> None:
    windows = [(good_scores(seed, frames, factor), known(held_out, seed=10_000 + seed)) for seed in range(WINDOWS)]
    assert share_stopped(windows) <= 0.05


@pytest.mark.parametrize(("share", "factor", "held_out"), [(0.05, 20.0, 512), (0.1, 8.0, 512), (0.3, 8.0, 36)])
def test_defects_in_the_window_stop_it(share: float, factor: float, held_out: int) -> None:
    windows = [
        (with_defects(good_scores(seed, 300), share, factor), known(held_out, seed=10_000 + seed))
        for seed in range(100)
    ]
    assert share_stopped(windows) >= 0.9


def test_few_glaring_defects_stop_a_window_though_few_images_were_held_out() -> None:
    scores = with_defects(good_scores(1, 300), 0.02, 1000.0)
    finding = check_fit(scores, known(36, damaged=None))
    assert finding is not None
    assert finding.misfit is Misfit.DEFECTS
    assert set(finding.suspects) == set(range(0, 300, 50))
    assert list(scores[list(finding.suspects)]) == sorted(scores[::50], reverse=True), "highest first"


def test_two_defects_in_a_short_window_stop_it_though_few_images_were_held_out() -> None:
    """Gamma scores, and defects that score six times as high as the highest of them; no count can tell 2 in 50."""
    windows, good = [], []
    for seed in range(100):
        chance = np.random.default_rng(seed)
        scores, held_out = chance.gamma(9.0, size=50), TrainingScores(np.sort(chance.gamma(9.0, size=30)))
        good.append((scores, held_out))
        windows.append((np.where(np.isin(np.arange(50), (12, 33)), 6.0 * scores.max(), scores), held_out))
    assert share_stopped(windows) >= 0.95
    assert share_stopped(good) <= 0.02
    finding = check_fit(*windows[0])
    assert finding is not None
    assert set(finding.suspects) == {12, 33}
    assert finding.reason.startswith("the window may contain bad parts: 2 images of 50 above the scores of good parts")


def test_images_that_repeat_count_once() -> None:
    """Ten frames of each part: a part slightly above the others is one of 30, not ten of 300."""
    windows = [(good_scores(seed, 30).repeat(10), known(114, seed=10_000 + seed)) for seed in range(WINDOWS)]
    assert share_stopped(windows) <= 0.05


@pytest.mark.parametrize("damaged", [None, 100.0])
def test_a_window_of_other_parts_is_foreign(damaged: float | None) -> None:
    finding = check_fit(good_scores(1, 300, 3000.0), known(114, damaged))
    assert finding is not None
    assert finding.misfit is Misfit.FOREIGN
    assert finding.stops
    assert finding.reason.startswith("the model does not fit this camera: its usual image scores 2,900,")


def test_a_level_between_good_and_damaged_images_is_reported_and_does_not_stop() -> None:
    training = known(114, damaged=1000.0)
    finding = check_fit(good_scores(1, 300, 1.5 * training.highest), training)
    assert finding is not None
    assert finding.misfit is Misfit.SHIFTED
    assert not finding.stops


def test_five_figures_stand_for_all_scores() -> None:
    """Bundles of earlier versions have only these: good windows pass, bad ones are stopped."""
    stopped = {}
    for share in (0.0, 0.1):
        windows = []
        for seed in range(WINDOWS):
            held_out, scores = good_scores(10_000 + seed, 114), good_scores(seed, 300)
            p95 = float(np.quantile(held_out, 0.95))
            figures = float(held_out.min()), float(np.median(held_out)), p95, float(held_out.max())
            training = TrainingScores.of_summary(114, *figures)
            windows.append((with_defects(scores, share, 8.0) if share else scores, training))
        stopped[share] = share_stopped(windows)
    assert stopped[0.0] <= 0.05
    assert stopped[0.1] >= 0.5


def test_with_few_images_held_out_only_the_level_is_compared() -> None:
    assert check_fit(with_defects(good_scores(1, 300), 0.1, 50.0), known(8)) is None
    assert check_fit(good_scores(1, 300, 3000.0), known(8)) is not None


def test_scores_of_zero_are_compared_too() -> None:
    """A model that gives good images no distance at all."""
    training = TrainingScores(np.zeros(60))
    assert check_fit(np.zeros(300), training) is None
    finding = check_fit(np.ones(300), training)
    assert finding is not None
    assert finding.misfit is Misfit.FOREIGN
