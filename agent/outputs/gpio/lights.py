"""What a stack light shows for the states of the cameras. No hardware and no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.core.records import Phase
from agent.messages import StatePayload

# States are published every five seconds. Without one for this long, nothing is known of a camera.
STALE_SECONDS = 15.0


def lights(
    cameras: Collection[str], states: Mapping[str, tuple[float, StatePayload]], now: float, *, missed: bool
) -> dict[str, bool]:
    """Which of green, yellow and red are on.

    Args:
        cameras: of the agent.
        states: the latest state of each camera, with the monotonic time of its arrival.
        now: monotonic seconds.
        missed: a part could not be rejected.

    >>> lights(["top"], {}, 0.0, missed=False)
    {'green': False, 'yellow': True, 'red': False}
    """
    fresh = [state for at, state in states.values() if now - at < STALE_SECONDS]
    red = missed or any(state.alarm is not None for state in fresh)
    armed = sum(state.phase is Phase.ARMED for state in fresh) == len(cameras)
    drift = any(state.drift for state in fresh)
    return {"green": armed and not red, "yellow": not armed or drift, "red": red}
