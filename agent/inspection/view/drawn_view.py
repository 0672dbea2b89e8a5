"""The view that a person has drawn on a camera's image: kept for training, since crop, mask and regions with a
sensitivity of their own belong to a bundle.

`drawn-view.json` in the camera's folder holds it; `drawn-mask.json` beside it is the mask as `inspectd train --mask`
reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from agent.core.crop import Crop
from agent.core.durable_file import replace_file
from agent.core.errors import Permanent, Temporary
from agent.core.records import Image
from agent.messages import Instant
from engines.bundles import HIGHEST_FACTOR, LEAST_FACTOR, CropBox, SensitiveRegion, View
from engines.errors import ImageError
from engines.images import MaskChoice, MaskDocument, Polygon, SensitivityChoice, cut_mask, inspect

FACTORS = (LEAST_FACTOR, HIGHEST_FACTOR)
"""The least and the highest factor of a region."""

_FILE, _MASK_FILE = "drawn-view.json", "drawn-mask.json"


class DrawnView(BaseModel):
    """Crop, mask and sensitivity, in pixels of the source image; with alignment, of the aligned one."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)
    schema_id: Literal["inspectd.drawn-view/1"] = Field(default="inspectd.drawn-view/1", alias="schema")
    width: PositiveInt
    """Of the source images, pixels."""
    height: PositiveInt
    crop: Crop | None = None
    """The part to inspect; None: all of it."""
    exclude: tuple[Polygon, ...] = ()
    """Areas that do not count."""
    sensitivity: tuple[SensitiveRegion, ...] = ()
    """Regions in which what is unusual counts more or less."""
    by: str
    at: Instant

    @property
    def empty(self) -> bool:
        """Whether the whole image is to be inspected, all places alike."""
        return self.crop is None and not self.exclude and not self.sensitivity

    def check(self, height: int, width: int) -> None:
        """Raise Permanent where it does not fit a camera whose images have this size, pixels, or leaves nothing."""
        if (self.height, self.width) != (height, width):
            raise Permanent(
                f"the view is drawn on {self.width}×{self.height}, the camera's images are {width}×{height}"
            )
        crop = self.crop
        if crop is not None and (crop.x + crop.width > width or crop.y + crop.height > height):
            raise Permanent(
                f"crop is {crop.width}×{crop.height} at {crop.x},{crop.y}, wanted within the image of {width}×{height}"
            )
        box = None if crop is None else CropBox(**crop.model_dump())
        try:
            if self.sensitivity:
                SensitivityChoice(self.sensitivity).for_size(height, width, box)
            mask = MaskChoice(None, self.exclude).for_size(height, width) if self.exclude else None
        except ImageError as error:
            raise Permanent(str(error).removeprefix("--exclude-polygon: ").removeprefix("--sensitivity: ")) from None
        if mask is not None and not cut_mask(mask, box).any():
            raise Permanent("the mask excludes all of the crop, wanted some of it")

    def options(self, directory: Path) -> str:
        """The options of `inspectd train` for this view, kept in a camera's folder."""
        crop = self.crop
        given = [] if crop is None else [f"--crop {crop.x},{crop.y},{crop.width},{crop.height}"]
        if self.exclude:
            given.append(f"--mask {directory / _MASK_FILE}")
        for region in self.sensitivity:
            corners = " ".join(f"{x:g},{y:g}" for x, y in region.polygon)
            given.append(f'--sensitivity "{region.factor:g}: {corners}"')
        return " ".join(given)


def aligned_image(camera: str, view: View | None, image: Image) -> Image | None:
    """A source image [H, W, C] with its part lying as in the taught one; None where parts are not aligned.

    Raises Temporary where no part is in it.
    """
    if view is None or view.alignment is None:
        return None
    whole = CropBox(x=0, y=0, width=view.alignment.width, height=view.alignment.height)
    try:
        return inspect(image, view.model_copy(update={"crop": whole, "mask": None, "sensitivity": None})).image
    except ImageError as error:
        raise Temporary(f"camera {camera}: {error}; try again once a part lies there") from None


def save_drawn_view(directory: Path, view: DrawnView) -> None:
    """Keep a view in a camera's folder, made where missing; an empty one is removed. Raises Permanent, one line."""
    mask = MaskDocument(width=view.width, height=view.height, exclude=view.exclude)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, document in ((_MASK_FILE, mask if view.exclude else None), (_FILE, None if view.empty else view)):
            if document is None:
                (directory / name).unlink(missing_ok=True)
            else:
                replace_file(directory / name, document.model_dump_json(by_alias=True, indent=1).encode())
    except OSError as error:
        raise Permanent(f"{directory}: {error.strerror}; the view was not kept") from None


def load_drawn_view(directory: Path) -> DrawnView | None:
    """The view in a camera's folder; None without one. Raises Permanent for a damaged file."""
    path = directory / _FILE
    try:
        return DrawnView.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
    except ValidationError:
        raise Permanent(f"{path}: damaged; draw the view again") from None
