"""A real HTTPS server that receives webhooks, and answers as a test wants."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.broker import free_port

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Port of the client: the same as long as the connection is kept."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Posted], tuple[int, dict[str, str]]]


class Receiver:
    """Receives on one port, over TLS where it has a certificate."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.requests: list[Posted] = []
        self.answer: Answer = lambda posted: (204, {})
        self.connections: set[object] = set()
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}/hook/sesame?key=opensesame"

    @property
    def accepted(self) -> list[Posted]:
        """Requests by their first delivery."""
        return list({posted.id: posted for posted in reversed(self.requests)}.values())[::-1]

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                posted = Posted(self.path, headers, body, self.client_address[1])
                receiver.requests.append(posted)
                status, more = receiver.answer(posted)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def process_request(self, request: object, client_address: object) -> None:
                receiver.connections.add(request)
                super().process_request(request, client_address)  # type: ignore[arg-type]

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self._certificate))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def drop_connections(self) -> None:
        """Close what clients keep open, as servers do after a while."""
        assert self._server is not None
        for request in list(self.connections):
            self._server.shutdown_request(request)  # type: ignore[arg-type]
        self.connections.clear()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self.drop_connections()
            self._server = None
