"""Parts with a printed label that differs from part to part: `python -m benchmarks.sensitivity [--parts N]`.

The scorer of the recipe `pretrained` on good parts, without training (`benchmarks.alignment.detection.remembering`),
once for each factor of the label's region.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agent.sources.simulator import SimulatedLine
from benchmarks.alignment.detection import remembering
from benchmarks.machine import describe_machine
from engines.bundles import Frames, Geometry, View
from engines.evaluation.metrics import auroc, bootstrap
from engines.images import SensitivityChoice, factors_of_pixels, fit, parse_region
from engines.recipes.feature_scorer import FeatureScorer
from engines.training.good_frames import GoodFrames

GEOMETRY = Geometry(128, 128, 1)
FACTORS = (1.0, 0.3, 0.1, 0.05)

# Where the label is, pixels of the source image, which has this side.
LABEL, SIDE = "310,420 511,420 511,511 310,511", 512

_BATCH = 16
_SYMBOLS = "0123456789ABCDEFXYZ"


def main() -> None:
    """Print a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=150, help="good ones to learn, good ones and bad ones to test")
    count = parser.parse_args().parts
    torch.set_num_threads(2)
    train, good, bad = frames(5, count), frames(7, count), frames(9, count, bad=True)
    view = View.of(SIDE, SIDE)
    scorer = remembering(GoodFrames(GEOMETRY, view, train, (), (), ()))
    print(f"{describe_machine()}\n\n| factor of the label | AUROC | bad parts above 95 % of the good ones |")
    print("|---|---|---|")
    for factor in FACTORS:
        if factor != 1.0:
            sensitivity = SensitivityChoice((parse_region(f"{factor}: {LABEL}"),)).for_size(SIDE, SIDE)
            weighed = view.model_copy(update={"sensitivity": sensitivity})
            scorer.factors.use(factors_of_pixels(weighed, GEOMETRY))
        normal, abnormal = scores(scorer, good), scores(scorer, bad)
        area = bootstrap(auroc, normal, abnormal, seed=0)
        recall = float(np.mean(abnormal > np.quantile(normal, 0.95)))
        print(f"| {factor:g} | {area} | {100 * recall:.0f} % |", flush=True)


def frames(seed: int, count: int, *, bad: bool = False) -> Frames:
    """Frames [count, H, W, 1] of simulated parts with a label."""
    found: Any = [frame for _, frame in zip(range(count), _frames(seed, bad=bad), strict=False)]
    return np.stack(found)


def _frames(seed: int, *, bad: bool) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    line = SimulatedLine("camera", seed=seed, defect_rate=0.2 if bad else 0.0, frames_per_part=1)
    for index in range(1_000_000):
        if not bad or line.part(index).kind is not None:
            yield fit(labelled(line.image(index), rng), GEOMETRY)


def labelled(image: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint8]:
    """An image [512, 512, 1] with another text at about the same place."""
    text = "".join(rng.choice(list(_SYMBOLS), 6))
    place = 330 + int(rng.integers(0, 20)), 470 + int(rng.integers(-15, 15))
    size, value, width = float(rng.uniform(0.9, 1.4)), float(rng.choice([20, 235])), int(rng.integers(2, 6))
    drawn = np.array(image, np.uint8)
    cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, value, width)
    return drawn.reshape(SIDE, SIDE, 1)


def scores(scorer: FeatureScorer, every: Frames) -> NDArray[np.float32]:
    """The score of each frame."""
    with torch.no_grad():
        parts = [scorer(torch.from_numpy(every[start : start + _BATCH]))[0] for start in range(0, len(every), _BATCH)]
    return torch.cat(parts).numpy()


if __name__ == "__main__":
    main()
