"""Messages that are no alarms wait like alarms, and use no sequence number."""

from __future__ import annotations

from pathlib import Path

from agent.outputs.outbox import UNNUMBERED, Message, Outbox
from tests.support.delivery import accept


def verdict(number: int) -> Message:
    return Message(f"plant/cam/alarm/a{number}/verdict", b"{}", f"a{number}", "verdict")


def test_unnumbered_message_waits_behind_the_alarms_of_its_camera(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    accept(outbox, "a1")
    outbox.add_unnumbered("cam", [verdict(1)])
    accept(outbox, "a2")
    outbox.close()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    found = []
    while rows := outbox.next_alarms(1):
        found.append((rows[0].part, rows[0].sequence))
        outbox.acknowledge([rows[0].id])
    outbox.close()
    assert found == [("raised", 1), ("verdict", UNNUMBERED), ("raised", 2)]


def test_rejected_one_is_a_dead_letter_but_no_missing_alarm(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.add_unnumbered("cam", [verdict(1)])
    (row,) = outbox.next_alarms(1)
    outbox.reject(row, "too large")
    counts = outbox.counts()
    outbox.close()
    assert (counts.dead_letters, counts.missing, counts.waiting) == (1, (), 0)


def test_outputs_are_woken(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    woken: list[int] = []
    outbox.on_accepted.append(lambda: woken.append(1))
    outbox.add_unnumbered("cam", [verdict(1)])
    outbox.close()
    assert woken == [1]
