"""The control door on this machine: a Unix socket, guarded by its file permissions. One JSON line in, one out."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from pathlib import Path

from agent.commands.control import Control
from agent.commands.socket_client import ask
from agent.core.errors import Permanent, Temporary
from agent.core.unix_socket import MAX_SOCKET_PATH_BYTES
from agent.messages import MAX_COMMAND_BYTES

# A command and what the line around it takes.
MAX_LINE_BYTES = 2 * MAX_COMMAND_BYTES

# A client that connects and says nothing must not hold a thread for ever.
CLIENT_TIMEOUT_SECONDS = 10.0


class _Client(socketserver.StreamRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server: _Server

    def handle(self) -> None:
        try:
            line = self.rfile.readline(MAX_LINE_BYTES)
            self.wfile.write(self._answer(line) + b"\n")
        except OSError:
            # The visitor went away; it was his answer to lose.
            return

    def _answer(self, line: bytes) -> bytes:
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


class ControlSocket:
    """Serves a `Control` on a Unix socket until it is closed."""

    def __init__(self, path: Path, control: Control) -> None:
        """Open the door at `path`. Raises Permanent where another agent answers there, or the path cannot be used."""
        _make_room(path)
        try:
            self._server = _Server(str(path), _Client)
        except OSError as error:
            raise Permanent(f"control socket {path}: {error.strerror}; wanted a writable folder") from None
        path.chmod(0o660)
        self._server.control = control
        self._path = path
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="door", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _make_room(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise Permanent(
            f"control socket {path}: longer than {MAX_SOCKET_PATH_BYTES} bytes; set control_socket to a shorter path"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Permanent(f"control socket {path}: {error.strerror}; wanted a writable folder") from None
    try:
        ask(path, "status")
    except (Temporary, Permanent):
        path.unlink(missing_ok=True)
        return
    raise Permanent(f"control socket {path}: another agent answers there; stop it, or set another state_directory")
