"""The section of a Modbus TCP server: `[outputs.NAME]` with `kind = "modbus"`."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.core.errors import Permanent
from agent.core.records import place_of_group
from agent.core.section import Host, matching
from agent.core.sockets.addresses import LOOPBACK, ListenAddress, Network
from agent.outputs.settings import Camera, OutputSection

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# The port of the protocol is 502, which only a privileged program may open; see docs/modbus.md.
DEFAULT_PORT = 5020

# Unit ids of the protocol: 1 to this.
MAX_UNITS = 247


ProductName = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "the name of a product")]

Unit = Annotated[int, Field(ge=1, le=MAX_UNITS)]


class ModbusSettings(OutputSection):
    """Where the server listens, which clients it takes, and which unit id is which camera."""

    kind: Literal["modbus"] = "modbus"
    listen: ListenAddress = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = DEFAULT_PORT
    allow: list[Network] = Field(default_factory=lambda: list(LOOPBACK))
    """Addresses and networks of the clients."""
    max_clients: Annotated[int, Field(ge=1, le=32)] = 4
    """Of more, the one that was silent for the longest time is disconnected."""
    units: dict[str, Unit] = Field(default_factory=dict)
    """Unit id of each camera, by name, and of each group of cameras, by `parts/NAME`; one that is not named gets the
    next free one, in their order."""
    products: dict[Annotated[int, Field(ge=1, le=65_535)], ProductName] = Field(default_factory=dict)
    """Which product a product number is; empty: numbers are only passed through."""
    dry_run: bool = False
    """Log each verdict that would be shown, and show none."""

    @model_validator(mode="after")
    def _clients_are_named(self) -> ModbusSettings:
        if not self.allow:
            raise ValueError('allow is empty; wanted the addresses of the clients, such as allow = ["192.0.2.10"]')
        if not ipaddress.ip_address(self.listen).is_loopback and "allow" not in self.model_fields_set:
            raise ValueError(
                f'listen is "{self.listen}", which other machines can reach; wanted allow with the addresses of the '
                'PLCs too, such as allow = ["192.0.2.10"]'
            )
        if len(set(self.units.values())) < len(self.units):
            raise ValueError("units: got one unit id for two cameras, wanted one for each")
        return self

    @property
    def networks(self) -> list[IpNetwork]:
        """The clients that are allowed."""
        return [ipaddress.ip_network(text) for text in self.allow]

    def listens(self) -> list[Host]:
        return [Host(self.listen, self.port)]

    def clients(self) -> list[str]:
        return list(self.allow)

    def place(self, site: str) -> str:
        return f"{self.listen}:{self.port} (Modbus)"

    def check_cameras(self, site: str, cameras: Mapping[str, Camera], groups: Collection[str] = ()) -> None:
        places = [*cameras, *map(place_of_group, groups)]
        if len(places) > MAX_UNITS:
            raise Permanent(f"units: got {len(places)} cameras for one Modbus server, wanted at most {MAX_UNITS}")
        unknown = sorted(self.units.keys() - set(places))
        if unknown:
            raise Permanent(f"units: unknown camera {unknown[0]}; wanted one of {', '.join(places)}")
        known = dict.fromkeys(product for camera in cameras.values() for product in camera.products)
        wrong = next(((number, name) for number, name in self.products.items() if name not in known), None)
        if wrong is not None:
            wanted = f"one of {', '.join(known)}" if known else "none: no camera has products"
            raise Permanent(f"products: {wrong[0]} = {wrong[1]!r}, which no camera has; wanted {wanted}")

    def keeps_places(self, before: OutputSection, old: Collection[str], new: Collection[str]) -> bool:
        """A PLC that stays connected must not find another camera or group by a unit id that it knows."""
        assert isinstance(before, ModbusSettings)
        known, found = before.unit_ids(old), self.unit_ids(new)
        return all(known[place] == found[place] for place in known.keys() & found.keys())

    def unit_ids(self, cameras: Collection[str]) -> dict[str, int]:
        """The unit id of each camera, in their order.

        >>> ModbusSettings(units={"b": 1}).unit_ids(["a", "b", "c"])
        {'a': 2, 'b': 1, 'c': 3}
        """
        free = iter(sorted(set(range(1, MAX_UNITS + 1)) - set(self.units.values())))
        return {camera: self.units[camera] if camera in self.units else next(free) for camera in cameras}
