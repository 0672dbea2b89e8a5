"""What training leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from engines.bundles import (
    Frames,
    Geometry,
    Normalisation,
)
from engines.recipes.recipe import Option, Recipe

Stopped = Literal["finished", "interrupted"]


@dataclass(slots=True)
class History:
    """Losses as training went."""

    steps: list[int] = field(default_factory=list)
    """Step of each check."""
    losses: dict[str, list[float]] = field(default_factory=dict)
    """Mean training losses since the check before, by name."""
    held_out: list[float] = field(default_factory=list)
    """Loss on the held-out good frames at each check."""
    _sums: dict[str, list[float]] = field(default_factory=dict)

    def note(self, losses: dict[str, float]) -> None:
        """Take in the losses of one step; a step need not have all of them."""
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(value)

    def check(self, step: int, held_out: float) -> None:
        """Take in the held-out loss and close the interval; a loss that no step of it had is nan there."""
        self.steps.append(step)
        self.held_out.append(held_out)
        before = len(self.steps) - 1
        for name in {**self.losses, **self._sums}:
            values = self._sums.get(name, [])
            series = self.losses.setdefault(name, [math.nan] * before)
            series.append(sum(values) / len(values) if values else math.nan)
        self._sums = {}


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training, before it is a bundle."""

    name: str
    recipe: Recipe
    options: dict[str, Option]
    geometry: Geometry
    normalisation: Normalisation
    networks: nn.Module
    """On the CPU, filled with the state that was kept."""
    train_frames: Frames
    train_paths: tuple[Path, ...]
    held_out_frames: Frames
    history: History
    date: str
    seed: int
    steps: int
    kept_step: int
    epochs: float
    skipped: int
    stopped: Stopped
    warnings: tuple[str, ...]
    elapsed: Callable[[], float]
    """Seconds since training was asked for."""
