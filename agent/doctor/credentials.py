"""Checks of secrets: readable for whom they are for, and for nobody else."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.outputs.mqtt import CREDENTIAL_NAME, KEY_CREDENTIAL_NAME
from agent.outputs.mqtt.settings import MqttSettings
from agent.settings import SERVICE_SETTINGS, Settings

# Where the unit takes credentials from, and where drop-ins/credentials.conf does.
CREDENTIAL_STORE = Path("/etc/credstore")
STORES = (CREDENTIAL_STORE, SERVICE_SETTINGS)


def credential(config: Path, name: str, stores: Sequence[Path] = STORES) -> Path | None:
    """The file behind a credential of the service with these settings; None where there is none, or root alone sees it.

    In the credential store it is `inspectd.line1.mqtt-password`, beside the settings `line1.mqtt-password`.
    """
    places = (store / f"{prefix}{config.stem}.{name}" for store, prefix in zip(stores, ("inspectd.", ""), strict=True))
    return next((place for place in places if _exists(place)), None)


def as_the_service_sees(mqtt: MqttSettings, config: Path) -> MqttSettings:
    """With the files that systemd would hand to the service, so that the broker can be asked as the service asks."""
    found = {
        "password_file": mqtt.password_file or (credential(config, CREDENTIAL_NAME) if mqtt.username else None),
        "key_file": mqtt.key_file or (credential(config, KEY_CREDENTIAL_NAME) if mqtt.certificate_file else None),
    }
    return mqtt.model_copy(update=found)


def check_credentials(settings: Settings, config: Path, stores: Sequence[Path] = STORES) -> Iterator[CheckResult]:
    """Password and key can be read by whom they are for, and by nobody else."""
    mqtt = settings.mqtt
    for key in ("password_file", "ca_file", "certificate_file", "key_file"):
        path = getattr(mqtt, key)
        if path is not None:
            yield _file(f"mqtt.{key}", path, secret=key in ("password_file", "key_file"))
    if mqtt.username is not None and mqtt.password_file is None:
        yield _credential(config, stores)


def install_password(config: Path, store: Path = CREDENTIAL_STORE) -> str:
    """The command that gives the service its password."""
    return f"printf %s 'PASSWORD' | sudo install -D -m 600 /dev/stdin {store}/inspectd.{config.stem}.{CREDENTIAL_NAME}"


def _file(key: str, path: Path, *, secret: bool) -> CheckResult:
    try:
        with path.open("rb"):
            mode = path.stat().st_mode
    except OSError as error:
        return problem("credentials", f"{key} {path}: {error.strerror}", f"ls -l {path}")
    if secret and mode & (stat.S_IROTH | stat.S_IWOTH):
        return warning("credentials", f"{key} {path} can be read by everybody", f"chmod o-rwx {path}")
    return ok("credentials", f"{key} {path} can be read")


def _credential(config: Path, stores: Sequence[Path]) -> CheckResult:
    path = credential(config, CREDENTIAL_NAME, stores)
    expected = stores[0] / f"inspectd.{config.stem}.{CREDENTIAL_NAME}"
    if path is None and _hidden(expected):
        return warning("credentials", f"{expected}: only root can see whether it is there", "sudo inspectd doctor …")
    if path is None:
        text = f"mqtt.username is set, but there is neither mqtt.password_file nor {expected}"
        return warning("credentials", text, install_password(config, stores[0]))
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warning("credentials", f"{path} can be read by others than root", f"sudo chmod 600 {path}")
    return ok("credentials", f"{path} is for root alone, and for the service")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def _hidden(path: Path) -> bool:
    try:
        path.exists()
    except PermissionError:
        return True
    return False
