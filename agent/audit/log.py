"""The audit log of a running agent."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.audit.chain import audit_files, read_entries
from agent.audit.entry import BEGINNING, Entry
from agent.core.clock import utc_now
from agent.core.durable_file import disk_reason
from agent.core.errors import Permanent, Temporary

# An entry has half a kilobyte: a file has 16,000, all of them 130,000. The oldest file is deleted then.
MAX_FILE_BYTES = 8 * 2**20
MAX_FILES = 8


class AuditLog:
    """Appends entries, each on the disk when `add` returns. Any thread may call."""

    def __init__(
        self, directory: Path, *, now: Callable[[], datetime] = utc_now, max_file_bytes: int = MAX_FILE_BYTES
    ) -> None:
        """`directory` is made where missing. Continues after the last entry; a line that a power cut left is closed."""
        self.directory = directory
        self._now = now
        self._max_file_bytes = max_file_bytes
        self._lock = threading.Lock()
        self._last: tuple[int, str] | None = None

    def add(
        self,
        action: str,
        *,
        by: str,
        camera: str | None = None,
        request: dict[str, Any] | None = None,
        error: str | None = None,
        changed: dict[str, list[Any]] | None = None,
    ) -> Entry:
        """Append an entry. Raises Temporary where the disk does not take it."""
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            try:
                number, previous = self._last or self._resume()
                entry = Entry(number + 1, at, by, action, camera, request or {}, error is None, error, changed or {})
                entry = replace(entry, previous=previous)
                self._append(entry)
            except OSError as problem:
                self._last = None
                reason = disk_reason(problem, self.directory)
                raise Temporary(f"{self.directory}: {reason}; the audit log lacks an entry") from None
            self._last = (entry.number, entry.hash)
            return entry

    def latest(self, count: int) -> list[Entry]:
        """The latest entries, oldest first."""
        return list(deque(read_entries(self.directory), maxlen=count))

    def _resume(self) -> tuple[int, str]:
        """Number and hash of the last whole entry."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in reversed(audit_files(self.directory)):
            content = path.read_bytes()
            if content and not content.endswith(b"\n"):
                # A power cut in the middle of a line: it stays for `verify`, and the next entry begins a new one.
                with path.open("ab") as file:
                    file.write(b"\n")
            for line in reversed(content.splitlines()):
                try:
                    entry = Entry.parse(line)
                except Permanent:
                    continue
                return entry.number, entry.hash
        return 0, BEGINNING

    def _append(self, entry: Entry) -> None:
        line = entry.line()
        files = audit_files(self.directory)
        path = files[-1] if files else self.directory / "audit-000001.jsonl"
        if files and path.stat().st_size + len(line) > self._max_file_bytes:
            for old in files[: max(0, len(files) - MAX_FILES + 1)]:
                old.unlink(missing_ok=True)
            path = self.directory / f"audit-{int(path.stem.removeprefix('audit-')) + 1:06d}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):
                # The disk has become full in the middle of the line.
                os.ftruncate(descriptor, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
