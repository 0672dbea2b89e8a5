"""The pictures of an alarm: what the camera saw, where the model looked, and both in one; kept under a byte cap.

All three mean the same on every alarm. The colours of heat are fixed: blue is what good parts do too, and from 1.0 on
(as hot as good parts ever get at that place, the white line) amber to white. 16 bits are shown in one fixed window.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.alarms.drawing import WINDOW_16_BIT, draw_heatmap, enlarge_heat, fit_screen, to_8_bit
from agent.alarms.heat_colours import colour_of
from agent.alarms.overlay import draw_overlay
from agent.core.image_bytes import encode
from agent.core.records import Frame, Region, Verdict

log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class EvidenceImage:
    """An encoded picture of an alarm."""

    name: str
    """`heatmap`, `overlay` or `frame`: the end of its topic."""
    payload: bytes
    media_type: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def file_name(self) -> str:
        return f"{self.name}{'.png' if self.media_type == 'image/png' else '.jpg'}"


class Evidence:
    """Draws the pictures of alarms, and keeps them on disk: the oldest alarms leave when `max_bytes` are passed."""

    def __init__(
        self, directory: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, window_16_bit: tuple[int, int] = WINDOW_16_BIT
    ) -> None:
        """Args:
        directory: holds `<camera>/<alarm id>/heatmap.png`, `overlay.jpg`, `frame.jpg`; made where missing.
        max_bytes: of all files in it.
        window_16_bit: the values shown as black and white.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._window = window_16_bit
        self._kept = _alarms_on_disk(directory)
        self._failing = False

    def draw(self, verdict: Verdict, hot: Sequence[Region]) -> list[EvidenceImage]:
        """Heatmap, overlay and frame of a verdict; `hot` are its regions, in pixels of the frame."""
        captions = (
            f"{verdict.frame.camera}   score {verdict.score:.3g}   threshold {verdict.threshold:.3g}",
            f"{verdict.frame.captured_at:%Y-%m-%d %H:%M:%S} UTC   frame {verdict.frame.index}",
        )
        return self.pictures(verdict.frame, verdict.heatmap, hot, captions)

    def pictures(
        self, frame: Frame, heat: NDArray[np.float32], hot: Sequence[Region], captions: Sequence[str]
    ) -> list[EvidenceImage]:
        """Heatmap, overlay with the two lines of `captions`, and the frame itself; `heat` [h, w] is calibrated."""
        shown = to_8_bit(frame.image, self._window)
        height, width = fit_screen(*shown.shape[:2])
        overlay = draw_overlay(shown, enlarge_heat(heat, height, width), hot, colours=colour_of, captions=captions)
        return [
            EvidenceImage("heatmap", encode(draw_heatmap(heat, height, width), "image/png"), "image/png"),
            EvidenceImage("overlay", encode(overlay, "image/jpeg"), "image/jpeg"),
            self.draw_frame(frame),
        ]

    def draw_frame(self, frame: Frame) -> EvidenceImage:
        """The frame alone: all there is to see where the camera is at fault."""
        payload = encode(to_8_bit(frame.image, self._window), "image/jpeg", quality=95)
        return EvidenceImage("frame", payload, "image/jpeg")

    def save(self, alarm_id: str, verdict: Verdict, hot: Sequence[Region]) -> list[EvidenceImage]:
        """Draws the pictures and keeps them on disk. A disk that refuses them costs the copy here, never the alarm."""
        pictures = self.draw(verdict, hot)
        self._keep(self._directory / verdict.frame.camera / alarm_id, pictures)
        return pictures

    def save_frame(self, alarm_id: str, frame: Frame) -> list[EvidenceImage]:
        """The same for an alarm about the camera: its frame alone."""
        pictures = [self.draw_frame(frame)]
        self._keep(self._directory / frame.camera / alarm_id, pictures)
        return pictures

    def bytes_on_disk(self) -> int:
        """Of all pictures kept."""
        return sum(self._kept.values())

    def _keep(self, folder: Path, pictures: Sequence[EvidenceImage]) -> None:
        size = sum(len(picture.payload) for picture in pictures)
        try:
            self._make_room(size)
            if size <= self._max_bytes:
                folder.mkdir(parents=True, exist_ok=True)
                for picture in pictures:
                    _write(folder / picture.file_name, picture.payload)
                self._kept[folder] = size
        except OSError as error:
            log.log(logging.DEBUG if self._failing else logging.WARNING, "evidence not kept in %s: %s", folder, error)
            self._failing = True
        else:
            self._failing = False

    def _make_room(self, size: int) -> None:
        while self._kept and self.bytes_on_disk() + size > self._max_bytes:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            shutil.rmtree(oldest, ignore_errors=True)


def _alarms_on_disk(directory: Path) -> dict[Path, int]:
    """Folders of alarms and their bytes, oldest first."""
    folders = [folder for folder in directory.glob("*/*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime)
    return {folder: sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) for folder in folders}


def _write(path: Path, payload: bytes) -> None:
    """All of it or nothing: somebody may be looking at the folder."""
    half = path.with_name(f".{path.name}.part")
    half.write_bytes(payload)
    half.replace(path)
