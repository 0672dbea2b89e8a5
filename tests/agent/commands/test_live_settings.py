"""Which changed settings a running agent takes over, and that every one that differs is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.commands.live_settings import EFFECTS, Effect, plan_reload
from agent.outputs.modbus.settings import ModbusSettings
from agent.settings.load import load_settings
from agent.settings.settings import AlarmSettings, CalibrationSettings, CameraSettings, Settings

FILE = """
site = "plant"
[mqtt]
{mqtt}
[log]
level = "{level}"
[cameras.line1]
bundle = "{bundle}"
[cameras.line1.source]
kind = "simulator"
[cameras.line1.alarm]
clear_after_seconds = {clear}
[cameras.line1.calibration]
false_alarms = "{budget}"
"""

PLAIN = {"mqtt": "", "level": "info", "bundle": "a.bundle", "clear": 2.0, "budget": "1 per shift"}


def settings(tmp_path: Path, more: str = "", **changes: object) -> Settings:
    path = tmp_path / "inspectd.toml"
    path.write_text(FILE.format(**{**PLAIN, **changes}) + more)
    return load_settings(path)


@pytest.mark.parametrize(
    ("changes", "key", "effect"),
    [
        ({"level": "debug"}, "log.level", Effect.NOW),
        ({"mqtt": "scores_per_second = 5"}, "mqtt.scores_per_second", Effect.NOW),
        ({"mqtt": 'commands = ["status"]'}, "mqtt.commands", Effect.NOW),
        ({"clear": 9}, "cameras.line1.alarm.clear_after_seconds", Effect.NOW),
        ({"budget": "2 per day"}, "cameras.line1.calibration.false_alarms", Effect.NEXT_CALIBRATION),
        ({"bundle": "b.bundle"}, "cameras.line1.bundle", Effect.NOW),
        ({"mqtt": 'url = "mqtt://elsewhere"'}, "mqtt.url", Effect.RESTART),
        ({"mqtt": 'username = "anna"'}, "mqtt.username", Effect.RESTART),
    ],
)
def test_changed_setting_is_named_under_its_effect_and_taken_over_or_not(
    tmp_path: Path, changes: dict[str, object], key: str, effect: Effect
) -> None:
    old, new = settings(tmp_path), settings(tmp_path, **changes)
    reload = plan_reload(old, new)
    assert {effect: keys for effect, keys in reload.keys.items() if keys} == {effect: (key,)}
    assert reload.settings.model_dump() == (old if effect is Effect.RESTART else new).model_dump()
    assert reload.cameras == ({"line1"} if key.startswith("cameras") and effect is not Effect.RESTART else set())


def test_what_can_be_taken_over_is_taken_over_beside_what_cannot(tmp_path: Path) -> None:
    old = settings(tmp_path)
    mqtt = 'url = "mqtt://elsewhere"'
    reload = plan_reload(old, settings(tmp_path, level="debug", mqtt=mqtt, clear=9, budget="2 per day"))
    assert reload.result().model_dump() == {
        "changed": ["log.level", "cameras.line1.alarm.clear_after_seconds"],
        "at_next_calibration": ["cameras.line1.calibration.false_alarms"],
        "needs_restart": ["mqtt.url"],
    }
    assert reload.settings.mqtt.url == old.mqtt.url
    assert reload.settings.cameras["line1"].alarm.clear_after_seconds == 9
    assert not reload.rebuilt


def test_same_file_changes_nothing(tmp_path: Path) -> None:
    reload = plan_reload(settings(tmp_path), settings(tmp_path))
    assert not any(reload.keys.values())


def test_camera_that_comes_or_goes_needs_a_restart(tmp_path: Path) -> None:
    one = settings(tmp_path)
    two = settings(tmp_path, '[cameras.line2]\nbundle = "a.bundle"\n[cameras.line2.source]\nkind = "simulator"\n')
    for old, new in ((one, two), (two, one)):
        reload = plan_reload(old, new)
        assert reload.keys[Effect.RESTART] == ("cameras.line2",)
        assert reload.settings.cameras.keys() == old.cameras.keys()


def test_another_kind_of_source_is_one_change(tmp_path: Path) -> None:
    old = settings(tmp_path)
    path = tmp_path / "inspectd.toml"
    path.write_text(path.read_text().replace('kind = "simulator"', 'kind = "folder"\npath = "parts"\nfollow = true'))
    assert plan_reload(old, load_settings(path)).keys[Effect.NOW] == ("cameras.line1.source",)


def test_a_crop_that_appears_builds_the_camera_again(tmp_path: Path) -> None:
    new = settings(tmp_path, "[cameras.line1.crop]\nx = 0\ny = 0\nwidth = 10\nheight = 10\n")
    reload = plan_reload(settings(tmp_path), new)
    assert reload.keys[Effect.NOW] == ("cameras.line1.crop",)
    assert reload.rebuilt == {"line1"}


def test_a_product_is_taken_over_as_a_whole(tmp_path: Path) -> None:
    """With the settings that it has of its own: what it no longer sets is that of the camera again."""
    product = '[cameras.line1.products.{}]\nbundle = "{}.bundle"\n'
    alarm = "[cameras.line1.products.A.alarm]\nclear_after_seconds = 7\n"
    old = settings(tmp_path, product.format("A", "a") + alarm + product.format("B", "b"))
    reload = plan_reload(old, settings(tmp_path, product.format("A", "a") + product.format("C", "c")))
    keys = {f"cameras.line1.products.{name}" for name in "ABC"}
    assert set(reload.keys[Effect.NOW]) == keys
    camera = reload.settings.cameras["line1"]
    assert list(camera.products) == ["A", "C"]
    assert camera.of_product("A").clear_after_seconds == 2.0


_GROUPS = """
[cameras.line1.parts]
trigger = true
[cameras.side]
bundle = "a.bundle"
source = {{ kind = "simulator" }}
parts = {{ trigger = true }}
[cameras.{third}]
bundle = "a.bundle"
source = {{ kind = "simulator" }}
parts = {{ trigger = true }}
[parts.p1]
cameras = {cameras}
within = "{within}"
"""


_REAR = """
[cameras.rear]
bundle = "a.bundle"
source = { kind = "simulator" }
parts = { trigger = true }
"""


def grouped(tmp_path: Path, cameras: str, *, third: str = "rear", within: str = "3 s") -> Settings:
    return settings(tmp_path, _GROUPS.format(cameras=cameras, third=third, within=within))


def test_groups_of_cameras_are_taken_over(tmp_path: Path) -> None:
    old = grouped(tmp_path, '["line1", "side"]')
    reload = plan_reload(old, grouped(tmp_path, '["line1", "rear"]', within="1 s"))
    assert set(reload.keys[Effect.NOW]) == {"parts.p1.cameras", "parts.p1.within"}
    assert reload.settings.parts["p1"].cameras == ("line1", "rear")
    assert reload.cameras == set()
    assert reload.keys[Effect.RESTART] == ()


def test_groups_that_are_new_or_gone_are_taken_over(tmp_path: Path) -> None:
    grown = grouped(tmp_path, '["line1", "side"]')
    without = settings(tmp_path, _GROUPS.split("[parts.p1]")[0].format(third="rear"))
    for old, new in ((without, grown), (grown, without)):
        reload = plan_reload(old, new)
        assert reload.keys[Effect.NOW] == ("parts.p1",)
        assert reload.settings.parts == new.parts


def test_a_group_with_a_camera_that_needs_a_restart_needs_one_too(tmp_path: Path) -> None:
    old = grouped(tmp_path, '["line1", "side"]')
    reload = plan_reload(old, grouped(tmp_path, '["line1", "top"]', third="top"))
    assert set(reload.keys[Effect.RESTART]) == {"cameras.rear", "cameras.top", "parts.p1.cameras"}
    assert reload.keys[Effect.NOW] == ()
    assert reload.settings == old


def test_camera_moves_from_one_group_to_another_only_where_both_change(tmp_path: Path) -> None:
    old = grouped(tmp_path, '["line1", "side"]')
    moved = _GROUPS.format(cameras='["line1", "top"]', third="top", within="3 s")
    new = settings(tmp_path, moved + '[parts.p2]\ncameras = ["side", "rear"]\n' + _REAR)
    reload = plan_reload(old, new)
    assert reload.keys[Effect.NOW] == (), "p1 keeps the camera side, since its camera top needs a restart"
    assert set(reload.keys[Effect.RESTART]) == {"cameras.top", "parts.p1.cameras", "parts.p2"}
    assert reload.settings.parts == old.parts


_PLC = '[outputs.plc]\nkind = "modbus"\n'
_TWO_GROUPS = _GROUPS.format(cameras='["line1", "side"]', third="top", within="3 s") + _REAR
_SECOND = '[parts.p2]\ncameras = ["top", "rear"]\n'


def test_a_plc_keeps_its_units_when_a_group_is_new_or_gone(tmp_path: Path) -> None:
    one, two = settings(tmp_path, _TWO_GROUPS + _PLC), settings(tmp_path, _TWO_GROUPS + _SECOND + _PLC)
    for old, new in ((one, two), (two, one)):
        reload = plan_reload(old, new)
        assert reload.keys[Effect.NOW] == ("parts.p2",)
        assert reload.settings.parts == new.parts


def test_a_group_needs_a_restart_where_a_plc_would_find_another_one_by_its_unit(tmp_path: Path) -> None:
    old = settings(tmp_path, _TWO_GROUPS + _SECOND + _PLC)
    without_first = settings(tmp_path, _TWO_GROUPS.split("[parts.p1]")[0] + _REAR + _SECOND + _PLC)
    reload = plan_reload(old, without_first)
    assert reload.keys[Effect.RESTART] == ("parts.p1",), "p2, which has unit 6, would have 5"
    assert reload.settings == old


def test_units_that_settings_name_are_taken_over_with_their_groups(tmp_path: Path) -> None:
    old = settings(tmp_path, _TWO_GROUPS + _PLC)
    named = _TWO_GROUPS + _SECOND + _PLC + 'units = { "parts/p1" = 5, "parts/p2" = 100 }\n'
    reload = plan_reload(old, settings(tmp_path, named))
    units = {"outputs.plc.units.parts/p1", "outputs.plc.units.parts/p2"}
    assert set(reload.keys[Effect.NOW]) == {"parts.p2", *units}
    moved = plan_reload(old, settings(tmp_path, named.replace("= 5", "= 6")))
    assert set(moved.keys[Effect.RESTART]) == {"parts.p2", *units}, "p1 has unit 5"
    assert moved.settings == old


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_every_setting_with_an_effect_exists(key: tuple[str, ...]) -> None:
    sections: dict[str, type[BaseModel]] = {"alarm": AlarmSettings, "calibration": CalibrationSettings}
    if key[:-1] == ("cameras", "*"):
        assert key[-1] in CameraSettings.model_fields
        return
    if key == ("parts", "*"):
        assert "parts" in Settings.model_fields
        return
    if key[:-1] == ("outputs", "*"):
        assert key[-1] in ModbusSettings.model_fields
        return
    section = sections[key[-2]] if key[0] == "cameras" else Settings.model_fields[key[0]].annotation
    assert section is not None
    assert key[-1] in section.model_fields
