"""A station keeps its promise on scores of real images: digits, of which a rare kind may look unlike the rest."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.inspection.station import SETTLING_FRAMES
from calibration import Budget, Calibration, TrainingScores
from tests.support.frames import prepared
from tests.support.stations import PLAN, heat, make

DIGITS = Path(__file__).parents[4] / "shared" / "data" / "mnist"
pytestmark = pytest.mark.skipif(not DIGITS.is_dir(), reason="../shared/data/mnist is not here")

LINES = 20


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scores of good digits (all but fours) that were not learned, and of fours: distance to the nearest learned."""
    with gzip.open(DIGITS / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    with gzip.open(DIGITS / "t10k-labels-idx1-ubyte.gz") as file:
        kinds = np.frombuffer(file.read(), np.uint8, offset=8)
    good, bad = pixels[kinds != 4][:4_000], pixels[kinds == 4]
    learned, good = good[:800], good[800:]

    def scores(images: np.ndarray) -> np.ndarray:
        squared = (images**2).sum(1)[:, None] + (learned**2).sum(1) - 2 * images @ learned.T
        return np.sqrt(np.maximum(squared.min(1), 0.0)).astype(np.float64)

    return scores(good), scores(bad)


def calibrated(
    directory: Path, scores: np.ndarray, *, budget: str, training: TrainingScores | None = None
) -> Calibration | None:
    """The calibration of a first window with these scores, where each image is a part."""
    plan = replace(PLAN, frames=scores.size, max_frames=scores.size, budget=Budget.parse(budget), parts_known=True)
    station = make(directory, plan, training=training)
    for index, score in enumerate(np.concatenate((scores[:SETTLING_FRAMES], scores))):
        station.judge(prepared(index), float(score), heat(0.1 * (index % 7)))
    return station.calibration


def windows(directory: Path, good: np.ndarray, frames: int, *, budget: str, training: bool) -> list[Calibration]:
    """The calibrations of random orders of good images; the model may know the scores of 200 others."""
    made = []
    for seed in range(LINES):
        order = np.random.default_rng(seed).permutation(good)
        known = TrainingScores(np.sort(order[-200:])) if training else None
        calibration = calibrated(directory / str(seed), order[:frames], budget=budget, training=known)
        if calibration is not None:
            made.append(calibration)
    return made


def test_certificates_for_real_parts_are_true(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """300 images certify 1 per 100 wherever no image was left out, and the limit is broken by chance alone."""
    good, _ = digits
    made = windows(tmp_path, good, 300, budget="1 per 100 parts", training=True)
    certified = [each for each in made if each.threshold.certified]
    assert len(certified) >= 0.9 * LINES
    assert all(each.left_out == () for each in certified)
    assert sum(np.mean(good > each.threshold.value) > 0.01 for each in certified) <= 3


@pytest.mark.parametrize(("frames", "budget"), [(100, "1 per 100 parts"), (300, "1 per 300 parts")])
def test_best_guess_of_real_parts_is_within_a_factor_of_two(
    tmp_path: Path, digits: tuple[np.ndarray, np.ndarray], frames: int, budget: str
) -> None:
    good, _ = digits
    made = windows(tmp_path, good, frames, budget=budget, training=True)
    assert len(made) >= 0.9 * LINES
    allowed = Budget.parse(budget).per_frame(frames_per_second=1.0)
    rates = np.array([np.mean(good > each.threshold.value) for each in made]) / allowed
    assert 0.5 <= np.median(rates) <= 2.0
    assert rates.mean() <= 2.5


def test_limit_of_real_parts_is_kept_without_a_certificate(
    tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    good, _ = digits
    kept = []
    for each in windows(tmp_path, good, 60, budget="1 per 100 parts", training=False):
        limit = each.threshold.promised_alarms_per_day / (each.frames_per_second * 86_400)
        kept.append(np.mean(good > each.threshold.value) <= limit)
    assert np.mean(kept) >= 0.9


def test_left_out_real_parts_that_nobody_confirmed_give_no_certificate(
    tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """Fours among the parts look unlike the rest. Without the model's own scores they are left out, and asked about."""
    good, _ = digits
    scores = np.random.default_rng(3).permutation(good)[:400].copy()
    scores[50::40] += 6 * scores.std()
    made = calibrated(tmp_path, scores, budget="1 per 100 parts")
    assert made is not None
    assert len(made.left_out) >= 5
    assert not made.threshold.certified
    assert "because nobody has confirmed them as bad" in made.threshold.reason
    assert made.left_out_cost.startswith(f"{len(made.left_out)} images look unlike the rest and were left out.")
