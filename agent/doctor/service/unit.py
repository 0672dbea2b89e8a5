"""Checks the systemd unit of a service: installed, enabled and running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.doctor.service.systemd import RunCommand, command_output, unit_properties
from agent.settings import SERVICE_SETTINGS

STATE_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "StatusText", "Result")


def no_service(config: Path) -> CheckResult:
    """The result for settings that do not belong to a service."""
    fix = f"sudo cp {config} {SERVICE_SETTINGS}/ && sudo systemctl enable --now inspectd@{config.stem}.service"
    return warning("service", f"{config} is not in {SERVICE_SETTINGS}: no service starts with it at boot", fix)


def check_unit(unit: str, run: RunCommand = command_output) -> Iterator[CheckResult]:
    """systemd knows the unit, starts it at boot, and it is running."""
    found = unit_properties(unit, STATE_PROPERTIES, run)
    if found is None:
        yield warning("service", "systemd does not answer here", "start the agent by other means: inspectd run")
        return
    yield _judge(unit, found)


def _judge(unit: str, found: Mapping[str, str]) -> CheckResult:
    if found.get("LoadState") != "loaded":
        fix = "sudo cp systemd/inspectd@.service /etc/systemd/system/ && sudo systemctl daemon-reload"
        return problem("service", f"{unit} is not installed", fix)
    if found.get("ActiveState") == "failed":
        return problem("service", f"{unit} failed: {found.get('Result')}", f"journalctl -u {unit} -n 50")
    if found.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        return warning("service", f"{unit} does not start at boot", f"sudo systemctl enable --now {unit}")
    if found.get("ActiveState") not in ("active", "reloading"):
        return warning("service", f"{unit} is {found.get('ActiveState')}", f"sudo systemctl start {unit}")
    return ok("service", f"{unit}: {found.get('StatusText') or found.get('ActiveState')}")
