"""GANomaly beside the other systems of the literature: the same images, the same preprocessing, the same code.

Every system learns from the same good frames at the same size within the same time, and then scores the same test
frames. Nothing is chosen by their scores: no setting, no state, no scale. What is random is repeated with other seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.baselines import baseline_names, find_baseline
from engines.bundles import Frames, Geometry
from engines.comparison.records import Comparison, FolderFrames, Looks, Run, Sets, SystemResult, evenly, shown
from engines.errors import EngineError, ImageError
from engines.evaluation.evaluate import mask_files_of, pixel_figures
from engines.evaluation.metrics import auroc
from engines.evaluation.records import ScoredImages
from engines.images import fit, list_images, read_image
from engines.training.good_frames import load_good_frames

if TYPE_CHECKING:
    from engines.baselines.baseline import Baseline
from engines.progress import Progress

# A frame at a time, until so many or so many seconds: AnoGAN alone needs several seconds for one.
_TIMED_FRAMES, _TIMED_SECONDS = 30, 6.0


def compare(
    normal: Path | str,
    test_normal: Path | str,
    abnormal: Path | str,
    *,
    masks: Path | str | None = None,
    only: Sequence[str] | None = None,
    size: int | tuple[int, int] = 64,
    minutes: float | None = 2.0,
    steps: int | None = None,
    seeds: int = 3,
    max_images: int | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Train and score every system on the same folders: good images to learn from, good and bad ones to test.

    `masks` is a folder of mask images as `evaluate` takes it. `only` picks systems (`baseline_names`). `size` is a
    side or (height, width) in pixels, multiples of 16. `minutes` and `steps` limit the learning of each system and
    seed; `max_images` the images of each test folder, taken at even distances, since AnoGAN needs seconds for one.
    With `out`, comparison.json, comparison.txt, roc.png and heatmaps.png are written there after each system, so that
    little is lost where somebody stops it. Raises EngineError for unknown systems and folders without usable images.
    """
    if seeds < 1:
        raise EngineError(f"seeds is {seeds}, wanted at least 1")
    kinds = [find_baseline(name) for name in _names(only)]
    tell = progress or (lambda share, message: None)
    sets = _load(normal, test_normal, abnormal, masks, (size, size) if isinstance(size, int) else size, max_images)
    systems: list[SystemResult] = []
    looks: list[Looks] = []
    for index, kind in enumerate(kinds):
        part = _part(tell, index, len(kinds), kind.title)
        system, look = _measure(kind, sets, seeds if kind.seeded else 1, minutes, steps, part)
        systems.append(system)
        looks.append(look)
        result = _comparison(tuple(systems), sets, minutes, steps, masks is not None)
        if out is not None:
            from engines.comparison.images import write_comparison

            write_comparison(Path(out), result, sets, looks)
    tell(1.0, "done")
    return result


def _names(only: Sequence[str] | None) -> list[str]:
    """Chosen names in the order of the table, each once; EngineError for one that is unknown."""
    if only is None:
        return baseline_names()
    if not only:
        raise EngineError(f"no system is chosen, wanted some of {', '.join(baseline_names())}")
    for name in only:
        find_baseline(name)
    return [name for name in baseline_names() if name in only]


def _load(
    normal: Path | str,
    test_normal: Path | str,
    abnormal: Path | str,
    masks: Path | str | None,
    size: tuple[int, int],
    max_images: int | None,
) -> Sets:
    good = load_good_frames(normal, size)
    fresh = _test_images(test_normal, good.geometry, max_images)
    bad = _test_images(abnormal, good.geometry, max_images)
    return Sets(good, fresh, bad, tuple(mask_files_of(bad.paths, masks)))


