"""Checks that an engine reproduces the bundle's reference on this device, and compares two engines."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.errors import Permanent
from agent.core.progress import Progress
from agent.tools.image_list import images_in
from engines.bundles import Bundle
from engines.images import Image, read_image
from engines.runtime import Engine, Scores, open_engine, reference_errors, relative_error

# Timed calls with one frame each, after as many calls to warm up.
TIMED_CALLS = 20


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """An open engine, and its distance from the reference."""

    engine: str
    detail: str
    score_error: float
    """Largest relative difference of a reference frame's score."""
    heatmap_error: float
    """The same for its heatmap."""
    tolerance: float
    """Limit for both, from the manifest."""
    milliseconds: float
    """Median of calls with one frame."""
    reason: str
    """Why this engine was chosen."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.engine} ({self.detail}; {self.reason}) reproduces the reference: score error "
            f"{self.score_error:.2g}, heatmap error {self.heatmap_error:.2g}, tolerance {self.tolerance:g}; "
            f"{self.milliseconds:.2f} ms per frame"
        )


@dataclass(frozen=True, slots=True)
class ImagePair:
    """One image on two engines."""

    image: str
    """File name, or number of the reference frame."""
    a: float
    b: float
    score_difference: float
    """Relative to the first engine's score."""
    heatmap_difference: float
    """Largest difference, relative to the first engine's hottest spot."""

    def is_flipped_at(self, threshold: float) -> bool:
        """Whether the two engines are judged differently at this threshold."""
        return (self.a > threshold) != (self.b > threshold)


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """Two engines on the same images."""

    engines: tuple[str, str]
    milliseconds: tuple[float, float]
    """Medians of calls with one frame."""
    pairs: list[ImagePair]
    thresholds: tuple[float, ...] = ()
    """Scores above which a frame is judged defective: as given, or the active ones of the agent."""

    @property
    def flipped(self) -> list[str]:
        """Images judged differently at one of the thresholds."""
        return [pair.image for pair in self.pairs if any(pair.is_flipped_at(value) for value in self.thresholds)]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        pairs = [{"picture": values.pop("image"), **values} for values in map(asdict, self.pairs)]
        return {**asdict(self), "pairs": pairs, "flipped": self.flipped}

    def lines(self) -> Iterator[str]:
        """For people."""
        a, b = self.engines
        yield f"{a:>14}{b:>14}   score    heatmap"
        for pair in self.pairs:
            yield (
                f"{pair.a:14.6g}{pair.b:14.6g}   {pair.score_difference:.1e}  {pair.heatmap_difference:.1e}  "
                f"{pair.image}"
            )
        score = max(pair.score_difference for pair in self.pairs)
        heatmap = max(pair.heatmap_difference for pair in self.pairs)
        yield f"largest relative difference: score {score:.2g}, heatmap {heatmap:.2g}"
        yield f"time per frame: {a} {self.milliseconds[0]:.2f} ms, {b} {self.milliseconds[1]:.2f} ms"
        for threshold in self.thresholds:
            flipped = ", ".join(pair.image for pair in self.pairs if pair.is_flipped_at(threshold)) or "none"
            yield f"at threshold {threshold:g} judged differently: {flipped}"


def check_engine(
    bundle: Bundle, name: str, directory: Path, *, thresholds: Sequence[float] = (), progress: Progress
) -> EngineCheck:
    """Open an engine as the agent does, and build it if necessary. Raises EngineError if it cannot be used here."""
    with open_engine(bundle, name, directory=directory, progress=progress, thresholds=thresholds) as engine:
        score, heatmap = reference_errors(engine)
        tolerance = float(getattr(bundle.manifest.tolerance, engine.precision))
        reason = f"auto: {engine.reason}" if name == "auto" else "as requested"
        return EngineCheck(engine.name, engine.detail, score, heatmap, tolerance, _milliseconds(engine), reason)


def compare_answers(
    bundle: Bundle,
    names: tuple[str, str],
    directory: Path,
    *,
    folder: Path | None = None,
    thresholds: tuple[float, ...] = (),
    progress: Progress,
) -> EngineComparison:
    """Score the same images on two engines, each with its own way of fitting them to the model's input.

    `folder`: None for the bundle's reference frames. Raises Permanent for a threshold that is not finite and for a
    folder without images, EngineError for an engine that cannot be used here.
    """
    for threshold in thresholds:
        if not math.isfinite(threshold):
            raise Permanent(f"threshold is {threshold:g}, wanted a finite number")
    named_images = _named_images(folder, bundle)
    with (
        open_engine(bundle, names[0], directory=directory, progress=progress) as a,
        open_engine(bundle, names[1], directory=directory, progress=progress) as b,
    ):
        pairs = []
        for index, (name, source) in enumerate(named_images):
            image = read_image(source, bundle.manifest.reading) if isinstance(source, Path) else source
            pairs.append(_pair(name, _score(a, image), _score(b, image)))
            progress((index + 1) / len(named_images), name)
        return EngineComparison((a.name, b.name), (_milliseconds(a), _milliseconds(b)), pairs, thresholds)


def _named_images(folder: Path | None, bundle: Bundle) -> list[tuple[str, Path | Image]]:
    if folder is None:
        return [(f"reference {index}", frame) for index, frame in enumerate(bundle.reference().frames)]
    return [(path.name, path) for path in images_in(folder, bundle.manifest.reading)]


def _score(engine: Engine, image: Image) -> Scores:
    return engine.score(engine.fit(image)[np.newaxis])


def _pair(name: str, a: Scores, b: Scores) -> ImagePair:
    return ImagePair(
        name,
        float(a.score[0]),
        float(b.score[0]),
        relative_error(b.score, a.score),
        relative_error(b.heatmap, a.heatmap),
    )


def _milliseconds(engine: Engine) -> float:
    frame = engine.bundle.reference().frames[:1]
    durations = []
    for _ in range(2 * TIMED_CALLS):
        started = time.perf_counter()
        engine.score(frame)
        durations.append(time.perf_counter() - started)
    return round(float(1e3 * np.median(durations[TIMED_CALLS:])), 3)
