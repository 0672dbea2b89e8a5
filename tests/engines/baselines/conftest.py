"""Small frames of the part that the other suites use, as arrays, and rows for principal axes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.bundles.bundle import Frames
from tests.support.parts import draw_part


def parts(count: int, *, seed: int, scratch: bool = False, depth: int = 8, side: int = 32) -> Frames:
    """[count, side, side, 1], good or with a bright scratch."""
    rng = np.random.default_rng(seed)
    frames: Frames = np.stack([draw_part(rng, scratch=scratch, side=side, depth=depth) for _ in range(count)])[
        ..., None
    ]
    return frames


def correlated_rows(count: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    """Correlated rows [count, length] around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 1, (length, length)) * np.geomspace(3, 0.3, length)
    return (rng.normal(0, 1, (count, length)) @ mixing.T + 5).astype(np.float32)


@pytest.fixture(scope="session")
def good() -> Frames:
    """To train on."""
    return parts(32, seed=0)


@pytest.fixture(scope="session")
def fresh() -> Frames:
    """Good ones to score."""
    return parts(16, seed=1)


@pytest.fixture(scope="session")
def scratched() -> Frames:
    """Bad ones to score."""
    return parts(16, seed=2, scratch=True)
