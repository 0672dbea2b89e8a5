"""The settings of the page for many agents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.settings import FleetSettings, accounts_file, load_fleet_settings
from tests.agent.settings.test_settings import _names

ROOT = Path(__file__).parents[3]


def written(tmp_path: Path, text: str) -> Path:
    config = tmp_path / "fleet.toml"
    config.write_text(text)
    return config


def test_example_loads_and_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "fleet.example.toml").read_text()
    assert _names(FleetSettings) - set(re.findall(r"\b([a-z_]+) = ", text)) == {"mqtt", "page", "history", "log"}
    defaults = r"^# (?=(title|max_cameras|url|prefix|port|host|idle_minutes|session_hours|view_without_login|days|level"
    uncommented = re.sub(rf"{defaults}|max_alarms) =)", "", text, flags=re.MULTILINE)
    plain = load_fleet_settings(written(tmp_path, text))
    assert load_fleet_settings(written(tmp_path, uncommented)).model_dump() == plain.model_dump()
    assert plain.page.port == 8480


def test_environment_overrides_the_file_and_is_none_of_an_agents(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.settings import load_settings

    monkeypatch.setenv("INSPECTD_FLEET_MQTT__URL", "mqtt://other:1883")
    monkeypatch.setenv("INSPECTD_MQTT__URL", "mqtt://agent:1883")
    fleet = load_fleet_settings(written(tmp_path, '[mqtt]\nurl = "mqtt://broker:1883"\n'))
    assert fleet.mqtt.url == "mqtt://other:1883"
    assert load_settings(config).mqtt.url == "mqtt://agent:1883"
    monkeypatch.setenv("INSPECTD_FLEET_MQT__URL", "x")
    with pytest.raises(Permanent, match="INSPECTD_FLEET_MQT__URL: unknown setting 'mqt'; did you mean mqtt"):
        load_fleet_settings(tmp_path / "fleet.toml")


def test_client_id_differs_between_settings_files_and_stays_the_same(tmp_path: Path) -> None:
    first = written(tmp_path, "")
    second = tmp_path / "second.toml"
    second.write_text("")
    assert load_fleet_settings(first).client_id == load_fleet_settings(first).client_id
    assert load_fleet_settings(first).client_id != load_fleet_settings(second).client_id
    assert load_fleet_settings(written(tmp_path, '[mqtt]\nclient_id = "mine"')).client_id == "mine"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_fleet_settings(written(tmp_path, 'state_directory = "state"'))
    assert settings.history.address == str(tmp_path / "state" / "fleet.sqlite")
    assert accounts_file(settings, tmp_path / "fleet.toml") == tmp_path / "state" / "page-accounts.json"
    settings = load_fleet_settings(written(tmp_path, '[history]\ndatabase = "postgresql://fleet@db/inspectd"'))
    assert settings.history.address == "postgresql://fleet@db/inspectd"


def test_page_is_on_by_default_and_safe_where_others_reach_it(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"page: host: got '0\.0\.0\.0', which other machines reach"):
        load_fleet_settings(written(tmp_path, '[page]\nhost = "0.0.0.0"'))
    page = load_fleet_settings(written(tmp_path, '[page]\nsocket = "page.sock"')).page
    assert (page.port, page.socket) == (None, tmp_path / "page.sock")
