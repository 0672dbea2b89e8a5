"""The sections `[parts.NAME]`: cameras that see the same part from several sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from pydantic import Field

from agent.core.section import Section
from calibration import CalibrationError, read_duration

# While a part waits for a view it is kept on disk, and its result is withheld from everyone who needs it.
_LONGEST_SECONDS = 3600.0

_RESERVED = "parts"
"""The level of their topics, below those of the agent."""


class ViewGroupSettings(Section):
    """Cameras whose results about the same part become one."""

    cameras: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of the cameras, each of which sees every part."""
    within: str = "3 s"
    """A view that comes later than this after the first one is missing."""

    @property
    def within_seconds(self) -> float:
        """The time limit, seconds."""
        return read_duration(self.within)


class IdentifiedParts(Protocol):
    """What this needs to know of the settings of a camera."""

    @property
    def id_source(self) -> str | None:
        """Where the ids of its parts come from, in words; None where they are known to this camera alone."""
        ...


def check_view_groups(groups: Mapping[str, ViewGroupSettings], cameras: Mapping[str, IdentifiedParts]) -> None:
    """Raises ValueError, with one line, where a group cannot be joined."""
    if groups and _RESERVED in cameras:
        raise ValueError(f"cameras: got the name {_RESERVED!r}, whose topics are those of [parts.NAME]; wanted another")
    taken: dict[str, str] = {}
    for name, group in groups.items():
        _check_time(name, group)
        for camera in group.cameras:
            if camera not in cameras:
                raise ValueError(f"parts.{name}.cameras: got {camera!r}, wanted some of {', '.join(cameras)}")
            if camera in taken:
                where = "twice" if taken[camera] == name else f"which parts.{taken[camera]} has already"
                raise ValueError(f"parts.{name}.cameras: got {camera!r}, {where}; wanted each camera once")
            taken[camera] = name
        _check_ids(name, {camera: cameras[camera].id_source for camera in group.cameras})


def _check_time(name: str, group: ViewGroupSettings) -> None:
    try:
        seconds = group.within_seconds
    except CalibrationError as error:
        raise ValueError(f"parts.{name}.within: {error}") from None
    if not 0.0 < seconds <= _LONGEST_SECONDS:
        raise ValueError(f"parts.{name}.within: got {group.within!r}, wanted more than 0 s and at most an hour")


def _check_ids(name: str, sources: Mapping[str, str | None]) -> None:
    for camera, source in sources.items():
        if source is None:
            raise ValueError(
                f"parts.{name}.cameras: the parts of {camera} have no id that another camera could know; wanted "
                "parts.trigger, parts.code or a folder for it"
            )
    if len(set(sources.values())) > 1:
        found = ", ".join(f"{camera} by {source}" for camera, source in sources.items())
        raise ValueError(f"parts.{name}.cameras: the ids of parts have different sources: {found}; wanted the same")
