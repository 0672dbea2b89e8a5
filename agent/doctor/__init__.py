"""`inspectd doctor`: what is missing on this device, and the command that mends it. One check a function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor import broker, camera, credentials, disk, gpu, machine, model, rights, unit
from agent.doctor.finding import CheckResult, Level, ok, problem
from agent.settings import load_settings

# Where the Debian package has it.
EXAMPLE = Path("/usr/share/doc/inspectd/inspectd.example.toml")

SIGNS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "problem"}


def examine(config: Path) -> Iterator[CheckResult]:
    """Every check, one after the other; findings come as they are made."""
    try:
        settings = load_settings(config)
    except InspectdError as error:
        yield from (problem("settings", line, _mend(config)) for line in str(error).splitlines())
        return
    yield ok("settings", f"{config}: site {settings.site}, {len(settings.cameras)} camera(s)")
    for check in (
        machine.check_python,
        machine.check_clock,
        disk.check_disk,
        model.check_bundles,
        model.check_engines,
        camera.check_cameras,
    ):
        yield from check(settings)
    for check_service in (
        broker.check_broker,
        credentials.check_credentials,
        rights.check_rights,
        gpu.check_gpu,
        unit.check_sight,
        unit.check_neighbours,
        unit.check_unit,
    ):
        yield from check_service(settings, config)


def _mend(config: Path) -> str:
    """Settings that are not there are copied from the example, others edited."""
    installed = EXAMPLE if EXAMPLE.exists() else Path(EXAMPLE.name)
    if not config.exists():
        return f"sudo install -D -m 644 {installed} {config}, then edit it"
    return f"sudoedit {config}  (every setting is in {installed})"


def lines(finding: CheckResult) -> Iterator[str]:
    """For a person: the finding, and below it what mends it."""
    yield f"{SIGNS[finding.level]}  {finding.subject}: {finding.text}"
    if finding.mend is not None:
        yield f"         → {finding.mend}"


__all__ = ["CheckResult", "Level", "examine", "lines"]
