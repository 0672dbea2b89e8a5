"""Train a recipe on good images and write the bundle.

A held-out share of the good images decides which state is kept; training uses no test images and no defects. The loop
runs on Lightning Fabric, so several GPUs, or several machines under `torchrun`, are an argument. Ctrl-C ends training
early and still writes the best state so far.

The same seed and the same number of steps give the same model, byte for byte, on the same machine with the same number
of threads. Minutes are converted to steps once the speed has been measured (`engines.training.time_budget`); the
manifest records the number of steps.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from engines.bundles import Bundle, TrainingRecord, check_replaceable, read_bundle
from engines.progress import Progress
from engines.recipes.recipe import Recipe
from engines.training.devices import reproducible
from engines.training.good_frames import GoodFrames, load_good_frames
from engines.training.loop import TrainingJob
from engines.training.packing import pack
from engines.training.plan import TrainingPlan
from engines.training.time_budget import TimeBudget
from engines.training.trained import StopReason, TrainedModel

# Exporting is nearly all Python, so a slow or busy machine slows it down as much as the probe, which takes 0.2 s on a
# quiet machine.
_PROBE_LOOPS, _PROBE_SECONDS = 2_000_000, 0.21
# A very short budget keeps at least this share for training.
_MIN_TRAINING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A bundle, and how its training went."""

    bundle: Bundle
    """The bundle, read back and verified."""
    is_main: bool
    """False in all processes of a distributed training but the first; only the first reports."""

    @property
    def record(self) -> TrainingRecord:
        """How training went, as in the bundle's manifest."""
        record = self.bundle.manifest.training
        assert record is not None, "training writes it"
        return record


def train_model(
    plan: TrainingPlan, progress: Progress | None = None, clock: Callable[[], float] = time.monotonic
) -> TrainingResult:
    """Train as planned, and write the bundle.

    Raises TrainingError (no usable images, an impossible plan) or BundleError (the bundle cannot be written).
    """
    started, date = clock(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    recipe, out = plan.found_recipe(), Path(plan.out)
    check_replaceable(out)
    fabric = plan.devices.launch()
    report = _monotonic(progress if fabric.is_global_zero else None)
    good = _good_frames(plan, recipe, report, fabric.world_size)
    with reproducible(fabric, plan.seed):
        job = TrainingJob(fabric, recipe, good, seed=plan.seed, options=dict(plan.options), clock=clock)
        seconds = _training_seconds(plan.minutes, started, clock, recipe.export_seconds)
        stopped = job.run(TimeBudget(clock, steps=plan.steps, seconds=seconds), _subrange(report, 0.05, 0.9))
    if fabric.is_global_zero:
        trained = job.trained(plan.name or out.stem, date, stopped, lambda: clock() - started)
        if plan.wishes.budget_milliseconds is not None:
            trained = replace(trained, budget_milliseconds=plan.wishes.budget_milliseconds)
        _write(out, trained, _subrange(report, 0.9, 1.0))
    return _result(fabric, out, stopped)


def _good_frames(plan: TrainingPlan, recipe: Recipe, report: Progress, processes: int) -> GoodFrames:
    return load_good_frames(
        plan.images,
        plan.given_size,
        plan.view,
        letterbox=recipe.letterbox,
        padding=plan.padding if recipe.letterbox else None,
        choose=plan.size_chooser(recipe, report, processes),
        max_bytes=plan.max_bytes,
        progress=_subrange(report, 0.0, 0.05),
    )


def _write(out: Path, trained: TrainedModel, report: Progress) -> None:
    with _first_ctrl_c_ignored():
        pack(out, trained, report)


def _result(fabric: Any, out: Path, stopped: StopReason) -> TrainingResult:
    """Wait in every process for the first one's bundle, and read it. After a Ctrl-C, processes do not wait."""
    if stopped == "interrupted":
        if not fabric.is_global_zero:
            # With another exit code, Fabric's launcher would kill the first process, which is still exporting.
            raise SystemExit(0)
        return TrainingResult(read_bundle(out), is_main=True)
    fabric.barrier()
    return TrainingResult(read_bundle(out), is_main=fabric.is_global_zero)


def _training_seconds(
    minutes: float | None, started: float, clock: Callable[[], float], export_seconds: float
) -> float | None:
    """Seconds left for training, with time for the export reserved; None without a time limit."""
    if minutes is None:
        return None
    export = export_seconds * _slowness(clock)
    left = minutes * 60 - (clock() - started)
    return max(left - export, left * _MIN_TRAINING_SHARE, 0.0)


def _slowness(clock: Callable[[], float]) -> float:
    """How many times longer plain Python takes here and now than on the quiet machine of the measurement, ≥ 1."""
    started = clock()
    value = 0
    for number in range(_PROBE_LOOPS):
        value = (value * 31 + number) & 0xFFFF
    return max(1.0, (clock() - started) / _PROBE_SECONDS)


@contextmanager
def _first_ctrl_c_ignored() -> Iterator[None]:
    """Ignore the first Ctrl-C, since the bundle is being written; a second one ends the process without a bundle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def restore(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, restore)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _monotonic(progress: Progress | None) -> Progress:
    """Forward progress, never backwards: a corrected plan must not move the bar back."""
    highest = 0.0

    def report(fraction: float, message: str) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        if progress is not None:
            progress(highest, message)

    return report


def _subrange(report: Progress, start: float, end: float) -> Progress:
    """Map a stage's progress, 0 … 1, to the range from `start` to `end`."""
    return lambda fraction, message: report(start + (end - start) * min(1.0, fraction), message)
