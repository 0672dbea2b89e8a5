"""The `[mqtt]` section of the settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent.core.errors import Permanent
from agent.core.roles import RoleName
from agent.core.section import Host, Section
from agent.mqtt import Broker
from agent.outputs.mqtt.topics import Topics, check_level
from agent.outputs.settings import Camera, OutputSection


def _address(url: str) -> str:
    """Raises ValueError with what to write instead; the text has no part of the address, which may be a password.

    >>> _address("localhost:1883")
    Traceback (most recent call last):
    ValueError: wanted mqtt://host:port, or mqtts:// for TLS, such as mqtt://localhost:1883
    """
    if re.fullmatch(r"mqtts?://[^/@\s]+", url):
        return url
    if "@" in url:
        raise ValueError("wanted an address without a login; set username and password_file instead")
    example = f"mqtt://{url}" if re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", url) else "mqtt://192.0.2.10:1883"
    raise ValueError(f"wanted mqtt://host:port, or mqtts:// for TLS, such as {example}")


def _command_name(name: str) -> str:
    """Raises ValueError for a name that is no part of a topic; `#` would subscribe to every command.

    >>> _command_name("calibration/#")
    Traceback (most recent call last):
    ValueError: command: got '#', wanted a name without '#'
    """
    try:
        for level in name.split("/"):
            check_level("command", level)
    except Permanent as error:
        raise ValueError(str(error)) from None
    return name


CommandName = Annotated[str, AfterValidator(_command_name)]


class BrokerSettings(Section):
    """A broker: address and login."""

    url: Annotated[str, AfterValidator(_address)] = "mqtt://127.0.0.1:1883"
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class MqttSettings(BrokerSettings, OutputSection):
    """The broker, the topic tree, and what is exchanged besides alarms."""

    kind: Literal["mqtt"] = "mqtt"
    prefix: str = "inspectd"
    topic_template: str | None = None
    camera_topic_template: str | None = None
    topic_levels: dict[str, str] = Field(default_factory=dict)
    home_assistant: bool = False
    home_assistant_prefix: str = "homeassistant"
    scores_per_second: Annotated[float, Field(ge=0.0, le=20.0)] = 1.0
    commands: list[CommandName] | None = None
    allow_insecure_commands: bool = False
    role: RoleName = "engineer"
    """What commands over MQTT may do."""

    @property
    def commands_trusted(self) -> bool:
        """Whether the broker authenticates its clients, judged by TLS or a user name; the settings may override it."""
        return self.allow_insecure_commands or self.username is not None or self.url.startswith("mqtts:")

    def hosts(self) -> list[Host]:
        broker = Broker(self.url)
        return [Host(broker.host, broker.port)]

    def secrets(self) -> list[Path]:
        return [path for path in (self.password_file, self.key_file) if path is not None]

    def place(self, site: str) -> str:
        """The broker and the topics below which the agent publishes; its client id follows from them.

        >>> MqttSettings(url="mqtt://localhost").place("plant")
        '127.0.0.1:1883 topics inspectd/plant'
        """
        broker = Broker(self.url)
        host = "127.0.0.1" if broker.host in ("localhost", "::1") else broker.host
        return f"{host}:{broker.port} topics {self.topics(site).base}"

    def check_cameras(self, site: str, cameras: Mapping[str, Camera], groups: Collection[str] = ()) -> None:
        topics = self.topics(site)
        places = {camera: topics.camera(camera) for camera in cameras}
        taken = next((camera for camera, place in places.items() if place == topics.base), None)
        if taken is not None:
            raise Permanent(f"topic templates: camera {taken} would be at {topics.base}, where the agent is")
        shared = {topics.view_group(group): group for group in groups}
        camera = next((camera for camera, place in places.items() if place in shared), None)
        if camera is not None:
            where = places[camera]
            raise Permanent(f"topic templates: camera {camera} would be at {where}, where parts.{shared[where]} is")

    def topics(self, site: str) -> Topics:
        """The topic tree of an agent. Raises Permanent if the settings contradict each other."""
        if self.topic_template is not None and self.prefix != "inspectd":
            raise Permanent(f'mqtt: got prefix = "{self.prefix}" and topic_template, wanted one of them')
        return Topics(
            site,
            agent_template=self.topic_template or f"{self.prefix}/{{site}}",
            camera_template=self.camera_topic_template,
            levels=self.topic_levels,
            home_assistant=self.home_assistant_prefix if self.home_assistant else None,
        )


def broker_of(mqtt: BrokerSettings) -> Broker:
    """Address and credentials as in the settings."""
    return Broker(
        url=mqtt.url,
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        certificate_file=mqtt.certificate_file,
        key_file=mqtt.key_file,
    )
