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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from engines.bundles import Bundle, CropBox, TrainingRecord, check_replaceable, read_bundle
from engines.errors import EngineError, TrainingError
from engines.images import AlignmentChoice, MaskChoice
from engines.progress import Progress
from engines.recipes.recipe import DEFAULT_RECIPE, Option, Recipe, find_recipe
from engines.training.good_frames import MAX_FRAME_BYTES, load_good_frames
from engines.training.image_shapes import Size
from engines.training.loop import TrainingJob
from engines.training.packing import pack
from engines.training.sizing import Wishes, choose_size, estimate_milliseconds
from engines.training.time_budget import TimeBudget
from engines.training.trained import StopReason, TrainedModel

# Exporting is nearly all Python, so a slow or busy machine slows it down as much as the probe, which takes 0.2 s on a
# quiet machine.
_PROBE_LOOPS, _PROBE_SECONDS = 2_000_000, 0.21
# A very short budget keeps at least this share for training.
_MIN_TRAINING_SHARE = 0.5

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")


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
    images: Path | str | Sequence[Path],
    *,
    out: Path | str,
    recipe: str = DEFAULT_RECIPE,
    size: int | tuple[int, int] | None = None,
    minutes: float | None = 10.0,
    steps: int | None = None,
    seed: int = 0,
    name: str | None = None,
    crop: CropBox | None = None,
    mask: MaskChoice | None = None,
    align: AlignmentChoice | None = None,
    padding: int | None = None,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    backbone: Path | str | None = None,
    options: dict[str, Option] | None = None,
    progress: Progress | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    precision: str = "32-true",
    max_bytes: int = MAX_FRAME_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingResult:
    """Train on a folder or list of good images and write a bundle to `out`.

    `size` is the model's input, a side or (height, width) in pixels, multiples of 16; None: `automatic_size`. Training
    ends after `minutes`, export included, or `steps`; None means no such limit. With `crop`, only this part of the
    images is trained on and, by the bundle, inspected; what `mask` excludes counts neither in training nor later. With
    `align`, parts are found in the images and lie alike in training and later.
    Features come from the weights of the file `backbone`, or from those of the recipe.
    Images that are padded already have this `padding`. Without a `size`, `wishes` choose it. `options` go to the
    recipe's networks; `accelerator`, `devices`, `num_nodes`, `precision` to Lightning Fabric, where several devices run
    the calling script once each. Raises TrainingError (no usable images, impossible arguments) or BundleError (cannot
    be written).
    """
    started, date = clock(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    chosen = _checked_recipe(recipe, minutes, steps, seed, backbone)
    options = options or {}
    check_replaceable(Path(out))
    fabric = _fabric(accelerator, devices, num_nodes, precision)
    report = _monotonic(progress if fabric.is_global_zero else None)
    choose = _size_chooser(chosen, wishes, options, report, given=size is not None, processes=fabric.world_size)
    good = load_good_frames(
        images,
        _size(size),
        crop=crop,
        mask=mask,
        align=align,
        letterbox=chosen.letterbox,
        padding=padding if chosen.letterbox else None,
        choose=choose,
        max_bytes=max_bytes,
        progress=_subrange(report, 0.0, 0.05),
    )
    with _reproducible(fabric, seed):
        job = TrainingJob(fabric, chosen, good, seed=seed, options=options, clock=clock)
        budget = TimeBudget(
            clock, steps=steps, seconds=_training_seconds(minutes, started, clock, chosen.export_seconds)
        )
        stopped = job.run(budget, _subrange(report, 0.05, 0.9))
    if fabric.is_global_zero:
        trained = job.trained(name or Path(out).stem, date, stopped, lambda: clock() - started)
        if wishes.budget_milliseconds is not None:
            trained = replace(trained, budget_milliseconds=wishes.budget_milliseconds)
        _write(Path(out), trained, _subrange(report, 0.9, 1.0))
    return _result(fabric, Path(out), stopped)


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


def _checked_recipe(
    name: str, minutes: float | None, steps: int | None, seed: int, backbone: Path | str | None
) -> Recipe:
    try:
        recipe = find_recipe(name)
    except EngineError as error:
        raise TrainingError(str(error)) from None
    _check_limits(minutes, steps, seed)
    if backbone is not None:
        recipe = recipe.with_backbone(Path(backbone))
    recipe.foreign_weights()  # missing ones are reported before the images are read
    return recipe


def _check_limits(minutes: float | None, steps: int | None, seed: int) -> None:
    if minutes is None and steps is None:
        raise TrainingError("neither minutes nor steps are given, wanted at least one: training would never end")
    if minutes is not None and not minutes > 0:
        raise TrainingError(f"minutes is {minutes:g}, wanted more than 0")
    if steps is not None and steps < 1:
        raise TrainingError(f"steps is {steps}, wanted at least 1")
    if not 0 <= seed < 2**32:
        raise TrainingError(f"seed is {seed}, wanted 0 to {2**32 - 1}")


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _size_chooser(
    recipe: Recipe, wishes: Wishes, options: dict[str, Option], report: Progress, *, given: bool, processes: int
) -> Callable[[Size], tuple[Size, tuple[str, ...]]] | None:
    """Chooses the size from the wishes; None where there are none. TrainingError if they cannot be heeded."""
    if wishes == Wishes():
        return None
    if given:
        raise TrainingError("the size is given, so neither smallest defect nor frame budget can choose it")
    if processes > 1:
        raise TrainingError(f"smallest defect and frame budget are for one process, this is one of {processes}")
    known: dict[Size, float] = {}

    def measure(size: Size) -> float:
        report(0.0, f"measuring the time of a frame of {size[1]}×{size[0]}")
        if size not in known:
            known[size] = estimate_milliseconds(recipe, size, options)
        return known[size]

    return lambda own: choose_size(own, wishes, measure)


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


def _fabric(accelerator: str, devices: int, num_nodes: int, precision: str) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    if accelerator not in _ACCELERATORS:
        raise TrainingError(f"accelerator is {accelerator!r}, wanted one of {', '.join(_ACCELERATORS)}")
    if devices < 1 or num_nodes < 1:
        raise TrainingError(f"devices is {devices} and num_nodes {num_nodes}, wanted at least 1 of each")
    several = devices * num_nodes > 1
    # Each process keeps its own buffers: the discriminator runs twice before one backward pass, and DDP would copy the
    # batch-normalisation statistics in between, which changes tensors that the backward pass still needs.
    strategy: Any = DDPStrategy(broadcast_buffers=False) if several else "auto"
    chosen: Any = precision
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, num_nodes=num_nodes, precision=chosen, strategy=strategy
        )
        fabric.launch()
    except (ValueError, RuntimeError, TypeError) as error:
        raise TrainingError(f"these devices cannot be used: {' '.join(str(error).split())}") from None
    return fabric


@contextmanager
def _reproducible(fabric: Any, seed: int) -> Iterator[None]:
    """Seed everything; on an accelerator also select deterministic algorithms."""
    fabric.seed_everything(seed, verbose=False)
    before = torch.are_deterministic_algorithms_enabled()
    if fabric.device.type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


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
