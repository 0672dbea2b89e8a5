"""Rules between settings, and the example file: it shows every setting with its default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from agent.core.errors import Permanent
from agent.settings.load import load_settings
from agent.settings.settings import Settings
from agent.sources.factory import SOURCES
from agent.sources.settings import SourceSection

ROOT = Path(__file__).parents[3]

# Settings with a default that can be written in TOML.
DEFAULTS = (
    r"max_\w+_size|url|prefix|scores_per_second|level|engine|mode|seed|defect_rate|frames\w*|good_frames|false_alarms|shift"
    r"|confidence|require_certificate|rule|clear_after_seconds|allow_insecure_commands|home_assistant\w*"
)


def test_trusted_keys_are_relative_to_the_file_and_never_an_empty_list(config: Path) -> None:
    """An empty list could mean that no key is trusted, or that no signature is needed."""
    keys = load_settings(config, ['trusted_keys=["plant.pub", "/etc/inspectd/acme.pub"]']).trusted_keys
    assert keys == (config.parent / "plant.pub", Path("/etc/inspectd/acme.pub"))
    with pytest.raises(Permanent, match=r"trusted_keys = .*at least 1 item"):
        load_settings(config, ["trusted_keys=[]"])


def test_load_with_templates_gives_the_topics_of_a_unified_namespace(config: Path) -> None:
    more = [
        "mqtt.topic_template={enterprise}/{site}/{line}/inspectd",
        "mqtt.topic_levels={enterprise='acme', line='l4'}",
    ]
    assert load_settings(config, more).mqtt.topics("plant").alarm("line1") == "acme/plant/l4/inspectd/line1/alarm"


def test_camera_without_an_address_is_rejected(config: Path) -> None:
    with pytest.raises(Permanent, match=r"either device .* or url"):
        load_settings(config, ['cameras.line1.source={kind="camera"}'])


def test_metrics_are_off_by_default_and_in_one_place_only(config: Path) -> None:
    assert not load_settings(config).metrics.wanted
    assert load_settings(config, ["metrics.port=9464"]).metrics.wanted
    with pytest.raises(Permanent, match=r"metrics: wanted either port .* or socket"):
        load_settings(config, ["metrics.port=9464", "metrics.socket=metrics.sock"])


@pytest.mark.parametrize(
    ("shifts", "wanted"),
    [
        ('{starts=["6 am"]}', "wanted a time such as '06:00'"),
        ("{starts=[]}", "at least 1 item"),
        ('{starts=["06:00"], length="7 h"}', "wanted a length that divides a day evenly"),
        ('{starts=["06:00"], length="5 minutes"}', "wanted a length that divides a day evenly"),
        ('{starts=["06:00"], length="long"}', "length: "),
        ('{length="8 h"}', "wanted only the start of the first shift"),
        ('{time_zone="Mars/Olympus"}', "wanted a time zone of this device"),
    ],
)
def test_unreadable_shifts_are_rejected_in_one_line(config: Path, shifts: str, wanted: str) -> None:
    with pytest.raises(Permanent, match=wanted) as caught:
        load_settings(config, [f"shifts={shifts}"])
    assert "\n" not in str(caught.value)


def test_shifts_by_start_and_length(config: Path) -> None:
    calendar = load_settings(config, ['shifts={starts=["06:00"], length="12 h", time_zone="UTC"}']).shifts.calendar
    shift = calendar.at(datetime(2026, 3, 2, 5, 0, tzinfo=timezone.utc))
    assert (shift.start.hour, shift.end.hour) == (18, 6)


@pytest.mark.parametrize("fault", ['{kind="black",duration_seconds=1.0}', '{kind="melted",start_frame=1}'])
def test_fault_without_a_known_kind_or_a_start_is_rejected(config: Path, fault: str) -> None:
    with pytest.raises(Permanent, match=r"cameras\.line1\.source\.faults"):
        load_settings(config, [f"cameras.line1.source.faults=[{fault}]"])


def test_example_loads_and_shows_every_setting() -> None:
    """Users find a setting in the example or not at all."""
    example = ROOT / "inspectd.example.toml"
    assert load_settings(example).site == "plant-1"
    shown = set(re.findall(r"\b([a-z_]+) = ", example.read_text()))
    sections = {"mqtt", "outputs", "review", "shifts", "log", "metrics", "source", "calibration", "alarm"}
    sections |= {"alignment", "parts", "code", "page", "opcua"}
    assert _names(Settings) - shown == sections


def test_example_shows_the_defaults(tmp_path: Path) -> None:
    """Uncommenting the lines with defaults changes nothing."""
    text = (ROOT / "inspectd.example.toml").read_text()
    uncommented = re.sub(rf"^# (?=({DEFAULTS}) =)", "", text, flags=re.MULTILINE)
    assert uncommented.count("\n#") < text.count("\n#") - 15
    path = tmp_path / "inspectd.toml"
    path.write_text(uncommented.replace("# frames = 300", "frames = 300"))
    (tmp_path / "plain.toml").write_text(text)
    assert _in_force(load_settings(path)) == _in_force(load_settings(tmp_path / "plain.toml"))


def _in_force(settings: Settings) -> dict[str, Any]:
    """All settings, with the values of those whose default depends on the source."""
    document = settings.model_dump()
    for name, camera in settings.cameras.items():
        document["cameras"][name]["alarm"] = (camera.alarm_rule, camera.clear_after_seconds)
        document["cameras"][name]["calibration"]["false_alarms"] = camera.false_alarms
    return document


FOLDER = 'cameras.line1.source={kind="folder", path="images"}'
FOLLOWED = 'cameras.line1.source={kind="folder", path="images", follow=true}'
PACED = 'cameras.line1.source={kind="video", path="line.mp4", frames_per_second=5}'
VIDEO = 'cameras.line1.source={kind="video", path="line.mp4"}'


@pytest.mark.parametrize(
    ("source", "rule", "clear_after_seconds", "false_alarms"),
    [
        (FOLDER, "1 of 1", 0.0, "1 per 1000 parts"),
        (FOLLOWED, "1 of 1", 0.0, "1 per 1000 parts"),
        (VIDEO, "2 of 3", 2.0, "1 per 1000 frames"),
        (PACED, "2 of 3", 2.0, "1 per shift"),
        ('cameras.line1.source={kind="simulator"}', "2 of 3", 2.0, "1 per shift"),
    ],
)
def test_defaults_of_rule_and_budget_follow_from_the_source(
    config: Path, source: str, rule: str, clear_after_seconds: float, false_alarms: str
) -> None:
    camera = load_settings(config, [source]).cameras["line1"]
    assert (camera.alarm_rule, camera.clear_after_seconds, camera.false_alarms) == (
        rule,
        clear_after_seconds,
        false_alarms,
    )


def test_rule_of_the_settings_overrides_the_default_of_a_folder(config: Path) -> None:
    camera = load_settings(config, [FOLDER, "cameras.line1.alarm.rule=2 of 3"]).cameras["line1"]
    assert camera.alarm_rule == "2 of 3"


@pytest.mark.parametrize(("source", "wanted"), [(FOLDER, "1 per 1000 parts"), (VIDEO, "1 per 1000 frames")])
def test_budget_in_time_is_rejected_where_time_means_the_speed_of_a_disk(
    config: Path, source: str, wanted: str
) -> None:
    with pytest.raises(Permanent, match=rf"false_alarms: got '2 per day', .* wanted a budget such as '{wanted}', or"):
        load_settings(config, [source, "cameras.line1.calibration.false_alarms=2 per day"])


@pytest.mark.parametrize("source", [FOLLOWED, PACED])
def test_budget_in_time_is_accepted_where_images_arrive_in_time(config: Path, source: str) -> None:
    settings = load_settings(config, [source, "cameras.line1.calibration.false_alarms=2 per day"])
    assert settings.cameras["line1"].false_alarms == "2 per day"


def _names(model: type[BaseModel]) -> set[str]:
    """Names of all settings of a section and of the sections in it, those of every kind of source included."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for section in _sections(field.annotation):
            names |= _names(section)
    return names


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if annotation is SourceSection:
        yield from (row.section for row in SOURCES.values())
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _sections(argument)


