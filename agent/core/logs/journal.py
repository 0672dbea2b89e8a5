"""The form of log records: one line each, for people and for journald.

For journald it is the priority, for `journalctl -p warning`, then the message, then key=value fields:
`log.info("camera %s: lost", name, extra={"camera": name})` becomes
`<6>camera line1: lost camera=line1 logger=agent.inspection.capture`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, TextIO

from agent.core.printable import printable

# syslog's levels, as sd-daemon(3) reads them at the start of a line.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))

# Attributes of every record; any other attribute comes from `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class OneLineFormatter(logging.Formatter):
    """One line for each message, whatever is in it: names of files and senders come from outside."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line; `record.message` is the message."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, without control characters."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JournalFormatter(OneLineFormatter):
    """As journald reads it. Each line of a traceback has a priority, since journald makes each an entry."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines for one record."""
        priority = f"<{priority_of(record.levelno)}>"
        text = " ".join((one_line(record.getMessage()), *fields_of(record)))
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return "\n".join(priority + line for line in text.split("\n"))


def one_line(message: str) -> str:
    """The message with spaces instead of line breaks, and without control characters."""
    return printable(" ".join(message.split()))


def priority_of(level: int) -> int:
    """syslog's priority of a logging level.

    >>> [priority_of(level) for level in (logging.CRITICAL, logging.WARNING, 25, logging.DEBUG, 1)]
    [2, 4, 6, 7, 7]
    """
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def fields_of(record: logging.LogRecord) -> list[str]:
    """The fields as `key=value`: those of `extra=`, then the logger."""
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD and value is not None}
    return [f"{key}={quoted(value)}" for key, value in {**given, "logger": record.name}.items()]


def quoted(value: object) -> str:
    """A value for a field: unchanged if it is one word, else a JSON string; always one line.

    >>> quoted("line1"), quoted(0.25), quoted('is it "in"?'), quoted("")
    ('line1', '0.25', '"is it \\\\"in\\\\"?"', '""')
    """
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text)


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether journald reads this stream. systemd sets JOURNAL_STREAM to the `device:inode` that it reads.

    The variable alone is not enough: a shell started by a service inherits it, with another stream.
    """
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (OSError, ValueError):  # a stream without a file, such as a test's
        return False
