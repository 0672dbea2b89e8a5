"""What a camera is doing, or what is wrong with it or its agent: the worst first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from agent.core.records import Phase
from agent.messages import Presence, StatePayload, StatusPayload

# A camera publishes its state every 5 s; docs/topics.md: "older than half a minute: outdated".
SILENT_SECONDS = 30.0

# An alarm and its three images are four messages: so many are more than a short interruption leaves behind.
BACKLOG_MESSAGES = 100

# Clocks that a time server sets differ by less than a second. A minute is none of delivery, either.
CLOCK_SECONDS = 60.0


class Severity(int, Enum):
    """How soon a person should look."""

    GOOD = 0
    WAIT = 1
    """It will inspect, or a person has stopped it."""
    ATTENTION = 2
    """It inspects, but something about it needs a person."""
    PROBLEM = 3
    """It does not inspect, and nobody wanted that."""


class Condition(str, Enum):
    """In the order in which people want to see them."""

    OFFLINE = "offline"
    SILENT = "silent"
    """Its documents are older than half a minute."""
    CAMERA_LOST = "camera_lost"
    BLIND = "blind"
    REFUSED = "refused"
    NO_PRODUCT = "no_product"
    PROMISE_BROKEN = "promise_broken"
    ALARM = "alarm"
    PROBLEMS = "problems"
    CLOCK = "clock"
    BACKLOG = "backlog"
    DRIFT = "drift"
    STOPPED = "stopped"
    PAUSED = "paused"
    STARTING = "starting"
    CALIBRATING = "calibrating"
    ARMED = "armed"
    UNKNOWN = "unknown"
    """The agent has reported nothing about it yet."""


SEVERITIES = {
    Condition.OFFLINE: Severity.PROBLEM,
    Condition.SILENT: Severity.PROBLEM,
    Condition.CAMERA_LOST: Severity.PROBLEM,
    Condition.BLIND: Severity.PROBLEM,
    Condition.REFUSED: Severity.PROBLEM,
    Condition.NO_PRODUCT: Severity.PROBLEM,
    Condition.PROMISE_BROKEN: Severity.ATTENTION,
    Condition.ALARM: Severity.ATTENTION,
    Condition.PROBLEMS: Severity.ATTENTION,
    Condition.CLOCK: Severity.ATTENTION,
    Condition.BACKLOG: Severity.ATTENTION,
    Condition.DRIFT: Severity.ATTENTION,
    Condition.STOPPED: Severity.WAIT,
    Condition.PAUSED: Severity.WAIT,
    Condition.STARTING: Severity.WAIT,
    Condition.CALIBRATING: Severity.WAIT,
    Condition.UNKNOWN: Severity.WAIT,
    Condition.ARMED: Severity.GOOD,
}

_ORDER = {condition: number for number, condition in enumerate(Condition)}


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known about the clock of an agent."""

    seconds_off: float | None = None
    """How far it is from the clock of this machine; None where nothing live has arrived."""
    unsynchronised: bool = False
    """The agent itself doubts it, in its latest alarm."""

    @property
    def doubtful(self) -> bool:
        """Whether times of this agent should not be trusted."""
        return self.unsynchronised or (self.seconds_off is not None and abs(self.seconds_off) > CLOCK_SECONDS)


def conditions_of(
    status: StatusPayload | None, state: StatePayload | None, clock: Clock, *, silent: bool
) -> list[Condition]:
    """All that hold, the worst first; at least one. `silent`: what is known is outdated."""
    found = [*_of_agent(status, clock), *_of_camera(status, state)]
    if silent and not {Condition.OFFLINE, Condition.STOPPED} & set(found):
        found.append(Condition.SILENT)
    if {Condition.OFFLINE, Condition.SILENT} & set(found) and Condition.ARMED in found:
        # The last that was heard: nobody knows whether it is so.
        found.remove(Condition.ARMED)
    return sorted(found, key=_ORDER.__getitem__)


def joined_conditions(found: Collection[list[Condition]]) -> list[Condition]:
    """Of cameras that see the same part: all that hold for one of them; inspecting only if all of them are.

    >>> [each.value for each in joined_conditions([[Condition.ALARM, Condition.ARMED], [Condition.PAUSED]])]
    ['alarm', 'paused']
    """
    joined = {condition for each in found for condition in each}
    if not all(Condition.ARMED in each for each in found):
        joined.discard(Condition.ARMED)
    return sorted(joined or {Condition.UNKNOWN}, key=_ORDER.__getitem__)


def _of_agent(status: StatusPayload | None, clock: Clock) -> Iterator[Condition]:
    if clock.doubtful:
        yield Condition.CLOCK
    if status is None:
        return
    if status.status is Presence.OFFLINE:
        yield Condition.OFFLINE
    if status.problems:
        yield Condition.PROBLEMS
    if status.outbox is not None and status.outbox.waiting > BACKLOG_MESSAGES:
        yield Condition.BACKLOG


def _of_camera(status: StatusPayload | None, state: StatePayload | None) -> Iterator[Condition]:
    if status is not None and status.status is Presence.STOPPED:
        yield Condition.STOPPED
        return
    if state is None:
        if status is None or status.status is Presence.ONLINE:
            yield Condition.UNKNOWN
        return
    yield Condition.ARMED if state.phase is Phase.ARMED else Condition(state.phase.value)
    if state.broken_promise is not None:
        yield Condition.PROMISE_BROKEN
    if state.alarm is not None:
        yield Condition.ALARM
    if state.drift:
        yield Condition.DRIFT
