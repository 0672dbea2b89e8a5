"""The one-class SVM agrees with scikit-learn's decision function."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="baselines need the train extra")

from engines.baselines.ocsvm import OneClassSvm
from engines.bundles.bundle import Frames
from engines.evaluation.metrics import auroc


def test_svm_ranks_frames_as_scikit_learn_does(good: Frames, fresh: Frames, scratched: Frames) -> None:
    system = OneClassSvm()
    system.fit(good, steps=1)
    frames = np.concatenate([fresh, scratched])
    decision = system.svm.decision_function(system.features(frames))
    np.testing.assert_array_equal(np.argsort(-decision), np.argsort(system.score(frames).score))


def test_svm_finds_shifted_parts(good: Frames, fresh: Frames) -> None:
    """A shift changes many pixels, which is far away for a Gaussian kernel; scores stay finite however far."""
    system = OneClassSvm()
    system.fit(good, steps=1)
    moved = np.roll(fresh, 9, axis=2)
    assert auroc(system.score(fresh).score, system.score(moved).score) > 0.95
    assert np.isfinite(system.score(np.full_like(fresh, 255)).score).all()
