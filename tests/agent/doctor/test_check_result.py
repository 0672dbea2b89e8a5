"""A result as text for a person, and as a document for a program."""

from __future__ import annotations

from agent.doctor import CheckResult, Level, lines

UNSET = CheckResult(Level.WARNING, "clock", "not synchronised with a time server", "sudo timedatectl set-ntp true")


def test_result_is_a_line_with_its_fix_below() -> None:
    assert list(lines(UNSET)) == [
        "warning  clock: not synchronised with a time server",
        "         → sudo timedatectl set-ntp true",
    ]
    assert list(lines(CheckResult(Level.OK, "python", "3.12"))) == ["ok       python: 3.12"]


def test_document_keeps_its_field_names() -> None:
    """Programs read `mend`."""
    assert UNSET.document() == {
        "level": "warning",
        "subject": "clock",
        "text": "not synchronised with a time server",
        "mend": "sudo timedatectl set-ntp true",
    }
