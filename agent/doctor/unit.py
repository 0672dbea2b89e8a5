"""Checks of the service: installed, enabled, running, and able to read what its settings name."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from agent.broker import CREDENTIAL_NAME
from agent.doctor.finding import Finding, ok, problem, warning
from agent.doctor.machine import output
from agent.errors import InspectdError
from agent.places import SERVICE_SETTINGS
from agent.settings import Settings, load

# The unit has ProtectHome=yes and PrivateTmp=yes: whatever lies there is not there for the service.
HIDDEN = tuple(Path(path) for path in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))

CREDENTIAL_STORE = Path("/etc/credstore")


def check_unit(settings: Settings, config: Path) -> Iterator[Finding]:
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


def _unit(name: str, found: dict[str, str]) -> Finding:
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


def check_credentials(settings: Settings, config: Path, store: Path = CREDENTIAL_STORE) -> Iterator[Finding]:
    """Password and key can be read by whom they are for, and by nobody else."""
    mqtt = settings.mqtt
    for key in ("password_file", "ca_file", "certificate_file", "key_file"):
        path = getattr(mqtt, key)
        if path is not None:
            yield _secret(f"mqtt.{key}", path, secret=key in ("password_file", "key_file"))
    if mqtt.username is not None and mqtt.password_file is None:
        yield _credential(store / f"inspectd.{config.stem}.{CREDENTIAL_NAME}")


def _secret(key: str, path: Path, *, secret: bool) -> Finding:
    try:
        with path.open("rb"):
            mode = path.stat().st_mode
    except OSError as error:
        return problem("credentials", f"{key} {path}: {error.strerror}", f"ls -l {path}")
    if secret and mode & (stat.S_IROTH | stat.S_IWOTH):
        return warning("credentials", f"{key} {path} can be read by everybody", f"chmod o-rwx {path}")
    return ok("credentials", f"{key} {path} can be read")


def _credential(path: Path) -> Finding:
    mend = f"sudo install -m 600 /dev/stdin {path}  (then type the password)"
    try:
        present, mode = path.exists(), path.stat().st_mode if path.exists() else 0
    except PermissionError:
        return warning("credentials", f"{path}: only root can see whether it is there", "sudo inspectd doctor …")
    if not present:
        return warning("credentials", f"mqtt.username is set, but there is neither mqtt.password_file nor {path}", mend)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warning("credentials", f"{path} can be read by others than root", f"sudo chmod 600 {path}")
    return ok("credentials", f"{path} is for root alone, and for the service")


def check_sight(settings: Settings, config: Path) -> Iterator[Finding]:
    """What the settings of a service name is where the service can see it, and readable for its user."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    paths = [config, *(camera.bundle for camera in settings.cameras.values())]
    paths += [
        path for camera in settings.cameras.values() if (path := getattr(camera.source, "path", None)) is not None
    ]
    blocked = [finding for path in paths if (finding := _unseen(path)) is not None]
    yield from blocked or [ok("files", "the service can see settings, bundles and sources")]


def _unseen(path: Path) -> Finding | None:
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


def check_neighbours(settings: Settings, config: Path) -> Iterator[Finding]:
    """No two services of this machine have the same site on the same broker: they would throw each other out."""
    if config.absolute().parent != SERVICE_SETTINGS:
        return
    same = [
        other.stem for other in sorted(SERVICE_SETTINGS.glob("*.toml")) if other != config and _same(settings, other)
    ]
    if same:
        text = f"{', '.join(same)} has the same site {settings.site!r} on the same broker"
        yield problem("site", text, f'another name, such as site = "{settings.site}-{config.stem}"')


def _same(settings: Settings, other: Path) -> bool:
    try:
        neighbour = load(other)
    except InspectdError:
        return False
    mine = (settings.site, settings.mqtt.url, settings.mqtt.prefix)
    return mine == (neighbour.site, neighbour.mqtt.url, neighbour.mqtt.prefix)