def test_shift_of_the_settings_counts_in_the_budget(config: Path) -> None:
    camera = load_settings(config, ["cameras.line1.calibration.shift=12 h"]).cameras["line1"]
    assert camera.parse_budget("1 per shift").per_seconds == 43_200


SIMULATOR = 'cameras.line1.source={kind="simulator"}'
BY_COUNT = "cameras.line1.parts={frames_per_part=4}"
BUDGET = "cameras.line1.calibration.false_alarms"


@pytest.mark.parametrize(
    ("source", "parts", "frames_per_part"),
    [
        (SIMULATOR, "{frames_per_part=4}", 4),
        (SIMULATOR, "{trigger=true}", 1),
        (SIMULATOR, "{trigger=true, frames_per_part=3}", 3),
        (SIMULATOR, "{gap_seconds=0.5}", None),
        (FOLDER, "{frames_per_part=2}", 2),
        (FOLDER, "{}", 1),
    ],
)
def test_where_parts_are_known_one_part_decides_and_the_budget_counts_parts(
    config: Path, source: str, parts: str, frames_per_part: int | None
) -> None:
    camera = load_settings(config, [source, f"cameras.line1.parts={parts}"]).cameras["line1"]
    assert camera.parts_known
    assert camera.frames_per_part == frames_per_part
    assert (camera.alarm_rule, camera.clear_after_seconds, camera.false_alarms) == ("1 of 1", 0.0, "1 per 1000 parts")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ([SIMULATOR, f"{BUDGET}=1 per 100 parts"], r"not known which frames .* parts = \{ frames_per_part = 4 \}"),
        ([VIDEO, f"{BUDGET}=0.1 per 100 parts"], r"not known which frames"),
        ([SIMULATOR, BY_COUNT, f"{BUDGET}=1 per 100 frames"], "parts of several frames; wanted a budget in parts or"),
        ([SIMULATOR, "cameras.line1.parts={gap_seconds=1, trigger=true}"], "only one way to know parts"),
        ([FOLDER, "cameras.line1.parts={trigger=true}"], "each image of a folder is a part"),
        ([SIMULATOR, "cameras.line1.parts={frames_per_part=0}"], "parts.frames_per_part = 0"),
    ],
)
def test_budget_or_parts_that_the_source_cannot_have_are_rejected(
    config: Path, settings: list[str], wanted: str
) -> None:
    with pytest.raises(Permanent, match=wanted):
        load_settings(config, settings)


