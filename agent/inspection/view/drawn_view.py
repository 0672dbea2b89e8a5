"""The view that a person has drawn on a camera's image: kept for training, since crop and mask belong to a bundle.

`drawn-view.json` in the camera's folder holds it; `drawn-mask.json` beside it is the mask as `inspectd train --mask`
reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from agent.core.crop import Crop
from agent.core.durable_file import replace_file
from agent.core.errors import Permanent
from agent.messages import Instant
from engines.bundles import CropBox
from engines.errors import ImageError
from engines.images import MaskChoice, MaskDocument, Polygon, cut_mask

_FILE, _MASK_FILE = "drawn-view.json", "drawn-mask.json"


class DrawnView(BaseModel):
    """Crop and mask, in pixels of the source image."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)
    schema_id: Literal["inspectd.drawn-view/1"] = Field(default="inspectd.drawn-view/1", alias="schema")
    width: PositiveInt
    """Of the source images, pixels."""
    height: PositiveInt
    crop: Crop | None = None
    """The part to inspect; None: all of it."""
    exclude: tuple[Polygon, ...] = ()
    """Areas that do not count."""
    by: str
    at: Instant

    @property
    def empty(self) -> bool:
        """Whether the whole image is to be inspected."""
        return self.crop is None and not self.exclude

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
        if not self.exclude:
            return
        try:
            mask = MaskChoice(None, self.exclude).for_size(height, width)
        except ImageError as error:
            raise Permanent(str(error).removeprefix("--exclude-polygon: ")) from None
        if not cut_mask(mask, None if crop is None else CropBox(**crop.model_dump())).any():
            raise Permanent("the mask excludes all of the crop, wanted some of it")

    def options(self, directory: Path) -> str:
        """The options of `inspectd train` for this view, kept in a camera's folder."""
        crop = self.crop
        given = [] if crop is None else [f"--crop {crop.x},{crop.y},{crop.width},{crop.height}"]
        return " ".join([*given, *([f"--mask {directory / _MASK_FILE}"] if self.exclude else [])])


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
