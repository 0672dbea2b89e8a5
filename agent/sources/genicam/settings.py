"""The settings section of a GenICam camera."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from agent.core.section import Host, Section
from agent.sources.settings import LiveSettings

# GigE Vision's control protocol (GVCP).
CONTROL_PORT = 3956

# Where a search is sent.
BROADCAST = "255.255.255.255"


def _one_value(value: Any) -> Any:
    if not isinstance(value, (str, bool, int, float)):
        raise ValueError("wanted a text, a number, true or false")  # noqa: TRY004 - pydantic reports these
    return value


FeatureValue = Annotated[str | bool | int | float, BeforeValidator(_one_value)]
"""What a feature of a camera can be set to."""


class RegionSettings(Section):
    """The part of the sensor that the camera sends, pixels."""

    x: NonNegativeInt = 0
    y: NonNegativeInt = 0
    width: PositiveInt
    height: PositiveInt


class GenicamSettings(LiveSettings):
    """A GigE Vision or USB3 Vision camera by Aravis, or any camera by the GenTL producer of its maker."""

    exclusive: ClassVar[bool] = True
    # The library lists network interfaces and USB devices by it.
    address_families: ClassVar[tuple[str, ...]] = ("AF_NETLINK",)

    kind: Literal["genicam"]
    camera: Annotated[str, Field(min_length=1, max_length=256)]
    """Serial number, MAC address, IP address, or the name that Aravis lists; with a producer, serial number, the name
    that its user gave it, or the producer's own."""
    producer: Path | None = None
    """A GenTL producer, a .cti file; None: Aravis."""
    trigger: Annotated[str, Field(min_length=1, max_length=64)] = "off"
    """"off": the camera runs freely; "software": the command `inspect` triggers it; else a source that the camera has,
    such as "Line0"."""
    pixel_format: str | None = None
    """Such as Mono8 or Mono12p; None: as the camera is set."""
    region: RegionSettings | None = None
    """None: as the camera is set."""
    exposure_microseconds: PositiveFloat | Literal["auto"] | None = None
    """"auto": the camera adjusts it until it is armed; None: as the camera is set."""
    gain: NonNegativeFloat | Literal["auto"] | None = None
    """In the unit of the camera, mostly dB; "auto" and None as for the exposure."""
    packet_size: Annotated[int, Field(ge=576, le=16000)] | None = None
    """Bytes of a GigE Vision packet; None: the largest that gets through."""
    features: dict[str, FeatureValue] = Field(default_factory=dict)
    """Further features of the camera by their GenICam names, set in this order after all others."""
    open_timeout_seconds: PositiveFloat = 6.0
    """How long a camera that another program controls is waited for."""
    read_timeout_seconds: PositiveFloat = 2.0
    """From one frame to the next, or from a software trigger to its frame."""

    @model_validator(mode="after")
    def _rate_without_trigger(self) -> GenicamSettings:
        if self.trigger != "off" and self.frames_per_second is not None:
            raise ValueError(f"got frames_per_second beside trigger = {self.trigger!r}; wanted only one of them")
        return self

    @property
    def wants_parts_announced(self) -> bool:
        """The command triggers the camera."""
        return self.trigger == "software"

    @property
    def address(self) -> str | None:
        """The IP address of the camera; None where the settings name it otherwise, and with a producer."""
        if self.producer is not None:
            return None
        try:
            return str(ipaddress.ip_address(self.camera))
        except ValueError:
            return None

    def hosts(self) -> list[Host]:
        """The camera, where the settings have its address; others are looked for in every network.

        What a producer connects to is its own matter: many cameras of producers are in no network.
        """
        return [] if self.producer is not None else [Host(self.address or BROADCAST, CONTROL_PORT)]

    def files(self) -> list[Path]:
        """The producer."""
        return [] if self.producer is None else [self.producer]

    def remedy(self) -> str:
        """Lists the cameras that the library finds."""
        if self.producer is not None:
            return f"ls -l {self.producer}; check power and cable, and look for the camera in the viewer of its maker"
        ping = "" if self.address is None else f"ping -c 3 {self.address}; "
        return f"{ping}sudo apt install aravis-tools-cli; arv-tool-0.8; check power, cable and the camera's network"
