"""The result of a training, before it becomes a bundle."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from engines.bundles import Frames, Geometry, Normalisation, View
from engines.recipes.recipe import Option, Recipe
from engines.training.sizing import DEFAULT_BUDGET_MILLISECONDS

StopReason = Literal["finished", "interrupted"]


@dataclass(slots=True)
class LossHistory:
    """Losses during a training, one value per validation interval."""

    steps: list[int] = field(default_factory=list)
    """Step of each validation."""
    losses: dict[str, list[float]] = field(default_factory=dict)
    """Mean training losses since the previous validation, by name; nan for a loss that no step of the interval had."""
    held_out: list[float] = field(default_factory=list)
    """Loss on the held-out good frames at each validation."""
    _interval: dict[str, list[float]] = field(default_factory=dict)

    def add_step(self, losses: dict[str, float]) -> None:
        """Record the losses of one step; a step need not have all of them."""
        for name, value in losses.items():
            self._interval.setdefault(name, []).append(value)

    def add_validation(self, step: int, held_out: float) -> None:
        """Record the held-out loss, and close the interval."""
        self.steps.append(step)
        self.held_out.append(held_out)
        before = len(self.steps) - 1
        for name in {**self.losses, **self._interval}:
            values = self._interval.get(name, [])
            series = self.losses.setdefault(name, [math.nan] * before)
            series.append(sum(values) / len(values) if values else math.nan)
        self._interval = {}


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """Networks after a training, with everything that the bundle is made of."""

    name: str
    recipe: Recipe
    options: dict[str, Option]
    """Options of the recipe's networks."""
    geometry: Geometry
    view: View
    normalisation: Normalisation
    networks: nn.Module
    """On the CPU, in the state that was kept."""
    train_frames: Frames
    """[N, H, W, C]."""
    train_paths: tuple[Path, ...]
    """The file of each training frame."""
    held_out_frames: Frames
    """[M, H, W, C]."""
    history: LossHistory
    date: str
    """Start of the training, ISO 8601."""
    seed: int
    steps: int
    """Steps done."""
    kept_step: int
    """Step of the state that was kept."""
    epochs: float
    skipped: int
    """Files that could not be used."""
    stopped: StopReason
    warnings: tuple[str, ...]
    """A line each, for the technician."""
    elapsed: Callable[[], float]
    """Seconds since the training was started."""
    budget_milliseconds: float = DEFAULT_BUDGET_MILLISECONDS
    """Time that a frame may take."""
