"""Train a recipe on good images and write the bundle.

A held-out share of the good images decides which state is kept; no test image and no defect is ever looked at.
Lightning Fabric carries the loop, so that several GPUs, or several machines under `torchrun`, are an argument. Ctrl-C
ends training early and still writes the best state so far.

The same seed and the same number of steps give the same model, byte for byte, on the same machine with the same number
of threads. Minutes become steps after the speed was measured (`engines.budget`), and the manifest records how many
they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from engines.budget import Budget
from engines.bundle import Bundle, TrainingRecord, check_replaceable, read_bundle
from engines.data import (
    DEFAULT_MAX_BYTES,
    GoodFrames,
    NormalisedFrames,
    Progress,
    in_batches,
    load_good_frames,
    split,
)
from engines.errors import EngineError, TrainingError
from engines.packing import History, Stopped, Trained, pack
from engines.recipes import Option, Recipe, find_recipe
from engines.scoring import normalisation_of

# Exporting both graphs and drawing the report took 12 to 20 s on two busy cores, whatever the length of training.
_EXPORT_SECONDS = 18.0
# A very short budget keeps at least this share for training.
_LEAST_TRAINING_SHARE = 0.5

# The held-out frames are looked at once an epoch, which costs 5 % of it (15 % of the frames, forward only), but not
# more often than this: keeping a state copies all weights.
_LEAST_STEPS_BETWEEN_CHECKS = 10

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
        return self.bundle.manifest.training


def train(
    images: Path | str | Sequence[Path],
    *,
    out: Path | str,
    recipe: str = "reference",
    size: int | tuple[int, int] = 64,
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

    `size` is the model's input, a side or (height, width) in pixels, multiples of 16. Training ends after `minutes`,
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
        job = _Job(fabric, chosen, good, seed, options or {})
        seconds = None if minutes is None else _training_seconds(minutes * 60, clock() - started)
        stopped = job.run(Budget(clock, steps=steps, seconds=seconds), _part(tell, 0.05, 0.9))
    if fabric.is_global_zero:
        trained = job.trained(name or Path(out).stem, date, stopped, lambda: clock() - started)
        pack(Path(out), trained, _part(tell, 0.9, 1.0))
    return _result(fabric, Path(out), stopped)


class _Job:
    """One training: frames, learner, and the best state so far."""

    def __init__(self, fabric: Any, recipe: Recipe, good: GoodFrames, seed: int, options: dict[str, Option]) -> None:
        self._fabric, self._recipe, self._good, self._seed, self._options = fabric, recipe, good, seed, options
        trained_on, held_out = split(len(good.frames), seed)
        self._train_frames, self._held_out_frames = good.frames[trained_on], good.frames[held_out]
        self._train_paths = tuple(good.paths[index] for index in trained_on)
        self._normalisation = normalisation_of(self._train_frames)
        self._networks = recipe.networks(good.geometry, **options)
        self._learner = recipe.learner(self._networks, good.geometry)
        self._learner.setup(fabric)
        self._batch_size = recipe.batch_size(good.geometry)
        self._loader = self._training_loader()
        self._check_every = max(_LEAST_STEPS_BETWEEN_CHECKS, len(self._loader))
        self._history = History()
        self._best_loss = float("inf")
        self._best_step = 0
        self._best_state: dict[str, Tensor] | None = None
        self._steps = 0

    def run(self, budget: Budget, tell: Progress) -> Stopped:
        """Train until the budget is used up, or somebody presses Ctrl-C; TrainingError where nothing came of it."""
        stopped: Stopped = "finished"
        try:
            self._loop(budget, tell)
        except KeyboardInterrupt:
            stopped = "interrupted"
        if self._best_state is None:
            self._keep_what_there_is(budget.step)
        self._steps = budget.step
        return stopped

    def trained(self, name: str, date: str, stopped: Stopped, elapsed: Callable[[], float]) -> Trained:
        """Hand over the best state with everything that the bundle is made of."""
        assert self._best_state is not None
        self._networks.load_state_dict(self._best_state)
        return Trained(
            name=name,
            recipe=self._recipe,
            options=self._options,
            geometry=self._good.geometry,
            normalisation=self._normalisation,
            networks=self._networks.cpu(),
            train_frames=self._train_frames,
            train_paths=self._train_paths,
            held_out_frames=self._held_out_frames,
            history=self._history,
            date=date,
            seed=self._seed,
            steps=self._steps,
            kept_step=self._best_step,
            epochs=self._steps / max(1, len(self._loader)),
            skipped=len(self._good.skipped),
            stopped=stopped,
            warnings=self._good.warnings,
            elapsed=elapsed,
        )

    def _loop(self, budget: Budget, tell: Progress) -> None:
        batches = self._endless_batches()
        while True:
            used_up, progress = self._agreed(budget)
            if used_up:
                break
            self._history.note(self._learner.step(next(batches), progress))
            budget.advance()
            if budget.step % self._check_every == 0:
                self._check(budget.step)
            tell(budget.share_done, f"training, step {budget.step}")
        if budget.step % self._check_every:
            self._check(budget.step)

    def _agreed(self, budget: Budget) -> tuple[bool, float]:
        """Whether to end, and the progress: every process goes by the first one's clock."""
        mine = budget.used_up and budget.step > 0, budget.progress
        if self._fabric.world_size == 1:
            return mine
        agreed: tuple[bool, float] = self._fabric.broadcast(mine)
        return agreed

    def _check(self, step: int) -> None:
        """Look at the held-out frames and keep the state where it is the best so far."""
        frames = NormalisedFrames(self._held_out_frames, self._normalisation)
        total = 0.0
        for batch in in_batches(frames, self._batch_size):
            total += self._learner.held_out_loss(batch.to(self._fabric.device)) * len(batch)
        loss = total / len(frames)
        self._history.check(step, loss)
        if loss < self._best_loss:
            self._best_loss = loss
            self._keep(step)

    def _keep(self, step: int) -> None:
        # Copied first, assigned in one go: Ctrl-C in between leaves the state before.
        state = {name: value.detach().cpu().clone() for name, value in self._networks.state_dict().items()}
        self._best_state, self._best_step = state, step

    def _keep_what_there_is(self, step: int) -> None:
        """Stopped before the first check: the state as it is, if it is any good."""
        if step == 0:
            raise TrainingError("stopped before the first step, nothing was learned and nothing written")
        self._keep(step)
        assert self._best_state is not None
        if not all(torch.isfinite(value).all() for value in self._best_state.values()):
            raise TrainingError(f"the losses are not finite after {step} steps: training diverged, nothing was written")

    def _training_loader(self) -> Any:
        processes = self._fabric.world_size
        batch_size = min(max(1, self._batch_size // processes), -(-len(self._train_frames) // processes))
        loader: DataLoader[Tensor] = DataLoader(
            NormalisedFrames(self._train_frames, self._normalisation),
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            generator=torch.Generator().manual_seed(self._seed),
            collate_fn=_as_it_is,
        )
        return self._fabric.setup_dataloaders(loader)

    def _endless_batches(self) -> Iterator[Tensor]:
        while True:
            yield from self._loader


def _as_it_is(batch: Any) -> Any:
    """Keep what `__getitems__` made: a whole batch."""
    return batch


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


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _training_seconds(budget_seconds: float, spent_seconds: float) -> float:
    """What is left of the budget after reading the images and before exporting."""
    left = budget_seconds - spent_seconds
    return max(left - _EXPORT_SECONDS, left * _LEAST_TRAINING_SHARE, 0.0)


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


def _tell(progress: Progress | None) -> Progress:
    return progress if progress is not None else lambda share, message: None


def _part(tell: Progress, start: float, end: float) -> Progress:
    """Let a stage report 0 … 1 while the whole goes from `start` to `end`."""
    return lambda share, message: tell(start + (end - start) * min(1.0, share), message)
