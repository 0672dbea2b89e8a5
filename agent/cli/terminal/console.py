"""Terminal output: results on stdout; errors and log lines on stderr, and progress (`agent.cli.terminal.progress`)."""

from __future__ import annotations

import codecs
import io
import json
import logging
import sys
from typing import Any

from agent.cli.terminal.log_stream import BackgroundStreamHandler
from agent.core.logs.journal import JournalFormatter, OneLineFormatter, is_journal, priority_of
from agent.core.printable import printable


def accept_any_text() -> None:
    """Let stdout and stderr take names that are not UTF-8, as they are on disk, and escape what their encoding lacks.

    Python raises UnicodeEncodeError otherwise, except in the locale C.
    """
    codecs.register_error("inspectd", _encoded_anyway)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="inspectd")


def _encoded_anyway(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError), "the handler is for output only"
    text = error.object[error.start : error.end]
    handler = "surrogateescape" if all(map(_is_raw_byte, text)) else "backslashreplace"
    return codecs.lookup_error(handler)(error)


def print_line(text: str = "") -> None:
    """Print text on stdout; names that are not UTF-8 as they are on disk, control characters escaped."""
    shown = "".join(c if c == "\n" or _is_raw_byte(c) else printable(c) for c in text)
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()


def _is_raw_byte(character: str) -> bool:
    """Whether this stands for a byte of a name that is not UTF-8."""
    return "\udc80" <= character <= "\udcff"


def print_json(document: Any) -> None:
    """Print a JSON document on one line of stdout."""
    print_line(json.dumps(document, separators=(", ", ": "), allow_nan=False))


def print_error(text: str) -> None:
    """Print each line of the text on stderr, with the program's name in front."""
    priority = f"<{priority_of(logging.ERROR)}>" if is_journal(sys.stderr) else ""
    lines = [f"{priority}inspectd: {printable(line)}" for line in text.splitlines() or ["failed"]]
    # In the agent, after the lines of its log, and without waiting for a reader that is stuck.
    for log in (one for one in logging.getLogger().handlers if isinstance(one, BackgroundStreamHandler)):
        for line in lines:
            log.write_line(line)
        log.flush()
        return
    for line in lines:
        sys.stderr.write(f"{line}\n")


def set_up_logging(level: str) -> None:
    """Log to stderr: in journald's format if it reads stderr, else in a format for people."""
    handler = BackgroundStreamHandler(sys.stderr.fileno())
    for_people = OneLineFormatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JournalFormatter() if is_journal(sys.stderr) else for_people)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
