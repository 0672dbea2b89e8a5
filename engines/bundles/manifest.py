"""The models of `manifest.json`. An unknown field is an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from engines.bundles.alignment import Alignment
from engines.bundles.correction import Correction
from engines.bundles.crop_box import CropBox
from engines.bundles.file_reading import FileReading
from engines.bundles.mask import Mask
from engines.bundles.sensitivity import Sensitivity

MANIFEST_SCHEMA = "inspectd.bundle/1"

# Half precision stays within 2 %. With more than a tenth, the reference would no longer prove that an engine is right.
MAX_TOLERANCE = 0.1

_CLOSED = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size and kind of a model's input frames."""

    height: int
    """Rows, pixels."""
    width: int
    """Columns, pixels."""
    channels: Literal[1, 3]
    """1 gray, 3 colour."""
    bit_depth: Literal[8, 16] = 8
    """Bits of a sample: 8 for uint8, 16 for uint16."""
    colour_order: Literal["BGR", "GRAY"] = "GRAY"
    """Order of the channels; BGR is OpenCV's."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """One frame: (height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Sample type of a frame."""
        return np.dtype(np.uint8) if self.bit_depth == 8 else np.dtype(np.uint16)

    def __str__(self) -> str:
        """For people: `64×64 GRAY, 8 bit`."""
        return f"{self.width}×{self.height} {self.colour_order}, {self.bit_depth} bit"


class Normalisation(BaseModel):
    """Maps raw samples to the network's range, linearly: `low` becomes -1, `high` becomes +1; not clipped."""

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


class View(BaseModel):
    """What the images of a model show: those that it was trained on, and any that it is to judge."""

    model_config = _CLOSED
    lowest_aspect: Annotated[float, Field(gt=0)]
    """Width over height of what was trained on, after the crop and before it was fitted to the model: the least."""
    highest_aspect: Annotated[float, Field(gt=0)]
    """The same: the greatest."""
    crop: CropBox | None = None
    """The part of the source images that was trained on, and that is inspected; None: all of them."""
    padding: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    """Gray value that images of another shape are padded with, so that none is stretched; None: they are rejected."""
    mask: Mask | None = None
    """Pixels of the source images that count; None: all of them."""
    fill: tuple[Annotated[int, Field(ge=0, lt=2**16)], ...] = ()
    """Value of the others in the model's input, for each channel; empty without a mask."""
    sensitivity: Sensitivity | None = None
    """Regions of the source images in which what is unusual counts more or less; None: the same everywhere."""
    alignment: Alignment | None = None
    """What a part is found by. Crop, mask and sensitivity then apply to the image turned and shifted so that the part
    lies as in the taught one. None: parts always lie alike."""
    reading: FileReading | None = None
    """How the image files were read; None: as they describe themselves."""
    correction: Correction | None = None
    """What the images of the detector were corrected by before everything else; None: nothing."""
    _correction_file: Path | None = PrivateAttr(None)

    @property
    def correction_file(self) -> Path | None:
        """The file with the maps of the correction: in the bundle, or the one that a person named."""
        return self._correction_file

    def use_correction(self, file: Path) -> None:
        """Correct images by the maps of this file from now on."""
        self._correction_file = file

    @classmethod
    def of(cls, height: int, width: int) -> View:
        """The view of images of one size, pixels."""
        return cls(lowest_aspect=width / height, highest_aspect=width / height)

    def stretch(self, height: int, width: int) -> float:
        """How much more an image of this size, pixels, is stretched than those of the training: 1 is not at all."""
        aspect = width / height
        return max(1.0, self.lowest_aspect / aspect, aspect / self.highest_aspect)

    @model_validator(mode="after")
    def _fill_for_mask(self) -> View:
        if (self.mask is None) != (not self.fill):
            raise ValueError("mask and fill go together")
        return self

    @model_validator(mode="after")
    def _crop_of_the_aligned(self) -> View:
        aligned, crop = self.alignment, self.crop
        if aligned is None:
            return self
        if crop is None:
            raise ValueError("alignment is given without crop, wanted the part of the aligned image that is inspected")
        if crop.x + crop.width > aligned.width or crop.y + crop.height > aligned.height:
            raise ValueError(f"crop is {crop}, wanted within the taught image of {aligned.width}×{aligned.height}")
        return self


class RecipeRecord(BaseModel):
    """The recipe of the networks and their options."""

    model_config = _CLOSED
    name: str
    """Name of the recipe, as `--recipe` takes it."""
    options: dict[str, int | float | str | bool] = {}
    """Arguments of the recipe's networks."""


class ForeignWeights(BaseModel):
    """Weights in the model that others trained."""

    model_config = _CLOSED
    source: str
    """Package and version, or file."""
    licence: str
    """SPDX identifier."""
    sha256: str
    """Of the file they were read from, hex."""


class ScoreSummary(BaseModel):
    """Statistics of the scores of the held-out good frames."""

    model_config = _CLOSED
    count: int
    minimum: float
    median: float
    p95: float
    maximum: float
    quantiles: list[float] = []
    """All of them in rising order; empty in bundles of earlier versions."""


class DamageCheck(BaseModel):
    """Scores of held-out good frames with synthetic damage that is visible at a glance."""

    model_config = _CLOSED
    count: int
    """Damaged frames."""
    median: float
    """Median of their scores."""
    auroc: float
    """Probability that a damaged frame scores above a good one; 0.5 is chance."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""

    @property
    def detected(self) -> bool:
        """True if the model detects the damage better than chance."""
        return self.low > 0.5


class FrameTime(BaseModel):
    """How long a frame took where the model was trained."""

    model_config = _CLOSED
    milliseconds: float
    """With ONNX Runtime, while no other program used the cores."""
    threads: int
    machine: str
    """Cores, processor and architecture."""
    budget_milliseconds: float
    """What it may take."""


class TrainingRecord(BaseModel):
    """How the model was trained: enough to repeat it."""

    model_config = _CLOSED
    date: str
    """Start of training, UTC, ISO 8601."""
    seed: int
    """Seed of initialisation, split and order."""
    seconds: float
    """Time from start to bundle, seconds."""
    steps: int
    """Training steps; with the same seed and `steps` the same machine trains the same model."""
    kept_step: int
    """The step whose weights were kept: lowest loss on the held-out good frames."""
    epochs: float
    """Passes over the training frames."""
    images_used: int
    """Frames that were trained on."""
    images_held_out: int
    """Good frames that were not trained on."""
    images_skipped: int
    """Files that could not be used."""
    stopped: Literal["finished", "interrupted"]
    """Whether all steps were trained, or a user interrupted the training."""
    held_out: ScoreSummary
    """Scores of the held-out good frames."""
    damage: DamageCheck | None = None
    """Scores of the same frames with synthetic damage; None in bundles of earlier versions."""
    warnings: list[str] = []
    """Warnings of training, one line each."""
    agreement: dict[str, float] = {}
    """Largest relative difference between ONNX Runtime's and PyTorch's reference scores, by model file."""
    versions: dict[str, str] = {}
    """Versions of the libraries used."""
    foreign_weights: list[ForeignWeights] = []
    """Weights in the model that this training did not make."""
    frame_time: FrameTime | None = None
    """How long a frame takes; None in bundles of earlier versions."""


class Tolerance(BaseModel):
    """Largest allowed error of an engine, relative to the reference score (and to the heatmap's largest value)."""

    model_config = _CLOSED
    fp32: Annotated[float, Field(gt=0, le=MAX_TOLERANCE)] = 1e-3
    fp16: Annotated[float, Field(gt=0, le=MAX_TOLERANCE)] = 2e-2


class Manifest(BaseModel):
    """`manifest.json`. A model that was not trained by this project has no `recipe` and no `training`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_id: Literal["inspectd.bundle/1"] = Field(default="inspectd.bundle/1", alias="schema")
    name: str
    """Name of the model, for people."""
    geometry: Geometry
    normalisation: Normalisation
    view: View | None = None
    """None in bundles of earlier versions."""
    heatmap_shape: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    """Rows and columns of a heatmap."""
    score_kind: str
    """What the score measures, for people."""
    recipe: RecipeRecord | None = None
    training: TrainingRecord | None = None
    tolerance: Tolerance = Tolerance()
    files: dict[str, str] = {}
    """sha256, hex, of every other file."""

    @model_validator(mode="after")
    def _fill_of_the_geometry(self) -> Manifest:
        fill, geometry = () if self.view is None else self.view.fill, self.geometry
        if fill and (len(fill) != geometry.channels or max(fill) >= 2**geometry.bit_depth):
            raise ValueError(f"view.fill is {fill}, wanted {geometry.channels} values of {geometry.bit_depth} bits")
        return self

    @property
    def reading(self) -> FileReading | None:
        """How the image files of its training were read."""
        return None if self.view is None else self.view.reading

    @property
    def warnings(self) -> list[str]:
        """Warnings of training, one line each."""
        return [] if self.training is None else self.training.warnings
