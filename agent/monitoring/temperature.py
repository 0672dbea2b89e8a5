"""Temperatures of the device, as its kernel reports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

THERMAL_DIRECTORY = Path("/sys/class/thermal")


def temperatures(directory: Path = THERMAL_DIRECTORY) -> Iterator[tuple[str, float]]:
    """Name and temperature, °C, of each thermal zone; zones that cannot be read are skipped.

    Zones may share a name (`x86_pkg_temp` of two sockets): from the second on, the zone's number is added.
    """
    seen: set[str] = set()
    for zone in sorted(directory.glob("thermal_zone*"), key=lambda path: (len(path.name), path.name)):
        try:
            name, degrees = (zone / "type").read_text().strip(), int((zone / "temp").read_text()) / 1000.0
        except (OSError, ValueError):
            # A sensor that is powered down gives an error, such as that of an idle GPU on a Jetson.
            continue
        unique = name if name not in seen else f"{name}-{zone.name.removeprefix('thermal_zone')}"
        seen.add(unique)
        yield unique, degrees
