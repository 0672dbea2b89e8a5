"""Two agents of one site: each takes the other's session over, since a client id belongs to one connection."""

from __future__ import annotations

import logging

from agent.core.backoff import Backoff
from agent.core.problems import Problems
from agent.mqtt import ConnectionLost

log = logging.getLogger(__name__)

# Waits before the session is taken back. Without them, both would connect twice a second.
FIRST_WAIT_SECONDS = 10.0
MAX_WAIT_SECONDS = 120.0

# How long a connection has to last until the other agent is believed to be gone: longer than two such waits.
OVER_AFTER_SECONDS = 300.0

# MQTT 3.1.1 gives no reason, nor does Mosquitto 2.0.11 with a session that goes on. So many connections in a row that
# end without one, soon after they were accepted, suggest it.
SILENT_ENDS = 2
SOON_SECONDS = 60.0


class Takeovers:
    """Notices another client with the agent's client id, and reports it. For the publisher's thread."""

    def __init__(self, client_id: str, site: str, problems: Problems) -> None:
        self._problems = problems
        self._backoff = Backoff(FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS)
        self._silent_ends = 0
        self._reported = False
        self._cause = f'another agent has site = "{site}" and the same topics (client id {client_id})'

    def lost(self, lost: ConnectionLost, lasted_seconds: float) -> float | None:
        """A connection that was accepted has ended. Returns how long to wait before the next; None: as usual."""
        if lost.taken_over:
            self._report(f"{self._cause}: it has taken over the session; give each agent a site of its own")
            return self._backoff.next_seconds()
        silently = lost.closed_by_broker and not lost.explained and lasted_seconds < SOON_SECONDS
        self._silent_ends = self._silent_ends + 1 if silently else 0
        if self._silent_ends >= SILENT_ENDS:
            self._report(f"the broker closes one connection after the other: perhaps {self._cause}")
        return None

    def not_connected(self) -> None:
        """A connection was not accepted: the broker is away, or has another reason."""
        self._silent_ends = 0

    def connected_for(self, seconds: float) -> None:
        """The connection lasts since `seconds`."""
        if self._reported and seconds >= OVER_AFTER_SECONDS:
            self._reported, self._silent_ends = False, 0
            self._backoff.reset()
            self._problems.set("client id", None)

    def _report(self, text: str) -> None:
        log.log(logging.DEBUG if self._reported else logging.WARNING, "%s", text)
        self._problems.set("client id", text)
        self._reported = True
