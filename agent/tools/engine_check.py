"""Does an engine give the right answers on this device, and the same as another one?"""

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
from engines.bundles import Bundle
from engines.images import Image, list_images, read_image
from engines.runtime import Engine, Scores, open_engine, reference_errors, relative_error

# Calls that are timed, a frame each, after as many that warm up.
TIMED_CALLS = 20


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """An engine that opened, and how close to the reference it is."""

    engine: str
    detail: str
    score_error: float
    """Largest difference on a reference frame, relative."""
    heatmap_error: float
    tolerance: float
    """The manifest's limit for both."""
    milliseconds: float
    """A call with one frame, median."""
    reason: str
    """Why it is this one, in words."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.engine} ({self.detail}; {self.reason}) reproduces the reference: score off by "
            f"{self.score_error:.2g}, heatmap by {self.heatmap_error:.2g}, at most {self.tolerance:g} allowed; "
            f"{self.milliseconds:.2f} ms a frame"
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture on two engines."""

    picture: str
    a: float
    b: float
    score_difference: float
    """Relative to the first engine's score."""
    heatmap_difference: float
    """Of the hottest difference to the first engine's hottest place."""

    def is_flipped_at(self, threshold: float) -> bool:
        """Whether the two engines are judged differently at this threshold."""
        return (self.a > threshold) != (self.b > threshold)


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """Two engines on the same pictures."""

    engines: tuple[str, str]
    milliseconds: tuple[float, float]
    """A call with one frame, medians."""
    pairs: list[Pair]
    thresholds: tuple[float, ...] = ()
    """Scores above which a frame is judged anomalous: the one that was asked about, or those in force."""

    @property
    def flipped(self) -> list[str]:
        """Pictures that lie on different sides of one of the thresholds."""
        return [pair.picture for pair in self.pairs if any(pair.is_flipped_at(value) for value in self.thresholds)]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "flipped": self.flipped}

    def lines(self) -> Iterator[str]:
        """For people."""
        a, b = self.engines
        yield f"{a:>14}{b:>14}   score    heatmap"
        for pair in self.pairs:
            yield (
                f"{pair.a:14.6g}{pair.b:14.6g}   {pair.score_difference:.1e}  {pair.heatmap_difference:.1e}  "
                f"{pair.picture}"
            )
        score = max(pair.score_difference for pair in self.pairs)
        heatmap = max(pair.heatmap_difference for pair in self.pairs)
        yield f"largest relative difference: score {score:.2g}, heatmap {heatmap:.2g}"
        yield f"a frame: {a} {self.milliseconds[0]:.2f} ms, {b} {self.milliseconds[1]:.2f} ms"
        for threshold in self.thresholds:
            flipped = ", ".join(pair.picture for pair in self.pairs if pair.is_flipped_at(threshold)) or "none"
            yield f"at threshold {threshold:g} judged differently: {flipped}"


def check_engine(
    bundle: Bundle, name: str, directory: Path, *, thresholds: Sequence[float] = (), progress: Progress
) -> EngineCheck:
    """Open an engine as an agent does, built first where need be; EngineError where it cannot be used here."""
    with open_engine(bundle, name, directory=directory, progress=progress, thresholds=thresholds) as engine:
        score, heatmap = reference_errors(engine)
        tolerance = float(getattr(bundle.manifest.tolerance, engine.precision))
        reason = f"auto: {engine.reason}" if name == "auto" else "as asked for"
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
    """Score the same pictures on two engines; each brings them to the model's input in its own way."""
    for threshold in thresholds:
        if not math.isfinite(threshold):
            raise Permanent(f"threshold is {threshold:g}, wanted a finite number")
    pictures = _pictures(folder, bundle.reference().frames)
    with (
        open_engine(bundle, names[0], directory=directory, progress=progress) as a,
        open_engine(bundle, names[1], directory=directory, progress=progress) as b,
    ):
        pairs = []
        for index, (name, picture) in enumerate(pictures):
            image = read_image(picture) if isinstance(picture, Path) else picture
            pairs.append(_pair(name, _score(a, image), _score(b, image)))
            progress((index + 1) / len(pictures), name)
        return EngineComparison((a.name, b.name), (_milliseconds(a), _milliseconds(b)), pairs, thresholds)


def _pictures(folder: Path | None, reference: Image) -> list[tuple[str, Path | Image]]:
    if folder is None:
        return [(f"reference {index}", frame) for index, frame in enumerate(reference)]
    found = list_images(folder)
    if not found:
        raise Permanent(f"{folder}: no pictures in this folder; wanted PNG, JPEG, TIFF or BMP files")
    return [(path.name, path) for path in found]


def _score(engine: Engine, image: Image) -> Scores:
    return engine.score(engine.fit(image)[np.newaxis])


def _pair(name: str, a: Scores, b: Scores) -> Pair:
    return Pair(
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
