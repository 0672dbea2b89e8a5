"""Every mistake in the settings is one line with the key, the value and what was wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

MINIMAL = """
site = "plant"
[cameras.line1]
bundle = "model.bundle"
[cameras.line1.source]
kind = "simulator"
"""

# Settings whose default is a value that can be written down.
DEFAULTS = (
    r"max_\w+_size|url|prefix|scores_per_second|level|engine|mode|seed|defect_rate|frames\w*|good_frames|false_alarms"
    r"|confidence|require_certificate|rule|clear_after_seconds|allow_insecure_commands|home_assistant\w*"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "inspectd.toml"
    path.write_text(MINIMAL)
    return path


def test_load_minimal(config: Path) -> None:
    loaded = load_settings(config)
    assert loaded.cameras["line1"].source.kind == "simulator"
    assert loaded.cameras["line1"].bundle == config.parent / "model.bundle", "relative to the file"


def test_trusted_keys_are_relative_to_the_file_and_never_an_empty_list(config: Path) -> None:
    """An empty list would trust nobody, or everybody: whoever reads it cannot tell."""
    keys = load_settings(config, ['trusted_keys=["plant.pub", "/etc/inspectd/acme.pub"]']).trusted_keys
    assert keys == (config.parent / "plant.pub", Path("/etc/inspectd/acme.pub"))
    with pytest.raises(Permanent, match=r"trusted_keys = .*at least 1 item"):
        load_settings(config, ["trusted_keys=[]"])


def test_environment_overrules_the_file_and_the_command_line_both(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSPECTD_MQTT__URL", "mqtt://from-environment")
    assert load_settings(config).mqtt.url == "mqtt://from-environment"
    assert load_settings(config, ["mqtt.url=mqtt://from-command-line"]).mqtt.url == "mqtt://from-command-line"
    assert (
        load_settings(config, ["cameras.line1.source.frames_per_second=5"]).cameras["line1"].source.frames_per_second
        == 5.0
    )


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("sight=plant", "sight: unknown setting; did you mean site?"),
        ("mqtt.hots=x", "mqtt.hots: unknown setting"),
        ("cameras.line1.bundel=x", "cameras.line1.bundel: unknown setting; did you mean bundle?"),
        ("cameras.line1.source.seeed=1", "cameras.line1.source.seeed: unknown setting; did you mean seed?"),
        (
            "cameras.line1.alarm.rule=5 of 3",
            'cameras.line1.alarm.rule = "5 of 3": alarm rule: got 5 of 3, wanted k of n',
        ),
        ("cameras.line1.alarm.rule=often", "wanted 'k of n' such as '3 of 5'"),
        ("cameras.line1.calibration.false_alarms=few", 'cameras.line1.calibration.false_alarms = "few"'),
        (
            "cameras.line1.calibration.frames=3",
            "cameras.line1.calibration.frames = 3: input should be greater than or equal to 50",
        ),
        ("cameras.line1.calibration.max_frames=60", "max_frames is 60, wanted at least frames, which is 300"),
        ("cameras.line1.source.kind=webcam", "'simulator', 'folder', 'video', 'camera'"),
        ("cameras.line1.engine=quantum", "'auto', 'onnxruntime', 'openvino', 'tensorrt' or 'torch'"),
        ("site=a/b", 'site = "a/b": wanted up to 64 letters'),
        ("mqtt.url=http://x", "mqtt.url"),
        ("mqtt.url=mqtt://user:secret@broker", "mqtt.url"),
        ("max_outbox_size=much", "max_outbox_size"),
        ("site", "--set site: wanted KEY=VALUE"),
        ("mqtt.topic_template={area}/{site}", "asks for 'area', not among the levels"),
        ("mqtt.topic_template={site", "topic template: got '{site'"),
        ("mqtt.topic_levels={area = 'a'}", "topic level area: no template asks for it"),
        ("mqtt.prefix=a//b", "topic template: got an empty name"),
        ("mqtt.camera_topic_template=inspectd/{site}/cameras", "wanted {camera} in it once"),
        ("cameras.status={bundle='b', source={kind='simulator'}}", "camera: got 'status', wanted a name other than"),
    ],
)
def test_load_with_a_mistake(config: Path, override: str, wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, [override])
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["mqtt.prefix=acme", "mqtt.topic_template=a/{site}"], 'got prefix = "acme" beside topic_template'),
        (["mqtt.home_assistant=true", "mqtt.home_assistant_prefix=#"], "Home Assistant's prefix: got '#'"),
        (["site=line1", "mqtt.camera_topic_template=inspectd/{camera}"], "camera line1 would be at inspectd/line1"),
    ],
)
def test_load_with_a_topic_tree_that_cannot_be(config: Path, overrides: list[str], wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, overrides)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_with_a_unified_namespace(config: Path) -> None:
    more = [
        "mqtt.topic_template={enterprise}/{site}/{line}/inspectd",
        "mqtt.topic_levels={enterprise='acme', line='l4'}",
    ]
    assert load_settings(config, more).mqtt.topics("plant").alarm("line1") == "acme/plant/l4/inspectd/line1/alarm"


def test_load_names_every_mistake_on_a_line_of_its_own(config: Path) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, ["sight=1", "cameras.line1.alarm.clear_after_seconds=-1"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("content", [b"site = ", b"\xff\xfe\x00", None])
def test_load_of_something_else(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "inspectd.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Permanent, match=re.escape(str(path))) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_load_with_an_unknown_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECTD_MQQT__URL", "x")
    with pytest.raises(Permanent, match="INSPECTD_MQQT__URL: unknown setting 'mqqt'; did you mean mqtt"):
        load_settings(config)


def test_a_camera_needs_one_address(config: Path) -> None:
    with pytest.raises(Permanent, match=r"either device .* or url"):
        load_settings(config, ['cameras.line1.source={kind="camera"}'])


def test_metrics_are_off_and_wanted_in_one_place(config: Path) -> None:
    assert not load_settings(config).metrics.wanted
    assert load_settings(config, ["metrics.port=9464"]).metrics.wanted
    with pytest.raises(Permanent, match=r"metrics: wanted either port .* or socket"):
        load_settings(config, ["metrics.port=9464", "metrics.socket=metrics.sock"])


@pytest.mark.parametrize("fault", ['{kind="black",duration_seconds=1.0}', '{kind="melted",start_frame=1}'])
def test_a_fault_wants_a_kind_and_a_start(config: Path, fault: str) -> None:
    with pytest.raises(Permanent, match=r"cameras\.line1\.source\.faults"):
        load_settings(config, [f"cameras.line1.source.faults=[{fault}]"])


def test_the_example_loads_and_shows_every_setting() -> None:
    """A setting that the example does not know is one that nobody finds."""
    example = ROOT / "inspectd.example.toml"
    assert load_settings(example).site == "plant-1"
    shown = set(re.findall(r"\b([a-z_]+) = ", example.read_text()))
    sections = {"mqtt", "outputs", "log", "metrics", "cameras", "source", "calibration", "alarm"}
    assert _names(Settings) - shown == sections


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """Every commented line, taken in, changes nothing."""
    text = (ROOT / "inspectd.example.toml").read_text()
    uncommented = re.sub(rf"^# (?=({DEFAULTS}) =)", "", text, flags=re.MULTILINE)
    assert uncommented.count("\n#") < text.count("\n#") - 15
    path = tmp_path / "inspectd.toml"
    path.write_text(uncommented.replace("# frames = 300", "frames = 300"))
    (tmp_path / "plain.toml").write_text(text)
    assert load_settings(path).model_dump() == load_settings(tmp_path / "plain.toml").model_dump()


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
