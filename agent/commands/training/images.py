"""The commands `review/images` and `review/image`: what is kept for training, also for programs far from the disk."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import Field

from agent.commands.command import Call
from agent.commands.view import MEDIA_TYPES, small_jpeg
from agent.core.errors import Permanent
from agent.messages import CommandRequest
from agent.review import training_images


class ReviewImagesRequest(CommandRequest):
    """List the images of a camera that are kept for training: samples, confirmed false alarms and confirmed defects."""

    command = "review/images"


class ReviewImageRequest(CommandRequest):
    """Return one of the images that are kept for training, base64."""

    command = "review/image"
    image: str = Field(min_length=1, max_length=100, description="Its id, from `review/images`.")
    side: int | None = Field(
        default=None, ge=32, le=1920, strict=True, description="Longest side, pixels, as JPEG; null: as it is kept."
    )


def list_training_images(call: Call) -> dict[str, Any]:
    """Ids, kinds and sizes."""
    review, camera = call.agent.review, call.line().name
    found = training_images(review.folders, review.journal, camera)
    return {"images": [{"id": each.id, "kind": each.kind, "bytes": each.bytes} for each in found]}


def return_training_image(call: Call) -> dict[str, Any]:
    """The image as it is kept, or smaller."""
    review, request = call.agent.review, call.request
    found = training_images(review.folders, review.journal, call.line().name)
    image = next((each for each in found if each.id == request.image), None)
    if image is None:
        raise Permanent(f"no image {ascii(request.image)[:80]}, or it was deleted to make room")
    try:
        payload = image.path.read_bytes()
    except OSError as error:
        raise Permanent(f"{image.path.name}: {error.strerror}") from None
    media_type = MEDIA_TYPES[image.path.suffix]
    if request.side is not None:
        payload, media_type = small_jpeg(payload, request.side), "image/jpeg"
    return {"media_type": media_type, "bytes": len(payload), "base64": base64.b64encode(payload).decode()}
