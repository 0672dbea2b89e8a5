"""Checks of the service: installed, enabled, running, able to read what its settings name, and in nobody's way."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.core.errors import InspectdError
from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.doctor.machine import output
from agent.service import places_of
from agent.settings import SERVICE_SETTINGS, Settings, load_settings

# The unit has ProtectHome=yes and PrivateTmp=yes: whatever lies there is not there for the service.
HIDDEN = tuple(Path(path) for path in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))


def check_unit(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """systemd knows `inspectd@<name>`, starts it at boot, and it runs."""
    name = f"inspectd@{config.stem}.service"
    if config.absolute().parent != SERVICE_SETTINGS:
        mend = f"sudo cp {config} {SERVICE_SETTINGS}/ && sudo systemctl enable --now {name}"
        yield warning("service", f"{config} is no service's settings: nobody starts it at boot", mend)
        return
    shown = output("systemctl", "show", name, "--property=LoadState,ActiveState,UnitFileState,StatusText,Result")
    if shown is None:
        yield warning("service", "no systemd answers here", "start inspectd by what starts things here: inspectd run")
        return
    yield _unit(name, dict(line.split("=", 1) for line in shown.splitlines() if "=" in line))


def _unit(name: str, found: dict[str, str]) -> CheckResult:
    if found.get("LoadState") != "loaded":
        mend = "sudo cp systemd/inspectd@.service /etc/systemd/system/ && sudo systemctl daemon-reload"
        return problem("service", f"{name} is not installed", mend)
    if found.get("ActiveState") == "failed":
        return problem("service", f"{name} failed: {found.get('Result')}", f"journalctl -u {name} -n 50")
    if found.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        return warning("service", f"{name} does not start at boot", f"sudo systemctl enable --now {name}")
    if found.get("ActiveState") not in ("active", "reloading"):
        return warning("service", f"{name} is {found.get('ActiveState')}", f"sudo systemctl start {name}")
    return ok("service", f"{name}: {found.get('StatusText') or found.get('ActiveState')}")


def check_sight(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """What the settings of a service name is where the service can see it, and readable for its user."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    paths = [config, *(camera.bundle for camera in settings.cameras.values())]
    paths += [
        path for camera in settings.cameras.values() if (path := getattr(camera.source, "path", None)) is not None
    ]
    blocked = [finding for path in paths if (finding := _unseen(path)) is not None]
    yield from blocked or [ok("files", "the service can see settings, bundles and sources")]


def _unseen(path: Path) -> CheckResult | None:
    place = path.resolve()
    if any(place.is_relative_to(hidden) for hidden in HIDDEN):
        return problem("files", f"{path} is hidden from the service", f"sudo cp -r {path} {SERVICE_SETTINGS}/")
    try:
        readable = all(
            part.stat().st_mode & (stat.S_IXOTH if part.is_dir() else stat.S_IROTH) for part in (place, *place.parents)
        )
    except OSError as error:
        return problem("files", f"{path}: {error.strerror}", f"ls -ld {path}")
    return (
        None if readable else problem("files", f"{path} may not be read by the service", f"sudo chmod -R o+rX {path}")
    )


def check_neighbours(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """No two services of this machine are one agent to the broker, or want the same port."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    for other in sorted(SERVICE_SETTINGS.glob("*.toml")):
        if other != config:
            # A neighbour whose settings are broken has a doctor of its own.
            with suppress(InspectdError):
                yield from _in_the_way(settings, config, load_settings(other), other)


def _in_the_way(settings: Settings, config: Path, neighbour: Settings, other: Path) -> Iterator[CheckResult]:
    if set(places_of(settings)) & set(places_of(neighbour)):
        text = f"{other.stem} has the same site {settings.site!r} on the same broker"
        yield problem("site", text, f'another name, such as site = "{settings.site}-{config.stem}"')
    port = settings.metrics.port
    if port is not None and neighbour.metrics.port == port:
        yield problem("metrics", f"{other.stem} has the same metrics.port {port}", f"another one, such as {port + 1}")