def _test_images(folder: Path | str, geometry: Geometry, most: int | None) -> FolderFrames:
    paths = list_images(folder)
    paths = paths if most is None else [paths[index] for index in evenly(len(paths), most)]
    used: list[Path] = []
    skipped: list[str] = []
    frames: list[Any] = []
    for path in paths:
        try:
            frames.append(fit(read_image(path), geometry))
            used.append(path)
        except ImageError as error:
            skipped.append(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
    if not frames:
        raise EngineError(f"{folder}: no usable image among {len(paths)}{'; ' + skipped[0] if skipped else ''}")
    return FolderFrames(tuple(used), np.stack(frames), tuple(skipped))


def _measure(
    kind: type[Baseline], sets: Sets, seeds: int, minutes: float | None, steps: int | None, tell: Progress
) -> tuple[SystemResult, Looks]:
    look = Looks()
    runs: list[Run] = []
    milliseconds = 0.0
    for seed in range(seeds):
        part = _part(tell, seed, seeds, f"seed {seed}")
        system = kind()
        try:
            started = time.monotonic()
            learning = _part(part, 0, 2, "")
            system.fit(sets.good.frames, seed=seed, minutes=minutes, steps=steps, progress=learning)
            seconds = time.monotonic() - started
            good = _scored(system, sets.test_normal, _part(part, 2, 4, "scoring"))
            bad = _scored(system, sets.abnormal, _part(part, 3, 4, "scoring"))
            if seed == 0:
                milliseconds = _milliseconds(system, sets.test_normal.frames)
                look.top = max(float(good.heatmap.max()), float(np.finfo(np.float32).tiny))
                look.heat = _heat_of(sets, good, bad)
        finally:
            system.close()
        look.scores.append((good.score, bad.score))
        runs.append(_run(seed, good, bad, sets.masks, seconds))
    return SystemResult(kind.name, kind.title, kind.paper, tuple(runs), milliseconds), look


def _scored(system: Baseline, images: FolderFrames, tell: Progress) -> ScoredImages:
    parts = []
    for start in range(0, len(images.frames), system.score_batch):
        parts.append(system.score(images.frames[start : start + system.score_batch]))
        tell(min(1.0, (start + system.score_batch) / len(images.frames)), "")
    score = np.concatenate([part.score for part in parts])
    return ScoredImages(images.paths, score, np.concatenate([part.heatmap for part in parts]), images.skipped)


def _heat_of(sets: Sets, good: ScoredImages, bad: ScoredImages) -> NDArray[np.float32]:
    return np.stack([(good if images is sets.test_normal else bad).heatmap[index] for images, index in shown(sets)])


def _run(seed: int, good: ScoredImages, bad: ScoredImages, masks: Sequence[Path | None], train_seconds: float) -> Run:
    pixels = pixel_figures(good, bad, masks)
    return Run(
        seed=seed,
        auroc=auroc(good.score, bad.score),
        pixel_auroc=None if pixels is None else pixels.auroc,
        pro=None if pixels is None else pixels.pro,
        train_seconds=train_seconds,
    )


def _milliseconds(system: Baseline, frames: Frames, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median time of one frame by itself; the first one, which warms caches, does not count where there are more."""
    times: list[float] = []
    while len(times) <= _TIMED_FRAMES and sum(times) < _TIMED_SECONDS:
        index = len(times) % len(frames)
        started = clock()
        system.score(frames[index : index + 1])
        times.append(clock() - started)
    return 1e3 * float(np.median(times[1:] or times))


def _comparison(
    systems: tuple[SystemResult, ...], sets: Sets, minutes: float | None, steps: int | None, with_masks: bool
) -> Comparison:
    return Comparison(
        systems=systems,
        geometry=sets.good.geometry,
        normal=len(sets.good.frames),
        test_normal=len(sets.test_normal.frames),
        abnormal=len(sets.abnormal.frames),
        minutes=minutes,
        steps=steps,
        masks_missing=sum(mask is None for mask in sets.masks) if with_masks else 0,
        skipped=(*sets.good.skipped, *sets.test_normal.skipped, *sets.abnormal.skipped),
    )


def _part(tell: Progress, index: int, count: int, title: str) -> Progress:
    """Let the `index`-th of `count` equal parts report 0 … 1 while the whole moves on."""

    def report(share: float, message: str) -> None:
        tell((index + min(1.0, share)) / count, ", ".join(text for text in (title, message) if text))

    return report
