"""Small frames of the part that the other suites use, as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from engines.bundles.bundle import Frames
from tests.support.parts import draw_part


def parts(count: int, *, seed: int, scratch: bool = False, depth: int = 8) -> Frames:
    """[count, 32, 32, 1], good or with a bright scratch."""
    rng = np.random.default_rng(seed)
    frames: Frames = np.stack([draw_part(rng, scratch=scratch, side=32, depth=depth) for _ in range(count)])[..., None]
    return frames


@pytest.fixture(scope="session")
def good() -> Frames:
    """To learn from."""
    return parts(32, seed=0)


@pytest.fixture(scope="session")
def fresh() -> Frames:
    """Good ones to score."""
    return parts(16, seed=1)


@pytest.fixture(scope="session")
def scratched() -> Frames:
    """Bad ones to score."""
    return parts(16, seed=2, scratch=True)
