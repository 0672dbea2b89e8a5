"""Images kept for training: the frames of alarms, and a random sample of those without; lossless, below a byte limit.

The evidence has every frame of an alarm too, but as a JPEG of 8 bits, and deletes the oldest whether anybody has judged
it or not.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from agent.core.image_bytes import encode
from agent.core.records import Image
from agent.review.reservoir import Slot

log = logging.getLogger(__name__)


class KeptImages:
    """Writes and deletes the images; one thread writes.

    Above the limit, the oldest images that nobody has judged are deleted first, then the oldest judged ones.
    """

    def __init__(self, directory: Path, *, max_bytes: int, judged: Collection[str] = ()) -> None:
        """Args:
        directory: holds `alarms/<camera>/<id>.png` and `samples/<camera>/<shift>-<index>.png`; made where missing.
        max_bytes: limit on the size of all files.
        judged: ids of the alarms that a person has judged.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._judged = set(judged)
        files = [(path.stat(), path) for path in directory.glob("*/*/*.png")]
        files.sort(key=lambda entry: entry[0].st_mtime)
        self._sizes = {path: status.st_size for status, path in files}
        self._bytes = sum(self._sizes.values())

    def protect(self, alarm: str) -> None:
        """A person has judged this alarm: delete its image after the others."""
        self._judged.add(alarm)

    def save_alarm(self, camera: str, alarm: str, image: Image) -> None:
        """Keep the source image [H, W, C] of an alarm. Raises OSError."""
        self._save(alarm_image(self._directory, camera, alarm), image)

    def save_sample(self, camera: str, slot: Slot, image: Image) -> None:
        """Keep a source image [H, W, C] as a sample; it replaces the one in the same place. Raises OSError."""
        self._save(self._directory / "samples" / camera / f"{slot.shift:06d}-{slot.index:03d}.png", image)

    @property
    def bytes(self) -> int:
        """Size of all images."""
        return self._bytes

    def _save(self, path: Path, image: Image) -> None:
        payload = encode(image, "image/png")
        self._forget(path)
        self._make_room(len(payload))
        if len(payload) > self._max_bytes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(payload)
        partial.replace(path)
        self._sizes[path] = len(payload)
        self._bytes += len(payload)

    def _make_room(self, needed: int) -> None:
        if self._bytes + needed <= self._max_bytes:
            return
        oldest_first = sorted(self._sizes, key=lambda path: path.stem in self._judged)
        for path in oldest_first:
            if self._bytes + needed <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            self._forget(path)

    def _forget(self, path: Path) -> None:
        self._bytes -= self._sizes.pop(path, 0)


def alarm_image(directory: Path, camera: str, alarm: str) -> Path:
    """Where the image of an alarm is kept."""
    return directory / "alarms" / camera / f"{alarm}.png"


def sample_images(directory: Path, camera: str | None = None) -> list[Path]:
    """The samples of one camera, or of all, oldest shift first."""
    return sorted((directory / "samples").glob(f"{camera or '*'}/*.png"))
