"""Which settings a running agent can take over, which wait for the next calibration, and which want a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from agent.messages import ReloadResult
from agent.settings import Settings


class Effect(Enum):
    """When a changed setting counts."""

    NOW = "now"
    NEXT_CALIBRATION = "next calibration"
    RESTART = "restart"


Key = tuple[str, ...]
T = TypeVar("T")

# `*` is any camera. The rule and the budget belong to the calibration in force, which was made for them: as after a
# restart, new ones count from the next calibration on. What is not here would need a camera, an engine, a connection or
# a store to be opened anew.
EFFECTS: Mapping[Key, Effect] = {
    ("log", "level"): Effect.NOW,
    ("mqtt", "scores_per_second"): Effect.NOW,
    ("mqtt", "commands"): Effect.NOW,
    ("mqtt", "allow_insecure_commands"): Effect.NOW,
    ("cameras", "*", "alarm", "clear_after_seconds"): Effect.NOW,
    ("cameras", "*", "calibration", "require_certificate"): Effect.NOW,
    ("cameras", "*", "alarm", "rule"): Effect.NEXT_CALIBRATION,
    ("cameras", "*", "calibration", "frames"): Effect.NEXT_CALIBRATION,
    ("cameras", "*", "calibration", "max_frames"): Effect.NEXT_CALIBRATION,
    ("cameras", "*", "calibration", "false_alarms"): Effect.NEXT_CALIBRATION,
    ("cameras", "*", "calibration", "confidence"): Effect.NEXT_CALIBRATION,
}


@dataclass(frozen=True, slots=True)
class Reload:
    """What new settings mean for an agent that runs."""

    settings: Settings
    """Those to run with from now on: the old ones, with all that can be taken over."""
    keys: Mapping[Effect, tuple[str, ...]]
    """What differs, such as `cameras.line1.bundle`, by when it counts."""

    @property
    def cameras(self) -> frozenset[str]:
        """Those of which something is taken over."""
        taken = self.keys[Effect.NOW] + self.keys[Effect.NEXT_CALIBRATION]
        return frozenset(
            name for name in self.settings.cameras if any(key.startswith(f"cameras.{name}.") for key in taken)
        )

    def result(self) -> ReloadResult:
        """For the answer."""
        return ReloadResult(
            changed=list(self.keys[Effect.NOW]),
            at_next_calibration=list(self.keys[Effect.NEXT_CALIBRATION]),
            needs_restart=list(self.keys[Effect.RESTART]),
        )


def plan_reload(old: Settings, new: Settings) -> Reload:
    """Compare the settings that the agent runs with and those of its file, and take from these what it can."""
    found: dict[Effect, list[str]] = {effect: [] for effect in Effect}
    settings = _merged(old, new, (), found)
    return Reload(settings, {effect: tuple(keys) for effect, keys in found.items()})


def effect_of(key: Key) -> Effect:
    """When a change of this setting counts."""
    pattern = (key[0], "*", *key[2:]) if key[0] == "cameras" else key
    return EFFECTS.get(pattern, Effect.RESTART)


def _merged(old: T, new: Any, key: Key, found: dict[Effect, list[str]]) -> T:
    """`old`, with what differs in `new` wherever it can be taken over; each difference goes into `found`."""
    if isinstance(old, BaseModel) and _same_fields(old, new):
        fields = type(old).model_fields
        merged = {name: _merged(getattr(old, name), getattr(new, name), (*key, name), found) for name in fields}
        return old.model_copy(update=merged)
    if isinstance(old, dict) and isinstance(new, dict):
        found[Effect.RESTART] += [".".join((*key, name)) for name in sorted(old.keys() ^ new.keys())]
        return {**old, **{name: _merged(old[name], new[name], (*key, name), found) for name in old if name in new}}  # type: ignore[return-value]
    if old == new:
        return old
    effect = effect_of(key)
    found[effect].append(".".join(key))
    return old if effect is Effect.RESTART else new


def _same_fields(old: BaseModel, new: Any) -> bool:
    return isinstance(new, BaseModel) and type(old).model_fields.keys() == type(new).model_fields.keys()


def reload_lines(result: dict[str, Any]) -> Iterator[str]:
    """What became of changed settings."""
    heads = {
        "changed": "in force",
        "at_next_calibration": "from the next calibration on",
        "needs_restart": "needs a restart",
    }
    found = [f"{head}: {', '.join(result[name])}" for name, head in heads.items() if result[name]]
    yield from found or ["nothing has changed"]


def because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
