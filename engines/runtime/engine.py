"""The engine: frames in, scores and heatmaps out. Backends implement `_score`; the checks are here, once."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle, Frames
from engines.errors import EngineError
from engines.images import Image, fit_to_view
from engines.progress import Progress


@dataclass(frozen=True, slots=True)
class Scores:
    """The answers of an engine for N frames."""

    score: NDArray[np.float32]
    """Latent distance [N], ≥ 0."""
    heatmap: NDArray[np.float32]
    """Where the score comes from [N, h, w], raw, ≥ 0, in the same units on every frame."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to open an engine. A backend uses the options that apply to it."""

    threads: int | None = None
    """Limit of the CPU threads of one call to `score`, ≥ 1; None: the backend decides."""
    directory: Path | None = None
    """The agent's state directory, for measured choices and built plans; None: nothing is kept."""
    progress: Progress | None = None
    """Called while a plan is built; None: progress is not reported."""

    def __post_init__(self) -> None:
        """Raise EngineError if there are no threads."""
        if self.threads is not None and self.threads < 1:
            raise EngineError(f"threads is {self.threads}, wanted at least 1")


DEFAULT_OPTIONS = EngineOptions()


class Engine(ABC):
    """A model that is ready to score. `score` and `fit` are thread-safe; the owner closes the engine.

    A frame's score does not depend on the other frames of its batch, and the caller's arrays are never written to.
    """

    name: ClassVar[str]
    """The name of its row in `engines.backends`; calibrations record it."""
    precision: str = "fp32"
    """Which tolerance of the manifest applies: fp32 or fp16."""
    detail: str = ""
    """Version, precision and device, for people."""
    reason: str = "as configured"
    """Why this engine runs, for people."""
    rejected: tuple[str, ...] = ()
    """Engines that `auto` tried first, one line each with the reason for the rejection."""

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        self.bundle = bundle
        self.options = options
        self._closed = False
        self._closing = threading.Lock()

    def score(self, frames: Frames) -> Scores:
        """Score N ≥ 1 frames, [N, H, W, C] of the bundle's geometry and dtype; EngineError for any others."""
        if self._closed:
            raise EngineError(f"{self.name} engine: already closed")
        self._check(frames)
        score, heatmap = self._score(cast(Frames, np.ascontiguousarray(frames)))
        return Scores(score, heatmap)

    def fit(self, image: Image) -> Image:
        """Fit an image [H, W, C] to the model's input, as `engines.images.fit_to_view` does; thread-safe."""
        return fit_to_view(image, self.bundle.manifest.view, self.bundle.geometry)

    def interrupt(self) -> None:  # noqa: B027 - most backends cannot be interrupted
        """End the call to `score` that is running on another thread with an EngineError, if the backend can."""

    def close(self) -> None:
        """Release the model; closing twice does no harm."""
        with self._closing:
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
        """Score checked, contiguous frames: (score [N], heatmap [N, h, w]), float32; the caller owns both arrays."""

    def _close(self) -> None:  # noqa: B027 - a backend without resources of its own needs none
        """Release the backend's resources; called once."""

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
