"""What all viewers see: every row at first, then what changes, once a second, and only while somebody looks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any

from agent.core.errors import Temporary
from agent.fleet.broker.documents import Documents
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.subscriber import Subscriber
from agent.fleet.cameras.fleet import Fleet
from agent.fleet.history.database import Database
from agent.fleet.history.writer import HistoryWriter
from agent.fleet.intake import Intake
from agent.page.link.feed import MAX_VIEWERS, Viewer

log = logging.getLogger(__name__)

# A table that changes more often cannot be read.
BATCH_SECONDS = 1.0

# Without viewers, documents are only looked through for faults; most are replaced by newer ones before.
IDLE_SECONDS = 10.0

# A query over the alarms of an hour.
ALARMS_SECONDS = 10.0


class FleetFeed:
    """Owns the table of cameras. For the event loop."""

    def __init__(
        self,
        broker: str,
        subscriber: Subscriber,
        intake: Intake,
        documents: Documents,
        faults: Faults,
        database: Database,
        writer: HistoryWriter,
    ) -> None:
        """`broker`: its name, for people."""
        self.fleet = Fleet(faults)
        self._broker = broker
        self._subscriber = subscriber
        self._intake = intake
        self._documents = documents
        self._faults = faults
        self._database = database
        self._writer = writer
        self._viewers: set[Viewer] = set()
        self._joined = asyncio.Event()
        self._header = ""
        self._counted = float("-inf")

    @property
    def full(self) -> bool:
        """Whether there is no room for another viewer."""
        return len(self._viewers) >= MAX_VIEWERS

    async def join(self) -> Viewer:
        """A new viewer, with every row; `leave` when it has gone."""
        self.tick()
        viewer: Viewer = asyncio.Queue(maxsize=16)
        viewer.put_nowait(("all", self._all()))
        viewer.put_nowait(("header", self._header))
        self._viewers.add(viewer)
        self._joined.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A viewer has gone."""
        self._viewers.discard(viewer)

    async def run(self) -> None:
        """Bring the table up to date, for ever."""
        while True:
            await self._wait()
            if self._viewers and time.monotonic() - self._counted > ALARMS_SECONDS:
                await self.count_alarms()
            self.tick()

    async def count_alarms(self) -> None:
        """Ask the history for the alarms of the last hour."""
        self._counted = time.monotonic()
        with suppress(Temporary):
            self.fleet.count_alarms(await asyncio.to_thread(self._database.alarms_of_the_last_hour))

    def tick(self) -> None:
        """Take what has arrived, and send viewers what is new."""
        self.fleet.take(self._documents.take_changed())
        self.fleet.doubt_clocks(self._intake.take_clocks())
        changed, gone = self.fleet.update(time.monotonic(), self._subscriber.link)
        if changed or gone:
            self._send("rows", _json({"changed": changed, "gone": gone}))
        header = _json(self.header())
        if header != self._header:
            self._header = header
            self._send("header", header)

    def header(self) -> dict[str, Any]:
        """The connection, and what this page could not take."""
        link = self._subscriber.link
        return {
            "broker": self._broker,
            "connected": link.connected,
            "since": link.since,
            "problem": link.problem,
            "faults": self._faults.count,
            "faults_named": self._faults.named()[:10],
            "beyond": self._documents.beyond > 0,
            "history_problem": self._writer.problem,
            "history_dropped": self._writer.dropped,
        }

    async def _wait(self) -> None:
        self._joined.clear()
        with suppress(asyncio.TimeoutError):
            if self._viewers:
                await asyncio.sleep(BATCH_SECONDS)
            else:
                await asyncio.wait_for(self._joined.wait(), IDLE_SECONDS)

    def _all(self) -> str:
        return _json({"rows": list(self.fleet.rows.values())})

    def _send(self, name: str, data: str) -> None:
        for viewer in self._viewers:
            if viewer.full():
                # It has missed too much: it gets everything again.
                while not viewer.empty():
                    viewer.get_nowait()
                viewer.put_nowait(("all", self._all()))
                viewer.put_nowait(("header", self._header))
            else:
                viewer.put_nowait((name, data))


def _json(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
