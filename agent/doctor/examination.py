"""All checks of `inspectd doctor`, in the order of its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor import (
    broker,
    camera,
    credentials,
    disk,
    gpu,
    industrial_cameras,
    machine,
    model,
    opcua,
    outputs,
    people,
    service,
    view_groups,
)
from agent.doctor.check_result import CheckResult, ok, unreadable_settings
from agent.settings import Settings, load_settings

# Installed by the Debian package.
EXAMPLE = Path("/usr/share/doc/inspectd/inspectd.example.toml")


def examine(config: Path) -> Iterator[CheckResult]:
    """Check the device against the settings in `config`; yields each result as soon as it is known.

    A check never changes anything on the device, and never raises for what it finds.
    """
    try:
        settings = load_settings(config)
    except InspectdError as error:
        yield from unreadable_settings(error, config, _fix(config))
        return
    yield ok("settings", f"{config}: site {settings.site}, {len(settings.cameras)} camera(s)")
    yield from machine.check_python()
    yield from machine.check_clock()
    yield from disk.check_disk(settings)
    yield from model.check_bundles(settings)
    yield from model.check_corrections(settings)
    yield from model.check_engines(settings)
    yield from camera.check_cameras(settings)
    yield from view_groups.check_view_groups(settings)
    yield from industrial_cameras.check_industrial_cameras(settings)
    yield from broker.check_broker(settings, config)
    yield from credentials.check_credentials(settings, config)
    yield from outputs.check_outputs(settings)
    yield from opcua.check_opcua(settings, config)
    yield from people.check_people(settings, config)
    name = service.service_unit(config)
    if name is None:
        yield from gpu.check_gpu_for_user()
        yield service.no_service(config)
    else:
        yield from _examine_service(settings, config, name)


def _examine_service(settings: Settings, config: Path, name: str) -> Iterator[CheckResult]:
    """Checks of the service `inspectd@<name>`, which may do less than the user who runs the doctor."""
    yield from service.check_rights(settings, name)
    yield from gpu.check_gpu_for_service(name)
    yield from service.check_files(settings, config)
    yield from service.check_other_services(settings, config)
    yield from service.check_unit(name)


def _fix(config: Path) -> str:
    """Copy settings that do not exist from the example; edit others."""
    example = EXAMPLE if EXAMPLE.exists() else Path(EXAMPLE.name)
    if not config.exists():
        return f"sudo install -D -m 644 {example} {config}, then edit it"
    return f"sudoedit {config}  ({example} shows every setting)"
