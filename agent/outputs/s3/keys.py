"""The names of objects: the same for every delivery of a message, and sorted by site, camera and day."""

from __future__ import annotations

from datetime import datetime, timezone
from uuid import UUID

EXTENSIONS = {"application/json": "json", "image/png": "png", "image/jpeg": "jpg"}


def object_key(prefix: str, site: str, camera: str, identity: str, name: str, media_type: str) -> str:
    """The key of an object. All objects of an alarm are in one folder, also that of its end on another day.

    Args:
        prefix: ends with `/`, or is empty.
        site: of the agent.
        camera: or `parts/NAME` for a group of cameras.
        identity: UUIDv7 of the alarm or the result; the day is that in it, UTC.
        name: such as `raised`, `heatmap` or `verdict/3`.
        media_type: decides the extension.

    >>> object_key("line/", "plant", "top", "018bcfe5-6800-7843-89c8-866b8e61ab85", "raised", "application/json")
    'line/plant/top/2023/11/14/018bcfe5-6800-7843-89c8-866b8e61ab85/raised.json'
    """
    day = _day(identity)
    extension = EXTENSIONS.get(media_type, "bin")
    return f"{prefix}{site}/{camera}/{day}/{identity}/{name.replace('/', '-')}.{extension}"


def _day(identity: str) -> str:
    """The day in a UUIDv7, whose first 48 bits are milliseconds since 1970 (RFC 9562, section 5.7)."""
    try:
        seconds = (UUID(identity).int >> 80) / 1000.0
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y/%m/%d")
    except (ValueError, OverflowError, OSError):
        return "undated"
