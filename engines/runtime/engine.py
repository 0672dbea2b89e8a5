"""The engine: frames in, latent distances and heatmaps out. Backends fill in `_score`; the checks are here, once.

An engine that does not reproduce the bundle's reference frames within the manifest's tolerance is never handed out, nor
one that would judge one of them differently at a threshold that is in force.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle, Frames
from engines.errors import EngineError
from engines.images import Image, fit

log = logging.getLogger(__name__)


DEFAULT = "onnxruntime"
"""The engine that every machine has, and that takes over from one that is refused."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What an engine says of N frames."""

    score: NDArray[np.float32]
    """Latent distance [N], ≥ 0."""
    heatmap: NDArray[np.float32]
    """Where it comes from [N, h, w], raw, ≥ 0, in the same units on every frame."""


class Engine(ABC):
    """A model that is ready to score. Scoring is thread-safe; closing is for the one who opened it.

    A frame's score does not depend on the frames it is batched with, and the caller's arrays are never written to.
    """

    name: ClassVar[str]
    """As `open_engine` takes it, and as calibrations record it."""
    precision: str = "fp32"
    """Which tolerance of the manifest applies: fp32 or fp16."""
    detail: str = ""
    """How it runs here, in words: version, precision, device."""
    reason: str = "as the settings say"
    """Why it is this one, in words."""
    refused: tuple[str, ...] = ()
    """Engines that `auto` would rather have taken, a line each with what was wrong with them."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._closed = False
        self._state = threading.Lock()

    def score(self, frames: Frames) -> Scores:
        """Score N ≥ 1 frames, [N, H, W, C] of the bundle's geometry and dtype; EngineError where they are not."""
        if self._closed:
            raise EngineError(f"{self.name} engine: already closed")
        self._check(frames)
        score, heatmap = self._score(cast(Frames, np.ascontiguousarray(frames)))
        return Scores(score, heatmap)

    def fit(self, image: Image) -> Image:
        """Bring a picture [H, W, C] to the model's input, as `engines.images.preprocessing.fit` does; thread-safe."""
        return fit(image, self.bundle.geometry)

    def close(self) -> None:
        """Let go of the model; closing twice is fine."""
        with self._state:
            if not self._closed:
                self._closed = True
                self._close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score checked, contiguous frames: (score [N], heatmap [N, h, w]), float32, both the caller's to keep."""

    def _close(self) -> None:  # noqa: B027 - a backend without resources of its own needs none
        """Let go of what the backend holds; called once."""

    def _check(self, frames: Frames) -> None:
        geometry = self.bundle.geometry
        if not isinstance(frames, np.ndarray):
            raise EngineError(f"frames are a {type(frames).__name__}, wanted a numpy array [N, H, W, C]")
        if frames.ndim != 4 or frames.shape[1:] != geometry.shape or len(frames) == 0:
            wanted = "×".join(str(size) for size in geometry.shape)
            got = "×".join(str(size) for size in frames.shape)
            raise EngineError(f"frames are {got}, the model wants N×{wanted} with N ≥ 1")
        if frames.dtype != geometry.dtype:
            raise EngineError(f"frames are {frames.dtype}, the model wants {geometry.dtype} ({geometry.bit_depth} bit)")
