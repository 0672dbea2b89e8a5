"""Which changed settings a running agent takes over, now or at the next calibration, and which need a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from agent.core.errors import Permanent
from agent.core.records import place_of_group
from agent.messages import ReloadResult
from agent.settings import Settings, check_view_groups


class Effect(Enum):
    """When a changed setting comes into force."""

    NOW = "now"
    NEXT_CALIBRATION = "next calibration"
    RESTART = "restart"


Key = tuple[str, ...]
T = TypeVar("T")

# Settings of a camera that are taken over by building it again, while the other cameras go on.
REBUILT = ("source", "bundle", "engine", "crop", "mask", "correction", "alignment", "parts", "products", "product")

# `*` is any camera, group of cameras, or output; a key stands for everything below it. The calibration in force was
# made for one rule and one budget: as after a restart, new ones count from the next calibration. Any other setting
# needs a restart: a connection or a store would have to be opened again.
EFFECTS: Mapping[Key, Effect] = {
    ("log", "level"): Effect.NOW,
    ("mqtt", "scores_per_second"): Effect.NOW,
    ("mqtt", "commands"): Effect.NOW,
    ("mqtt", "allow_insecure_commands"): Effect.NOW,
    ("mqtt", "role"): Effect.NOW,
    **{("cameras", "*", name): Effect.NOW for name in REBUILT},
    ("parts", "*"): Effect.NOW,
    ("outputs", "*", "units"): Effect.NOW,
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

    @property
    def rebuilt(self) -> frozenset[str]:
        """Names of the cameras that are built again."""
        return frozenset(
            name
            for name in self.cameras
            for key in self.keys[Effect.NOW]
            if key.startswith(f"cameras.{name}.") and key.removeprefix(f"cameras.{name}.").split(".")[0] in REBUILT
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
    settings = _with_fitting_groups(_merged(old, new, (), found), old, found)
    return Reload(settings, {effect: tuple(keys) for effect, keys in found.items()})


def _with_fitting_groups(settings: Settings, old: Settings, found: dict[Effect, list[str]]) -> Settings:
    """`settings` with those groups of cameras that go with what else is in force; other changes need a restart."""
    same = {name: settings.parts.get(name, group) for name, group in old.parts.items()}
    changes: list[dict[str, Any]] = [{}, {"parts": same}, {"parts": old.parts}]
    for change in (*changes, {"parts": old.parts, "outputs": old.outputs}):
        fitting = settings.model_copy(update=change) if change else settings
        if _groups_fit(fitting, old):
            break
    waiting = [key for key in found[Effect.NOW] if not _taken_over(key, settings, fitting)]
    found[Effect.NOW] = [key for key in found[Effect.NOW] if key not in waiting]
    found[Effect.RESTART] += waiting
    return fitting


def _groups_fit(settings: Settings, old: Settings) -> bool:
    """Whether the groups can be in force now, with cameras and outputs that need a restart as they were."""
    sections = settings.output_sections
    try:
        check_view_groups(settings.parts, settings.cameras)
        for section in sections.values():
            section.check_cameras(settings.site, settings.cameras, settings.parts)
    except (ValueError, Permanent):
        return False
    return all(
        section.keeps_places(old.output_sections[name], _places(old), _places(settings))
        for name, section in sections.items()
    )


def _places(settings: Settings) -> list[str]:
    """The cameras, and the groups of cameras after them."""
    return [*settings.cameras, *map(place_of_group, settings.parts)]


def _taken_over(key: str, wanted: Settings, settings: Settings) -> bool:
    """Whether the group or the output that a key names, if any, is in `settings` as it was wanted."""
    sections: list[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
        ("parts", wanted.parts, settings.parts),
        ("outputs", wanted.outputs, settings.outputs),
    ]
    return all(
        new.get(name) == taken.get(name)
        for section, new, taken in sections
        for name in new.keys() | taken.keys()
        if f"{key}.".startswith(f"{section}.{name}.")
    )


def effect_of(key: Key) -> Effect:
    """When a change of this setting comes into force."""
    pattern = (key[0], "*", *key[2:]) if key[0] in ("cameras", "parts", "outputs") else key
    prefixes = (pattern[:length] for length in range(len(pattern), 0, -1))
    return next((EFFECTS[prefix] for prefix in prefixes if prefix in EFFECTS), Effect.RESTART)


def _merged(old: T, new: Any, key: Key, found: dict[Effect, list[str]]) -> T:
    """`old` with the values of `new` that can be taken over; each difference is added to `found`."""
    if isinstance(old, BaseModel) and _same_fields(old, new) and not _is_product(key):
        fields = type(old).model_fields
        merged = {name: _merged(getattr(old, name), getattr(new, name), (*key, name), found) for name in fields}
        return old.model_copy(update={name: value for name, value in merged.items() if value is not getattr(old, name)})
    if isinstance(old, dict) and isinstance(new, dict):
        return cast("T", _merged_sections(old, new, key, found))
    if old == new and getattr(old, "model_fields_set", None) == getattr(new, "model_fields_set", None):
        return old
    effect = effect_of(key)
    found[effect].append(".".join(key))
    return old if effect is Effect.RESTART else new


def _merged_sections(old: dict[str, Any], new: dict[str, Any], key: Key, found: dict[Effect, list[str]]) -> Any:
    """Sections with names, some of which may be new or gone."""
    merged = {name: _merged(old[name], new[name], (*key, name), found) for name in old if name in new}
    for name in sorted(old.keys() ^ new.keys()):
        effect = effect_of((*key, name))
        found[effect].append(".".join((*key, name)))
        if effect is Effect.RESTART and name in old:
            merged[name] = old[name]
        elif effect is not Effect.RESTART and name in new:
            merged[name] = new[name]
    order = old if all(effect_of((*key, name)) is Effect.RESTART for name in old.keys() ^ new.keys()) else new
    same = old.keys() == merged.keys() and all(merged[name] is old[name] for name in old)
    return old if same else {name: merged[name] for name in (*order, *merged) if name in merged}


def _is_product(key: Key) -> bool:
    """A product has those settings of its own that it sets, so it is taken over as a whole."""
    return len(key) == 4 and key[0] == "cameras" and key[2] == "products"


def _same_fields(old: BaseModel, new: Any) -> bool:
    return isinstance(new, BaseModel) and type(old).model_fields.keys() == type(new).model_fields.keys()
