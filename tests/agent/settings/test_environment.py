"""Settings from the environment: names in any case, names of people in theirs, and values that cannot be read."""

from __future__ import annotations

import contextlib
import re
import typing
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agent.core.errors import Permanent
from agent.outputs.settings import KINDS, load_class
from agent.settings.environment import NAMED_BY_PEOPLE
from agent.settings.load import load_settings
from agent.settings.settings import Settings
from tests.agent.settings.conftest import MINIMAL


def _file(folder: Path, *cameras: str) -> Path:
    path = folder / "agent.toml"
    sections = [MINIMAL.replace("line1", camera).replace('site = "plant"', "") for camera in cameras]
    path.write_text('site = "plant"\n' + "".join(sections))
    return path


@pytest.mark.parametrize(
    ("camera", "variable"),
    [
        ("Line1", "INSPECTD_CAMERAS__Line1__ALARM__RULE"),
        ("Line1", "INSPECTD_CAMERAS__LINE1__ALARM__RULE"),
        ("Line1", "INSPECTD_CAMERAS__line1__alarm__rule"),
        ("LINE1", "INSPECTD_CAMERAS__LINE1__ALARM__RULE"),
        ("line1", "INSPECTD_CAMERAS__LINE1__ALARM__RULE"),
        ("line1", "inspectd_cameras__line1__alarm__rule"),
        ("Line_1", "INSPECTD_CAMERAS__Line_1__ALARM__RULE"),
    ],
)
def test_variable_reaches_the_camera_whatever_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, camera: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "1 of 2")
    assert {name: each.alarm.rule for name, each in load_settings(_file(tmp_path, camera)).cameras.items()} == {
        camera: "1 of 2"
    }


def test_cameras_that_differ_in_case_are_told_apart_or_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, "Line1", "LINE1")
    monkeypatch.setenv("INSPECTD_CAMERAS__Line1__ALARM__RULE", "1 of 2")
    cameras = load_settings(file).cameras
    assert (cameras["Line1"].alarm_rule, cameras["LINE1"].alarm_rule) == ("1 of 2", "2 of 3")
    monkeypatch.setenv("INSPECTD_CAMERAS__line1__ENGINE", "auto")
    with pytest.raises(Permanent, match="INSPECTD_CAMERAS__line1__ENGINE: 'line1' may be Line1 or LINE1") as caught:
        load_settings(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        ("INSPECTD_MQQT__URL", "unknown setting 'mqqt'; did you mean mqtt?"),
        ("INSPECTD_SITES", "unknown setting 'sites'; did you mean site?"),
        ("inspectd_siet", "unknown setting 'siet'; did you mean site?"),
        ("INSPECTD_STATE_DIR", "unknown setting 'state_dir'; did you mean state_directory?"),
        ("INSPECTD_CAMERA__LINE1__ENGINE", "unknown setting 'camera'; did you mean cameras?"),
        ("INSPECTD_MQTT_URL", "unknown setting 'mqtt_url'; did you mean INSPECTD_MQTT__URL?"),
        ("INSPECTD_CAMERAS_LINE1", "unknown setting 'cameras_line1'; did you mean INSPECTD_CAMERAS__LINE1?"),
        ("INSPECTD_SITE_NAME", "unknown setting 'site_name'; did you mean INSPECTD_SITE?"),
        ("INSPECTD_FOO__BAR", "unknown setting 'foo'; wanted one of site, "),
    ],
)
def test_variable_that_looks_like_a_setting_is_one_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, variable: str, wanted: str
) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(Permanent) as caught:
        load_settings(config)
    assert str(caught.value).startswith(f"environment: {variable}: {wanted}")
    assert "\n" not in str(caught.value)


