"""Two services of one machine with the same site or the same metrics port."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent.doctor.service.other_services import check_other_services
from agent.settings.load import load_settings
from tests.support.check_results import Configure, only


def test_two_services_of_one_site_are_a_problem(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    settings = load_settings(config)
    assert list(check_other_services(settings, config)) == []
    shutil.copy(config, tmp_path / "line2.toml")
    assert "line2 has the same site 'plant'" in only(check_other_services(settings, config)).text
    other = (tmp_path / "line2.toml").read_text().replace('"plant"', '"plant-line2"')
    (tmp_path / "line2.toml").write_text(other)
    assert list(check_other_services(settings, config)) == []


def test_two_services_with_one_port_for_an_output_are_a_problem(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    config.write_text(config.read_text() + '[outputs.plc]\nkind = "modbus"\nport = 5020\n')
    (tmp_path / "line2.toml").write_text(config.read_text().replace('"plant"', '"plant-line2"'))
    result = only(check_other_services(load_settings(config), config))
    assert result.text == "line2 uses 127.0.0.1:5020 (Modbus), too"


def test_two_services_with_one_metrics_port_are_a_problem(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    config.write_text(config.read_text() + "[metrics]\nport = 9464\n")
    (tmp_path / "line2.toml").write_text(config.read_text().replace('"plant"', '"plant-line2"'))
    result = only(check_other_services(load_settings(config), config))
    assert "line2 has the same metrics.port 9464" in result.text
    assert "9465" in str(result.fix)


def test_broken_settings_of_another_service_are_not_reported_here(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    (tmp_path / "line2.toml").write_text("site = ")
    assert list(check_other_services(load_settings(config), config)) == []
