"""The section of a Sparkplug B edge node: `[outputs.NAME]` with `kind = "sparkplug"`."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal

from agent.core.section import Host, matching
from agent.outputs.mqtt.settings import BrokerSettings, broker_of
from agent.outputs.settings import OutputSection

Level = Annotated[str, matching(r"[^/+#\s]{1,64}", "1 to 64 characters without /, +, # and spaces")]
"""A level of a topic."""


class SparkplugSettings(BrokerSettings, OutputSection):
    """The broker, and the place of this node on it."""

    kind: Literal["sparkplug"] = "sparkplug"
    group_id: Level = "inspectd"
    edge_node_id: Level | None = None
    """None: the site. One node of this name only may be in the group."""
    primary_host: Level | None = None
    """Id of the host application without which nothing is published; None: the node waits for nobody."""

    def hosts(self) -> list[Host]:
        broker = broker_of(self)
        return [Host(broker.host, broker.port)]

    def tls_context(self) -> ssl.SSLContext | None:
        return broker_of(self).tls_context()

    def secrets(self) -> list[Path]:
        return [path for path in (self.password_file, self.key_file) if path is not None]

    def place(self, site: str) -> str:
        broker = broker_of(self)
        return f"{broker.host}:{broker.port} Sparkplug {self.group_id}/{self.edge_node_id or site}"
