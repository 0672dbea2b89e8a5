"""The files of an outbox, for tests that damage them."""

from __future__ import annotations

from pathlib import Path

from agent.outputs.outbox.segments import Location


def file_of(directory: Path, location: Location) -> Path:
    """The segment file that an image is stored in."""
    return directory / f"segment-{location.segment:06}"


def damage_image(directory: Path, damage: str, location: Location) -> None:
    """`damage`: `flipped` inverts a bit in the middle, `truncated` cuts the file there, `gone` deletes the file."""
    file = file_of(directory, location)
    if damage == "gone":
        file.unlink()
        return
    content = bytearray(file.read_bytes())
    middle = location.offset + location.length // 2
    content[middle] ^= 1
    file.write_bytes(bytes(content[:middle] if damage == "truncated" else content))
