"""The unit of a service, in the words of `systemctl show`."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.doctor import Level
from agent.doctor.service.unit import check_unit, no_service
from tests.support.check_results import only, printing

UNIT = "inspectd@line1.service"


def test_settings_elsewhere_come_with_the_command_that_makes_a_service_of_them() -> None:
    result = no_service(Path("line1.toml"))
    assert result.level is Level.WARNING
    assert result.fix == "sudo cp line1.toml /etc/inspectd/ && sudo systemctl enable --now inspectd@line1.service"


@pytest.mark.parametrize(
    ("shown", "level", "fix"),
    [
        ("LoadState=not-found", Level.PROBLEM, "daemon-reload"),
        ("LoadState=loaded\nActiveState=failed\nResult=watchdog", Level.PROBLEM, "journalctl"),
        ("LoadState=loaded\nActiveState=active\nUnitFileState=disabled", Level.WARNING, "enable"),
        ("LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled", Level.WARNING, "start"),
        ("LoadState=loaded\nActiveState=active\nUnitFileState=enabled", Level.OK, None),
        (None, Level.WARNING, "inspectd run"),
    ],
)
def test_unit_must_be_installed_enabled_and_running(shown: str | None, level: Level, fix: str | None) -> None:
    result = only(check_unit(UNIT, printing(shown)))
    assert result.level is level
    assert (result.fix is None) if fix is None else (fix in str(result.fix))