def test_variables_of_other_programs_are_one_warning(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [
        "INSPECTD_DATA",
        "INSPECTD_DEVICE",
        "INSPECTD_TEST_CACHE",
        "INSPECTD_HOME",
        "INSPECTD_VERSION",
        "INSPECTD_",
    ]
    for name in names:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("INSPECTD_SITE", "hall")
    assert load_settings(config).site == "hall"
    ours = [record.message for record in caplog.records if "environment" in record.message]
    assert ours == [
        "environment: no settings of inspectd, ignored: "
        "INSPECTD_, INSPECTD_DATA, INSPECTD_DEVICE, INSPECTD_HOME, INSPECTD_TEST_CACHE and 1 more"
    ]


def test_variable_refers_to_a_camera_of_the_command_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECTD_CAMERAS__PRESS__ALARM__RULE", "1 of 2")
    overrides = ["cameras.Press.bundle=b", "cameras.Press.source.kind=simulator"]
    assert load_settings(config, overrides).cameras["Press"].alarm.rule == "1 of 2"


def test_camera_of_the_environment_alone_keeps_its_name(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Press", "SAW"):
        monkeypatch.setenv(f"INSPECTD_CAMERAS__{name}__BUNDLE", "b")
        monkeypatch.setenv(f"INSPECTD_CAMERAS__{name}__SOURCE__KIND", "simulator")
    assert set(load_settings(config).cameras) == {"line1", "Press", "saw"}


def test_every_section_with_names_of_people_is_known() -> None:
    found = {path for path in _dictionaries(Settings, ()) if path}
    for kind in KINDS.values():
        found |= set(_dictionaries(load_class(kind.section), ("outputs", "*")))
    assert found == set(NAMED_BY_PEOPLE)


def _dictionaries(annotation: Any, path: tuple[str, ...]) -> typing.Iterator[tuple[str, ...]]:
    """The paths below `annotation` whose keys are names."""
    if get_origin(annotation) is dict:
        yield path
        yield from _dictionaries(get_args(annotation)[1], (*path, "*"))
    elif get_origin(annotation) is Annotated:
        yield from _dictionaries(get_args(annotation)[0], path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from _dictionaries(field.annotation, (*path, name))
    else:
        for each in get_args(annotation):
            yield from _dictionaries(each, path)


VARIABLES = ["MQTT", "MQTT__URL", "MQTT__COMMANDS", "CAMERAS", "CAMERAS__Line1", "CAMERAS__Line1__SOURCE"]
VARIABLES += ["OUTPUTS__Second", "SITE", "METRICS", "TRUSTED_KEYS"]
PARTS = ["mqtt", "CAMERAS", "Line1", "line1", "url", "outputs", "", "b", "site", "source", "topic_levels"]


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    "value",
    ["", "x", "[", "[1]", "{}", "7", '{"url": 7}', "[" * 100_000, "\udcff", "null"],
    ids=lambda value: ascii(value)[:20],
)
def test_value_that_does_not_fit_is_a_line_for_each_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"INSPECTD_{variable}", value)
    try:
        load_settings(_file(tmp_path, "Line1"))
    except Permanent as error:
        for line in str(error).splitlines():
            assert re.match(r"environment: INSPECTD_|/.*agent.toml: \w+", line)
            assert len(line) < 500


def test_empty_variable_names_itself_and_what_was_wanted(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECTD_Mqtt", "")
    with pytest.raises(Permanent, match=r"^environment: INSPECTD_Mqtt = '': wanted JSON, .* INSPECTD_Mqtt__KEY$"):
        load_settings(config)


def test_password_in_a_value_that_cannot_be_read_is_not_printed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECTD_MQTT", "mqtt://user:s3cret@broker")
    with pytest.raises(Permanent) as caught:
        load_settings(config)
    assert "s3cret" not in str(caught.value)


@given(
    st.dictionaries(
        st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(lambda parts: "INSPECTD_" + "__".join(parts)),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        max_size=4,
    )
)  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_environment_loads_or_is_rejected(config: Path, environment: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        with contextlib.suppress(Permanent):
            load_settings(config)


def test_file_nested_too_deeply_is_one_line(config: Path) -> None:
    config.write_text(f"site = {'[' * 100_000}")
    with pytest.raises(Permanent, match="nested too deeply") as caught:
        load_settings(config)
    assert "\n" not in str(caught.value)
