"""The engine: frames in, latent distances and heatmaps out. Backends fill in `_score`; the checks are here, once.

An engine that does not reproduce the bundle's reference frames within the manifest's tolerance is never handed out, nor
one that would judge one of them differently at a threshold that is in force.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from engines.bundles.bundle import Bundle, Frames, Reference
from engines.errors import EngineError
from engines.images.preprocessing import Image, fit

log = logging.getLogger(__name__)

NAMES = ("auto", "onnxruntime", "openvino", "tensorrt", "torch")
"""What `open_engine` takes; `engines.runtime.choice` says what `auto` is."""

DEFAULT = "onnxruntime"
"""The engine that every machine has, and that takes over from one that is refused."""

Progress = Callable[[float, str], None]
"""Takes how far the opening of an engine is, 0 to 1, and what it is doing."""


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


def open_engine(
    bundle: Bundle,
    name: str = "auto",
    *,
    threads: int | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
    thresholds: Sequence[float] = (),
) -> Engine:
    """Open an engine on a bundle and check it against the reference frames.

    Args:
        bundle: a verified one.
        name: one of NAMES. `auto` goes from the best to the one that every machine has, until one opens.
        threads: limit of the CPU threads of one call to `score`; None leaves it to the backend.
        directory: the agent's state directory, where choices and built engines are kept; None: nothing is kept.
        progress: told how far the building of an engine is, where one has to be built first.
        thresholds: scores above which frames are judged anomalous on this device at present.

    Raises EngineError where the name is unknown, the backend is not installed, the reference is not reproduced, or one
    of its frames would be judged differently; the last does not count for DEFAULT, behind which there is no other.
    """
    if name == "auto":
        return _open_best(bundle, threads, directory, progress, thresholds)
    engine = _construct(bundle, name, threads, directory, progress)
    try:
        check_reference(engine, () if name == DEFAULT else thresholds)
    except BaseException:
        engine.close()
        raise
    return engine


def _open_best(
    bundle: Bundle,
    threads: int | None,
    directory: Path | None,
    progress: Progress | None,
    thresholds: Sequence[float],
) -> Engine:
    from engines.runtime.choice import candidates

    refused: list[str] = []
    for name, reason in candidates(bundle, directory).items():
        try:
            engine = open_engine(
                bundle, name, threads=threads, directory=directory, progress=progress, thresholds=thresholds
            )
        except EngineError as error:
            if name == DEFAULT:
                raise
            log.warning("%s", error)
            refused.append(str(error))
            continue
        engine.reason, engine.refused = reason, tuple(refused)
        return engine
    raise AssertionError("the last candidate is opened, or raises")


def check_reference(engine: Engine, thresholds: Sequence[float] = ()) -> None:
    """Raise EngineError where the engine is further from the reference frames than the manifest allows.

    So it does where it has one of them on the other side of one of the thresholds than the reference has.
    """
    tolerance = float(getattr(engine.bundle.manifest.tolerance, engine.precision))
    reference = engine.bundle.reference()
    scores = engine.score(reference.frames)
    for error, what in zip(_errors(scores, reference), ("score", "heatmap"), strict=True):
        if not error <= tolerance:
            raise EngineError(
                f"{engine.name} engine: {what} of the reference frames is off by {error:.2g}, "
                f"wanted at most {tolerance:g} ({engine.bundle.path})"
            )
    for threshold in thresholds:
        flipped = np.flatnonzero((scores.score > threshold) != (reference.score > threshold))
        if flipped.size > 0:
            first = int(flipped[0])
            raise EngineError(
                f"{engine.name} engine: reference frame {first} scores {scores.score[first]:.6g}, wanted the side of "
                f"the threshold {threshold:.6g} on which {reference.score[first]:.6g} is ({engine.bundle.path})"
            )


def reference_errors(engine: Engine) -> tuple[float, float]:
    """How far the engine is from the reference frames, relative, as `relative_error` says: score, heatmap."""
    reference = engine.bundle.reference()
    return _errors(engine.score(reference.frames), reference)


def _errors(scores: Scores, reference: Reference) -> tuple[float, float]:
    return relative_error(scores.score, reference.score), relative_error(scores.heatmap, reference.heatmap)


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Largest difference on any frame, relative to that frame's largest wanted value; inf where anything is not finite.

    >>> relative_error(np.float32([1.0, 2.1]), np.float32([1.0, 2.0]))
    0.05
    """
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    rows = len(wanted)
    difference = np.abs(got.astype(np.float64) - wanted).reshape(rows, -1).max(axis=1)
    scale = np.abs(wanted.astype(np.float64)).reshape(rows, -1).max(axis=1)
    return float(round(np.max(difference / np.maximum(scale, np.finfo(np.float32).tiny)), 6))


def _construct(
    bundle: Bundle, name: str, threads: int | None, directory: Path | None, progress: Progress | None
) -> Engine:
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}, wanted at least 1")
    if name == "onnxruntime":
        from engines.runtime.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(bundle, threads=threads)
    if name == "openvino":
        from engines.runtime.openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, threads=threads)
    if name == "tensorrt":
        from engines.runtime.tensorrt.engine import TensorRtEngine

        return TensorRtEngine(bundle, directory=directory, progress=progress)
    if name == "torch":
        from engines.runtime.torch import TorchEngine

        return TorchEngine(bundle, threads=threads)
    raise EngineError(f"engine {name!r} is unknown, wanted one of {', '.join(NAMES)}")
