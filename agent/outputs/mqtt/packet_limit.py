"""Messages made to fit a broker's limit on packets: shrunk, shortened, or left out with a note in their place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from agent.core.image_bytes import shrink_encoded
from agent.messages import AlarmPayload, CommandResponse, OmittedPayload
from agent.outputs.mqtt.packets import Outgoing
from agent.outputs.mqtt.suspicions import Suspicions
from agent.outputs.outbox import Message, Outbox, Row

log = logging.getLogger(__name__)

# The property that tells the scale of an image that was shrunk, bytes.
SCALE_BYTES = 32


class PacketLimit:
    """Knows the limit of one connection. What cannot be sent at all is settled in the outbox: nothing behind it waits.

    The methods that take a row raise `Temporary` where the outbox is unwell.
    """

    def __init__(
        self, limit: int | None, outbox: Outbox, suspicions: Suspicions, omitted_topic: Callable[[Row], str]
    ) -> None:
        """`limit`: bytes of a packet, None where there is none; `omitted_topic`: where the note about a row goes."""
        self.limit = limit
        self._outbox = outbox
        self._suspicions = suspicions
        self._omitted_topic = omitted_topic

    def fits(self, message: Outgoing) -> bool:
        return self.limit is None or message.packet_bytes() <= self.limit

    def alarm(self, row: Row) -> Outgoing | None:
        """Without its regions and evidence where it must be short; None where not even that fits."""
        message = _outgoing(row, row.payload)
        if self.fits(message):
            return message
        bare = AlarmPayload.model_validate_json(row.payload).model_copy(update={"regions": [], "evidence": {}})
        message = _outgoing(row, bare.to_bytes())
        if self.fits(message):
            return message
        self._outbox.reject(row, f"{message.packet_bytes()} bytes, the broker takes {self.limit} in a packet")
        return None

    def image(self, row: Row) -> Outgoing | None:
        """A heatmap shrunk as far as need be; None where it is left out: its note takes its place in the outbox."""
        message = _outgoing(row, row.payload)
        if self._suspicions.guilty(row):
            self._leave_out(row, len(row.payload), "the broker ends the connection, or refuses it as too large")
            return None
        if self.fits(message):
            return message
        assert self.limit is not None
        room = self.limit - (message.packet_bytes() - len(row.payload)) - SCALE_BYTES
        small = shrink_encoded(row.payload, row.media_type, room) if row.part == "heatmap" else None
        if small is None:
            self._leave_out(row, self.limit, f"the broker takes {self.limit} bytes in a packet")
            return None
        return _outgoing(row, small.payload, ("scale", f"{small.scale:.4f}"))

    def answer(self, message: Outgoing) -> Outgoing | None:
        """One that says that it would be too long, instead of one that is; None where not even that fits."""
        if not self.fits(message):
            message = replace(message, payload=_too_long(message.payload, self.limit))
        return message if self.fits(message) else None

    def _leave_out(self, row: Row, limit: int, reason: str) -> None:
        if row.part == "omitted":
            self._outbox.reject(row, f"not even the note about an image is taken: {reason}")
            return
        note = OmittedPayload(
            id=row.alarm, camera=row.camera, picture=row.part, reason=reason, bytes=len(row.payload), limit_bytes=limit
        )
        log.warning("%s of alarm %s left out: %d bytes, %s", row.part, row.alarm, len(row.payload), reason)
        message = Message(self._omitted_topic(row), note.to_bytes(), row.alarm, "omitted", is_image=True)
        self._outbox.replace(row, message)
        self._suspicions.forget(row)


def shrink_to_fit(message: Outgoing, limit: int | None) -> tuple[Outgoing, float] | None:
    """An image message within the broker's packet limit, and the scale of its image; None where no size would fit.

    The scale is 1.0 where the image is sent as it is. `limit`: bytes of a packet, None where there is none.
    """
    excess = 0 if limit is None else message.packet_bytes() - limit
    if excess <= 0:
        return message, 1.0
    assert message.media_type is not None
    small = shrink_encoded(message.payload, message.media_type, len(message.payload) - excess)
    return None if small is None else (replace(message, payload=small.payload), small.scale)


def _too_long(payload: bytes, limit: int | None) -> bytes:
    """The answer that says so instead of an answer that the broker has no room for; only reading ones are long."""
    response = CommandResponse.model_validate_json(payload)
    error = f"the answer has {len(payload)} bytes, the broker takes {limit} in a packet"
    return response.model_copy(update={"ok": False, "error": error, "result": {}}).to_bytes()


def _outgoing(row: Row, payload: bytes, *more: tuple[str, str]) -> Outgoing:
    about = (("alarm", row.alarm), ("sequence", str(row.sequence)), ("part", row.part))
    return Outgoing(row.topic, payload, media_type=row.media_type, user_properties=(*about, *more))
