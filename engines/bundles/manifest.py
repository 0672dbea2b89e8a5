"""`manifest.json`: what a bundle says of itself. Pydantic models, closed: a field that is not known is an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA = "inspectd.bundle/1"

_CLOSED = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size and kind of the frames that a model takes."""

    height: int
    """Rows, pixels."""
    width: int
    """Columns, pixels."""
    channels: Literal[1, 3]
    """1 gray, 3 colour."""
    bit_depth: Literal[8, 16] = 8
    """Bits of a sample: 8 for uint8, 16 for uint16."""
    colour_order: Literal["BGR", "GRAY"] = "GRAY"
    """Order of the channels; BGR is what OpenCV delivers."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """One frame: (height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Sample type of a frame."""
        return np.dtype(np.uint8) if self.bit_depth == 8 else np.dtype(np.uint16)

    def __str__(self) -> str:
        """As errors name it: `64×64 GRAY, 8 bit`."""
        return f"{self.width}×{self.height} {self.colour_order}, {self.bit_depth} bit"


class Normalisation(BaseModel):
    """Raw samples to the network's range: `low` becomes -1, `high` becomes +1, linearly, and beyond."""

    model_config = _CLOSED
    low: float
    """Raw count that becomes -1."""
    high: float
    """Raw count that becomes +1; above `low`."""

    @model_validator(mode="after")
    def _ordered(self) -> Normalisation:
        if not self.high > self.low:
            raise ValueError(f"high {self.high:g} is not above low {self.low:g}")
        return self


class RecipeRecord(BaseModel):
    """Which networks are inside, and what they were built with."""

    model_config = _CLOSED
    name: str
    """Name of the recipe, as `--recipe` takes it."""
    options: dict[str, int | float | str | bool] = {}
    """Arguments of the recipe's networks."""


class ScoreSummary(BaseModel):
    """Scores of the held-out good frames."""

    model_config = _CLOSED
    count: int
    minimum: float
    median: float
    p95: float
    maximum: float


class TrainingRecord(BaseModel):
    """How the model came to be: enough to do it again."""

    model_config = _CLOSED
    date: str
    """Start of training, UTC, ISO 8601."""
    seed: int
    """Seed of initialisation, split and order."""
    seconds: float
    """Time from start to bundle, seconds."""
    steps: int
    """Steps that were trained; with the same seed and `steps` the same machine makes the same model."""
    kept_step: int
    """The step whose state was kept: lowest loss on the held-out good frames."""
    epochs: float
    """Passes over the training frames."""
    images_used: int
    """Frames that were trained on."""
    images_held_out: int
    """Good frames that were kept back."""
    images_skipped: int
    """Files that could not be used."""
    stopped: Literal["finished", "interrupted"]
    """Whether the budget was used up, or somebody stopped it."""
    held_out: ScoreSummary
    """Scores of the held-out good frames."""
    warnings: list[str] = []
    """What training found to complain of, a line each."""
    agreement: dict[str, float] = {}
    """Largest relative difference of a reference score, by model file, between ONNX Runtime and PyTorch."""
    versions: dict[str, str] = {}
    """Versions of what made it."""


class Tolerance(BaseModel):
    """How far an engine may be from the reference, relative to the reference score (and to the hottest pixel)."""

    model_config = _CLOSED
    fp32: float = 1e-3
    fp16: float = 2e-2


class Manifest(BaseModel):
    """`manifest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_id: Literal["inspectd.bundle/1"] = Field(default="inspectd.bundle/1", alias="schema")
    name: str
    """What people call it."""
    geometry: Geometry
    normalisation: Normalisation
    heatmap_shape: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    """Rows and columns of a heatmap."""
    score_kind: str
    """What the score measures, in words."""
    recipe: RecipeRecord
    training: TrainingRecord
    tolerance: Tolerance = Tolerance()
    files: dict[str, str] = {}
    """sha256, hex, of every other file."""
