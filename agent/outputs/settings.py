"""The settings of outputs: what all sections have in common, and the table of the kinds of output.

A new kind is one folder with an `output.py` and a `settings.py`, and one row in `KINDS`. A user then adds

    [outputs.line-plc]
    kind = "modbus"

to the settings. MQTT has a section of its own, `[mqtt]`, and is always used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from agent.core.section import Host, Section


class OutputSection(Section):
    """The settings of one output. A kind of output adds its own fields."""

    kind: str

    def hosts(self) -> list[Host]:
        """Hosts that this output connects to; `doctor` checks that the service may reach them."""
        return []

    def devices(self) -> list[str]:
        """Device files that this output opens; `doctor` checks that the service may open them."""
        return []

    def place(self, site: str) -> str | None:
        """What only one agent may use at a time, such as a topic tree on a broker; None if there is no such thing."""
        return None

    def check_cameras(self, site: str, cameras: Collection[str]) -> None:
        """Raises Permanent if this output cannot have cameras with these names."""


class OutputKind(NamedTuple):
    """Where a kind of output is implemented; imported only if the settings use it."""

    section: str
    """Its settings section, as "module:class"."""
    output: str
    """The output itself, as "module:class"; called with name, section, site, outbox, problems."""


KINDS: dict[str, OutputKind] = {
    "mqtt": OutputKind("agent.outputs.mqtt.settings:MqttSettings", "agent.outputs.mqtt.output:MqttOutput"),
}


def load_class(place: str) -> Any:
    """Import "module:class"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def parse_section(values: Any) -> OutputSection:
    """Check the settings of one output with the section of its kind. Raises ValueError (pydantic) with the reason."""
    if isinstance(values, OutputSection):
        return values
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, wanted one of {', '.join(sorted(KINDS))}")
    section: OutputSection = load_class(KINDS[kind].section).model_validate(values)
    return section
