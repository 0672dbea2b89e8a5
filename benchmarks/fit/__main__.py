"""How often a calibration window is stopped before arming: good windows of a changed line, defects, foreign images.

python -m benchmarks.fit --work DIR [--minutes M]: trains a bundle for each set below `../shared/data`, which takes M
minutes each, scores its test images, clean and changed, and draws windows of 300 from the scores.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.inspection import training_scores
from benchmarks.detection.sets import Task, data_folder, find_set
from calibration import TrainingScores, check_fit
from engines.bundles import Bundle, read_bundle
from engines.errors import ImageError
from engines.images import Image, fit, read_image
from engines.runtime import Engine, open_engine

SETS = ("camera", "xray", "fishbones", "mnist-4", "mnist-8", "solar")
WINDOW, WINDOWS, IMAGES, FOREIGN = 300, 200, 250, 60
SHARES = (0.02, 0.05, 0.1, 0.3)

Scores = NDArray[np.float64]
_CHANCE = np.random.default_rng(0)
_DUST = _CHANCE.random((12, 2))


def gain(factor: float) -> Callable[[Image], Image]:
    return lambda image: np.clip(image.astype(np.float32) * factor, 0, np.iinfo(image.dtype).max).astype(image.dtype)


def noise(share: float) -> Callable[[Image], Image]:
    def add(image: Image) -> Image:
        full = np.iinfo(image.dtype).max
        return np.clip(image + _CHANCE.normal(0.0, share * full, image.shape), 0, full).astype(image.dtype)

    return add


def blur(image: Image) -> Image:
    return cv2.GaussianBlur(image, (0, 0), 1.0).reshape(image.shape)


def dust(image: Image) -> Image:
    """A dozen specks on the lens, at the same places in every image."""
    out, (height, width) = image.copy(), image.shape[:2]
    shade = (float(0.75 * image.mean()),) * image.shape[2]
    for y, x in _DUST:
        cv2.circle(out, (int(x * width), int(y * height)), max(1, int(0.008 * max(height, width))), shade, -1)
    return out


CHANGES: dict[str, Callable[[Image], Image]] = {
    "as trained": lambda image: image,
    "10 % less light": gain(0.9),
    "10 % more light": gain(1.1),
    "30 % less light": gain(0.7),
    "blur of 1 pixel": blur,
    "1 % noise": noise(0.01),
    "3 % noise": noise(0.03),
    "dust": dust,
}


def task_of(name: str, work: Path) -> Task:
    found = find_set(name.partition("-")[0], work)
    return next(task for task in found if task.name == name)


def bundle_of(name: str, task: Task, work: Path, minutes: float) -> Bundle:
    if name in ("camera", "xray"):
        return read_bundle(Path(str(files("engines.bundles.shipped"))) / f"simulator-{name}.bundle")
    path = work / f"{name}.bundle"
    if not path.exists():
        from engines.training.plan import TrainingPlan
        from engines.training.train import train_model

        train_model(TrainingPlan(task.train, out=path, minutes=minutes))
    return read_bundle(path)


def score(engine: Engine, paths: tuple[Path, ...], change: Callable[[Image], Image]) -> Scores:
    """Scores of images; those of another bit depth, which foreign ones may have, are rescaled."""
    dtype, found = engine.bundle.geometry.dtype, []
    for path in paths:
        image = change(read_image(path))
        if image.dtype != dtype:
            image = (image / np.iinfo(image.dtype).max * np.iinfo(dtype).max).astype(dtype)
        try:
            found.append(float(engine.score(fit(image, engine.bundle.geometry)[None]).score[0]))
        except ImageError:
            continue
    return np.array(found)


def outcomes(draw: Callable[[], Scores], training: TrainingScores) -> str:
    """Shares of windows by what is found; a window that fits has no entry."""
    found = [check_fit(draw(), training) for _ in range(WINDOWS)]
    counts = Counter(finding.misfit.value for finding in found if finding is not None)
    return ", ".join(f"{kind} {count / WINDOWS:.0%}" for kind, count in counts.most_common()) or "–"


def window(scores: Scores) -> Scores:
    """So many different images, at most four fifths of them."""
    return _CHANCE.choice(scores, min(WINDOW, len(scores) * 4 // 5), replace=False)


def with_defects(good: Scores, bad: Scores, share: float) -> Scores:
    count = round(WINDOW * share)
    mixed = np.concatenate([_CHANCE.choice(good, WINDOW - count, len(good) < WINDOW), _CHANCE.choice(bad, count)])
    return _CHANCE.permutation(mixed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.5)
    options = parser.parse_args()
    names = [name for name in SETS if name in ("camera", "xray") or (data_folder() / name.partition("-")[0]).is_dir()]
    tasks = {name: task_of(name, options.work) for name in names}
    for name, task in tasks.items():
        bundle = bundle_of(name, task, options.work, options.minutes)
        training = training_scores(bundle.manifest)
        assert training is not None
        print(f"\n{name}: {training.good.size} held out, highest {training.highest:.3g}, damaged {training.damaged}")
        with open_engine(bundle, "onnxruntime", directory=options.work) as engine:
            good = {change: score(engine, task.good[:: max(1, len(task.good) // IMAGES)], function)
                    for change, function in CHANGES.items()}  # fmt: skip
            bad = score(engine, task.bad[:: max(1, len(task.bad) // IMAGES)], CHANGES["as trained"])
            other = {key: score(engine, each.good[:FOREIGN], CHANGES["as trained"]) for key, each in tasks.items()}
        for change, scores in good.items():
            print(f"  {change:18s} {outcomes(partial(window, scores), training)}")
        for share in SHARES:
            draw = partial(with_defects, good["as trained"], bad, share)
            print(f"  {f'{share:.0%} defects':18s} {outcomes(draw, training)}")
        for key, scores in other.items():
            if key.partition("-")[0] != name.partition("-")[0]:
                print(f"  images of {key:8s} {outcomes(partial(window, scores), training)}")


if __name__ == "__main__":
    main()
