"""The size of a model: from the images, the smallest defect that it is to find, and the time that a frame may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engines.bundles import Geometry, Normalisation
from engines.errors import TrainingError
from engines.export.to_onnx import export_onnx, fold_batch_norm
from engines.recipes.recipe import Option, Recipe
from engines.runtime import open_session
from engines.training.image_shapes import (
    LONGEST_SIDE,
    MULTIPLE,
    Size,
    automatic_size,
    size_with_longest,
    usual_size,
    warn_of_shrinking,
)

# A defect covers at least this many pixels of the model's input, one place of its finest map. On circuit boards, with
# defects of about ten pixels of 640 and untrained features of strides 4 and 8, the AUROC of defects against the rest
# was 0.736, 0.875, 0.945, 0.976 and 0.990 where they covered 1.5, 2, 3, 4 and 6 pixels. Trained, per-region overlap was
# 0.75 with 4 pixels and 0.89 with 10.
DEFECT_PIXELS = 4

# No frame may take longer by default: 50 frames a second.
DEFAULT_BUDGET_MILLISECONDS = 20.0

# Threads that a frame's time is measured on: the cores of the smallest devices that run a model.
THREADS = 2

# The least and the largest longest side that a budget chooses.
_LEAST_SIDE, _LARGEST_SIDE = 64, 1024

# Frames of noise that a model is fitted to before its time is measured; it remembers as much of them as of real ones.
_NOISE_FRAMES = 24

# A frame is measured so often at most, and for so long at most, seconds.
_MOST_RUNS, _MOST_SECONDS = 30, 1.0

# Other programs only make a frame slower.
_QUANTILE = 0.25


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person wants of the model's size."""

    smallest_defect: float | None = None
    """Pixels of the source images."""
    budget_milliseconds: float | None = None
    """Time that a frame may take on `THREADS` threads of this machine."""

    def __post_init__(self) -> None:
        """Raise TrainingError for impossible values."""
        if self.smallest_defect is not None and not self.smallest_defect >= 1:
            raise TrainingError(f"smallest defect is {self.smallest_defect:g} pixels, wanted at least 1")
        if self.budget_milliseconds is not None and not self.budget_milliseconds > 0:
            raise TrainingError(f"frame budget is {self.budget_milliseconds:g} ms, wanted more than 0")


def choose_size(own: Size, wishes: Wishes, measure: Callable[[Size], float]) -> tuple[Size, tuple[str, ...]]:
    """Choose the input size for images of the size `own`, with warnings; `measure` returns milliseconds for a size.

    Raises TrainingError if the smallest defect needs more time than the budget allows.
    """
    if wishes.smallest_defect is not None:
        return _size_for_defect(own, wishes.smallest_defect, wishes.budget_milliseconds, measure)
    if wishes.budget_milliseconds is not None:
        return _size_for_budget(own, wishes.budget_milliseconds, measure)
    return usual_size(own)


