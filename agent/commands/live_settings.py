"""Which changed settings a running agent takes over, now or at the next calibration, and which need a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from agent.messages import ReloadResult
from agent.settings import Settings


class Effect(Enum):
    """When a changed setting comes into force."""

    NOW = "now"
    NEXT_CALIBRATION = "next calibration"
    RESTART = "restart"


Key = tuple[str, ...]
T = TypeVar("T")

# `*` is any camera. The calibration in force was made for one rule and one budget; as after a restart, new ones count
# from the next calibration on. Any other setting needs a restart: a camera, an engine, a connection or a store would
# have to be opened again.
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
    ("cameras", "*", "calibration", "shift"): Effect.NEXT_CALIBRATION,
    ("cameras", "*", "calibration", "confidence"): Effect.NEXT_CALIBRATION,
}


@dataclass(frozen=True, slots=True)
class Reload:
    """How changed settings affect a running agent."""

    settings: Settings
    """The settings from now on: the old ones with everything that can be taken over."""
    keys: Mapping[Effect, tuple[str, ...]]
    """The settings that differ, such as `cameras.line1.bundle`, by when they come into force."""

    @property
    def cameras(self) -> frozenset[str]:
        """Names of the cameras that take something over."""
        taken = self.keys[Effect.NOW] + self.keys[Effect.NEXT_CALIBRATION]
        return frozenset(
            name for name in self.settings.cameras if any(key.startswith(f"cameras.{name}.") for key in taken)
        )

    def result(self) -> ReloadResult:
        """For the response to the command."""
        return ReloadResult(
            changed=list(self.keys[Effect.NOW]),
            at_next_calibration=list(self.keys[Effect.NEXT_CALIBRATION]),
            needs_restart=list(self.keys[Effect.RESTART]),
        )


def plan_reload(old: Settings, new: Settings) -> Reload:
    """Compare the settings that the agent runs with (`old`) and those of its file; changes neither."""
    found: dict[Effect, list[str]] = {effect: [] for effect in Effect}
    settings = _merged(old, new, (), found)
    return Reload(settings, {effect: tuple(keys) for effect, keys in found.items()})


def effect_of(key: Key) -> Effect:
    """When a change of this setting comes into force."""
    pattern = (key[0], "*", *key[2:]) if key[0] == "cameras" else key
    return EFFECTS.get(pattern, Effect.RESTART)


def _merged(old: T, new: Any, key: Key, found: dict[Effect, list[str]]) -> T:
    """`old` with the values of `new` that can be taken over; each difference is added to `found`."""
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
