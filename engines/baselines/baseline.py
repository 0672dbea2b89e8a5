"""The interface of the compared systems: fit good frames, then give each frame a score and a heatmap."""

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
    """When training ends: whichever limit is reached first. TrainingError without any, or for an impossible one."""

    minutes: float | None = None
    """Training time; None for no such limit."""
    steps: int | None = None
    """Training steps; None for no such limit."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise TrainingError("neither minutes nor steps are given, wanted at least one: training would never end")
        if self.minutes is not None and not self.minutes > 0:
            raise TrainingError(f"minutes is {self.minutes:g}, wanted more than 0")
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"steps is {self.steps}, wanted at least 1")


class Baseline(ABC):
    """One system.

    A frame's score does not depend on the rest of its batch. The same seed and the same number of steps give the same
    scores on the same machine.
    """

    name: ClassVar[str]
    """The value of `--only`."""
    title: ClassVar[str]
    """The name in tables and charts."""
    paper: ClassVar[str]
    """Authors and year of the publication."""
    seeded: ClassVar[bool] = True
    """False if training is deterministic, so that every seed gives the same result."""
    score_batch: ClassVar[int] = 64
    """Batch size for scoring many frames."""

    def __init__(self) -> None:
        self.normalisation = Normalisation(low=0.0, high=255.0)
        """Range of grey values that becomes -1 … 1, by `normalisation_of`: the same for every system."""
        self.padding: int | None = None
        """Gray value of the padding in frames of images of another shape, for systems that leave it out."""
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
        """Train on good frames, uint8 or uint16 [N ≥ 2, H, W, C].

        Systems that do not train in steps ignore the limits. PyTorch's global random state does not change. Raises
        TrainingError for impossible arguments.
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
        """Score frames of the same shape and type as the training frames.

        Returns score [N] and heatmap [N, h, w], float32, ≥ 0, not scaled: their unit is the system's own, the same for
        every frame. Raises EngineError before `fit`, or for frames of another shape or type.
        """
        if self._shape is None:
            raise EngineError(f"{self.name}: score() was called before fit()")
        if frames.shape[1:] != self._shape or frames.dtype != self._dtype or len(frames) == 0:
            raise EngineError(f"frames are {frames.dtype} {frames.shape}, wanted {self._dtype} N×{self._shape}, N ≥ 1")
        score, heatmap = self._score(frames)
        return Scores(np.asarray(score, np.float32), np.asarray(heatmap, np.float32))

    def close(self) -> None:  # noqa: B027 - most systems hold nothing but memory
        """Release resources such as files and engines."""

    def normalised(self, frames: Frames) -> Tensor:
        """Normalise frames [N, H, W, C] to float32 [N, C, H, W], mostly -1 … 1: the input of every system."""
        result: Tensor = Normalise(self.normalisation)(torch.from_numpy(np.ascontiguousarray(frames)))
        return result

    @abstractmethod
    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        """Train on validated frames; PyTorch is already seeded."""

    @abstractmethod
    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score validated frames: (score [N], heatmap [N, h, w]), ≥ 0."""
