"""The channels of the MQTT interface: topic, documents, quality of service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from agent.commands import AGENT_COMMANDS
from agent.messages import (
    AlarmPayload,
    CommandResponse,
    CountPayload,
    EventPayload,
    JoinedResultPayload,
    OmittedPayload,
    ResultPayload,
    ScorePayload,
    StatePayload,
    StatusPayload,
    VerdictPayload,
)

__all__ = ["CHANNELS", "PARAMETERS", "REQUESTS", "RESULTS", "Channel", "payload_models"]

REQUESTS = {name: command.request for name, command in AGENT_COMMANDS.items()}
RESULTS = {name: command.result for name, command in AGENT_COMMANDS.items() if command.result is not None}

JSON, PNG, JPEG = "application/json", "image/png", "image/jpeg"


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic."""

    name: str
    address: str
    """Below `inspectd/{site}`."""
    messages: tuple[type[BaseModel], ...]
    """Empty for an image."""
    qos: int
    retained: bool
    description: str
    media_type: str = JSON
    from_agent: bool = True


CHANNELS = (
    Channel("status", "status", (StatusPayload,), 1, True, "The agent: `online`, `offline` (last will) or `stopped`."),
    Channel("state", "{camera}/state", (StatePayload,), 1, True, "A camera: phase, threshold, model, rates."),
    Channel("alarm", "{camera}/alarm", (AlarmPayload,), 1, False, "An alarm is raised, or cleared with the same `id`."),
    Channel("result", "{camera}/result", (ResultPayload,), 1, False, "The result of a part: ok, nok or not judged."),
    Channel(
        "result_heatmap",
        "{camera}/result/{id}/heatmap",
        (),
        1,
        False,
        "Where the score of an ok part comes from; with `ok_heatmap_every`.",
        PNG,
    ),
    Channel(
        "joined_result",
        "parts/{group}/result",
        (JoinedResultPayload,),
        1,
        False,
        "The result of a part that several cameras see, `[parts.NAME]` in the settings.",
    ),
    Channel("count", "{camera}/count", (CountPayload,), 1, True, "The parts of a camera in this shift, in numbers."),
    Channel("joined_count", "parts/{group}/count", (CountPayload,), 1, True, "The same for parts of several cameras."),
    Channel("heatmap", "{camera}/alarm/{id}/heatmap", (), 1, False, "Where the score comes from; fixed colours.", PNG),
    Channel("overlay", "{camera}/alarm/{id}/overlay", (), 1, False, "The inspected part with heatmap and boxes.", JPEG),
    Channel("frame", "{camera}/alarm/{id}/frame", (), 1, False, "The source image, 8 bit.", JPEG),
    Channel(
        "omitted",
        "{camera}/alarm/{id}/omitted",
        (OmittedPayload,),
        1,
        False,
        "Replaces an image that exceeds the broker's packet limit, with the reason.",
    ),
    Channel(
        "verdict",
        "{camera}/alarm/{id}/verdict",
        (VerdictPayload,),
        1,
        False,
        "A person has judged the alarm, or changed the judgement.",
    ),
    Channel("event", "{camera}/event", (EventPayload,), 1, False, "Needs attention, such as drift; not an alarm."),
    Channel(
        "snapshot",
        "{camera}/snapshot/{picture}",
        (),
        1,
        True,
        "An image requested by the command `snapshot`: heatmap (PNG), overlay or frame (JPEG).",
        JPEG,
    ),
    Channel("score", "{camera}/score", (ScorePayload,), 0, False, "Telemetry: scores at a limited rate."),
    Channel(
        "command",
        "{camera}/command/{name}",
        tuple(REQUESTS.values()),
        1,
        False,
        "A request; without `{camera}` it is for the agent. Never retained.",
        from_agent=False,
    ),
    Channel(
        "response",
        "{camera}/response/{name}",
        (CommandResponse,),
        1,
        False,
        "The answer to a request that has no response topic.",
    ),
)

# What the placeholders of an address stand for.
PARAMETERS = {
    "site": "Name of the site, from the settings.",
    "camera": "Name of the camera, from the settings.",
    "group": "Name of the group of cameras, from the settings.",
    "id": "Id of the alarm or the result, UUIDv7.",
    "name": "Name of the command.",
    "picture": "heatmap, overlay or frame.",
}


def payload_models() -> Iterator[type[BaseModel]]:
    """The model of every document on the wire, once."""
    yield from dict.fromkeys(model for channel in CHANNELS for model in channel.messages)
