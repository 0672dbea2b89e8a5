"""Viewers of the page, as browsers are: a stream of events, and one live image after the other, ten a second."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.page import Client, Page

# As `agent/page/static/live/image.js`.
_IMAGE_SECONDS = 0.1


@dataclass
class Viewers:
    """Threads that look at the page until `stop`."""

    page: Page
    images: int = 0
    """Images that were received, all viewers together."""
    events: int = 0
    """Events that were received, all viewers together."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, count: int) -> Viewers:
        """So many viewers of one account, each with a session of its own."""
        for _ in range(count):
            client = self.page.client("vera")
            for look in (self._events, self._live):
                self._threads.append(threading.Thread(target=look, args=(client,), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """All of them look away."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def _events(self, client: Client) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/api/events", headers={"Cookie": client.cookie or ""})
            response = connection.getresponse()
            while not self._stopped.is_set():
                self.events += response.readline().startswith(b"event:")
        connection.close()

    def _live(self, client: Client) -> None:
        """On one connection, as a browser keeps it."""
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", "/api/cameras/line1/live?side=960", headers={"Cookie": client.cookie or ""})
                response = connection.getresponse()
                self.images += bool(response.read()) and response.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
            self._stopped.wait(max(0.0, _IMAGE_SECONDS - (time.monotonic() - began)))
        connection.close()
