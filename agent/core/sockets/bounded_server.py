"""A socket server whose clients cannot use up the agent's threads and file descriptors, however slow they are."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

# Each client has a thread and a descriptor. A scraper and a few technicians at a time are usual.
MAX_CLIENTS = 8

# A client sends its request in one packet. Those on the loopback interface or a Unix socket need no longer, even on a
# busy machine.
REQUEST_SECONDS = 5.0

# A response has some megabytes at most, those of a snapshot.
RESPONSE_SECONDS = 10.0

# How long a client is read that still sends after its response. Linux resets a connection that is closed with bytes
# unread: the client, still busy with sending, would never see why its request was rejected.
LINGER_SECONDS = 1.0


@dataclass(slots=True)
class _Client:
    deadline: float | None
    """Monotonic; None: no limit."""
    request_read: bool = False


class BoundedServer(socketserver.ThreadingMixIn):
    """Serves at most `MAX_CLIENTS` clients at a time, each with a time limit on its whole request.

    A handler reports its progress with `request_read` and `response_ready`. Where the limit on clients is reached, the
    oldest whose request is not complete is disconnected, so that a client that sends its request at once is served even
    while others hold connections.
    """

    daemon_threads = True
    block_on_close = False
    # Connections that wait to be accepted; where they are more, Linux rejects a client of a Unix socket at once.
    request_queue_size = 128

    def __init__(self, *arguments: Any, request_seconds: float = REQUEST_SECONDS, **keywords: Any) -> None:
        self._request_seconds = request_seconds
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, _Client] = {}
        super().__init__(*arguments, **keywords)

    def request_read(self, request: socket.socket) -> bool:
        """The request is complete: while it is carried out, no limit applies. False if the client is disconnected."""
        return self._update(request, None)

    def response_ready(self, request: socket.socket) -> bool:
        """The response is about to be sent, and has to be read in time. False if the client is disconnected."""
        return self._update(request, time.monotonic() + RESPONSE_SECONDS)

    def _update(self, request: socket.socket, deadline: float | None) -> bool:
        with self._lock:
            connected = request in self._clients
            if connected:
                self._clients[request] = _Client(deadline, request_read=True)
        return connected

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client on a thread of its own, or disconnect it where too many requests are being carried out."""
        if self._admit(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # type: ignore[attr-defined]

    def _admit(self, request: socket.socket) -> bool:
        with self._lock:
            if len(self._clients) >= MAX_CLIENTS:
                oldest = next((each for each, client in self._clients.items() if not client.request_read), None)
                if oldest is None:
                    return False
                self._disconnect(oldest)
            self._clients[request] = _Client(time.monotonic() + self._request_seconds)
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a client on its thread, then take what it still sends until it closes or `LINGER_SECONDS` are over."""
        super().finish_request(request, client_address)  # type: ignore[misc]
        with self._lock:
            if request not in self._clients:
                return
            # Like a client whose request is not complete: it makes room for the next one.
            self._clients[request] = _Client(time.monotonic() + LINGER_SECONDS)
        request.shutdown(socket.SHUT_WR)
        while request.recv(65_536):
            pass

    def service_actions(self) -> None:
        """Disconnect clients whose time is over; `serve_forever` calls this several times a second."""
        now = time.monotonic()
        with self._lock:
            for each, client in list(self._clients.items()):
                if client.deadline is not None and client.deadline < now:
                    self._disconnect(each)

    def _disconnect(self, request: socket.socket) -> None:
        """Wake the client's thread, which then ends; it alone closes the descriptor."""
        del self._clients[request]
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It is disconnected already.
            return

    def close_request(self, request: Any) -> None:
        """Forget a client before its descriptor is closed, since the next client may get the same one."""
        with self._lock:
            self._clients.pop(request, None)
        super().close_request(request)  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error of a handler. A client that disconnects is none."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.error("%s: a request failed", threading.current_thread().name, exc_info=True)
