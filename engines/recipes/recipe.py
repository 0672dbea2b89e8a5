"""A recipe: networks, training and score of one method. Training, export and engines know recipes by this interface.

Reading, splitting and batching images, time, checkpoints, export, bundle and report are the same for all recipes. To
add one, write a `Recipe` with its `Learner` and `Scorer`, and add it to `_RECIPES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.bundles import ForeignWeights, Geometry, Normalisation
from engines.errors import EngineError, TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from engines.recipes.scorer import Scorer

Option = int | float | str | bool

# Name → module and class, imported on demand.
_RECIPES = {
    "pretrained": ("engines.recipes.pretrained", "PretrainedRecipe"),
    "scratch": ("engines.recipes.scratch", "ScratchRecipe"),
    "reference": ("engines.recipes.reference", "ReferenceRecipe"),
}


# Manifests of bundles in use have these names.
_FORMER_NAMES = {"default": "scratch"}

# The recipe that `inspectd train` uses.
DEFAULT_RECIPE = "pretrained"


class HeldOut(NamedTuple):
    """How a state of the networks does on a batch of held-out good frames."""

    loss: float
    """Mean loss. Without synthetic anomalies, the state with the lowest is kept."""
    normal: Tensor
    """Distances of places without synthetic anomaly, [N]; empty for a recipe that learns without."""
    anomalous: Tensor
    """Distances of places where one is plainly visible, [M]."""


class Learner(ABC):
    """Trains the networks of one recipe."""

    networks: nn.Module
    """The networks that score, without Fabric's wrapper. Checkpoints hold their `state_dict` and nothing else."""
    may_end_early: bool = True
    """Whether all that is learned shows in the synthetic anomalies that are found."""

    @abstractmethod
    def setup(self, fabric: Fabric) -> None:
        """Pass modules and optimisers to `fabric.setup`, before the first step."""

    @abstractmethod
    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        """Train on normalised good frames [B, C, H, W]; returns the losses by name. `progress` runs from 0 to 1."""

    def inspect_only(  # noqa: B027 - what is masked has one value in all frames, which needs no learning
        self, inspected: NDArray[np.bool_], fill: tuple[int, ...], normalisation: Normalisation
    ) -> None:
        """Learn nothing about what is masked: [H, W], True where a pixel counts; `fill` is the value of the others."""

    def leave_out_padding(  # noqa: B027 - a score that leaves padding out needs no learning that does
        self, padding: int, normalisation: Normalisation
    ) -> None:
        """Learn nothing about the padding of frames, which has this gray value (`engines.images.letterbox`)."""

    def update_statistics(self, batches: Iterable[Tensor]) -> None:  # noqa: B027 - only batch normalisation needs it
        """Recompute statistics that depend on the weights, from batches of training frames, before a validation."""

    @abstractmethod
    def held_out(self, frames: Tensor) -> HeldOut:
        """See how the current state does on held-out good frames [B, C, H, W]."""


class Recipe(ABC):
    """Builds the networks of one method, their learner and their scoring module."""

    name: ClassVar[str]
    """The value of `--recipe`, recorded in the manifest."""
    score_kind: ClassVar[str]
    """What the score measures, in words; recorded in the manifest."""
    export_seconds: ClassVar[float] = 16.0
    """Time to export both graphs and draw the report on one quiet core, whatever the length of training, seconds."""

    letterbox: ClassVar[bool] = True
    """Whether the score leaves padding out. Otherwise images of another shape are stretched."""

    places: ClassVar[bool] = True
    """Whether the score is made of places, so that regions can have a sensitivity of their own."""

    def with_backbone(self, file: Path) -> Recipe:
        """The recipe on the weights of a file; TrainingError if it takes none, or not these."""
        raise TrainingError(f"the recipe {self.name} takes no weights of others, wanted --recipe pretrained for {file}")

    def options_for(self, geometry: Geometry) -> dict[str, Option]:
        """Options that the recipe itself gives its networks when it trains them for this geometry."""
        return {}

    def foreign_weights(self) -> list[ForeignWeights]:
        """Weights of others that the networks start from; TrainingError if they are not installed."""
        return []

    @abstractmethod
    def batch_size(self, geometry: Geometry) -> int:
        """Frames per training step, over all processes."""

    @abstractmethod
    def networks(self, geometry: Geometry, **options: Option) -> nn.Module:
        """Build the networks that score. The manifest records the options, and passes them again when it is read."""

    @abstractmethod
    def learner(self, networks: nn.Module, geometry: Geometry) -> Learner:
        """Build the learner of these networks."""

    @abstractmethod
    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> Scorer:
        """Build the module that is exported; its `state_dict` is the bundle's `weights.npz`."""

    def fit_scorer(  # noqa: B027 - most scores need no statistics
        self, scorer: Scorer, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]
    ) -> None:
        """Fit the statistics of good frames that the score needs, such as their spread.

        Takes batches of normalised frames [N, C, H, W]: those trained on, and those held out.
        """

    def frames_to_fit(self, geometry: Geometry, trained_on: int, held_out: int) -> int:
        """Estimate how many frames `fit_scorer` sends through the networks, which its duration is proportional to."""
        return trained_on + held_out


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name; EngineError if there is none."""
    name = _FORMER_NAMES.get(name, name)
    if name not in _RECIPES:
        raise EngineError(f"recipe {name!r} is unknown, wanted one of {', '.join(recipe_names())}")
    module, kind = _RECIPES[name]
    recipe: Recipe = getattr(import_module(module), kind)()
    return recipe


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return list(_RECIPES)
