"""How warm the device is, where its kernel tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

THERMAL_DIRECTORY = Path("/sys/class/thermal")


def temperatures(directory: Path = THERMAL_DIRECTORY) -> Iterator[tuple[str, float]]:
    """Name and degrees Celsius of each thermal zone; zones that cannot be read are passed over.

    Zones may share a name (`x86_pkg_temp` of two sockets): from the second on it carries the zone's number.
    """
    seen: set[str] = set()
    for zone in sorted(directory.glob("thermal_zone*"), key=lambda path: (len(path.name), path.name)):
        try:
            name, degrees = (zone / "type").read_text().strip(), int((zone / "temp").read_text()) / 1000.0
        except (OSError, ValueError):
            # A sensor that sleeps answers with an error; on a Jetson, a powered-down GPU's does.
            continue
        unique = name if name not in seen else f"{name}-{zone.name.removeprefix('thermal_zone')}"
        seen.add(unique)
        yield unique, degrees
