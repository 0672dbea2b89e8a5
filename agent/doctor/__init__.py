"""`inspectd doctor`: what is missing on this device, and the command that mends it. One check a function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.doctor import broker, camera, disk, machine, model, unit
from agent.doctor.finding import Finding, Level, ok, problem
from agent.errors import InspectdError
from agent.settings import load

SIGNS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "problem"}


def examine(config: Path) -> Iterator[Finding]:
    """Every check, one after the other; findings come as they are made."""
    try:
        settings = load(config)
    except InspectdError as error:
        yield from (
            problem("settings", line, f"edit {config}; see inspectd.example.toml") for line in str(error).splitlines()
        )
        return
    yield ok("settings", f"{config}: site {settings.site}, {len(settings.cameras)} camera(s)")
    for check in (
        machine.check_python,
        machine.check_gpu,
        machine.check_clock,
        disk.check_disk,
        model.check_bundles,
        model.check_engines,
        camera.check_cameras,
        broker.check_broker,
    ):
        yield from check(settings)
    for check_service in (unit.check_credentials, unit.check_sight, unit.check_neighbours, unit.check_unit):
        yield from check_service(settings, config)


def lines(finding: Finding) -> Iterator[str]:
    """For a person: the finding, and below it what mends it."""
    yield f"{SIGNS[finding.level]}  {finding.subject}: {finding.text}"
    if finding.mend is not None:
        yield f"         → {finding.mend}"


__all__ = ["Finding", "Level", "examine", "lines"]
