"""Detection of synthetic damage on held-out frames decides which state is kept, and when training ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.evaluation.metrics import auroc  # noqa: E402
from engines.training.learning_watch import LearningWatch, detection_of  # noqa: E402


def watched(detections: list[float]) -> LearningWatch:
    watch = LearningWatch()
    for detection in detections:
        watch.add(detection)
    return watch


def test_detection_is_the_auroc_of_places() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(0.0, 1.0, 500).astype(np.float32)
    anomalous = rng.normal(1.0, 1.0, 300).astype(np.float32)
    found = detection_of(torch.from_numpy(normal), torch.from_numpy(anomalous))
    assert found == pytest.approx(float(auroc(normal, anomalous)), abs=1e-6)
    assert math.isnan(detection_of(torch.empty(0), torch.ones(3)))


def test_latest_state_is_kept_unless_an_earlier_one_was_plainly_better() -> None:
    watch = LearningWatch()
    assert [watch.add(value) for value in (0.7, 0.8, 0.799, 0.79, 0.81)] == [True, True, True, False, True]


def test_training_that_still_rises_at_its_end_is_reported() -> None:
    rising = watched([0.7 + 0.01 * index for index in range(12)])
    assert not rising.is_flat
    (line,) = rising.warnings()
    assert "found 81.0% of the damage" in line
    assert "4.0% more" in line


def test_flat_training_is_recognised_and_not_reported() -> None:
    flat = watched([0.7, 0.8, 0.85, 0.88, *[0.9, 0.899, 0.901, 0.9] * 2])
    assert flat.is_flat
    assert flat.warnings() == ()


@pytest.mark.parametrize("detections", [[0.7] * 11, [math.nan] * 20])
def test_without_enough_validations_or_damage_nothing_is_concluded(detections: list[float]) -> None:
    watch = watched(detections)
    assert not watch.is_flat
    assert watch.warnings() == ()
