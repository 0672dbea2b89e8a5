"""What outputs have in common that deliver messages from the outbox one after the other: a webhook, an S3 bucket."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Protocol

from agent.alarms import EvidenceImage
from agent.core.problems import Problems
from agent.core.records import place_of_group
from agent.messages import (
    DeliveryPayload,
    EventPayload,
    JoinedResultPayload,
    LatencyPayload,
    StatePayload,
    VerdictPayload,
)
from agent.outputs.delivery_report import outbox_report
from agent.outputs.delivery_thread import DeliveryThread
from agent.outputs.documents import alarm_document, result_document
from agent.outputs.outbox import RESULT, Message, Outbox, Row
from agent.outputs.output import Output, RecordedAlarm, RecordedResult
from agent.outputs.settings import Content


class Client(Protocol):
    """Talks to the destination."""

    @property
    def place(self) -> str:
        """The destination, without anything secret."""
        ...

    def send(self, row: Row) -> None:
        """Deliver one message. Raises Rejected if it is not accepted, Temporary if it cannot be delivered now."""
        ...

    def abort(self) -> None:
        """Wake a delivery that waits for the destination. Any thread may call."""
        ...


class DeliveringOutput(Output):
    """Delivers documents and images in a thread of its own; each has an id in place of a topic."""

    def __init__(
        self, name: str, client: Client, send: Collection[Content], *, outbox: Outbox, problems: Problems
    ) -> None:
        super().__init__(name)
        self._client = client
        self._send = send
        self._outbox = outbox
        self._results: Outbox | None = None
        self._thread = DeliveryThread(name, outbox, client.send, problems=problems, durations=self.delivery_durations)

    @abstractmethod
    def _identity(self, camera: str, identity: str, name: str, media_type: str) -> str:
        """The id of a message of a camera: `identity` is that of the alarm or result, `name` that of the message."""

    @property
    def destination(self) -> str:
        return self._client.place

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> bool:
        # What waits in a request for longer than most of the time is interrupted, and sent again after the next start.
        if self._thread.stop(0.8 * deadline_seconds):
            return True
        self._client.abort()
        return self._thread.stop(0.2 * deadline_seconds)

    def report(self) -> DeliveryPayload:
        return DeliveryPayload(
            connected=self._thread.connected,
            outbox=outbox_report(self.name, self._outbox, self._results),
            latency_ms=LatencyPayload.of(self.delivery_durations),
        )

    def messages_for(self, recorded: RecordedAlarm) -> list[Message]:
        if "alarms" not in self._send:
            return []
        alarm, with_images = recorded.alarm, "images" in self._send

        def place(name: str, media_type: str) -> str:
            return self._identity(alarm.camera, alarm.id, name, media_type)

        document = alarm_document(recorded, lambda each: place(each.name, each.media_type), images=with_images)
        messages = [self._document(alarm.camera, alarm.id, alarm.event.value, document.to_bytes())]
        if with_images:
            messages += [self._image(alarm.camera, alarm.id, image) for image in recorded.images]
        return messages

    def messages_for_verdict(self, verdict: VerdictPayload) -> list[Message]:
        if "verdicts" not in self._send:
            return []
        name = f"verdict/{verdict.number}"
        return [self._document(verdict.camera, verdict.id, name, verdict.to_bytes(), part="verdict")]

    def result_message(self, recorded: RecordedResult) -> Message | None:
        if "results" not in self._send:
            return None
        camera, identity = recorded.part.camera, recorded.id
        heatmap = self._identity(camera, identity, "heatmap", "image/png") if "images" in self._send else None
        document = result_document(recorded, heatmap).to_bytes()
        return self._document(camera, identity, "result", document, part=RESULT)

    def heatmap_message(self, camera: str, identity: str, image: EvidenceImage) -> Message | None:
        if not {"results", "images"} <= set(self._send):
            return None
        return self._image(camera, identity, image)

    def joined_message(self, joined: JoinedResultPayload) -> Message | None:
        if "results" not in self._send:
            return None
        return self._document(place_of_group(joined.group), joined.id, "result", joined.to_bytes(), part=RESULT)

    def _image(self, camera: str, identity: str, image: EvidenceImage) -> Message:
        """An image of the alarm or result with this id."""
        place = self._identity(camera, identity, image.name, image.media_type)
        return Message(
            place, image.payload, identity, image.name, is_image=True, media_type=image.media_type, output=self.name
        )

    def _document(self, camera: str, identity: str, name: str, payload: bytes, *, part: str | None = None) -> Message:
        """A JSON document; `part` is how the outbox calls it, by default the name."""
        place = self._identity(camera, identity, name, "application/json")
        return Message(place, payload, identity, part or name, output=self.name)

    def deliver_results(self, outbox: Outbox) -> None:
        self._results = outbox
        self._thread.deliver_results(outbox)

    def publish_state(self, state: StatePayload) -> None:
        """A destination of messages gets no states; `state` is for MQTT."""

    def publish_event(self, event: EventPayload) -> None:
        """Events are not stored, and only what is stored is delivered."""
