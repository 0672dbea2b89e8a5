"""GANomaly next to other methods of the literature: the same images, the same preprocessing, the same code.

Every system trains on the same good frames at the same size within the same time, and scores the same test frames.
Test scores decide nothing: no setting, no state, no scale. Training with randomness is repeated with other seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.baselines import baseline_names, find_baseline
from engines.bundles import Frames
from engines.comparison.records import (
    Comparison,
    ComparisonData,
    FolderFrames,
    SeedResult,
    SystemResult,
    SystemScores,
    evenly_spaced,
    frames_in_strip,
)
from engines.errors import EngineError, ImageError
from engines.evaluation.evaluate import find_masks, none_usable, pixel_figures, with_path
from engines.evaluation.metrics import auroc
from engines.evaluation.records import ScoredImages
from engines.images import Content, Pose, list_images, prepare_for, read_image
from engines.progress import Progress
from engines.training.good_frames import GoodFrames, load_good_frames
from engines.training.view_choice import WHOLE_IMAGE, ViewChoice

if TYPE_CHECKING:
    from engines.baselines.baseline import Baseline

# Scoring is timed with single frames, up to this many or this many seconds: AnoGAN needs several seconds for one.
_TIMED_FRAMES, _TIMED_SECONDS = 30, 6.0


def run_comparison(
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
    view: ViewChoice = WHOLE_IMAGE,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Train every system on the folder `normal`, and score the folders `test_normal` and `abnormal`.

    `masks` is a folder of mask images as in `evaluate_engine`. `only` selects systems (`baseline_names`). `size` is a
    side or (height, width) in pixels, multiples of 16. `minutes` and `steps` limit the training of each system and
    seed; `max_images` the images of each test folder, evenly spaced, since AnoGAN needs seconds for one. All systems
    see of the images what `view` says. With `out`, comparison.json, comparison.txt, roc.png and heatmaps.png are
    written there after each system, so that an interrupted comparison loses little. Raises EngineError for unknown
    systems and folders without usable images.
    """
    kinds, sides = _selected(only, seeds), (size, size) if isinstance(size, int) else size
    report = progress or (lambda fraction, message: None)
    good = load_good_frames(normal, sides, view)
    data = _load(good, test_normal, abnormal, masks, max_images)
    systems: list[SystemResult] = []
    scores: list[SystemScores] = []
    for index, kind in enumerate(kinds):
        part = _part(report, index, len(kinds), kind.title)
        system, system_scores = _measure(kind, data, seeds, minutes, steps, part)
        systems.append(system)
        scores.append(system_scores)
        result = _comparison(tuple(systems), data, minutes, steps, masks is not None)
        _write(out, result, data, scores)
    report(1.0, "done")
    return result


def _write(out: Path | str | None, result: Comparison, data: ComparisonData, scores: list[SystemScores]) -> None:
    if out is not None:
        from engines.comparison.report import write_comparison

        write_comparison(Path(out), result, data, scores)


def _selected(only: Sequence[str] | None, seeds: int) -> list[type[Baseline]]:
    if seeds < 1:
        raise EngineError(f"seeds is {seeds}, wanted at least 1")
    return [find_baseline(name) for name in _names(only)]


def _names(only: Sequence[str] | None) -> list[str]:
    """Selected names in the order of the table, each once; EngineError for an unknown one."""
    if only is None:
        return baseline_names()
    if not only:
        raise EngineError(f"no system is selected, wanted some of {', '.join(baseline_names())}")
    for name in only:
        find_baseline(name)
    return [name for name in baseline_names() if name in only]


def _load(
    good: GoodFrames,
    test_normal: Path | str,
    abnormal: Path | str,
    masks: Path | str | None,
    max_images: int | None,
) -> ComparisonData:
    test_good = _test_frames(test_normal, good, max_images)
    bad = _test_frames(abnormal, good, max_images)
    return ComparisonData(good, test_good, bad, tuple(find_masks(bad.paths, masks)))


def _test_frames(folder: Path | str, good: GoodFrames, most: int | None) -> FolderFrames:
    paths = list_images(folder, good.view.reading)
    paths = paths if most is None else [paths[index] for index in evenly_spaced(len(paths), most)]
    used: list[Path] = []
    skipped: list[str] = []
    frames: list[Any] = []
    contents: list[Content | None] = []
    poses: list[Pose | None] = []
    for path in paths:
        try:
            pixels, content, pose = prepare_for(read_image(path, good.view.reading), good.view, good.geometry)
        except ImageError as error:
            skipped.append(with_path(path, error))
            continue
        frames.append(pixels)
        contents.append(content)
        poses.append(pose)
        used.append(path)
    if not frames:
        raise none_usable(folder, len(paths), skipped)
    return FolderFrames(tuple(used), np.stack(frames), tuple(skipped), tuple(contents), tuple(poses))


