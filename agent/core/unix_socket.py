"""Bind a Unix socket: path length, stale file, mode."""

from __future__ import annotations

# sun_path of Linux holds 108 bytes with its end mark; a longer path fails with a message that nobody understands.
MAX_SOCKET_PATH_BYTES = 107
