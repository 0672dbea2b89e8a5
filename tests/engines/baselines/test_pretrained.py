"""PatchCore and PaDiM find a scratch by pretrained features, and point at it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

import torch

from engines.baselines.baseline import Baseline
from engines.baselines.padim import Padim
from engines.baselines.patchcore import PatchCore
from engines.baselines.pretrained import joined_features
from engines.baselines.stfpm import Stfpm, untrained_student
from engines.evaluation.metrics import auroc
from tests.engines.baselines.conftest import parts


@pytest.mark.parametrize(
    ("kind", "side", "count", "steps"), [(PatchCore, 128, 24, 1), (Padim, 128, 24, 1), (Stfpm, 96, 16, 30)]
)
def test_scratch_is_found_and_is_the_hottest_place(kind: type[Baseline], side: int, count: int, steps: int) -> None:
    """The scratch is brighter than 220."""
    system = kind()
    system.fit(parts(count, seed=0, side=side), steps=steps)
    good, bad = parts(8, seed=1, side=side), parts(8, seed=2, scratch=True, side=side)
    scores = system.score(bad)
    assert auroc(system.score(good).score, scores.score) > 0.95
    hits = 0
    for frame, heatmap in zip(bad, scores.heatmap, strict=True):
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        around = frame[max(0, row - 10) : row + 11, max(0, column - 10) : column + 11, 0]
        hits += bool((around > 220).any())
    # One place in five is as near to a scratch.
    assert hits >= 6


def test_features_of_all_levels_are_joined_at_the_finest() -> None:
    fine, coarse = torch.zeros(2, 3, 8, 8), torch.ones(2, 5, 4, 4)
    joined = joined_features([fine, coarse])
    assert joined.shape == (2, 8, 8, 8)
    assert torch.equal(joined[:, 3:], torch.ones(2, 5, 8, 8))


def test_student_has_the_layers_of_the_teacher_and_learns_all_its_weights() -> None:
    student = untrained_student()
    features = student(torch.rand(4, 1, 32, 48))
    assert [maps.shape[1:] for maps in features] == [(24, 8, 12), (40, 4, 6), (80, 2, 3), (112, 2, 3)]
    features.context.sum().backward()
    assert all(weight.grad is not None for weight in student.parameters())