def _measure(
    kind: type[Baseline], data: ComparisonData, seeds: int, minutes: float | None, steps: int | None, report: Progress
) -> tuple[SystemResult, SystemScores]:
    scores = SystemScores()
    runs: list[SeedResult] = []
    milliseconds = 0.0
    seeds = seeds if kind.seeded else 1
    for seed in range(seeds):
        part = _part(report, seed, seeds, f"seed {seed}")
        system = kind()
        try:
            started = time.monotonic()
            system.padding = data.good.view.padding
            system.fit(data.good.frames, seed=seed, minutes=minutes, steps=steps, progress=_part(part, 0, 2, ""))
            seconds = time.monotonic() - started
            good = _scored(system, data.test_normal, _part(part, 2, 4, "scoring"))
            bad = _scored(system, data.abnormal, _part(part, 3, 4, "scoring"))
            if seed == 0:
                milliseconds = _milliseconds(system, data.test_normal.frames)
                scores.top = max(float(good.heatmap.max()), float(np.finfo(np.float32).tiny))
                scores.heatmaps = _heatmaps_in_strip(data, good, bad)
        finally:
            system.close()
        scores.by_seed.append((good.score, bad.score))
        runs.append(_seed_result(seed, good, bad, data, seconds))
    return SystemResult(kind.name, kind.title, kind.paper, tuple(runs), milliseconds), scores


def _scored(system: Baseline, images: FolderFrames, report: Progress) -> ScoredImages:
    parts = []
    for start in range(0, len(images.frames), system.score_batch):
        parts.append(system.score(images.frames[start : start + system.score_batch]))
        report(min(1.0, (start + system.score_batch) / len(images.frames)), "")
    score = np.concatenate([part.score for part in parts])
    heatmap = np.concatenate([part.heatmap for part in parts])
    return ScoredImages(images.paths, score, heatmap, images.skipped, images.contents, images.poses)


def _heatmaps_in_strip(data: ComparisonData, good: ScoredImages, bad: ScoredImages) -> NDArray[np.float32]:
    rows = frames_in_strip(data)
    return np.stack([(good if folder is data.test_normal else bad).heatmap[index] for folder, index in rows])


def _seed_result(
    seed: int, good: ScoredImages, bad: ScoredImages, data: ComparisonData, train_seconds: float
) -> SeedResult:
    pixels = pixel_figures(good, bad, data.masks, data.good.view)
    return SeedResult(
        seed=seed,
        auroc=auroc(good.score, bad.score),
        pixel_auroc=None if pixels is None else pixels.auroc,
        pro=None if pixels is None else pixels.pro,
        train_seconds=train_seconds,
    )


def _milliseconds(system: Baseline, frames: Frames, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median time of a single frame; the first one warms the caches and does not count if there are more."""
    times: list[float] = []
    while len(times) <= _TIMED_FRAMES and sum(times) < _TIMED_SECONDS:
        index = len(times) % len(frames)
        started = clock()
        system.score(frames[index : index + 1])
        times.append(clock() - started)
    return 1e3 * float(np.median(times[1:] or times))


def _comparison(
    systems: tuple[SystemResult, ...], data: ComparisonData, minutes: float | None, steps: int | None, with_masks: bool
) -> Comparison:
    return Comparison(
        systems=systems,
        geometry=data.good.geometry,
        normal=len(data.good.frames),
        test_normal=len(data.test_normal.frames),
        abnormal=len(data.abnormal.frames),
        minutes=minutes,
        steps=steps,
        masks_missing=sum(mask is None for mask in data.masks) if with_masks else 0,
        skipped=(*data.good.skipped, *data.test_normal.skipped, *data.abnormal.skipped),
    )


def _part(report: Progress, index: int, count: int, title: str) -> Progress:
    """Map the progress of the `index`-th of `count` equal parts, 0 … 1, to that of the whole."""

    def report_part(fraction: float, message: str) -> None:
        report((index + min(1.0, fraction)) / count, ", ".join(text for text in (title, message) if text))

    return report_part
