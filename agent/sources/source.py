"""The interface that every kind of camera fills in, and the record that it hands out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from agent.core.errors import Permanent
from agent.core.records import Image

SourceT = TypeVar("SourceT", bound="FrameSource")


class EndOfStream(Exception):
    """There are no more frames and there never will be: the folder or the film is at its end."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One picture as a source delivers it."""

    image: Image
    """Pixels [H, W, C], uint8 or uint16, C-contiguous; the receiver owns them, the source never touches them again."""
    captured_at: datetime
    """Wall-clock time of capture, UTC."""
    captured_monotonic: float
    """Monotonic time of capture, seconds; never goes back within one source."""
    origin: str | None = None
    """Name of the file the frame came from; None for live cameras."""


class FrameSource(ABC):
    """Where frames come from. One thread opens, reads and closes it.

    The public methods keep the book (open or closed); a kind of camera fills in `_open`, `_read` and `_close`.
    A source may be opened again after it was closed, and after any `Temporary` that it raised.
    """

    live: bool
    """True: the world goes on without us, the newest frame counts. False: every frame counts, nothing may be lost."""

    def __init__(self) -> None:
        self._opened = False

    def open(self) -> None:
        """Get ready to read; does nothing where the source is open.

        Raises `Temporary` (worth another try later) or `Permanent` (somebody must change something).
        """
        if not self._opened:
            self._open()
            self._opened = True

    def read(self) -> Captured:
        """Wait for the next frame and return it.

        Raises `EndOfStream` after the last frame, `Temporary` where the camera must be closed and opened again,
        `Permanent` where that cannot help or where the source is not open.
        """
        if not self._opened:
            raise Permanent(f"read from {self.describe()}, which is not open: open it first")
        return self._read()

    def close(self) -> None:
        """Give everything back; safe at any time and more than once."""
        if self._opened:
            self._opened = False
            self._close()

    @abstractmethod
    def describe(self) -> str:
        """Name the source in a log line or an error, without secrets: `camera rtsp://10.0.0.7/line1`."""

    @abstractmethod
    def _open(self) -> None:
        """Get ready to read; leave nothing behind where it fails."""

    @abstractmethod
    def _read(self) -> Captured:
        """Wait for the next frame."""

    @abstractmethod
    def _close(self) -> None:
        """Give everything back."""

    def __enter__(self: SourceT) -> SourceT:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
