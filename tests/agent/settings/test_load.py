"""Settings from file, environment and command line, and files that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.settings.load import load_settings
from agent.settings.toml_file import MAX_BYTES


def test_load_minimal(config: Path) -> None:
    loaded = load_settings(config)
    assert loaded.cameras["line1"].source.kind == "simulator"
    assert loaded.cameras["line1"].bundle == config.parent / "model.bundle", "relative to the file"


def test_environment_overrides_the_file_and_the_command_line_overrides_both(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSPECTD_MQTT__URL", "mqtt://from-environment")
    assert load_settings(config).mqtt.url == "mqtt://from-environment"
    assert load_settings(config, ["mqtt.url=mqtt://from-command-line"]).mqtt.url == "mqtt://from-command-line"
    assert (
        load_settings(config, ["cameras.line1.source.frames_per_second=5"]).cameras["line1"].source.frames_per_second
        == 5.0
    )


def test_load_of_a_file_from_a_windows_editor(config: Path) -> None:
    """Such an editor puts a byte order mark before the text, and ends lines in its own way."""
    text = config.read_text(encoding="utf-8").replace("\n", "\r\n")
    config.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_settings(config).cameras["line1"].source.kind == "simulator"


def test_load_reports_each_mistake_on_its_own_line(config: Path) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, ["sight=1", "cameras.line1.alarm.clear_after_seconds=-1"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("content", [b"site = ", b"\xff\xfe\x00", b"#" * (MAX_BYTES + 1), None])
def test_load_of_a_file_that_is_not_toml_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "inspectd.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Permanent, match=re.escape(str(path))) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_load_with_an_unknown_environment_variable_is_one_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECTD_MQQT__URL", "x")
    with pytest.raises(Permanent, match="INSPECTD_MQQT__URL: unknown setting 'mqqt'; did you mean mqtt"):
        load_settings(config)
