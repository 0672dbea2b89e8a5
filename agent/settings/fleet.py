"""All settings of the page for many agents. `INSPECTD_FLEET_*` in the environment overrides the TOML file.

`fleet.example.toml` shows every setting with its default; a test compares the two.
"""

from __future__ import annotations

import hashlib
import socket
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from agent.core.section import Section
from agent.outputs.mqtt.settings import BrokerSettings
from agent.settings.environment import FLEET_PREFIX, SettingsFile
from agent.settings.load import read_settings
from agent.settings.page import ServerSettings
from agent.settings.paths import CREDENTIAL_STORE, default_state_directory, with_absolute_paths
from agent.settings.reporting import LogSettings

DEFAULT_PORT = 8480

# Settings in this directory belong to the service, whose unit sets its directories.
FLEET_SERVICE_SETTINGS = Path("/etc/inspectd-fleet")


class FleetMqttSettings(BrokerSettings):
    """The broker, and the topic tree of its agents."""

    prefix: str = "inspectd"
    topic_template: str | None = None
    camera_topic_template: str | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """None: one that follows from this machine and the settings file, so that two of these pages never share one."""

    @property
    def agents(self) -> str:
        """The template of the topics of an agent."""
        return self.topic_template or f"{self.prefix}/{{site}}"

    @model_validator(mode="after")
    def _one_tree(self) -> FleetMqttSettings:
        if self.topic_template is not None and self.prefix != "inspectd":
            raise ValueError(f'got prefix = "{self.prefix}" and topic_template, wanted one of them')
        return self


class FleetPageSettings(ServerSettings):
    """Where the page is served: on a port unless the settings have a Unix socket."""

    @model_validator(mode="before")
    @classmethod
    def _always_on(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("port") is None and values.get("socket") is None:
            return {**values, "port": DEFAULT_PORT}
        return values


class HistorySettings(Section):
    """Alarms and events in a database."""

    database: str | None = None
    """A file for SQLite, or `postgresql://user@host/name`; None: `fleet.sqlite` in the state directory."""
    days: PositiveFloat = 30.0
    max_alarms: Annotated[PositiveInt, Field(le=100_000_000)] = 500_000

    @property
    def address(self) -> str:
        """Of the database, after the settings were loaded."""
        assert self.database is not None
        return self.database

    @field_validator("database")
    @classmethod
    def _known(cls, database: str | None) -> str | None:
        scheme, separator, _ = (database or "").partition("://")
        if separator and scheme not in ("postgresql", "postgres"):
            raise ValueError("wanted the path of a file for SQLite, or postgresql://user@host/name")
        return database


class FleetSettings(SettingsFile):
    """All settings of one page for many agents."""

    prefix_of_variables = FLEET_PREFIX

    title: Annotated[str, Field(min_length=1, max_length=80)] = "inspectd"
    """Shown above the table."""
    state_directory: Path = Field(default_factory=partial(default_state_directory, "inspectd-fleet"))
    max_cameras: Annotated[PositiveInt, Field(le=50_000)] = 5_000
    """Documents of further cameras are counted, and not shown."""
    mqtt: FleetMqttSettings = FleetMqttSettings()
    page: FleetPageSettings = FleetPageSettings()
    history: HistorySettings = HistorySettings()
    log: LogSettings = LogSettings()

    @property
    def client_id(self) -> str:
        """At the broker, after the settings were loaded."""
        assert self.mqtt.client_id is not None
        return self.mqtt.client_id


def load_fleet_settings(config: Path) -> FleetSettings:
    """Read the settings of the page for many agents. Relative paths are relative to the file's folder.

    Raises `Permanent` with one line for each mistake: the key, the value and what was wanted.
    """
    settings = read_settings(FleetSettings, config, (), example="fleet.example.toml")
    folder = config.absolute().parent
    if folder == FLEET_SERVICE_SETTINGS and "state_directory" not in settings.model_fields_set:
        settings = settings.model_copy(update={"state_directory": Path("/var/lib/inspectd-fleet")})
    settings = with_absolute_paths(settings, folder)
    return settings.model_copy(
        update={"mqtt": _with_client_id(settings.mqtt, config), "history": _history(settings, folder)}
    )


def accounts_file(settings: FleetSettings, config: Path) -> Path:
    """The file of the accounts; for a service, a credential, since its user cannot read files of root."""
    if settings.page.accounts_file is not None:
        return settings.page.accounts_file
    if config.absolute().parent == FLEET_SERVICE_SETTINGS:
        return CREDENTIAL_STORE / "inspectd-fleet.page-accounts"
    return settings.state_directory / "page-accounts.json"


def _with_client_id(mqtt: FleetMqttSettings, config: Path) -> FleetMqttSettings:
    """Of two clients with one id, the broker ends the first, again and again."""
    place = f"{socket.gethostname()} {config.absolute()}"
    identity = f"inspectd-fleet-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    return mqtt if mqtt.client_id is not None else mqtt.model_copy(update={"client_id": identity})


def _history(settings: FleetSettings, folder: Path) -> HistorySettings:
    database = settings.history.database
    if database is None:
        database = str(settings.state_directory / "fleet.sqlite")
    elif "://" not in database:
        database = str(folder / Path(database).expanduser())
    return settings.history.model_copy(update={"database": database})