def test_budget_in_parts_is_accepted_where_parts_are_known(config: Path) -> None:
    camera = load_settings(config, [SIMULATOR, BY_COUNT, f"{BUDGET}=1 per 100 parts"]).cameras["line1"]
    assert camera.parse_budget(camera.false_alarms).per_frames == 100


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("false_alarms", "1 per fortnight", "'fortnight' in '1 per fortnight' is not understood"),
        ("shift", "long", "'long' in 'long' is not understood, wanted '12 h'"),
    ],
)
def test_unit_of_a_budget_that_is_not_understood_is_named(config: Path, key: str, value: str, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        load_settings(config, [f"cameras.line1.calibration.{key}={value}"])


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ('cameras=["line1", "tpo"]', "parts.p1.cameras: got 'tpo', wanted some of line1, line2, line3"),
        ('cameras=["line1", "line1"]', "parts.p1.cameras: got 'line1', twice; wanted each camera once"),
        ('cameras=["line1"]', "at least 2 items"),
        ('cameras=["line1", "line2"], within="2 parsecs"', "parts.p1.within: duration: .*wanted '12 h'"),
        ('cameras=["line1", "line2"], within="0 s"', "parts.p1.within: got '0 s', wanted more than 0 s and at most"),
        (
            'cameras=["line1", "line3"]',
            "the parts of line3 have no id that another camera could know; wanted parts.tri",
        ),
        ('cameras=["line1", "line4"]', "have different sources: line1 by file name, line4 by trigger; wanted the same"),
    ],
)
def test_group_of_cameras_that_cannot_be_joined_is_one_line(config: Path, section: str, wanted: str) -> None:
    folder = '{source={kind="folder", path="images"}, bundle="x.bundle"}'
    counted = '{source={kind="simulator"}, bundle="x.bundle", parts={frames_per_part=4}}'
    triggered = '{source={kind="simulator"}, bundle="x.bundle", parts={trigger=true}}'
    cameras = f"cameras={{line1={folder}, line2={folder}, line3={counted}, line4={triggered}}}"
    with pytest.raises(Permanent, match=wanted) as caught:
        load_settings(config, [cameras, f"parts.p1={{{section}}}"])
    assert "\n" not in str(caught.value)


def test_camera_in_two_groups_is_rejected(config: Path) -> None:
    folder = '{source={kind="folder", path="images"}, bundle="x.bundle"}'
    cameras = f"cameras={{line1={folder}, line2={folder}, parts={folder}}}"
    group = '{cameras=["line1", "line2"]}'
    with pytest.raises(Permanent, match=r"cameras: got the name 'parts', whose topics are those of \[parts\.NAME\]"):
        load_settings(config, [cameras, f"parts.p1={group}"])
    with pytest.raises(Permanent, match=r"parts\.p2\.cameras: got 'line1', which parts\.p1 has already"):
        load_settings(config, [cameras.replace("parts=", "line3="), f"parts.p1={group}", f"parts.p2={group}"])


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ('{background="b.png", leave=0.2}', "leave is 0.2, wanted less than enter, which is 0.1"),
        ('{background="b.png", max_frames=2}', "max_frames is 2, wanted more than min_frames, which is 2"),
        ("{enter=0.2}", "presence.background: missing; it has no default"),
    ],
)
def test_presence_that_cannot_work_is_one_line(config: Path, section: str, wanted: str) -> None:
    with pytest.raises(Permanent, match=wanted):
        load_settings(config, [SIMULATOR, f"cameras.line1.parts.presence={section}"])


def test_presence_is_one_way_to_know_parts_and_for_cameras_only(config: Path) -> None:
    presence = 'cameras.line1.parts.presence={background="b.png"}'
    camera = load_settings(config, [SIMULATOR, presence]).cameras["line1"]
    assert (camera.parts_known, camera.frames_per_part, camera.alarm_rule) == (True, None, "1 of 1")
    assert camera.parts.presence is not None
    assert camera.parts.presence.background == config.parent / "b.png"
    with pytest.raises(Permanent, match="got presence beside trigger, frames_per_part or gap_seconds; wanted one"):
        load_settings(config, [SIMULATOR, presence, "cameras.line1.parts.trigger=true"])
    folder = 'cameras.line1.source={kind="folder", path="images"}'
    with pytest.raises(Permanent, match="each image of a folder is a part; wanted a camera for it"):
        load_settings(config, [folder, presence])
