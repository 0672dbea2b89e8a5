"""Checks secrets: the service can read them, and other users cannot."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.mqtt import CREDENTIAL_NAME, KEY_CREDENTIAL_NAME
from agent.outputs.mqtt.settings import MqttSettings
from agent.settings import CREDENTIAL_STORE, SERVICE_SETTINGS, Settings

# The folders that credentials are loaded from: by the unit, and by drop-ins/credentials.conf.
STORES = (CREDENTIAL_STORE, SERVICE_SETTINGS)


def credential(config: Path, name: str, stores: Sequence[Path] = STORES) -> Path | None:
    """The file of a credential of the service with these settings; None if it is missing or only root can see it.

    In the credential store its name is `inspectd.line1.mqtt-password`, beside the settings `line1.mqtt-password`.
    """
    places = (store / f"{prefix}{config.stem}.{name}" for store, prefix in zip(stores, ("inspectd.", ""), strict=True))
    return next((place for place in places if _exists(place)), None)


def with_credentials(mqtt: MqttSettings, config: Path, stores: Sequence[Path] = STORES) -> MqttSettings:
    """The settings with the files that systemd passes to the service, to log in to the broker as the service does."""
    password = credential(config, CREDENTIAL_NAME, stores) if mqtt.username else None
    key = credential(config, KEY_CREDENTIAL_NAME, stores) if mqtt.certificate_file else None
    return mqtt.model_copy(update={"password_file": mqtt.password_file or password, "key_file": mqtt.key_file or key})


def check_credentials(settings: Settings, config: Path, stores: Sequence[Path] = STORES) -> Iterator[CheckResult]:
    """Files with passwords, keys and certificates can be read; other users cannot read the secret ones."""
    mqtt = settings.mqtt
    for key in ("password_file", "ca_file", "certificate_file", "key_file"):
        path = getattr(mqtt, key)
        if path is not None:
            yield _check_file(f"mqtt.{key}", path, secret=key in ("password_file", "key_file"))
    if mqtt.username is not None and mqtt.password_file is None:
        yield _check_credential(config, stores)
    for name, section in settings.outputs.items():
        yield from (_check_file(f"outputs.{name}", path, secret=True) for path in section.secrets())


def install_password(config: Path, store: Path = CREDENTIAL_STORE) -> str:
    """The command that gives the service its password."""
    return f"printf %s 'PASSWORD' | sudo install -D -m 600 /dev/stdin {store}/inspectd.{config.stem}.{CREDENTIAL_NAME}"


def _check_file(key: str, path: Path, *, secret: bool) -> CheckResult:
    try:
        with path.open("rb"):
            mode = path.stat().st_mode
    except OSError as error:
        return problem("credentials", f"{key} {path}: {error.strerror}", f"ls -l {path}")
    if secret and mode & (stat.S_IROTH | stat.S_IWOTH):
        return warning("credentials", f"{key} {path}: every user can read it", f"chmod o-rwx {path}")
    return ok("credentials", f"{key} {path} can be read")


def _check_credential(config: Path, stores: Sequence[Path]) -> CheckResult:
    path = credential(config, CREDENTIAL_NAME, stores)
    expected = stores[0] / f"inspectd.{config.stem}.{CREDENTIAL_NAME}"
    if path is None and _hidden(expected):
        return warning("credentials", f"{expected}: only root can check this file", "sudo inspectd doctor …")
    if path is None:
        text = f"mqtt.username is set, but neither mqtt.password_file nor the file {expected}"
        return warning("credentials", text, install_password(config, stores[0]))
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warning("credentials", f"{path}: users other than root can read it", f"sudo chmod 600 {path}")
    return ok("credentials", f"{path}: only root and the service can read it")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def _hidden(path: Path) -> bool:
    """Whether this user may not list the folder of a file."""
    try:
        path.exists()
    except PermissionError:
        return True
    return False
