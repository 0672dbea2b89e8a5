"""Log lines as journald reads them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.logs.journal import JournalFormatter, OneLineFormatter, is_journal


def formatted(level: int, message: str, *arguments: object, **fields: object) -> str:
    record = logging.getLogger("agent.inspection.capture").makeRecord(
        "agent.inspection.capture", level, __file__, 1, message, arguments, None, extra=fields or None
    )
    return JournalFormatter().format(record)


def test_line_has_priority_message_and_fields() -> None:
    line = formatted(logging.WARNING, "camera %s: %s", "line1", "is it plugged in?", camera="line1", reason="is it in?")
    assert line == '<4>camera line1: is it plugged in? camera=line1 reason="is it in?" logger=agent.inspection.capture'


def test_message_with_line_breaks_is_one_entry() -> None:
    assert (
        formatted(logging.INFO, "first\nsecond", text="a\nb")
        == '<6>first second text="a\\nb" logger=agent.inspection.capture'
    )


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x85b", "a\u2028b", "a\u202eb", "a\0b", "a\udcffb", "a\x1cb"]
)
def test_text_from_outside_is_one_printable_line_in_either_format(text: str) -> None:
    journal = formatted(logging.INFO, "file %s: not read", text, file=text)
    record = logging.makeLogRecord({"msg": "file %s: not read", "args": (text,), "levelname": "INFO"})
    terminal = OneLineFormatter("%(levelname)s %(message)s").format(record)
    for line in (journal, terminal):
        assert line.isprintable()
        assert line.encode()
        assert "a" in line
        assert "b: not read" in line


def test_field_that_is_none_is_omitted() -> None:
    assert formatted(logging.INFO, "done", camera=None) == "<6>done logger=agent.inspection.capture"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    try:
        int("bad")
    except ValueError:
        record = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "died", "exc_info": sys.exc_info()})
    lines = JournalFormatter().format(record).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_journald_is_recognized_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": "journal"})
        assert not is_journal(stream, {})


def test_log_format_depends_on_who_reads_stderr(tmp_path: Path) -> None:
    """The same program with and without journald behind its standard error."""
    program = "import logging\nfrom agent.cli.terminal.console import set_up_logging\n"
    program += "set_up_logging('info')\nlogging.warning('drifted')"
    people = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert people.rstrip().endswith("WARNING drifted")
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run([sys.executable, "-c", program], stderr=stream, env=environment, check=True)
    assert (tmp_path / "journal").read_text() == "<4>drifted logger=root\n"
