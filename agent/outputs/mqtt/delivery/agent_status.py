"""The agent's `status` document: presence, contents of the outbox, problems."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from agent.core.durations import Durations
from agent.core.problems import Problems
from agent.messages import DeliveryPayload, LatencyPayload, Presence, StatusPayload
from agent.outputs.delivery_report import outbox_report
from agent.outputs.mqtt.delivery.result_flow import ResultQueue
from agent.outputs.outbox import Outbox, Row

# A loss or a new problem is published at once; changed figures alone this often.
REFRESH_SECONDS = 30.0


class AgentStatus:
    """Builds the `status` of one agent. Any thread may call."""

    def __init__(
        self,
        site: str,
        version: str,
        outbox: Outbox,
        clock: Callable[[], float],
        *,
        problems: Problems | None = None,
        durations: Durations | None = None,
        results: ResultQueue | None = None,
        output: str | None = None,
    ) -> None:
        """`output` names the rows that are counted as waiting; None: all.

        `problems`, `durations` and `results` are shared with other parts of the agent; None for its own.
        """
        self._site = site
        self._output = output
        self._version = version
        self._outbox = outbox
        self._clock = clock
        self._published_at = 0.0
        self._published: object = None
        self.problems = Problems() if problems is None else problems
        self.durations = Durations() if durations is None else durations
        """From the capture of a frame to the PUBACK of its alarm."""
        self.results = ResultQueue() if results is None else results
        """The results of parts, which wait apart from the alarms."""
        self.page: str | None = None
        """Address of the device's page."""

    def record_delivery(self, row: Row, now: float) -> None:
        """The broker acknowledged a row at `now`, monotonic seconds."""
        if not row.is_image and row.captured_monotonic is not None:
            self.durations.add(max(0.0, now - row.captured_monotonic))

    def report(self, *, connected: bool) -> DeliveryPayload:
        """The state of delivery. Raises `Temporary` if the outbox cannot be read."""
        return DeliveryPayload(
            connected=connected,
            outbox=outbox_report(self._output, self._outbox, self.results.outbox),
            latency_ms=LatencyPayload.of(self.durations),
            problems=self._all_problems(),
        )

    def last_will(self, connected_at: datetime) -> bytes:
        """The document that the broker publishes if the connection breaks."""
        status = StatusPayload(
            status=Presence.OFFLINE,
            site=self._site,
            version=self._version,
            connected_at=connected_at,
            page=self.page,
        )
        return status.to_bytes()

    def document(self, presence: Presence, connected_at: datetime) -> StatusPayload:
        """The document as of now. Raises `Temporary` if the outbox cannot be read."""
        return StatusPayload(
            status=presence,
            site=self._site,
            version=self._version,
            at=datetime.now(timezone.utc),
            connected_at=connected_at,
            outbox=outbox_report(self._output, self._outbox, self.results.outbox),
            delivery_ms=LatencyPayload.of(self.durations),
            problems=self._all_problems(),
            page=self.page,
        )

    def update(self, connected_at: datetime) -> bytes | None:
        """The document `online` if it has to be published now, else None. Raises `Temporary`.

        After a new connection, a loss or a change of problems at once; otherwise every REFRESH_SECONDS.
        """
        status = self.document(Presence.ONLINE, connected_at)
        assert status.outbox is not None
        losses = status.outbox.model_dump(
            exclude={"waiting": True, "waiting_bytes": True, "sequence": True, "results": {"waiting", "sequence"}}
        )
        news = (connected_at, status.problems, losses)
        now = self._clock()
        if news == self._published and now - self._published_at < REFRESH_SECONDS:
            return None
        self._published, self._published_at = news, now
        return status.to_bytes()

    def _all_problems(self) -> list[str]:
        results = self.results.outbox
        lost = [] if results is None else [f"results: {incident}" for incident in results.incidents()]
        return [*self._outbox.incidents(), *lost, *self.problems.all()]
