"""Messages that exceed the broker's packet limit: shrunk, shortened, or left out and replaced by a note."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from agent.core.image_bytes import shrink_encoded
from agent.messages import AlarmPayload, CommandResponse, OmittedPayload
from agent.mqtt import Outgoing
from agent.outputs.mqtt.delivery.limits.suspicions import Suspicions
from agent.outputs.outbox import UNNUMBERED, Message, Outbox, Row

log = logging.getLogger(__name__)

# The property with the scale of a shrunk image, bytes.
SCALE_BYTES = 32


class PacketLimit:
    """Applies the packet limit of one connection.

    A row that cannot be sent is rejected or replaced in the outbox, so that nothing behind it has to wait. The methods
    that take a row raise `Temporary` if the outbox fails.
    """

    def __init__(
        self, limit: int | None, outbox: Outbox, suspicions: Suspicions, omitted_topic: Callable[[Row], str]
    ) -> None:
        """Args:
        limit: bytes of a packet; None: no limit.
        outbox: holds the rows.
        suspicions: knows images that the broker does not accept.
        omitted_topic: the topic of the note that replaces a row.
        """
        self.limit = limit
        self._outbox = outbox
        self._suspicions = suspicions
        self._omitted_topic = omitted_topic

    def fits(self, message: Outgoing) -> bool:
        return self.limit is None or message.packet_bytes() <= self.limit

    def alarm(self, row: Row) -> Outgoing | None:
        """The document, without regions and evidence if it has to be short; None if even that does not fit."""
        message = _outgoing(row, row.payload)
        if self.fits(message):
            return message
        short = AlarmPayload.model_validate_json(row.payload).model_copy(update={"regions": [], "evidence": {}})
        message = _outgoing(row, short.to_bytes())
        if self.fits(message):
            return message
        self._outbox.reject(row, f"{message.packet_bytes()} bytes; {self._limit_text}")
        return None

    def image(self, row: Row) -> Outgoing | None:
        """The image; a heatmap shrunk as far as necessary. None if it is left out: a note replaces it in the outbox."""
        message = _outgoing(row, row.payload)
        if self._suspicions.is_to_be_omitted(row):
            self._leave_out(row, len(row.payload), "the broker closes the connection, or rejects it as too large")
            return None
        if self.fits(message):
            return message
        assert self.limit is not None
        room = self.limit - (message.packet_bytes() - len(row.payload)) - SCALE_BYTES
        small = shrink_encoded(row.payload, row.media_type, room) if row.part == "heatmap" else None
        if small is None:
            self._leave_out(row, self.limit, self._limit_text)
            return None
        return _outgoing(row, small.payload, ("scale", f"{small.scale:.4f}"))

    def response(self, message: Outgoing) -> Outgoing | None:
        """Replaces an oversized response with an error; None if even that does not fit."""
        if not self.fits(message):
            message = replace(message, payload=self._too_long(message.payload))
        return message if self.fits(message) else None

    def _leave_out(self, row: Row, limit: int, reason: str) -> None:
        if row.part == "omitted":
            self._outbox.reject(row, f"the note about an omitted image cannot be sent either: {reason}")
            return
        note = OmittedPayload(
            id=row.alarm, camera=row.camera, picture=row.part, reason=reason, bytes=len(row.payload), limit_bytes=limit
        )
        log.warning("%s of alarm %s left out: %d bytes; %s", row.part, row.alarm, len(row.payload), reason)
        message = Message(self._omitted_topic(row), note.to_bytes(), row.alarm, "omitted", is_image=True)
        self._outbox.replace(row, message)
        self._suspicions.forget(row)

    def _too_long(self, payload: bytes) -> bytes:
        """The error that replaces a response; only responses of commands that read something are long."""
        response = CommandResponse.model_validate_json(payload)
        error = f"the response has {len(payload)} bytes; {self._limit_text}"
        return response.model_copy(update={"ok": False, "error": error, "result": {}}).to_bytes()

    @property
    def _limit_text(self) -> str:
        return f"the broker accepts packets up to {self.limit} bytes"


def shrink_to_fit(message: Outgoing, limit: int | None) -> tuple[Outgoing, float] | None:
    """An image message within the broker's packet limit, and the scale of its image; None if no size would fit.

    The scale is 1.0 if the image is unchanged. `limit`: bytes of a packet; None: no limit.
    """
    excess = 0 if limit is None else message.packet_bytes() - limit
    if excess <= 0:
        return message, 1.0
    assert message.media_type is not None
    small = shrink_encoded(message.payload, message.media_type, len(message.payload) - excess)
    return None if small is None else (replace(message, payload=small.payload), small.scale)


def _outgoing(row: Row, payload: bytes, *more: tuple[str, str]) -> Outgoing:
    number = () if row.sequence == UNNUMBERED else (("sequence", str(row.sequence)),)
    properties = (("alarm", row.alarm), *number, ("part", row.part), *more)
    return Outgoing(row.topic, payload, media_type=row.media_type, user_properties=properties)
