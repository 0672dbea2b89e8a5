"""What outlives a connection: where to, what to send, and what is known about it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.mqtt import Broker, Outgoing, ProtocolVersion, WillTerms
from agent.outputs.capture_time import CaptureTime
from agent.outputs.mqtt.delivery.agent_status import AgentStatus
from agent.outputs.mqtt.delivery.limits import Suspicions
from agent.outputs.mqtt.delivery.notices import Notices
from agent.outputs.mqtt.delivery.result_flow import ResultQueue
from agent.outputs.mqtt.delivery.retained import RetainedDocuments
from agent.outputs.mqtt.delivery.subscriptions import Subscriptions
from agent.outputs.mqtt.delivery.takeover import Takeovers
from agent.outputs.mqtt.delivery.telemetry import Telemetry
from agent.outputs.mqtt.delivery.timing import Timing
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import Outbox, Row

# Responses that wait for the connection; the oldest are dropped.
MAX_RESPONSES = 100


class Responses:
    """Responses to commands that are not sent yet. Any thread may put, one thread takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Outgoing] = deque(maxlen=MAX_RESPONSES)

    def put(self, message: Outgoing) -> None:
        with self._lock:
            self._waiting.append(message)

    def take(self) -> list[Outgoing]:
        """All of them, oldest first."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of one publisher have in common."""

    broker: Broker
    topics: Topics
    outbox: Outbox
    output: str
    """Names the rows of the outbox to deliver."""
    protocol: ProtocolVersion
    timing: Timing
    clock: Callable[[], float]
    """Monotonic seconds."""
    status: AgentStatus
    delivered: Callable[[Row, float], None]
    """Called with each acknowledged row and the monotonic time of its PUBACK, seconds."""
    takeovers: Takeovers
    capture_time: CaptureTime
    will: WillTerms = field(default_factory=WillTerms)
    telemetry: Telemetry = field(default_factory=Telemetry)
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    retained: RetainedDocuments = field(default_factory=RetainedDocuments)
    notices: Notices = field(default_factory=Notices)
    responses: Responses = field(default_factory=Responses)
    suspicions: Suspicions = field(default_factory=Suspicions)

    @property
    def results(self) -> ResultQueue:
        """The results of parts, which wait apart from the alarms."""
        return self.status.results
