"""Motion JPEG: streams and files whose images are checked for their end before they are decoded."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_START, _SCAN, _END = b"\xff\xd8", 0xDA, b"\xff\xd9"

# Codes of motion JPEG in AVI, MOV and network streams.
_CODES = ("MJPG", "JPEG")


class DamagedFrame(Exception):
    """A frame that arrived damaged; the next one may be intact."""


class MotionJpeg:
    """A `Handle` that decodes the images of a motion JPEG stream itself, and raises `DamagedFrame` for a cut-off one.

    FFmpeg fills what is missing with gray or with the image before, and reports nothing: the fill was judged as a
    defect of the part.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        """Args: capture: open, gives encoded images, and is owned by this handle from now on."""
        self._capture = capture

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """True if the stream is open."""
        return bool(self._capture.isOpened())

    def read(self) -> tuple[bool, NDArray[Any]]:
        """Wait for an image, uint8 [H, W, 3]; (False, anything) at the end. Raises `DamagedFrame`."""
        received, packet = self._capture.read()
        if not received:
            return False, np.empty(0, np.uint8)
        data = packet.reshape(-1)
        if not is_complete(data.tobytes()):
            raise DamagedFrame("the JPEG image is cut off")
        # The stored orientation is ignored, as FFmpeg does.
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise DamagedFrame("the JPEG image cannot be decoded")
        return True, pixels

    def release(self) -> None:
        """Release the stream."""
        self._capture.release()

    def get(self, property_id: int) -> float:
        """A property of the stream."""
        return float(self._capture.get(property_id))


def checked(
    capture: cv2.VideoCapture, *, encoded: tuple[int, int] = (cv2.CAP_PROP_FORMAT, -1)
) -> cv2.VideoCapture | MotionJpeg:
    """The capture, or the handle that checks its images where it is motion JPEG; call it before the first frame.

    encoded: the property, and its value, by which OpenCV's backend gives the encoded images; that of FFmpeg's.
    """
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF if capture.isOpened() else 0
    if code.to_bytes(4, "little").decode("latin-1").upper() not in _CODES:
        return capture
    return MotionJpeg(capture) if capture.set(*encoded) else capture


def is_complete(data: bytes) -> bool:
    """Whether a JPEG image (ISO/IEC 10918-1, annex B) has an end-of-image marker after its scan data.

    Thumbnails in the header have one of their own, which does not count. Padding may follow the image.

    >>> is_complete(b""), is_complete(bytes.fromhex("ffd8 ffe00004ffd9 ffda0002 1234ff00"))
    (False, False)
    >>> is_complete(bytes.fromhex("ffd8 ffe00004ffd9 ffda0002 1234ff00 ffd9 0000"))
    True
    """
    place = 2 if data.startswith(_START) else len(data)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _SCAN:
            return data.find(_END, place) >= 0
        # A marker may be preceded by any number of fill bytes.
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False
