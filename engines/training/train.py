"""Train a recipe on good images and write the bundle.

A held-out share of the good images decides which state is kept; no test image and no defect is ever looked at.
Lightning Fabric carries the loop, so that several GPUs, or several machines under `torchrun`, are an argument. Ctrl-C
ends training early and still writes the best state so far.

The same seed and the same number of steps give the same model, byte for byte, on the same machine with the same number
of threads. Minutes become steps after the speed was measured (`engines.training.time_budget`), and the manifest
records how many they were.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from engines.bundles import Bundle, TrainingRecord, check_replaceable, read_bundle
from engines.errors import EngineError, TrainingError
from engines.progress import Progress
from engines.recipes.recipe import Option, Recipe, find_recipe
from engines.training.good_frames import DEFAULT_MAX_BYTES, load_good_frames
from engines.training.loop import Job
from engines.training.packing import pack
from engines.training.time_budget import TimeBudget
from engines.training.trained import Stopped

# Exporting both graphs takes 14 s of one core and the report 2 s, whatever the length of training. Nearly all of it is
# Python, so it takes as much longer on a slow or busy machine as the probe does, which takes 0.2 s when all is quiet.
_EXPORT_SECONDS = 16.0
_PROBE_LOOPS, _PROBE_SECONDS = 2_000_000, 0.21
# A very short budget keeps at least this share for training.
_LEAST_TRAINING_SHARE = 0.5

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What training made."""

    bundle: Bundle
    """The bundle, read back and verified."""
    is_main: bool
    """False in the helper processes of a distributed training, which have nothing to tell."""

    @property
    def record(self) -> TrainingRecord:
        """How it went, as in the bundle's manifest."""
        record = self.bundle.manifest.training
        assert record is not None, "training writes it"
        return record


def train(
    images: Path | str | Sequence[Path],
    *,
    out: Path | str,
    recipe: str = "default",
    size: int | tuple[int, int] | None = None,
    minutes: float | None = 10.0,
    steps: int | None = None,
    seed: int = 0,
    name: str | None = None,
    options: dict[str, Option] | None = None,
    progress: Progress | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    precision: str = "32-true",
    max_bytes: int = DEFAULT_MAX_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingResult:
    """Train on a folder (or list) of good images and write a bundle to `out`.

    `size` is the model's input, a side or (height, width) in pixels, multiples of 16; None chooses it from the images
    (`engines.training.good_frames.automatic_size`). Training ends after `minutes`,
    export included, or after `steps`, whichever comes first; None means no such limit. `options` go to the recipe's
    networks. `accelerator`, `devices`, `num_nodes` and `precision` are Lightning Fabric's; with more than one device
    the calling script runs once per device. Raises TrainingError (nothing to train on, impossible arguments) or
    BundleError (cannot be written).
    """
    started, date = clock(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    chosen = _recipe(recipe)
    _check_limits(minutes, steps, seed)
    check_replaceable(Path(out))
    fabric = _fabric(accelerator, devices, num_nodes, precision)
    tell = _tell(progress if fabric.is_global_zero else None)
    good = load_good_frames(images, _size(size), max_bytes=max_bytes, progress=_part(tell, 0.0, 0.05))
    with _repeatable(fabric, seed):
        job = Job(fabric, chosen, good, seed=seed, options=options or {}, clock=clock)
        aside = 0.0 if minutes is None else _EXPORT_SECONDS * _slowness(clock)
        seconds = None if minutes is None else _training_seconds(minutes * 60 - (clock() - started), aside)
        stopped = job.run(TimeBudget(clock, steps=steps, seconds=seconds), _part(tell, 0.05, 0.9))
    if fabric.is_global_zero:
        trained = job.trained(name or Path(out).stem, date, stopped, lambda: clock() - started)
        with _one_more_ctrl_c():
            pack(Path(out), trained, _part(tell, 0.9, 1.0))
    return _result(fabric, Path(out), stopped)


def _result(fabric: Any, out: Path, stopped: Stopped) -> TrainingResult:
    """Every process waits for the bundle of the first, and reads it; after Ctrl-C nobody waits for anybody."""
    if stopped == "interrupted":
        if not fabric.is_global_zero:
            # Fabric's launcher kills the first process, which is still exporting, when a helper ends with anything but
            # 0.
            raise SystemExit(0)
        return TrainingResult(read_bundle(out), is_main=True)
    fabric.barrier()
    return TrainingResult(read_bundle(out), is_main=fabric.is_global_zero)


def _recipe(name: str) -> Recipe:
    try:
        return find_recipe(name)
    except EngineError as error:
        raise TrainingError(str(error)) from None


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


def _training_seconds(left_seconds: float, aside_seconds: float) -> float:
    """What is left for training when time for the export is set aside."""
    return max(left_seconds - aside_seconds, left_seconds * _LEAST_TRAINING_SHARE, 0.0)


def _slowness(clock: Callable[[], float]) -> float:
    """How many times longer plain Python takes here and now than on the quiet machine that was measured."""
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
    # Buffers stay each process's own: the discriminator runs twice before one backward pass, and DDP's copying of
    # batch-normalisation statistics in between would change tensors that the backward pass still needs.
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
def _repeatable(fabric: Any, seed: int) -> Iterator[None]:
    """Seed everything; on an accelerator also ask for the algorithms that give the same result every time."""
    fabric.seed_everything(seed, verbose=False)
    before = torch.are_deterministic_algorithms_enabled()
    if fabric.device.type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _one_more_ctrl_c() -> Iterator[None]:
    """Let the first Ctrl-C pass by: what was learned is being written. A second one ends it without a bundle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def from_now_on_as_before(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, from_now_on_as_before)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(progress: Progress | None) -> Progress:
    """Pass progress on, never backwards: a plan that is corrected must not pull a bar back."""
    highest = 0.0

    def tell(share: float, message: str) -> None:
        nonlocal highest
        highest = max(highest, share)
        if progress is not None:
            progress(highest, message)

    return tell


def _part(tell: Progress, start: float, end: float) -> Progress:
    """Let a stage report 0 … 1 while the whole goes from `start` to `end`."""
    return lambda share, message: tell(start + (end - start) * min(1.0, share), message)
