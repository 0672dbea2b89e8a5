"""The MQTT output: from alarms, states, events and images to topics and documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from agent.alarms import EvidenceImage
from agent.core.problems import Problems
from agent.core.records import place_of_group
from agent.core.roles import Role
from agent.messages import (
    CommandResponse,
    CountPayload,
    DeliveryPayload,
    EventPayload,
    Execute,
    JoinedResultPayload,
    ScorePayload,
    SnapshotImage,
    StatePayload,
    VerdictPayload,
)
from agent.mqtt import Outgoing
from agent.outputs.documents import alarm_document, result_document
from agent.outputs.mqtt.delivery import Publisher, shrink_to_fit
from agent.outputs.mqtt.home_assistant import discovery, discovery_of_group
from agent.outputs.mqtt.requests import MqttRequests
from agent.outputs.mqtt.retained_topics import RetainedTopics
from agent.outputs.mqtt.settings import MqttSettings, broker_of
from agent.outputs.outbox import RESULT, Message, Outbox
from agent.outputs.output import Output, PublishedImages, RecordedAlarm, RecordedResult
from agent.outputs.settings import OutputSection

# Names of the images that the command `snapshot` publishes.
SNAPSHOT_IMAGES = ("heatmap", "overlay", "frame")

# The broker keeps the numbers of a shift for a day after the agent has published them last.
COUNT_EXPIRY_SECONDS = 24 * 3600


class MqttOutput(Output):
    """Publishes to one broker, and takes commands from it."""

    def __init__(self, name: str, settings: MqttSettings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        """Raises Permanent if the address of the broker or the topic templates are invalid."""
        super().__init__(name)
        self._settings = settings
        self._problems = problems
        self._topics = settings.topics(site)
        self._publisher = Publisher(
            broker_of(settings),
            self._topics,
            outbox,
            output=name,
            problems=problems,
            delivery_durations=self.delivery_durations,
        )
        self._retained = RetainedTopics(outbox, name, settings.place(site))
        self._requests: MqttRequests | None = None
        self._view_groups: tuple[str, ...] = ()
        self._cameras: Mapping[str, str] = {}
        """As announced, each with the name of its model."""
        # By camera: when the next score may be published, monotonic seconds.
        self._next_score: dict[str, float] = {}

    @property
    def destination(self) -> str:
        return self._settings.url

    def start(self) -> None:
        self._publisher.start()

    def stop(self, deadline_seconds: float) -> bool:
        return self._publisher.stop(deadline_seconds)

    def report(self) -> DeliveryPayload:
        return self._publisher.report()

    def messages_for(self, recorded: RecordedAlarm) -> list[Message]:
        alarm = recorded.alarm
        sent = [(self._topics.image(alarm.camera, alarm.id, image.name), image) for image in recorded.images]
        payload = alarm_document(
            recorded, lambda image: self._topics.image(alarm.camera, alarm.id, image.name), images=True
        )
        document = Message(
            self._topics.alarm(alarm.camera), payload.to_bytes(), alarm.id, alarm.event.value, output=self.name
        )
        return [document] + [
            Message(
                topic,
                image.payload,
                alarm.id,
                image.name,
                is_image=True,
                media_type=image.media_type,
                output=self.name,
            )
            for topic, image in sent
        ]

    def messages_for_verdict(self, verdict: VerdictPayload) -> list[Message]:
        topic = self._topics.verdict(verdict.camera, verdict.id)
        return [Message(topic, verdict.to_bytes(), verdict.id, "verdict", output=self.name)]

    def result_message(self, recorded: RecordedResult) -> Message:
        camera = recorded.part.camera
        payload = result_document(recorded, self._topics.result_image(camera, recorded.id, "heatmap"))
        topic = self._topics.result(camera)
        return Message(topic, payload.to_bytes(), recorded.id, RESULT, output=self.name)

    def heatmap_message(self, camera: str, identity: str, image: EvidenceImage) -> Message:
        topic = self._topics.result_image(camera, identity, image.name)
        return Message(
            topic, image.payload, identity, image.name, is_image=True, media_type=image.media_type, output=self.name
        )

    def joined_message(self, joined: JoinedResultPayload) -> Message:
        return Message(self._topics.joined_result(joined.group), joined.to_bytes(), joined.id, RESULT, output=self.name)

    def deliver_results(self, outbox: Outbox) -> None:
        self._publisher.deliver_results(outbox)

    def publish_state(self, state: StatePayload) -> None:
        self._publisher.publish_state(state.camera, state)

    def publish_count(self, count: CountPayload) -> None:
        self._publisher.publish_document(
            self._topics.count(count.camera), count.to_bytes(), expiry_seconds=COUNT_EXPIRY_SECONDS
        )

    def publish_event(self, event: EventPayload) -> None:
        topic = self._topics.event(event.camera)
        self._publisher.notify(Outgoing(topic, event.to_bytes(), media_type="application/json"))

    def publish_score(self, camera: str, captured_monotonic: float, score: Callable[[], ScorePayload]) -> None:
        """Publish at most `scores_per_second` of each camera."""
        rate = self._settings.scores_per_second
        if rate == 0 or captured_monotonic < self._next_score.get(camera, 0.0):
            return
        self._next_score[camera] = captured_monotonic + 1.0 / rate
        self._publisher.publish_telemetry(self._topics.score(camera), score().to_bytes())

    def publish_images(self, camera: str, images: Sequence[EvidenceImage]) -> PublishedImages:
        """On retained topics; shrunk if they exceed the broker's packet limit."""
        limit = self._publisher.max_packet_bytes
        published = PublishedImages()
        for image in images:
            topic = self._topics.snapshot(camera, image.name)
            fitting = shrink_to_fit(Outgoing(topic, image.payload, retain=True, media_type=image.media_type), limit)
            if fitting is None:
                published.left_out.append(f"{image.name}: the broker accepts packets up to {limit} bytes")
                continue
            message, scale = fitting
            self._publisher.notify(message)
            published.sent[image.name] = SnapshotImage(
                topic=topic,
                sha256=hashlib.sha256(message.payload).hexdigest(),
                media_type=image.media_type,
                bytes=len(message.payload),
                scale=scale,
            )
        return published

    def announce_view_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        known, self._view_groups = self._view_groups, tuple(groups)
        if self._cameras and set(known) != set(groups):
            self.announce(self._cameras)

    def announce(self, cameras: Mapping[str, str]) -> None:
        """Announce them to Home Assistant, if the settings ask for it; remove the documents of all others."""
        self._cameras = cameras
        topics = [self._topics.count(place_of_group(group)) for group in self._view_groups]
        for camera in cameras:
            topics += [self._topics.state(camera), self._topics.count(camera)]
            topics += [self._topics.snapshot(camera, name) for name in SNAPSHOT_IMAGES]
        if self._topics.home_assistant is not None:
            topics += self._announce_to_home_assistant(cameras)
        stale = self._retained.replace(topics)
        self._publisher.remove_documents(stale, self._retained.removed)

    def _announce_to_home_assistant(self, cameras: Mapping[str, str]) -> list[str]:
        """Publish a document for each camera and group; returns their topics."""
        release = version("inspectd")
        documents = [
            *(discovery(self._topics, camera, version=release, model=model) for camera, model in cameras.items()),
            *(discovery_of_group(self._topics, group, version=release) for group in self._view_groups),
        ]
        for topic, document in documents:
            self._publisher.publish_document(topic, document)
        return [topic for topic, _ in documents]

    def announce_page(self, address: str) -> None:
        self._publisher.announce_page(address)

    def serve_commands(self, execute: Execute) -> None:
        def with_role(
            name: str, camera: str | None, payload: bytes, *, by: str, role: Role = Role.ENGINEER
        ) -> CommandResponse:
            # The one of the settings in force, which a reload may have changed.
            return execute(name, camera, payload, by=by, role=min(role, Role.parse(self._settings.role)))

        self._requests = MqttRequests(
            self._publisher,
            self._topics,
            with_role,
            allowed=self._settings.commands,
            trusted=self._settings.commands_trusted,
            problems=self._problems,
        )

    def adopt(self, settings: OutputSection) -> None:
        """Take over `scores_per_second`, the allowed commands and their role."""
        assert isinstance(settings, MqttSettings)
        self._settings = settings
        if self._requests is not None:
            self._requests.allow(settings.commands, trusted=settings.commands_trusted)
