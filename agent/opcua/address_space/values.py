"""Ids and results as the structures of OPC 40100-1, and the results that clients can ask for again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from asyncua import ua

# As many as the agent keeps in memory.
MOST_RESULTS = 1000

# A response stays well below the 64 KB that every client takes.
MOST_LISTED = 50


class ResultState(IntEnum):
    """ResultStateDataType."""

    UNDEFINED = 0
    COMPLETED = 1
    PROCESSING = 2
    ABORTED = 3
    FAILED = 4


class Error(IntEnum):
    """The output `Error` of methods; 0 is success."""

    NONE = 0
    REJECTED = 1
    """The agent has rejected it; its log has the reason."""
    NO_AGENT = 2
    """The agent does not answer."""
    UNKNOWN_RESULT = 3
    UNKNOWN_PRODUCT = 4
    WRONG_PART = 5
    """The part id is empty, too long, or has characters that cannot be printed."""
    WRONG_PRODUCT = 6
    """Another product is prepared."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a client has started."""

    id: str
    part: str
    measurement: str
    started_monotonic: float
    """When the client asked for it, seconds."""

    def ends_with(self, event: Mapping[str, Any]) -> bool:
        """Whether this result is that of the job: of its part, and of no earlier inspection of the same part."""
        started = float(event["started_monotonic"])
        return bool(event["announced"]) and event["part"] == self.part and started >= self.started_monotonic


# `ResultContent`, in this order.
CONTENT = ("verdict", "score", "threshold", "reason", "alarm")


def result_content(event: Mapping[str, Any]) -> list[ua.Variant]:
    """Verdict, score, threshold, reason and alarm of a result; -1.0 and "" where there is none."""
    text, number = ua.VariantType.String, ua.VariantType.Double
    values = [event["verdict"], event["score"], event["threshold"], event["reason"], event["alarm"]]
    return [
        ua.Variant(str(values[0]), text),
        *(ua.Variant(-1.0 if value is None else float(value), number) for value in values[1:3]),
        *(ua.Variant("" if value is None else str(value), text) for value in values[3:]),
    ]


def result_value(event: Mapping[str, Any], job: Job | None, run: str, now: datetime) -> Any:
    """A `ResultDataType` from an event of the command `recent`.

    Args:
        event: the result.
        job: the job that it ends; None: the camera inspects continuously, or somebody else has triggered the part.
        run: of the agent, the job of all these results.
        now: UTC.
    """
    captured = datetime.fromisoformat(event["captured_at"].replace("Z", "+00:00"))
    return ua.ResultDataType(
        ResultId=ua.ResultIdDataType(Id=event["id"]),
        IsPartial=False,
        IsSimulated=False,
        ResultState=int(ResultState.ABORTED if event.get("aborted") else ResultState.COMPLETED),
        MeasId=ua.MeasIdDataType(Id=job.measurement) if job is not None and job.measurement else None,
        PartId=ua.PartIdDataType(Id=event["part"]),
        InternalRecipeId=ua.RecipeIdInternalDataType(Id=event["product"] or "default"),
        ProductId=None if event["product"] is None else ua.ProductIdDataType(Id=event["product"]),
        InternalConfigurationId=ua.ConfigurationIdDataType(Id=event["calibration"] or ""),
        JobId=ua.JobIdDataType(Id=run if job is None else job.id),
        CreationTime=now,
        ProcessingTimes=ua.ProcessingTimesDataType(StartTime=min(captured, now), EndTime=now),
        ResultContent=result_content(event),
    )


class Results:
    """The latest results of one camera, by their ids."""

    def __init__(self, most: int = MOST_RESULTS) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._most = most

    def add(self, result: Any) -> None:
        """Keep a result; the oldest one goes."""
        self._kept[result.ResultId.Id] = result
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, identity: str) -> Any | None:
        """The result of this id, or None."""
        return self._kept.get(identity)

    def newest_first(self) -> Iterator[Any]:
        """All of them."""
        return reversed(self._kept.values())


def text_of(value: Any) -> str:
    """The field `Id` of a structure from a client; empty for anything else."""
    found = getattr(value, "Id", None)
    return found.strip() if isinstance(found, str) else ""


def matches(result: Any, wanted: Mapping[str, str], state: int) -> bool:
    """Whether a result has these ids (an empty one stands for all) and this state (0 stands for all)."""
    if state not in (ResultState.UNDEFINED, result.ResultState):
        return False
    return all(not identity or text_of(getattr(result, name)) == identity for name, identity in wanted.items())
