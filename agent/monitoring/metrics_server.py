"""Serves metrics as Prometheus text, on a port of the loopback interface or on a Unix socket."""

from __future__ import annotations

import socketserver
import threading
from http.server import HTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, MetricsHandler

from agent.core.errors import Permanent
from agent.core.sockets.bounded_server import BoundedServer
from agent.core.sockets.unix_socket import bind_unix_socket

# Metrics have no access control: for a scraper elsewhere, a proxy on this machine adds it.
HOST = "127.0.0.1"


class _TcpServer(BoundedServer, HTTPServer):
    pass


class _UnixServer(BoundedServer, socketserver.UnixStreamServer):
    def server_bind(self) -> None:
        bind_unix_socket(self.socket, Path(str(self.server_address)), name="metrics socket", setting="metrics.socket")


class _Handler(MetricsHandler):
    server: _TcpServer | _UnixServer

    def do_GET(self) -> None:  # noqa: N802
        if self.server.response_ready(self.request):
            super().do_GET()


class MetricsServer:
    """Responds to every GET with the metrics until it is closed."""

    def __init__(self, registry: CollectorRegistry, *, port: int | None = None, socket: Path | None = None) -> None:
        """Serve at once on `port` or on `socket`, one of the two. Raises Permanent where it is taken or unusable."""
        handler = _Handler.factory(registry)
        self._socket = socket
        self._server: _TcpServer | _UnixServer
        if socket is not None:
            self._server = _UnixServer(str(socket), handler)
        else:
            assert port is not None
            self._server = _on_port(port, handler)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)


def _on_port(port: int, handler: type) -> _TcpServer:
    try:
        return _TcpServer((HOST, port), handler)
    except OSError as error:
        raise Permanent(f"metrics port {port}: {error.strerror}; wanted a free port on {HOST}") from None
