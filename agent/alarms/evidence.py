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
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alarms.overlay import draw_overlay
from agent.core.image_bytes import encode
from agent.core.records import Frame, Image, Region, Verdict

log = logging.getLogger(__name__)

MAX_REGIONS = 8
DEFAULT_MAX_BYTES = 1024**3

# What 8 bits show of 16: all of it, evenly. A window that followed the picture would hide what changed.
WINDOW_16_BIT = (0, 65_535)

# A person's screen; the frame itself is sent as it is.
MAX_SIDE_PIXELS = 1280
MIN_SIDE_PIXELS = 384

# The colour scale: linear up to 1.0 in the lower half of the map, then a doubling for every sixth of it, up to 8.
HOTTEST = 8.0
_STOPS = (
    # position in the map, BGR
    (0.00, (16, 12, 10)),
    (0.25, (92, 46, 22)),
    (0.499, (150, 96, 40)),
    (0.501, (20, 120, 235)),
    (0.67, (40, 60, 240)),
    (0.84, (120, 210, 255)),
    (1.00, (255, 255, 255)),
)

Picture8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EvidencePicture:
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


def regions(heat: NDArray[np.float32], image_shape: Sequence[int]) -> list[Region]:
    """Boxes around what is hotter than 1.0 in `heat` [h, w], in pixels of an image [H, W, …]; hottest first, 8 at most.

    Where nothing is, the one box of the hottest cell: an alarm always points somewhere.
    """
    heat = np.nan_to_num(np.asarray(heat, np.float32), nan=0.0, posinf=3.4e38)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((heat > 1.0).astype(np.uint8), connectivity=8)
    if count == 1:
        row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
        return [_region((int(column), int(row), 1, 1), float(heat[row, column]), heat.shape, image_shape)]
    peaks = {label: float(heat[labels == label].max()) for label in range(1, count)}
    hottest = sorted(peaks, key=lambda label: -peaks[label])[:MAX_REGIONS]
    return [_region(boxes[label, :4].tolist(), peaks[label], heat.shape, image_shape) for label in hottest]


def _region(box: Sequence[int], peak: float, heat_shape: Sequence[int], image_shape: Sequence[int]) -> Region:
    """A box of heat cells in pixels of the image, rounded outwards."""
    left, top, width, height = (int(value) for value in box)
    x_scale, y_scale = image_shape[1] / heat_shape[1], image_shape[0] / heat_shape[0]
    x, y = int(left * x_scale), int(top * y_scale)
    right = min(image_shape[1], int(np.ceil((left + width) * x_scale)))
    bottom = min(image_shape[0], int(np.ceil((top + height) * y_scale)))
    return Region(x, y, max(1, right - x), max(1, bottom - y), peak)


def to_8_bit(image: Image, window: tuple[int, int] = WINDOW_16_BIT) -> Picture8:
    """`image` uint8 or uint16 [H, W, 1 or 3] as uint8 BGR [H, W, 3]; 16 bits through the fixed `window` (low, high)."""
    if image.dtype == np.uint16:
        low, high = window
        image = np.clip((image.astype(np.float32) - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    shown = np.asarray(image, np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def colour_of(heat: NDArray[np.float32]) -> Picture8:
    """`heat` [h, w] in the fixed colours, BGR [h, w, 3]."""
    return _colours()[_position(heat)]


def _position(heat: NDArray[np.float32]) -> NDArray[np.intp]:
    """Where a heat is in the map of 1024 colours."""
    heat = np.nan_to_num(heat, nan=0.0, posinf=HOTTEST)
    above = 0.5 + 0.5 * np.log2(np.clip(heat, 1.0, HOTTEST)) / np.log2(HOTTEST)
    place = np.where(heat < 1.0, 0.4995 * np.clip(heat, 0.0, 1.0), above)
    return np.asarray(np.round(place * 1023), np.intp)


@cache
def _colours() -> Picture8:
    at = np.linspace(0.0, 1.0, 1024)
    positions = [position for position, _ in _STOPS]
    channels = [np.interp(at, positions, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def fit_screen(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is drawn: neither tiny nor larger than a screen."""
    longest = max(height, width)
    scale = (
        MAX_SIDE_PIXELS / longest if longest > MAX_SIDE_PIXELS else float(np.ceil(max(1.0, MIN_SIDE_PIXELS / longest)))
    )
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarge_heat(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """`heat` [h, w] at [height, width], smooth, never below 0."""
    clean = np.nan_to_num(np.asarray(heat, np.float32), nan=0.0, posinf=HOTTEST)
    return np.maximum(cv2.resize(clean, (width, height), interpolation=cv2.INTER_CUBIC), 0.0).astype(np.float32)


def draw_heatmap(heat: NDArray[np.float32], height: int, width: int) -> Picture8:
    """`heat` [h, w] in the fixed colours at [height, width], with the line where it passes 1.0."""
    large = enlarge_heat(heat, height, width)
    picture = np.ascontiguousarray(colour_of(large))
    outline, _ = cv2.findContours((large > 1.0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, (255, 255, 255), max(1, round(max(height, width) / 640)), cv2.LINE_AA)
    return picture


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

    def draw(self, verdict: Verdict, hot: Sequence[Region]) -> list[EvidencePicture]:
        """Heatmap, overlay and frame of a verdict; `hot` are its regions, in pixels of the frame."""
        captions = (
            f"{verdict.frame.camera}   score {verdict.score:.3g}   threshold {verdict.threshold:.3g}",
            f"{verdict.frame.captured_at:%Y-%m-%d %H:%M:%S} UTC   frame {verdict.frame.index}",
        )
        return self.pictures(verdict.frame, verdict.heatmap, hot, captions)

    def pictures(
        self, frame: Frame, heat: NDArray[np.float32], hot: Sequence[Region], captions: Sequence[str]
    ) -> list[EvidencePicture]:
        """Heatmap, overlay with the two lines of `captions`, and the frame itself; `heat` [h, w] is calibrated."""
        shown = to_8_bit(frame.image, self._window)
        height, width = fit_screen(*shown.shape[:2])
        overlay = draw_overlay(shown, enlarge_heat(heat, height, width), hot, colours=colour_of, captions=captions)
        return [
            EvidencePicture("heatmap", encode(draw_heatmap(heat, height, width), "image/png"), "image/png"),
            EvidencePicture("overlay", encode(overlay, "image/jpeg"), "image/jpeg"),
            self.draw_frame(frame),
        ]

    def draw_frame(self, frame: Frame) -> EvidencePicture:
        """The frame alone: all there is to see where the camera is at fault."""
        payload = encode(to_8_bit(frame.image, self._window), "image/jpeg", quality=95)
        return EvidencePicture("frame", payload, "image/jpeg")

    def save(self, alarm_id: str, verdict: Verdict, hot: Sequence[Region]) -> list[EvidencePicture]:
        """Draws the pictures and keeps them on disk. A disk that refuses them costs the copy here, never the alarm."""
        pictures = self.draw(verdict, hot)
        self._keep(self._directory / verdict.frame.camera / alarm_id, pictures)
        return pictures

    def save_frame(self, alarm_id: str, frame: Frame) -> list[EvidencePicture]:
        """The same for an alarm about the camera: its frame alone."""
        pictures = [self.draw_frame(frame)]
        self._keep(self._directory / frame.camera / alarm_id, pictures)
        return pictures

    def bytes_on_disk(self) -> int:
        """Of all pictures kept."""
        return sum(self._kept.values())

    def _keep(self, folder: Path, pictures: Sequence[EvidencePicture]) -> None:
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
