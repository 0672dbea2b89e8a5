"""What the process that serves the page for many agents is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.mqtt import Broker
from agent.page.options import ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions(ServerOptions):
    """One broker, the topic tree of its agents, and the history."""

    url: str
    """Of the broker."""
    username: str | None
    password_file: str | None
    ca_file: str | None
    broker_certificate_file: str | None
    broker_key_file: str | None
    client_id: str
    topic_template: str
    camera_topic_template: str | None
    max_cameras: int
    database: str
    """Path of a SQLite file, or the address of a PostgreSQL database."""
    days: float
    max_alarms: int

    @property
    def broker(self) -> Broker:
        """Address and credentials. Raises Permanent for an invalid address."""
        return Broker(
            url=self.url,
            username=self.username,
            password_file=_path(self.password_file),
            ca_file=_path(self.ca_file),
            certificate_file=_path(self.broker_certificate_file),
            key_file=_path(self.broker_key_file),
        )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
