"""A recipe: one way of learning good parts. The seam between training, export and engines on one side and networks on
the other.

Everything around a recipe (reading, splitting, batches, time, keeping the best state, export, bundle, report) is the
same for all. To add one, write a `Recipe`, its `Learner` and its `Scorer`, and name it in `_RECIPES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from engines.bundles import Geometry, Normalisation
from engines.errors import EngineError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from engines.recipes.scorer import Scorer

Option = int | float | str | bool

_RECIPES = {"default": "engines.recipes.default", "reference": "engines.recipes.reference"}
"""Name → module with a `RECIPE` in it; imported when asked for."""


class Learner(ABC):
    """Trains the networks of one recipe."""

    networks: nn.Module
    """The networks that score, not wrapped: their `state_dict` is what is kept, all else is the learner's own."""

    @abstractmethod
    def setup(self, fabric: Fabric) -> None:
        """Put modules and optimisers into Fabric's hands (`fabric.setup`), before the first step."""

    @abstractmethod
    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        """Learn from normalised good frames [B, C, H, W]; `progress` runs from 0 to 1. Returns the losses by name."""

    def refresh(self, batches: Iterable[Tensor]) -> None:  # noqa: B027 - only running statistics need it
        """Bring statistics up to date with the weights before a look at the held-out frames; takes training frames."""

    @abstractmethod
    def held_out_loss(self, frames: Tensor) -> float:
        """Mean loss on good frames [B, C, H, W] that are never trained on: the lowest decides which state is kept."""


class Recipe(ABC):
    """Builds the networks of one method, what trains them and what makes a score of them."""

    name: ClassVar[str]
    """As `--recipe` takes it and the manifest records it."""
    score_kind: ClassVar[str]
    """What the score measures, in words."""

    @abstractmethod
    def batch_size(self, geometry: Geometry) -> int:
        """Frames a step learns from, over all processes."""

    @abstractmethod
    def networks(self, geometry: Geometry, **options: Option) -> nn.Module:
        """Build the networks that score. The options are recorded in the manifest and given again when it is read."""

    @abstractmethod
    def learner(self, networks: nn.Module, geometry: Geometry) -> Learner:
        """Build what trains these networks."""

    @abstractmethod
    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> Scorer:
        """Build the module that is exported; its `state_dict` is the bundle's `weights.npz`."""

    def settle(  # noqa: B027 - most recipes have nothing to settle
        self, scorer: Scorer, learned: Iterable[Tensor], held_out: Iterable[Tensor]
    ) -> None:
        """Set what the score must know of good frames, such as their spread.

        Takes normalised frames [N, C, H, W] in batches: those learned from, and those held out.
        """


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name; EngineError where there is none."""
    module = _RECIPES.get(name)
    if module is None or find_spec(module) is None:
        raise EngineError(f"recipe {name!r} is unknown, wanted one of {', '.join(recipe_names())}")
    recipe: Recipe = import_module(module).RECIPE
    return recipe


def recipe_names() -> list[str]:
    """Names of the recipes of this version."""
    return [name for name, module in _RECIPES.items() if find_spec(module) is not None]
