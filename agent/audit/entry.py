"""One entry of the audit log: a line of JSON that ends with the hash of the line and of all before it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from agent.core.errors import Permanent

# The hash before the first entry.
BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """An action of a person or a program."""

    number: int
    """Counts from 1, without gaps, over restarts of the agent."""
    at: str
    """UTC, ISO 8601."""
    by: str
    """Who did it: a name, and the transport where it is known, such as `anna (page)`."""
    action: str
    """The command, such as `calibration/rollback`; `login`, `logout` or `login failed`; `agent started`."""
    camera: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    """What was asked for."""
    ok: bool = True
    error: str | None = None
    """Why it was rejected."""
    changed: dict[str, list[Any]] = field(default_factory=dict)
    """Old and new value of everything that it changed, by name."""
    previous: str = BEGINNING
    """SHA-256 of the entry before it."""

    def line(self) -> bytes:
        """The entry with its own hash, as it is on the disk."""
        text = self._text()
        return f'{text[:-1]},"hash":"{_hash(text)}"}}\n'.encode()

    @property
    def hash(self) -> str:
        """SHA-256 of the entry; it covers `previous`, and with it all entries before."""
        return _hash(self._text())

    def document(self) -> dict[str, Any]:
        """For `--json` and commands."""
        return {**self._fields(), "hash": self.hash}

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line. Raises Permanent where it is none, or its hash is another one."""
        try:
            document = json.loads(line)
            given = document.pop("hash")
            entry = cls(**document)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Permanent("not an entry of an audit log") from None
        # The line itself counts, not another way to write the same values.
        if line.rstrip(b"\n") != entry.line().rstrip(b"\n") or given != entry.hash:
            raise Permanent("its content does not fit its hash")
        return entry

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def _text(self) -> str:
        return json.dumps(self._fields(), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
