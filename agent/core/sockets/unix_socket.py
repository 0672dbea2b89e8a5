"""Bind a Unix socket: path length, stale file, mode. And connect to one that is busy."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

from agent.core.errors import Permanent

# Linux's `sun_path` has 108 bytes, one of them for the terminating zero; the system's own error for a longer path does
# not say so.
MAX_SOCKET_PATH_BYTES = 107

# Owner and group may connect.
SOCKET_MODE = 0o660


def bind_unix_socket(unbound: socket.socket, path: Path, *, name: str, setting: str) -> None:
    """Bind a socket to `path` with mode `SOCKET_MODE`; it does not listen yet.

    Missing folders are made. A socket file that a killed process left is replaced; any other file is left alone.

    Args:
        unbound: a Unix stream socket; the caller owns it.
        path: where to bind.
        name: of the socket, for errors, such as `control socket`.
        setting: the key of the settings that holds `path`, for errors.

    Raises Permanent where the path is too long or cannot be written, or another process listens there.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise Permanent(f"{name} {path}: longer than {MAX_SOCKET_PATH_BYTES} bytes; set {setting} to a shorter path")
    if _is_listening(path):
        raise Permanent(f"{name} {path}: another process listens there; stop it, or set {setting} to another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_socket(path)
        unbound.bind(str(path))
        path.chmod(SOCKET_MODE)
    except OSError as error:
        raise Permanent(f"{name} {path}: {error.strerror}; wanted a path in a writable folder") from None


def connect_unix_socket(client: socket.socket, path: Path, timeout_seconds: float) -> None:
    """Connect, also while many others do: Linux then rejects with EAGAIN where a TCP client would wait.

    Raises BlockingIOError where there is no room after `timeout_seconds`, OSError where nothing listens at `path`.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return client.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _is_listening(path: Path) -> bool:
    """Whether a process listens at `path`. Linux accepts or rejects a connection to a Unix socket at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            # Its backlog is full.
            return True
        except OSError:
            return False
    return True


def _remove_stale_socket(path: Path) -> None:
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        pass
