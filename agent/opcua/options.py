"""What the process of the OPC UA server is started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaOptions:
    """Made from the settings by `inspectd opcua`, and passed on as JSON, as those of the page are."""

    site: str
    control_socket: str
    """Path of the agent's control socket."""
    accounts_file: str
    """The accounts of clients, as `inspectd page user` writes them."""
    certificate_file: str
    key_file: str
    trusted_directory: str
    """Certificates of clients that may connect, or of the CAs that issue them."""
    rejected_directory: str
    """Where certificates of rejected clients are left for people."""
    host: str = "127.0.0.1"
    port: int = 4840
    cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The products of each camera, by its name."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The products that all cameras of a group have which see the same part, by the name of the group."""
    log_level: str = "info"

    @property
    def address(self) -> str:
        """Where clients find the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"opc.tcp://{host}:{self.port}/inspectd"

    def to_json(self) -> str:
        """All options on one line; no secrets among them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> OpcuaOptions:
        """The options that `to_json` wrote."""
        values = json.loads(text)
        for places in ("cameras", "groups"):
            values[places] = {name: tuple(products) for name, products in values[places].items()}
        return cls(**values)
