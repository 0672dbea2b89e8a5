"""The control socket: commands over a Unix socket, protected by its file mode. One JSON line in, one out."""

from __future__ import annotations

import json
import socketserver
import threading
from pathlib import Path

from agent.commands.control import Control
from agent.core.unix_socket import bind_unix_socket
from agent.messages import MAX_COMMAND_BYTES

# A command, and the JSON around it.
MAX_LINE_BYTES = 2 * MAX_COMMAND_BYTES

# A client that connects and sends nothing must not occupy a thread for ever.
CLIENT_TIMEOUT_SECONDS = 10.0


class _Client(socketserver.StreamRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server: _Server

    def handle(self) -> None:
        try:
            line = self.rfile.readline(MAX_LINE_BYTES)
            self.wfile.write(self._respond(line) + b"\n")
        except OSError:
            # The client disconnected before reading its response.
            return

    def _respond(self, line: bytes) -> bytes:
        try:
            message = json.loads(line)
            name, camera, by = str(message["command"]), message.get("camera"), str(message.get("by", "unknown"))
            request = json.dumps(message.get("request", {})).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return json.dumps(
                {"ok": False, "error": f"got {line[:80]!r}, wanted a line of JSON with a command"}
            ).encode()
        return self.server.control.execute(name, camera, request, by=by).to_bytes()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    control: Control

    def server_bind(self) -> None:
        bind_unix_socket(self.socket, Path(str(self.server_address)), name="control socket", setting="control_socket")


class ControlSocket:
    """Serves a `Control` on a Unix socket until it is closed."""

    def __init__(self, path: Path, control: Control) -> None:
        """Listen at `path`. Raises Permanent where another agent listens there, or the path cannot be used."""
        self._server = _Server(str(path), _Client)
        self._server.control = control
        self._path = path
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control-socket", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket file."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)