def side_for_defect(own: Size, smallest_defect: float) -> int:
    """The longest side of an input in which a defect of this many source pixels covers `DEFECT_PIXELS`.

    Images are not enlarged for it: that shows no more.

    >>> side_for_defect((480, 640), 10), side_for_defect((480, 640), 5), side_for_defect((480, 640), 3)
    (256, 512, 640)
    """
    longest = max(own)
    wanted = min(longest * DEFECT_PIXELS / smallest_defect, longest)
    return max(_LEAST_SIDE if longest >= _LEAST_SIDE else MULTIPLE, MULTIPLE * int(-(-wanted // MULTIPLE)))


def _size_for_defect(
    own: Size, smallest_defect: float, budget: float | None, measure: Callable[[Size], float]
) -> tuple[Size, tuple[str, ...]]:
    size = size_with_longest(side_for_defect(own, smallest_defect), *own)
    if max(size) <= LONGEST_SIDE and budget is None:
        return size, ()
    taken, allowed = measure(size), DEFAULT_BUDGET_MILLISECONDS if budget is None else budget
    if taken <= allowed:
        return size, ()
    within = _largest_within(own, size, taken, allowed)
    found = DEFECT_PIXELS * max(own) / within
    cost = (
        f"defects of {smallest_defect:g} pixels need an input of {size[1]}×{size[0]}, which takes about {taken:.0f} ms "
        f"a frame on {THREADS} threads of this machine"
    )
    if budget is not None:
        raise TrainingError(
            f"{cost}, wanted at most {allowed:g} ms: allow more time, crop the images, or accept a smallest defect of "
            f"{found:.0f} pixels"
        )
    return size, (f"{cost}; in {allowed:g} ms, defects of {found:.0f} pixels could be found (--frame-budget)",)


def _size_for_budget(own: Size, budget: float, measure: Callable[[Size], float]) -> tuple[Size, tuple[str, ...]]:
    """The largest size within the budget: time is proportional to the number of pixels, and measured again."""
    usual = automatic_size(*own)
    side = _largest_within(own, usual, measure(usual), budget)
    size = size_with_longest(side, *own)
    taken = measure(size)
    if taken > budget:
        size = size_with_longest(_largest_within(own, size, taken, budget), *own)
        taken = measure(size)
    if taken <= budget:
        return size, warn_of_shrinking(own, size)
    line = f"a frame of {size[1]}×{size[0]} takes about {taken:.1f} ms on {THREADS} threads of this machine, more than"
    return size, (f"{line} the budget of {budget:g} ms", *warn_of_shrinking(own, size))


def _largest_within(own: Size, size: Size, taken: float, budget: float) -> int:
    """The longest side, a multiple of 16, that fits into the budget if `size` takes so many milliseconds."""
    possible = max(size) * (budget / taken) ** 0.5
    highest = min(MULTIPLE * -(-max(own) // MULTIPLE), _LARGEST_SIDE)
    return max(min(_LEAST_SIDE, highest), min(highest, MULTIPLE * int(possible // MULTIPLE)))


def estimate_milliseconds(recipe: Recipe, size: Size, options: dict[str, Option]) -> float:
    """Measure how long a frame takes with a model of this recipe and size that has learned nothing.

    It has the graph of a trained one. Exporting it takes half a minute on one core.
    """
    geometry, normalisation = Geometry(*size, 1), Normalisation(low=0.0, high=255.0)
    chance = np.random.default_rng(0)
    frames = chance.integers(0, 256, (_NOISE_FRAMES, *geometry.shape)).astype(np.uint8)
    with torch.random.fork_rng(), torch.no_grad():
        networks = recipe.networks(geometry, **(recipe.options_for(geometry) | options)).eval()
        fold_batch_norm(networks)
        scorer = recipe.scorer(networks, normalisation).eval()
        noise = scorer.normalise(torch.from_numpy(frames))
        # However few are held out, the graph is the same; four are too few to be turned, which would take time.
        recipe.fit_scorer(scorer, [noise[::2]], [noise[1::6]])
        return frame_milliseconds(export_onnx(scorer, geometry), frames)


def frame_milliseconds(
    model: bytes,
    frames: Any,
    clock: Callable[[], float] = time.perf_counter,
    own_clock: Callable[[], float] = time.thread_time,
) -> float:
    """How long an ONNX model takes for one of some frames [N, H, W, C] on `THREADS` threads, without other programs.

    On a busy machine, two threads seldom run together. The own time of a single one, which others do not prolong, then
    is shorter, and an upper limit.
    """
    together = np.quantile(_times(open_session(model, threads=THREADS), frames, clock), _QUANTILE)
    alone = np.median(_times(open_session(model, threads=1), frames, own_clock))
    return round(1e3 * float(min(together, alone)), 2)


def _times(session: Any, frames: Any, clock: Callable[[], float]) -> list[float]:
    session.run(None, {"frames": frames[:1]})
    times: list[float] = []
    while len(times) < _MOST_RUNS and sum(times) < _MOST_SECONDS:
        index = len(times) % len(frames)
        started = clock()
        session.run(None, {"frames": frames[index : index + 1]})
        times.append(clock() - started)
    return times
