"""The section of digital lines: `[outputs.NAME]` with `kind = "gpio"`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.core.errors import Permanent
from agent.core.records import place_of_group
from agent.core.section import Section, matching
from agent.outputs.settings import Camera, OutputSection

Line = Annotated[int, Field(ge=0, le=65_535)] | Annotated[str, Field(min_length=1, max_length=31)]
"""Offset or name of a line of the chip."""

Rejected = Literal["nok", "not_judged"]


class LightSettings(Section):
    """A stack light; a line that is not given is not there."""

    green: Line | None = None
    """Every camera is armed, and no alarm is active."""
    yellow: Line | None = None
    """A camera is not armed, or drifts."""
    red: Line | None = None
    """An alarm is active, or a part could not be rejected."""


class RejectSettings(Section):
    """The gate that takes parts off the line."""

    line: Line
    camera: str | None = None
    """The camera whose parts it rejects, or `parts/NAME`; None: the only one."""
    on: Annotated[tuple[Rejected, ...], Field(min_length=1)] = ("nok", "not_judged")
    """What is rejected."""
    delay_ms: Annotated[float, Field(gt=0.0, le=60_000.0)] | None = None
    """From the trigger, or the first frame, to the gate; None: the gate opens with the result."""
    distance_pulses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The same in pulses of an encoder, instead of `delay_ms`."""
    encoder: Line | None = None
    """The input of the encoder."""
    pulse_ms: Annotated[float, Field(gt=0.0, le=10_000.0)] = 100.0
    """How long the gate is open."""

    @model_validator(mode="after")
    def _one_way(self) -> RejectSettings:
        if (self.distance_pulses is None) != (self.encoder is None):
            raise ValueError("wanted distance_pulses and encoder together")
        if self.distance_pulses is not None and self.delay_ms is not None:
            raise ValueError("got delay_ms and distance_pulses, wanted one of them")
        return self


class TriggerSettings(Section):
    """An input that announces parts, such as a light barrier."""

    line: Line
    camera: str | None = None
    """The camera that it triggers; None: the only one."""
    edge: Literal["rising", "falling"] = "rising"
    debounce_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = 5.0
    """Changes that are shorter are none."""


class GpioSettings(OutputSection):
    """Which lines of a chip are what."""

    kind: Literal["gpio"] = "gpio"
    chip: Annotated[str, matching(r"/dev/[\w./-]{1,100}", "a device, such as /dev/gpiochip0")] = "/dev/gpiochip0"
    active_low: tuple[Line, ...] = ()
    """Lines that are on at the low level."""
    lights: LightSettings = LightSettings()
    reject: RejectSettings | None = None
    trigger: TriggerSettings | None = None
    dry_run: bool = False
    """Log what would be switched, and switch nothing."""

    @property
    def outputs(self) -> dict[str, Line]:
        """The lines that are switched, by what they are."""
        lights = {name: getattr(self.lights, name) for name in ("green", "yellow", "red")}
        gate = None if self.reject is None else self.reject.line
        return {name: line for name, line in {**lights, "gate": gate}.items() if line is not None}

    @property
    def inputs(self) -> dict[str, Line]:
        """The lines that are read, by what they are."""
        encoder = None if self.reject is None else self.reject.encoder
        trigger = None if self.trigger is None else self.trigger.line
        return {name: line for name, line in {"trigger": trigger, "encoder": encoder}.items() if line is not None}

    @model_validator(mode="after")
    def _lines_are_used_once(self) -> GpioSettings:
        lines = [*self.outputs.values(), *self.inputs.values()]
        if not lines:
            raise ValueError("got no line; wanted lights, reject or trigger")
        twice = sorted({str(line) for line in lines if lines.count(line) > 1})
        if twice:
            raise ValueError(f"got line {twice[0]} twice, wanted one purpose for each line")
        unknown = [line for line in self.active_low if line not in lines]
        if unknown:
            raise ValueError(f"active_low: got {unknown[0]!r}, wanted lines that have a purpose here")
        return self

    def devices(self) -> list[str]:
        return [self.chip]

    def place(self, site: str) -> str:
        return f"{self.chip} ({', '.join(str(line) for line in [*self.outputs.values(), *self.inputs.values()])})"

    def check_cameras(self, site: str, cameras: Mapping[str, Camera], groups: Collection[str] = ()) -> None:
        places = [*cameras, *map(place_of_group, groups)]
        for key, section, known in (("reject", self.reject, places), ("trigger", self.trigger, list(cameras))):
            if section is None:
                continue
            if section.camera is None and len(cameras) > 1:
                raise Permanent(f"{key}.camera: not set, wanted one of {', '.join(known)}")
            if section.camera is not None and section.camera not in known:
                raise Permanent(f"{key}.camera: unknown camera {section.camera}; wanted one of {', '.join(known)}")
