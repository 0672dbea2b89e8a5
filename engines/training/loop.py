"""The training loop: good frames in, the best state out. Started by `engines.training.train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from engines.errors import TrainingError
from engines.images import inspected_pixels
from engines.progress import Progress
from engines.recipes.recipe import Option, Recipe
from engines.recipes.scorer import normalisation_of
from engines.siblings import sibling_groups, thumbnails
from engines.training.busy_machine import CoreTime, warn_of_waiting
from engines.training.good_frames import GoodFrames, NormalisedFrames, in_batches, split
from engines.training.learning_watch import LearningWatch, detection_of
from engines.training.packing import frames_to_score
from engines.training.time_budget import TimeBudget
from engines.training.trained import LossHistory, StopReason, TrainedModel

# Validation runs once an epoch, which costs 5 % of it (15 % of the frames, forward only), but not more often than this:
# keeping a state copies all weights.
_MIN_STEPS_BETWEEN_VALIDATIONS = 10

# Training ends early if it gains nothing any more, but not before this share of it: the learning rate is still high.
_EARLIEST_END = 0.6

# Training frames that statistics are recomputed from before each validation.
_STATISTICS_FRAMES = 256


class TrainingJob:
    """One training: frames, learner, and the best state so far."""

    def __init__(
        self,
        fabric: Any,
        recipe: Recipe,
        good: GoodFrames,
        *,
        seed: int,
        options: dict[str, Option],
        clock: Callable[[], float],
    ) -> None:
        self._fabric, self._recipe, self._good = fabric, recipe, good
        self._seed, self._clock = seed, clock
        self._options = recipe.options_for(good.geometry) | options
        # The state that is kept, and all scales, are chosen by held-out frames: of parts that are not trained on.
        trained_on, held_out = split(len(good.frames), seed, sibling_groups(thumbnails(good.frames)))
        self._train_frames, self._held_out_frames = good.frames[trained_on], good.frames[held_out]
        self._train_paths = tuple(good.paths[index] for index in trained_on)
        self._normalisation = normalisation_of(self._train_frames)
        self._networks = recipe.networks(good.geometry, **self._options)
        self._learner = recipe.learner(self._networks, good.geometry)
        if good.view.mask is not None:
            inspected = inspected_pixels(good.view, good.geometry)
            self._learner.inspect_only(inspected, good.view.fill, self._normalisation)
        if good.view.padding is not None:
            self._learner.leave_out_padding(good.view.padding, self._normalisation)
        self._learner.setup(fabric)
        self._batch_size = recipe.batch_size(good.geometry)
        self._loader = self._training_loader()
        self._validate_every = max(_MIN_STEPS_BETWEEN_VALIDATIONS, len(self._loader))
        self._history = LossHistory()
        self._watch = LearningWatch()
        self._best_loss = float("inf")
        self._best_step = 0
        self._best_state: dict[str, Tensor] | None = None
        self._steps = 0
        self._waited = 0.0
        """Share of the time that the steps waited for a core, 0 … 1."""
        self._statistics_frames = 0

    def run(self, budget: TimeBudget, progress: Progress) -> StopReason:
        """Train until the budget is used up or a Ctrl-C; TrainingError if there is no usable state by then."""
        stopped: StopReason = "finished"
        before = CoreTime.now()
        try:
            self._loop(budget, progress)
        except KeyboardInterrupt:
            stopped = "interrupted"
        self._waited = CoreTime.now().waiting_since(before)
        if self._best_state is None:
            self._keep_current_state(budget.step)
        self._steps = budget.step
        return stopped

    def trained(self, name: str, date: str, stopped: StopReason, elapsed: Callable[[], float]) -> TrainedModel:
        """Return the best state with everything that the bundle is made of."""
        assert self._best_state is not None
        self._networks.load_state_dict(self._best_state)
        return TrainedModel(
            name=name,
            recipe=self._recipe,
            options=self._options,
            geometry=self._good.geometry,
            view=self._good.view,
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
            warnings=(
                *self._good.warnings,
                *warn_of_waiting(self._waited, self._steps),
                *self._watch.warnings(),
            ),
            elapsed=elapsed,
        )

    def _loop(self, budget: TimeBudget, progress: Progress) -> None:
        batches = self._endless_batches()
        while True:
            used_up, schedule = self._agreed(budget)
            if used_up:
                break
            self._history.add_step(self._learner.step(next(batches), schedule))
            budget.advance()
            if budget.step % self._validate_every == 0:
                self._timed_validation(budget)
                if self._learner.may_end_early and budget.progress > _EARLIEST_END and self._watch.is_flat:
                    budget.end_soon()
            progress(budget.share_done, f"training, step {budget.step}")
        if budget.step % self._validate_every:
            self._validate(budget.step)

    def _agreed(self, budget: TimeBudget) -> tuple[bool, float]:
        """Whether to end, and the progress; all processes use those of the first."""
        mine = budget.used_up and budget.step > 0, budget.progress
        if self._fabric.world_size == 1:
            return mine
        agreed: tuple[bool, float] = self._fabric.broadcast(mine)
        return agreed

    def _timed_validation(self, budget: TimeBudget) -> None:
        """Validate; from the first one estimate how long the last one and scoring for the bundle will take."""
        started = self._clock()
        self._statistics_frames = 0
        self._validate(budget.step)
        if budget.step == self._validate_every:
            seconds = self._clock() - started
            seconds_per_frame = seconds / (len(self._held_out_frames) + self._statistics_frames)
            counts = len(self._train_frames), len(self._held_out_frames)
            later = frames_to_score(self._recipe, self._good.geometry, *counts)
            budget.set_aside(seconds + later * seconds_per_frame)

    def _validate(self, step: int) -> None:
        """Compute the loss on the held-out frames, and keep the state if it is the best so far."""
        self._learner.update_statistics(self._statistics_batches())
        frames = NormalisedFrames(self._held_out_frames, self._normalisation)
        total = 0.0
        normal, anomalous = [], []
        for batch in in_batches(frames, self._batch_size):
            found = self._learner.held_out(batch.to(self._fabric.device))
            total += found.loss * len(batch)
            normal.append(found.normal)
            anomalous.append(found.anomalous)
        loss = total / len(frames)
        self._history.add_validation(step, loss)
        if self._is_as_good(loss, detection_of(torch.cat(normal), torch.cat(anomalous))):
            self._keep(step)

    def _is_as_good(self, loss: float, detection: float) -> bool:
        """Whether to keep the current state: the latest that detects as much as any, or the one with the least loss."""
        lower = loss < self._best_loss
        self._best_loss = min(loss, self._best_loss)
        as_good = self._watch.add(detection)
        return math.isfinite(loss) and (lower if math.isnan(detection) else as_good)

    def _keep(self, step: int) -> None:
        # Copied first, then assigned at once: a Ctrl-C in between leaves the previous state.
        state = {name: value.detach().cpu().clone() for name, value in self._networks.state_dict().items()}
        self._best_state, self._best_step = state, step

    def _keep_current_state(self, step: int) -> None:
        """For a training that was stopped before the first validation: keep its state if the loss is finite."""
        if step == 0:
            raise TrainingError("stopped before the first step: nothing was learned and no bundle written")
        self._validate(step)
        if self._best_state is None:
            raise TrainingError(f"the losses are not finite after {step} steps: training diverged, no bundle written")

    def _training_loader(self) -> Any:
        processes = self._fabric.world_size
        batch_size = min(max(1, self._batch_size // processes), -(-len(self._train_frames) // processes))
        loader: DataLoader[Tensor] = DataLoader(
            NormalisedFrames(self._train_frames, self._normalisation),
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            generator=torch.Generator().manual_seed(self._seed),
            collate_fn=_unchanged,
        )
        return self._fabric.setup_dataloaders(loader)

    def _statistics_batches(self) -> Iterator[Tensor]:
        """A sample of the training frames, the same every time, evenly spaced over all of them."""
        every = -(-len(self._train_frames) // _STATISTICS_FRAMES)
        frames = NormalisedFrames(self._train_frames[::every], self._normalisation)
        for batch in in_batches(frames, self._batch_size):
            self._statistics_frames += len(batch)
            yield batch.to(self._fabric.device)

    def _endless_batches(self) -> Iterator[Tensor]:
        while True:
            yield from self._loader


def _unchanged(batch: Any) -> Any:
    """Collate nothing: `__getitems__` returns whole batches."""
    return batch
