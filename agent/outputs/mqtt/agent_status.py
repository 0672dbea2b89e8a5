"""What the agent says of itself in `status`: presence, how the outbox stands, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from agent.core.durations import Durations
from agent.core.problems import Problems
from agent.messages import DeliveryPayload, LatencyPayload, OutboxPayload, Presence, StatusPayload
from agent.outputs.outbox import Outbox, Row

# A loss or a new problem is published at once; mere figures this often.
REFRESH_SECONDS = 30.0


class AgentStatus:
    """Collects and writes the `status` of one agent. Any thread may call."""

    def __init__(
        self,
        site: str,
        version: str,
        outbox: Outbox,
        clock: Callable[[], float],
        *,
        problems: Problems | None = None,
        latency: Durations | None = None,
    ) -> None:
        """`problems` and `latency` are shared with the agent's other parts; without them, its own."""
        self._site = site
        self._version = version
        self._outbox = outbox
        self._clock = clock
        self._problems = Problems() if problems is None else problems
        self._written_at = 0.0
        self._last_news: object = None
        self.latency = Durations() if latency is None else latency
        """Capture of the frame to the PUBACK of its alarm."""

    def problem(self, what: str, text: str | None) -> None:
        """Something is wrong (or no more: None); `what` identifies it."""
        self._problems.set(what, text)

    def delivered(self, row: Row, now: float) -> None:
        """The broker has a row since `now`, monotonic seconds."""
        if not row.is_image and row.captured_monotonic is not None:
            self.latency.add(max(0.0, now - row.captured_monotonic))

    def delivery(self, *, connected: bool) -> DeliveryPayload:
        """How delivery stands. Raises `Temporary` where the outbox cannot be read."""
        return DeliveryPayload(
            connected=connected,
            outbox=self._outbox_payload(),
            latency_ms=LatencyPayload.of(self.latency),
            problems=self._all(),
        )

    def last_will(self, connected_at: datetime) -> bytes:
        """What the broker says when we are gone."""
        status = StatusPayload(
            status=Presence.OFFLINE, site=self._site, version=self._version, connected_at=connected_at
        )
        return status.to_bytes()

    def status(self, presence: Presence, connected_at: datetime) -> StatusPayload:
        """The document as of now. Raises `Temporary` where the outbox cannot be read."""
        return StatusPayload(
            status=presence,
            site=self._site,
            version=self._version,
            at=datetime.now(timezone.utc),
            connected_at=connected_at,
            outbox=self._outbox_payload(),
            delivery_ms=LatencyPayload.of(self.latency),
            problems=self._all(),
        )

    def news(self, connected_at: datetime) -> bytes | None:
        """`online`, where a connection, a loss or a problem is new or the last one is old. Raises `Temporary`."""
        status = self.status(Presence.ONLINE, connected_at)
        assert status.outbox is not None
        losses = status.outbox.model_dump(exclude={"waiting", "waiting_bytes", "sequence"})
        news = (connected_at, status.problems, losses)
        now = self._clock()
        if news == self._last_news and now - self._written_at < REFRESH_SECONDS:
            return None
        self._last_news, self._written_at = news, now
        return status.to_bytes()

    def _all(self) -> list[str]:
        return [*self._outbox.incidents(), *self._problems.all()]

    def _outbox_payload(self) -> OutboxPayload:
        counts = self._outbox.counts()
        return OutboxPayload(
            waiting=counts.waiting,
            waiting_bytes=counts.waiting_bytes,
            sequence=counts.sequence,
            dropped_pictures=counts.dropped_pictures,
            dropped_alarms=counts.dropped_alarms,
            dead_letters=counts.dead_letters,
            omitted_pictures=counts.omitted_pictures,
            missing=list(counts.missing),
        )
