"""Every command that changes something leaves an entry: who, what, old and new."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.audit import Entry, verify
from agent.commands import ask
from agent.core.errors import Permanent
from agent.service import Service


@pytest.fixture
def socket(service: Service) -> Path:
    return service.settings.socket_path


def latest(service: Service, count: int = 1) -> list[Entry]:
    return service.audit.latest(count)


def test_pause_and_resume_have_old_and_new_phase(service: Service, socket: Path) -> None:
    ask(socket, "pause", "line1")
    ask(socket, "resume", "line1")
    paused, resumed = latest(service, 2)
    assert (paused.action, paused.camera, paused.changed["phase"]) == ("pause", "line1", ["armed", "paused"])
    assert resumed.changed["phase"] == ["paused", "armed"]
    assert paused.by
    assert verify(service.audit.directory)[2] is None


def test_rejected_command_has_its_reason(service: Service, socket: Path) -> None:
    with pytest.raises(Permanent):
        ask(socket, "calibration/rollback", "line1", to="nothing")
    (entry,) = latest(service)
    assert not entry.ok
    assert entry.error
    assert entry.request == {"to": "nothing"}


def test_reading_leaves_no_entry(service: Service, socket: Path) -> None:
    ask(socket, "pause", "line1")
    ask(socket, "resume", "line1")
    before = latest(service)[0].number
    reading = ("product", "status", "live", "scores", "alarms/list", "device", "calibration/list", "audit/list")
    for command in ("calibration/review", *reading):
        ask(socket, command)
    assert latest(service)[0].number == before


def test_login_at_a_page_is_an_entry_of_the_person(service: Service, socket: Path) -> None:
    ask(socket, "audit/login", event="login", person="anna", role="engineer", address="10.0.0.7")
    (entry,) = latest(service)
    assert (entry.action, entry.by) == ("login", "anna")
    assert entry.request["address"] == "10.0.0.7"
    listed = ask(socket, "audit/list", limit=1)["entries"]
    assert listed == [entry.document()]
