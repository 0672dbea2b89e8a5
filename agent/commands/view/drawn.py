"""The commands `view` and `view/draw`: which part of a camera's images is inspected, and which a person has drawn.

Crop, mask and sensitivity belong to a bundle, which is trained with them; the region of the code belongs to the
settings. So a drawn view is kept for training, and changes nothing by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, PositiveInt

from agent.alarms import outline, stored_window, to_8_bit
from agent.commands.command import Call
from agent.commands.view.live import JPEG_QUALITY, shrink
from agent.core.clock import utc_now
from agent.core.crop import Crop
from agent.core.errors import Temporary
from agent.core.image_bytes import encode
from agent.core.records import Image
from agent.core.training_folder import previous_of
from agent.inspection import (
    FACTORS,
    CameraLine,
    DrawnView,
    aligned_image,
    load_drawn_view,
    save_drawn_view,
    setup_directory,
)
from agent.messages import CommandRequest, CropPayload, Instant, Payload

# Red, half opaque: BGR and opacity.
_EXCLUDED = (40, 40, 220, 130)

Corner = tuple[FiniteFloat, FiniteFloat]
Polygon = Annotated[tuple[Corner, ...], Field(min_length=3, max_length=500)]


class RegionPayload(Payload):
    """A region in which what is unusual counts more or less."""

    factor: Annotated[float, Field(ge=FACTORS[0], le=FACTORS[1])] = Field(description="How many times it counts.")
    polygon: Polygon = Field(description="Corners [x, y], pixels.")


class ViewRequest(CommandRequest):
    """Return the latest source image with the crop, the mask and the code region in force, and as drawn."""

    command = "view"
    side: int = Field(
        default=1600, ge=64, le=1920, strict=True, description="Longest side of the image, pixels; never enlarged."
    )


class DrawViewRequest(CommandRequest):
    """Keep a crop, areas to leave out and regions that count more or less for the next training; without any, the whole
    image is to be inspected. Where parts are aligned, all are in pixels of the aligned image."""

    command = "view/draw"
    width: PositiveInt = Field(strict=True, description="Of the image that was drawn on, pixels.")
    height: PositiveInt = Field(strict=True, description="Of the image that was drawn on, pixels.")
    crop: Crop | None = Field(default=None, description="The part to inspect, pixels; null: all of it.")
    exclude: tuple[Polygon, ...] = Field(
        default=(), max_length=100, description="Areas that do not count: corners [x, y], pixels."
    )
    sensitivity: tuple[RegionPayload, ...] = Field(
        default=(), max_length=50, description="Regions that count more or less; of two, the later one counts."
    )


class DrawnPayload(Payload):
    """A view that a person has drawn."""

    crop: CropPayload | None = Field(description="The part to inspect, pixels; null: all of it.")
    exclude: list[list[Corner]] = Field(description="Areas that do not count: corners [x, y], pixels.")
    sensitivity: list[RegionPayload] = Field(default_factory=list, description="Regions that count more or less.")
    by: str = Field(description="Who drew it.")
    at: Instant = Field(description="When it was drawn.")


class DrawViewResult(Payload):
    """The result of `view/draw`."""

    drawn: DrawnPayload | None = Field(description="The view that is kept; null: the whole image.")
    options: str = Field(
        description="The options of `inspectd train` for it; empty: none, or the camera aligns its parts, which only "
        "its bundle can."
    )


class ViewResult(DrawViewResult):
    """The result of `view`."""

    camera: str = Field(description="Name of the camera.")
    width: PositiveInt = Field(description="Of its images, pixels.")
    height: PositiveInt = Field(description="Of its images, pixels.")
    image: str = Field(description="The latest source image, JPEG, base64.")
    aligned: str | None = Field(
        default=None,
        description="Where parts are aligned: the same image turned and shifted as the taught one, in which crop, mask "
        "and sensitivity have their places; null: they have them in `image`.",
    )
    crop: CropPayload | None = Field(description="The part that is inspected, pixels; null: all of it.")
    sensitivity: list[RegionPayload] = Field(
        default_factory=list, description="Regions of the bundle that count more or less."
    )
    mask: str | None = Field(
        description="What does not count, and outlines of regions with a sensitivity of their own (orange: higher, "
        "blue: lower), as a layer over the image, PNG, base64; null: neither."
    )
    code: CropPayload | None = Field(description="Where the code of a part is searched, pixels; null: no code is read.")
    bundle: str = Field(description="Path of the bundle on the device.")
    previous: bool = Field(description="Whether the bundle before it is kept.")
    code_setting: str = Field(description="The section of the settings that has the region of the code.")


def show_view(call: Call) -> dict[str, Any]:
    """The view in force, and the one that was drawn."""
    line = call.line()
    image = _source_image(line)
    drawn = load_drawn_view(_directory(call, line))
    small = _shown(image, call.request.side)
    view = line.bundle.manifest.view
    aligned = aligned_image(line.name, view, image)
    parts = line.settings.parts
    code = None if parts is None or parts.code is None else parts.code.region
    result = ViewResult(
        camera=line.name,
        width=image.shape[1],
        height=image.shape[0],
        image=_jpeg(small),
        aligned=None if aligned is None else _jpeg(_shown(aligned, call.request.side)),
        sensitivity=[] if view is None or view.sensitivity is None else _regions(view.sensitivity.regions),
        crop=_payload(line.crop),
        mask=_mask_layer(line, small.shape[0], small.shape[1]),
        code=_payload(code),
        bundle=str(line.bundle.path),
        previous=previous_of(line.bundle.path).is_dir(),
        code_setting=f"cameras.{line.name}.parts.code",
        **_described(drawn, _directory(call, line), aligned=aligned is not None),
    )
    return result.model_dump(mode="json")


def draw_view(call: Call) -> dict[str, Any]:
    """Check a drawn view, and keep it for training."""
    line, request = call.line(), call.request
    given = request.model_dump(include={"width", "height", "crop", "exclude", "sensitivity"})
    drawn = DrawnView.model_validate({**given, "by": call.by, "at": utc_now()})
    drawn.check(*_source_image(line).shape[:2])
    directory = _directory(call, line)
    save_drawn_view(directory, drawn)
    return DrawViewResult(**_described(drawn, directory, aligned=line.aligned)).model_dump(mode="json")


def _directory(call: Call, line: CameraLine) -> Path:
    return setup_directory(call.agent.settings, line.name, line.setup.product)


def _source_image(line: CameraLine) -> Image:
    last = line.station.last_frame
    if last is None:
        raise Temporary(f"camera {line.name}: no frame yet; try again once there are frames")
    return last.frame.source_image


def _shown(image: Image, side: int) -> NDArray[np.uint8]:
    """At most this large, 8 bit."""
    return np.asarray(shrink(to_8_bit(shrink(image, side), stored_window(image)), side), np.uint8)


def _jpeg(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode(image, "image/jpeg", quality=JPEG_QUALITY)).decode()


def _regions(regions: Sequence[Any]) -> list[RegionPayload]:
    return [RegionPayload(factor=region.factor, polygon=region.polygon) for region in regions]


def _described(drawn: DrawnView | None, directory: Path, *, aligned: bool) -> dict[str, Any]:
    if drawn is None or drawn.empty:
        return {"drawn": None, "options": ""}
    payload = DrawnPayload(
        crop=_payload(drawn.crop),
        exclude=[list(polygon) for polygon in drawn.exclude],
        sensitivity=_regions(drawn.sensitivity),
        by=drawn.by,
        at=drawn.at,
    )
    return {"drawn": payload, "options": "" if aligned else drawn.options(directory)}


def _payload(crop: Crop | None) -> CropPayload | None:
    return None if crop is None else CropPayload(**crop.model_dump())


def _shrunk(pixels: NDArray[Any], layer: NDArray[np.uint8]) -> NDArray[Any]:
    """Pixels [H, W] at the size of a layer [h, w, 4]."""
    height, width = layer.shape[:2]
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))


def _mask_layer(line: CameraLine, height: int, width: int) -> str | None:
    """What the bundle's mask excludes, and its regions of other sensitivity, as a PNG of this size, pixels."""
    view = line.bundle.manifest.view
    if view is None or (view.mask is None and view.sensitivity is None):
        return None
    layer = np.zeros((height, width, 4), np.uint8)
    if view.mask is not None:
        layer[_shrunk((~view.mask.inspected()).view(np.uint8), layer) > 0] = _EXCLUDED
    if view.sensitivity is not None:
        layer = outline(layer, _shrunk(view.sensitivity.gains(), layer))
    return base64.b64encode(encode(layer, "image/png")).decode()
