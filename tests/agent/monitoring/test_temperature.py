"""Temperatures from the kernel's thermal zones."""

from __future__ import annotations

from pathlib import Path

from agent.monitoring.temperature import temperatures


def test_zones_that_can_be_read_are_listed_under_unique_names(tmp_path: Path) -> None:
    zones = {"0": ("CPU-therm", "51500"), "1": ("GPU-therm", ""), "2": ("PMIC", "hot"), "10": ("CPU-therm", "-4000")}
    for number, (kind, degrees) in zones.items():
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        if degrees:
            (zone / "temp").write_text(f"{degrees}\n")
    assert list(temperatures(tmp_path)) == [("CPU-therm", 51.5), ("CPU-therm-10", -4.0)]
    assert list(temperatures(tmp_path / "nothing")) == []
