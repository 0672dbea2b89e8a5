"""Default paths of an agent's files, and relative paths in its settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from agent.core.durable_file import disk_reason, is_disk_full
from agent.core.errors import Permanent, Temporary

SettingsT = TypeVar("SettingsT", bound=BaseModel)

# Settings in this directory belong to the service `inspectd@<name>`, whose unit sets its directories.
SERVICE_SETTINGS = Path("/etc/inspectd")

# systemd passes files of this directory to the services that have them as credentials.
CREDENTIAL_STORE = Path("/etc/credstore")


def default_state_directory(program: str = "inspectd") -> Path:
    """STATE_DIRECTORY, as systemd sets it; otherwise a folder of the program in the user's XDG state directory."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / program


def service_paths(config: Path) -> dict[str, Path]:
    """State directory and socket of the service with these settings; empty if they do not belong to a service.

    >>> {key: str(path) for key, path in service_paths(Path("/etc/inspectd/line1.toml")).items()}
    {'state_directory': '/var/lib/inspectd/line1', 'control_socket': '/run/inspectd/line1/control.sock'}
    """
    if config.absolute().parent != SERVICE_SETTINGS:
        return {}
    return {
        "state_directory": Path("/var/lib/inspectd") / config.stem,
        "control_socket": Path("/run/inspectd") / config.stem / "control.sock",
    }


def with_absolute_paths(settings: SettingsT, folder: Path) -> SettingsT:
    """The settings with absolute paths: relative ones are relative to `folder`, and `~` is the home directory."""

    def walk(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value.expanduser()
        if isinstance(value, BaseModel):
            fields = {name: getattr(value, name) for name in type(value).model_fields}
            changed = {name: walked for name, old in fields.items() if (walked := walk(old)) != old}
            # What the file did not set stays unset: a product has only those settings of its own that it sets.
            return value.model_copy(update=changed) if changed else value
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(map(walk, value))
        return value

    resolved: SettingsT = walk(settings)
    return resolved


def writable(directory: Path) -> Path:
    """The directory, created if it did not exist.

    Raises Permanent if it cannot be written, Temporary if the disk is full.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if is_disk_full(error):
            raise Temporary(f"{directory}: {disk_reason(error, directory)}") from None
        raise Permanent(f"{directory}: {error.strerror}; wanted a directory that this user can write to") from None
    return directory
