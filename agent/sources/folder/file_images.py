"""The images of the file that a folder source reads at the moment: one, or several frames or pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.core.records import FileVersion
from engines.images import FileReading, frame_count, frame_path


class FileImages:
    """Of several images in a file, each has a version of its own, so that a killed agent goes on with the next one.

    The last one has the version of the file: with it, the file is finished.
    """

    def __init__(self, folder: Path, reading: FileReading) -> None:
        self._folder, self._reading = folder, reading
        self._left: deque[tuple[FileVersion, Path]] = deque()
        self._last_of_several: FileVersion | None = None

    def __bool__(self) -> bool:
        """Whether images of the file are left."""
        return bool(self._left)

    def start(self, file: FileVersion, is_known: Callable[[FileVersion], bool]) -> None:
        """Go on with this file; of several images, those that are known are skipped."""
        path = self._folder / file.name
        count = frame_count(path, self._reading)
        self._last_of_several = file if count > 1 else None
        if count == 1:
            self._left.append((file, path))
            return
        images = [(replace(file, frame=number % count), frame_path(path, number)) for number in range(1, count + 1)]
        self._left.extend(image for image in images if not is_known(image[0]))

    def next(self) -> tuple[FileVersion, Path]:
        """The version and the path of the next image."""
        return self._left.popleft()

    def drop(self) -> None:
        """Forget the images that are left; the file may be started again."""
        self._left.clear()

    def finishes_early(self, version: FileVersion) -> bool:
        """Whether this image finishes the file, while what follows from the others may not be durable yet."""
        return version == self._last_of_several
