"""What every system of a comparison does: learn from good frames, then give each frame a score and a heatmap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.bundles import Frames, Normalisation
from engines.errors import EngineError, TrainingError
from engines.progress import Progress
from engines.recipes.scorer import Normalise, normalisation_of
from engines.runtime import Scores


@dataclass(frozen=True, slots=True)
class Limits:
    """When learning ends: whichever comes first."""

    minutes: float | None = None
    """Time to learn; None for no such limit."""
    steps: int | None = None
    """Steps to learn; None for no such limit."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise TrainingError("neither minutes nor steps are given, wanted at least one: training would never end")
        if self.minutes is not None and not self.minutes > 0:
            raise TrainingError(f"minutes is {self.minutes:g}, wanted more than 0")
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"steps is {self.steps}, wanted at least 1")


class Baseline(ABC):
    """One system. A frame's score does not depend on the frames it is batched with; the same seed and the same number
    of steps give the same scores on the same machine."""

    name: ClassVar[str]
    """As `--only` takes it."""
    title: ClassVar[str]
    """As tables and charts show it."""
    paper: ClassVar[str]
    """Where it is from."""
    seeded: ClassVar[bool] = True
    """False where learning is exact: every seed gives the same."""
    score_batch: ClassVar[int] = 64
    """Frames that are scored at once where time matters."""

    def __init__(self) -> None:
        self.normalisation = Normalisation(low=0.0, high=255.0)
        """Range of grey values that becomes -1 … 1, the same for every system:
        `engines.recipes.scorer.normalisation_of`."""
        self._shape: tuple[int, ...] | None = None
        self._dtype: np.dtype[np.uint8] | np.dtype[np.uint16] | None = None

    def fit(
        self,
        frames: Frames,
        *,
        seed: int = 0,
        minutes: float | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Learn from good frames, uint8 or uint16 [N ≥ 2, H, W, C]; systems without steps take the time they need.

        PyTorch's global random state is left as it was. Raises TrainingError for impossible arguments.
        """
        if frames.ndim != 4 or len(frames) < 2 or frames.dtype not in (np.uint8, np.uint16):
            raise TrainingError(f"frames are {frames.dtype} {frames.shape}, wanted uint8 or uint16 [N ≥ 2, H, W, C]")
        limits = Limits(minutes, steps)
        self.normalisation = normalisation_of(frames)
        self._shape, self._dtype = frames.shape[1:], frames.dtype
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._fit(frames, seed, limits, progress or (lambda share, message: None))

    def score(self, frames: Frames) -> Scores:
        """Score frames like those that were learned from: score [N] and heatmap [N, h, w], float32, ≥ 0, raw.

        The score's unit is the system's own, the same on every frame. EngineError where `fit` was not called or the
        frames are of another kind.
        """
        if self._shape is None:
            raise EngineError(f"{self.name}: asked to score before it has learned")
        if frames.shape[1:] != self._shape or frames.dtype != self._dtype or len(frames) == 0:
            raise EngineError(f"frames are {frames.dtype} {frames.shape}, wanted {self._dtype} N×{self._shape}, N ≥ 1")
        score, heatmap = self._score(frames)
        return Scores(np.asarray(score, np.float32), np.asarray(heatmap, np.float32))

    def close(self) -> None:  # noqa: B027 - most systems hold nothing but memory
        """Let go of what is held."""

    def normalised(self, frames: Frames) -> Tensor:
        """Frames [N, H, W, C] as every system sees them: float32 [N, C, H, W], mostly -1 … 1."""
        result: Tensor = Normalise(self.normalisation)(torch.from_numpy(np.ascontiguousarray(frames)))
        return result

    @abstractmethod
    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        """Learn from checked frames; PyTorch is seeded already."""

    @abstractmethod
    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score checked frames: (score [N], heatmap [N, h, w]), ≥ 0."""
