"""The control socket: commands over a Unix socket, protected by its file mode. One JSON line in, one out."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Mapping
from pathlib import Path

from agent.commands.control import Control
from agent.commands.control_socket.peers import Peer
from agent.core.errors import Permanent
from agent.core.printable import printable
from agent.core.roles import Role
from agent.core.sockets.bounded_server import BoundedServer
from agent.core.sockets.unix_socket import bind_unix_socket
from agent.messages import MAX_COMMAND_BYTES, short_text

# A command, and the JSON around it; without the end of the line.
MAX_LINE_BYTES = 2 * MAX_COMMAND_BYTES

# The name of a user or a program; longer ones are cut.
MAX_SENDER_LENGTH = 100


class _Client(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(MAX_LINE_BYTES + 1)
        if self.server.request_read(self.request):
            response = self._respond(line)
            if self.server.response_ready(self.request):
                self.wfile.write(response + b"\n")

    def _respond(self, line: bytes) -> bytes:
        try:
            name, camera, by, request = _read(line)
            peer = Peer.of(self.request)
            role = peer.role(self.server.roles)
        except Permanent as error:
            return json.dumps({"ok": False, "error": str(error)}).encode()
        return self.server.control.execute(name, camera, request, by=peer.sender(by), role=role).to_bytes()


def _read(line: bytes) -> tuple[str, str | None, str, bytes]:
    """Command, camera, sender and request of a line. Raises Permanent, one line, for anything else."""
    if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
        raise Permanent(f"got a line of more than {MAX_LINE_BYTES} bytes, wanted a line of JSON with a command")
    try:
        # JSON has escapes for halves of characters, which no response can carry.
        message = json.loads(line)
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Permanent(f"got {line[:80]!r}, wanted a line of JSON with a command") from None
    if not isinstance(message, dict) or not isinstance(message.get("command"), str):
        raise Permanent(f"got {short_text(message)}, wanted an object with a command, a text")
    wanted = {"camera": (str, type(None)), "by": (str,), "request": (dict,)}
    for key, kinds in wanted.items():
        if key in message and not isinstance(message[key], kinds):
            raise Permanent(
                f"{key}: got {short_text(message[key])}, wanted {'an object' if dict in kinds else 'a text'}"
            )
    by = printable(message.get("by", "unknown"))[:MAX_SENDER_LENGTH]
    return message["command"], message.get("camera"), by, json.dumps(message.get("request", {})).encode()


class _Server(BoundedServer, socketserver.UnixStreamServer):
    control: Control
    roles: Mapping[str, Role] | None

    def server_bind(self) -> None:
        bind_unix_socket(self.socket, Path(str(self.server_address)), name="control socket", setting="control_socket")


class ControlSocket:
    """Serves a `Control` on a Unix socket until it is closed."""

    def __init__(self, path: Path, control: Control, roles: Mapping[str, Role] | None = None) -> None:
        """Listen at `path`. Raises Permanent where another agent listens there, or the path cannot be used.

        `roles`: of users and `@groups`; None: everybody who may connect may do everything.
        """
        self._server = _Server(str(path), _Client)
        self._server.control = control
        self._server.roles = roles
        self._path = path
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control-socket", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket file."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)
