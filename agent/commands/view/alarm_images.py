"""The command `alarms/image`: one image of an alarm, at full size or small, for programs that cannot read the disk."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from agent.commands.command import Call
from agent.core.errors import Permanent
from agent.core.image_bytes import encode
from agent.messages import CommandRequest
from agent.review import show_document

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}

# OpenCV can leave out pixels while it reads a JPEG: a thumbnail of a 12-megapixel frame then takes a tenth of the time.
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


ImageSide = Annotated[
    int | None,
    Field(ge=32, le=1920, strict=True, description="Longest side, pixels, as JPEG; null: as it is kept."),
]


class AlarmImageRequest(CommandRequest):
    """Return one image of an alarm, base64."""

    command = "alarms/image"
    alarm: str = Field(
        min_length=1,
        max_length=64,
        description="Id of the alarm; its last or first digits suffice where no other alarm has them.",
    )
    name: Literal["frame", "overlay", "heatmap"] = Field(default="overlay", description="Which image.")
    side: ImageSide = None


def alarm_image(call: Call) -> dict[str, Any]:
    """The image as it was kept, or a smaller JPEG of it."""
    request, review = call.request, call.agent.review
    known = review.journal.find(call.request.alarm)
    kept = show_document(known, review.folders)["images"].get(request.name)
    if kept is None:
        raise Permanent(f"alarm {known.alarm.id} has no image {request.name}, or it was deleted to make room")
    return image_document(Path(kept), request.side)


def image_document(path: Path, side: int | None) -> dict[str, Any]:
    """An image on the disk, base64: as it is, or with this longest side. Raises Permanent where it cannot be read."""
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        raise Permanent(f"{path.stem} of {path.parent.name}: the image was deleted to make room") from None
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
    media_type = MEDIA_TYPES[path.suffix]
    if side is not None:
        payload, media_type = small_jpeg(payload, side), "image/jpeg"
    return {"media_type": media_type, "bytes": len(payload), "base64": base64.b64encode(payload).decode()}


def small_jpeg(payload: bytes, side: int) -> bytes:
    """An encoded image as a JPEG with this longest side, pixels. Raises Permanent for a damaged one."""
    data = np.frombuffer(payload, np.uint8)
    # The size is not known before it is read: an evidence file has 100 kB per megapixel, more or less.
    reduced = next((factor for factor in (8, 4, 2) if len(payload) > 100_000 * factor**2), None)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR if reduced is None else _REDUCED[reduced])
    if image is None:
        raise Permanent("the image is damaged")
    scale = side / max(image.shape[:2])
    if scale < 1.0:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode(np.asarray(image, np.uint8), "image/jpeg", quality=80)
