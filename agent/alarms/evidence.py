"""The images of an alarm: frame, heatmap and overlay; kept on disk under a byte limit.

All three look the same way on every alarm. The colours of the heatmap are fixed: blue for values that good parts reach
too; above 1.0 (the highest that good parts reach at that place, the white contour), amber to white. 16 bits are shown
through one window, which is fixed for each calibration.
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

from agent.alarms.drawing import covered, draw_heatmap, enlarge_heatmap, fit_screen, grey_out, stored_window, to_8_bit
from agent.alarms.overlay import draw_overlay
from agent.core.durable_file import disk_reason
from agent.core.image_bytes import encode
from agent.core.records import Frame, Region, Verdict

log = logging.getLogger(__name__)

DEFAULT_MAX_EVIDENCE_BYTES = 1024**3

Window16 = tuple[int, int]
"""The 16-bit values shown black and white."""


@dataclass(frozen=True, slots=True)
class EvidenceImage:
    """An encoded image of an alarm."""

    name: str
    """`heatmap`, `overlay` or `frame`: the last level of its topic."""
    payload: bytes
    media_type: str
    """`image/png` or `image/jpeg`."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the payload, hexadecimal."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def file_name(self) -> str:
        """Name of the file on disk."""
        return f"{self.name}{'.png' if self.media_type == 'image/png' else '.jpg'}"


class Evidence:
    """Draws the images of alarms and keeps them on disk; the oldest alarms are deleted above `max_bytes`."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = DEFAULT_MAX_EVIDENCE_BYTES,
    ) -> None:
        """Args:
        directory: holds `<camera>/<alarm id>/heatmap.png`, `overlay.jpg`, `frame.jpg`; made where missing.
        max_bytes: limit on the size of all files in it.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._kept = _alarms_on_disk(directory)
        self._failing = False

    def draw(
        self,
        frame: Frame,
        heatmap: NDArray[np.float32],
        hot: Sequence[Region],
        captions: Sequence[str],
        window: Window16 | None = None,
    ) -> list[EvidenceImage]:
        """Heatmap and overlay of the inspected part, and the source image.

        Args:
            frame: its source image is drawn as it was captured, its inspected part below the overlay; there and in the
                heatmap, what a mask excludes is grey.
            heatmap: calibrated, float32 [h, w], ≥ 0.
            hot: the regions that get a box, hottest first, in pixels of the inspected part.
            captions: the two lines below the overlay.
            window: the 16-bit values shown black and white, those of the calibration; None: by the image's bits.
        """
        shown = grey_out(to_8_bit(frame.image, window or stored_window(frame.image)), frame.excluded)
        height, width = fit_screen(*shown.shape[:2])
        large = enlarge_heatmap(heatmap, height, width)
        if frame.excluded is not None:  # enlarged, heat reaches a little beyond its place
            large[covered(frame.excluded, height, width)] = 0.0
        overlay = draw_overlay(shown, large, hot, captions=captions)
        return [
            self.draw_heatmap(frame, heatmap),
            EvidenceImage("overlay", encode(overlay, "image/jpeg"), "image/jpeg"),
            self.draw_frame(frame, window),
        ]

    def draw_heatmap(self, frame: Frame, heatmap: NDArray[np.float32]) -> EvidenceImage:
        """The heatmap of the inspected part alone, as in `draw`."""
        heat = grey_out(draw_heatmap(heatmap, *fit_screen(*frame.image.shape[:2])), frame.excluded)
        return EvidenceImage("heatmap", encode(heat, "image/png"), "image/png")

    def draw_verdict(
        self, verdict: Verdict, hot: Sequence[Region], window: Window16 | None = None
    ) -> list[EvidenceImage]:
        """The images of a verdict; `hot` are its regions, hottest first, in pixels of the inspected part."""
        captions = (
            f"{verdict.frame.camera}   score {verdict.score:.3g}   threshold {verdict.threshold:.3g}",
            f"{verdict.frame.captured_at:%Y-%m-%d %H:%M:%S} UTC   frame {verdict.frame.index}",
        )
        return self.draw(verdict.frame, verdict.heatmap, hot, captions, window)

    def draw_frame(self, frame: Frame, window: Window16 | None = None) -> EvidenceImage:
        """The source image alone: the only evidence where the camera is faulty. Its pixels are those of the regions."""
        shown = to_8_bit(frame.source_image, window or stored_window(frame.image))
        payload = encode(shown, "image/jpeg", quality=95)
        return EvidenceImage("frame", payload, "image/jpeg")

    def save(
        self, alarm_id: str, verdict: Verdict, hot: Sequence[Region], window: Window16 | None = None
    ) -> list[EvidenceImage]:
        """Draw the images of a defect alarm and keep them on disk.

        A disk error is logged and costs the copy on disk only: the images are returned, and nothing is raised.
        """
        images = self.draw_verdict(verdict, hot, window)
        self._keep(self._directory / verdict.frame.camera / alarm_id, images)
        return images

    def save_frame(self, alarm_id: str, frame: Frame, window: Window16 | None = None) -> list[EvidenceImage]:
        """The same for an alarm about the camera: its frame alone."""
        images = [self.draw_frame(frame, window)]
        self._keep(self._directory / frame.camera / alarm_id, images)
        return images

    def save_heatmap(self, result_id: str, frame: Frame, heatmap: NDArray[np.float32]) -> EvidenceImage:
        """The same for the result of a part: its heatmap alone."""
        image = self.draw_heatmap(frame, heatmap)
        self._keep(self._directory / frame.camera / result_id, [image])
        return image

    def bytes_on_disk(self) -> int:
        """Size of all images kept, bytes."""
        return sum(self._kept.values())

    def _keep(self, folder: Path, images: Sequence[EvidenceImage]) -> None:
        size = sum(len(image.payload) for image in images)
        try:
            self._delete_oldest(size)
            if size <= self._max_bytes:
                folder.mkdir(parents=True, exist_ok=True)
                for image in images:
                    _write(folder / image.file_name, image.payload)
                self._kept[folder] = size
        except OSError as error:
            level = logging.DEBUG if self._failing else logging.WARNING
            log.log(level, "evidence not kept in %s: %s", folder, disk_reason(error, self._directory))
            self._failing = True
        else:
            self._failing = False

    def _delete_oldest(self, needed_bytes: int) -> None:
        while self._kept and self.bytes_on_disk() + needed_bytes > self._max_bytes:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            shutil.rmtree(oldest, ignore_errors=True)


def _alarms_on_disk(directory: Path) -> dict[Path, int]:
    """Size in bytes of each alarm's folder, oldest first."""
    folders = [folder for folder in directory.glob("*/*") if folder.is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime)
    return {folder: sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) for folder in folders}


def _write(path: Path, payload: bytes) -> None:
    """Write the whole file or nothing: another program may be reading the folder."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(payload)
    partial.replace(path)
