"""The webhook output: from alarms, results and verdicts to messages with an id."""

from __future__ import annotations

from agent.core.problems import Problems
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
from agent.outputs.outbox import RESULT, Message, Outbox
from agent.outputs.output import Output, RecordedAlarm, RecordedResult
from agent.outputs.webhook.client import WebhookClient
from agent.outputs.webhook.settings import WebhookSettings


class WebhookOutput(Output):
    """Posts to one receiver."""

    def __init__(self, name: str, settings: WebhookSettings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        super().__init__(name)
        self._settings = settings
        self._outbox = outbox
        self._results: Outbox | None = None
        self._client = WebhookClient(name, settings)
        self._thread = DeliveryThread(
            name, outbox, self._client.send, problems=problems, durations=self.delivery_durations
        )

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
        if "alarms" not in self._settings.send:
            return []
        alarm, with_images = recorded.alarm, "images" in self._settings.send
        document = alarm_document(recorded, lambda image: f"{alarm.id}/{image.name}", images=with_images)
        messages = [self._message(f"{alarm.id}/{alarm.event.value}", document.to_bytes(), alarm.id, alarm.event.value)]
        if with_images:
            messages += [
                Message(
                    f"{alarm.id}/{image.name}",
                    image.payload,
                    alarm.id,
                    image.name,
                    is_image=True,
                    media_type=image.media_type,
                    output=self.name,
                )
                for image in recorded.images
            ]
        return messages

    def messages_for_verdict(self, verdict: VerdictPayload) -> list[Message]:
        if "verdicts" not in self._settings.send:
            return []
        return [self._message(f"{verdict.id}/verdict/{verdict.number}", verdict.to_bytes(), verdict.id, "verdict")]

    def result_message(self, recorded: RecordedResult) -> Message | None:
        if "results" not in self._settings.send:
            return None
        return self._message(f"{recorded.id}/result", result_document(recorded).to_bytes(), recorded.id, RESULT)

    def joined_message(self, joined: JoinedResultPayload) -> Message | None:
        if "results" not in self._settings.send:
            return None
        return self._message(f"{joined.id}/result", joined.to_bytes(), joined.id, RESULT)

    def _message(self, identity: str, payload: bytes, alarm: str, part: str) -> Message:
        """A JSON document; its id takes the place of a topic."""
        return Message(identity, payload, alarm, part, output=self.name)

    def deliver_results(self, outbox: Outbox) -> None:
        self._results = outbox
        self._thread.deliver_results(outbox)

    def publish_state(self, state: StatePayload) -> None:
        """A receiver of messages gets no states; `state` is for MQTT."""

    def publish_event(self, event: EventPayload) -> None:
        """Events are not stored, and a webhook sends only what is."""
