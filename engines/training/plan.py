"""What is trained and how, as a person asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from engines.errors import EngineError, TrainingError
from engines.progress import Progress
from engines.recipes.recipe import DEFAULT_RECIPE, Option, Recipe, find_recipe
from engines.training.devices import Devices
from engines.training.good_frames import MAX_FRAME_BYTES
from engines.training.image_shapes import Size, SizeChooser
from engines.training.sizing import Wishes, choose_size, estimate_milliseconds
from engines.training.view_choice import WHOLE_IMAGE, ViewChoice

__all__ = ["Devices", "TrainingPlan", "ViewChoice", "Wishes"]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training; `engines.training.train.train_model` carries it out."""

    images: Path | str | Sequence[Path]
    """A folder or a list of good images."""
    _: KW_ONLY
    out: Path | str
    """The bundle that is written."""
    name: str | None = None
    """Of the bundle; None: that of the file."""
    recipe: str = DEFAULT_RECIPE
    backbone: Path | str | None = None
    """A file of weights that the features come from; None: those of the recipe."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """For the recipe's networks."""
    size: int | Size | None = None
    """The model's input, a side or (height, width) in pixels, multiples of 16; None: `wishes` choose it."""
    wishes: Wishes = field(default_factory=Wishes)
    view: ViewChoice = WHOLE_IMAGE
    """What of the images is trained on and, by the bundle, inspected."""
    padding: int | None = None
    """The gray value that the images have been padded with already."""
    minutes: float | None = 10.0
    """Time that the training takes at most, export included; None: no such limit."""
    steps: int | None = None
    """Steps of the training at most; None: no such limit."""
    seed: int = 0
    devices: Devices = field(default_factory=Devices)
    max_bytes: int = MAX_FRAME_BYTES
    """Memory for the images."""

    def found_recipe(self) -> Recipe:
        """The recipe, on the weights of `backbone`. Raises TrainingError for impossible limits, too."""
        try:
            recipe = find_recipe(self.recipe)
        except EngineError as error:
            raise TrainingError(str(error)) from None
        self._check_limits()
        if self.view.weighed and not recipe.places:
            raise TrainingError(
                f"the score of the recipe {recipe.name} has no places, so no region can have a sensitivity of its own; "
                "wanted --recipe pretrained or scratch"
            )
        if self.backbone is not None:
            recipe = recipe.with_backbone(Path(self.backbone))
        recipe.foreign_weights()  # missing ones are reported before the images are read
        return recipe

    def _check_limits(self) -> None:
        if self.minutes is None and self.steps is None:
            raise TrainingError("neither minutes nor steps are given, wanted at least one: training would never end")
        if self.minutes is not None and not self.minutes > 0:
            raise TrainingError(f"minutes is {self.minutes:g}, wanted more than 0")
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"steps is {self.steps}, wanted at least 1")
        if not 0 <= self.seed < 2**32:
            raise TrainingError(f"seed is {self.seed}, wanted 0 to {2**32 - 1}")

    @property
    def given_size(self) -> Size | None:
        """`size` as height and width; None where it is chosen."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def size_chooser(self, recipe: Recipe, report: Progress, processes: int) -> SizeChooser | None:
        """Chooses the size from the wishes; None where there are none. TrainingError if they cannot be heeded."""
        if self.wishes == Wishes():
            return None
        if self.size is not None:
            raise TrainingError("the size is given, so neither smallest defect nor frame budget can choose it")
        if processes > 1:
            raise TrainingError(f"smallest defect and frame budget are for one process, this is one of {processes}")
        known: dict[Size, float] = {}

        def measure(size: Size) -> float:
            report(0.0, f"measuring the time of a frame of {size[1]}×{size[0]}")
            if size not in known:
                known[size] = estimate_milliseconds(recipe, size, dict(self.options))
            return known[size]

        return lambda own: choose_size(own, self.wishes, measure)
