"""Many agents in one process, each with a connection of its own, that publish what a real one publishes.

python -m benchmarks.fleet.agents --url mqtt://127.0.0.1:1883 --documents documents.json --agents 1000
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
import uuid
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

from agent.mqtt import Broker, Connected, Connection, Outgoing
from benchmarks.fleet.documents import Documents

# As real agents: `state` every 5 s, `count` 5 s after a change, `status` every 30 s. Alarms: six an hour.
STATE_SECONDS = 5.0
COUNT_SECONDS = 5.0
STATUS_SECONDS = 30.0
ALARM_SECONDS = 600.0
ALARM_LASTS_SECONDS = 4.0

# What is wrong with one camera in forty, each; the others inspect.
VARIANTS: dict[int, dict[str, Any]] = {
    7: {"phase": "blind", "reason": "the image is black"},
    13: {"phase": "calibrating", "reason": None, "progress": {"frames": 120, "wanted": 300}},
    21: {"phase": "paused", "reason": None},
    29: {"drift": True, "shift": 3.2},
}


class Agent:
    """One agent with one camera."""

    def __init__(self, number: int, url: str, documents: Documents) -> None:
        self.site = f"plant{number:04}"
        variant = VARIANTS.get(number % 40, {})
        self._documents = {**documents, "state": {**documents["state"], **variant}}
        self._sequence = 0
        self._ok = 0
        self._alarm: str | None = None
        will = Outgoing(f"inspectd/{self.site}/status", self._status("offline"), qos=1, retain=True)
        client_id = f"inspectd-{self.site}"
        self.connection = Connection(Broker(url, keepalive_seconds=3600), client_id=client_id, will=will)

    def connect(self) -> None:
        """Connect, and publish everything once."""
        self.connection.open()
        while not any(isinstance(event, Connected) for event in self.connection.turn(5.0)):
            pass
        for publish in (self.status, self.state, self.count):
            publish()

    def status(self) -> None:
        """Online."""
        self._publish("status", self._status("online"))

    def state(self) -> None:
        """The camera, with numbers that change."""
        self._ok += random.randrange(90, 110)
        changes = {"frames": self._ok, "frames_per_second": round(random.gauss(20, 0.1), 2), "alarm": self._alarm}
        self._publish("line1/state", self._document("state", **changes))

    def count(self) -> None:
        """The shift."""
        shift = {**self._documents["count"]["shift"], "ok": self._ok}
        self._publish("line1/count", self._document("count", shift=shift))

    def alarm(self) -> None:
        """Raise one, or clear the one that is active."""
        event = "raised" if self._alarm is None else "cleared"
        identity = self._alarm or str(uuid.uuid4())
        self._alarm = identity if event == "raised" else None
        self._sequence += 1
        changes = {"id": identity, "sequence": self._sequence, "captured_at": _now()}
        self._publish("line1/alarm", self._document(event, **changes), retain=False)
        self.state()

    @property
    def alarming(self) -> bool:
        """Whether an alarm is active."""
        return self._alarm is not None

    def _status(self, presence: str) -> bytes:
        return json.dumps({**self._documents["status"], "site": self.site, "status": presence, "at": _now()}).encode()

    def _document(self, name: str, **changes: Any) -> bytes:
        document = {**self._documents[name], "site": self.site, **changes}
        return json.dumps({**document, **({"at": _now()} if "at" in document else {})}).encode()

    def _publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        message = Outgoing(f"inspectd/{self.site}/{topic}", payload, retain=retain, media_type="application/json")
        self.connection.publish(message)
        self.connection.turn(0.0)


def run(agents: list[Agent], alarm_seconds: float) -> None:
    """Publish until the process is ended."""
    order, plan = count(), []
    for agent in agents:
        agent.connect()
        for what, seconds in (("state", STATE_SECONDS), ("count", COUNT_SECONDS), ("status", STATUS_SECONDS)):
            plan.append((time.monotonic() + random.uniform(0, seconds), next(order), agent, what, seconds))
        plan.append((time.monotonic() + random.uniform(0, alarm_seconds), next(order), agent, "alarm", alarm_seconds))
    heapq.heapify(plan)
    print(f"{len(agents)} agents are connected", flush=True)
    while True:
        due, _, agent, what, seconds = heapq.heappop(plan)
        time.sleep(max(0.0, due - time.monotonic()))
        getattr(agent, what)()
        wait = ALARM_LASTS_SECONDS if what == "alarm" and agent.alarming else seconds
        heapq.heappush(plan, (due + wait, next(order), agent, what, seconds))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--documents", type=Path, required=True, help="what one agent publishes, JSON")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--alarm-seconds", type=float, default=ALARM_SECONDS, help="between two alarms of an agent")
    arguments = parser.parse_args()
    documents = json.loads(arguments.documents.read_text())
    run([Agent(number, arguments.url, documents) for number in range(arguments.agents)], arguments.alarm_seconds)


if __name__ == "__main__":
    main()
