"""The settings of outputs: what all sections have in common, and the table of the kinds of output.

A new kind is one folder with an `output.py` and a `settings.py`, and one row in `KINDS`. A user then adds

    [outputs.line-plc]
    kind = "modbus"

to the settings. MQTT has a section of its own, `[mqtt]`, and is always used.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from agent.core.section import ConnectedSection

Content = Literal["alarms", "results", "verdicts", "images"]
"""What an output sends that delivers messages of its choice."""


class Camera(Protocol):
    """What this needs to know of the settings of a camera."""

    @property
    def products(self) -> Collection[str]:
        """Their names."""
        ...


class OutputSection(ConnectedSection):
    """The settings of one output. A kind of output adds its own fields."""

    kind: str

    def tls_context(self) -> ssl.SSLContext | None:
        """How the hosts are verified; None without TLS. Raises Temporary for a file that cannot be used."""
        return None

    def secrets(self) -> list[Path]:
        """Files with secrets that this output reads; `doctor` checks that it may, and that other users may not."""
        return []

    def place(self, site: str) -> str | None:
        """What only one agent may use at a time, such as a topic tree on a broker; None if there is no such thing."""
        return None

    def check_cameras(self, site: str, cameras: Mapping[str, Camera], groups: Collection[str] = ()) -> None:
        """Raises Permanent, with the setting that is wrong, if this output cannot have these cameras.

        `cameras`: by their names; `groups`: the names of groups that see the same part.
        """

    def keeps_places(self, before: OutputSection, old: Collection[str], new: Collection[str]) -> bool:
        """Whether what reads this output finds each camera and group where it was, with the section `before`.

        `old`, `new`: the cameras and the groups, as `parts/NAME`, in their order. Else, a change needs a restart.
        """
        return True


class OutputKind(NamedTuple):
    """Where a kind of output is implemented; imported only if the settings use it."""

    section: str
    """Its settings section, as "module:class"."""
    output: str
    """The output itself, as "module:class"; called with name, section, site, outbox, problems."""
    packages: tuple[str, ...] = ()
    """Packages beyond the base install that the output needs, as they are imported."""
    extra: str | None = None
    """The extra of this project that installs them."""
    examine: str | None = None
    """Asks the destination whether it would take messages, as "module:function"; called with name and section by
    `doctor`, whose user may have other rights than the service. Returns what is wrong, or None."""


KINDS: dict[str, OutputKind] = {
    "gpio": OutputKind(
        "agent.outputs.gpio.settings:GpioSettings", "agent.outputs.gpio.output:GpioOutput", ("gpiod",), "gpio"
    ),
    "modbus": OutputKind(
        "agent.outputs.modbus.settings:ModbusSettings",
        "agent.outputs.modbus.output:ModbusOutput",
        ("pymodbus",),
        "modbus",
    ),
    "mqtt": OutputKind("agent.outputs.mqtt.settings:MqttSettings", "agent.outputs.mqtt.output:MqttOutput"),
    "s3": OutputKind(
        "agent.outputs.s3.settings:S3Settings",
        "agent.outputs.s3.output:S3Output",
        ("boto3",),
        "s3",
        "agent.outputs.s3.client:examine",
    ),
    "sparkplug": OutputKind(
        "agent.outputs.sparkplug.settings:SparkplugSettings", "agent.outputs.sparkplug.output:SparkplugOutput"
    ),
    "webhook": OutputKind(
        "agent.outputs.webhook.settings:WebhookSettings", "agent.outputs.webhook.output:WebhookOutput"
    ),
}


def missing_packages(kind: str) -> str | None:
    """What an output of this kind needs and this installation lacks, with the fix; None if it lacks nothing."""
    row = KINDS[kind]
    missing = [package for package in row.packages if find_spec(package) is None]
    return f"{kind} needs {missing[0]}: pip install 'inspectd[{row.extra}]'" if missing else None


def load_class(place: str) -> Any:
    """Import "module:class"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def parse_section(values: Any) -> OutputSection:
    """Check the settings of one output with the section of its kind. Raises ValueError (pydantic) with the reason."""
    if isinstance(values, OutputSection):
        return values
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, wanted one of {', '.join(sorted(KINDS))}")
    section: OutputSection = load_class(KINDS[kind].section).model_validate(values)
    return section
