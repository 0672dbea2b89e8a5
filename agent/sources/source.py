"""The interface of every source, and the record of one captured image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from agent.core.errors import Permanent
from agent.core.records import FileVersion, Image
from agent.sources.ledger import Ledger

SourceT = TypeVar("SourceT", bound="FrameSource")


class EndOfStream(Exception):
    """The source has no more frames, now or later: the end of a folder or a video."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One image as a source delivers it."""

    image: Image
    """Pixels [H, W, C], uint8 or uint16, C-contiguous. The receiver owns them; the source does not use them again."""
    captured_at: datetime
    """Wall-clock time of capture, UTC; for an image file, the time of its last change."""
    captured_monotonic: float
    """Monotonic time of capture, seconds; never goes back within one source."""
    origin: str | None = None
    """Name of the file that the image is from, as documents give it; None for live cameras."""
    file: FileVersion | None = None
    """That file as it was read, with the index of the frame in a video; None for live cameras."""
    triggered_monotonic: float | None = None
    """When the part was announced for which the agent triggered this frame; None where it did not trigger it."""
    lost_before: int = 0
    """Of a triggered camera: frames between the one before and this one that were lost on the way."""


@dataclass(frozen=True, slots=True)
class TransportCounts:
    """What happened to frames between an industrial camera and this machine, since the agent started."""

    frames_lost: int = 0
    """Frames of which nothing arrived, or for which there was no room."""
    packets_resent: int = 0
    """Packets that the camera sent again on request."""
    packets_missing: int = 0
    """Packets that never arrived; their frames are counted as damaged."""

    def __add__(self, more: TransportCounts) -> TransportCounts:
        return TransportCounts(
            self.frames_lost + more.frames_lost,
            self.packets_resent + more.packets_resent,
            self.packets_missing + more.packets_missing,
        )


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Files that a source was given and did not deliver, since the agent started."""

    quarantined: int = 0
    """They could not be read, or did not fit the model; links that lead nowhere or out of the folder too."""
    overwritten: int = 0
    """Versions that were overwritten before they could be read."""
    skipped: int = 0
    """Files of other formats, and folders below that are not read."""
    latest_quarantined: str | None = None
    """The latest in quarantine and the reason, one line."""


class FrameSource(ABC):
    """Where frames come from. One thread opens, reads and closes it.

    The public methods keep track of open and closed; a subclass implements `_open`, `_read` and `_close`. A source can
    be opened again after it was closed, and after any `Temporary` that it raised.
    """

    live: bool
    """True for a camera: only the newest frame counts, others may be dropped. False: no frame may be lost."""
    triggered: bool = False
    """True for a camera that takes a frame only when it is triggered: none may be dropped, and there may be none for
    hours."""
    uses_ledger: bool = False
    """True for a folder: its files are skipped once the ledger contains them. A video is read from its start again."""

    def __init__(self) -> None:
        self._opened = False
        self._ledger: Ledger | None = None

    def open(self) -> None:
        """Prepare to read. Does nothing if the source is open.

        Raises `Temporary` if a later attempt may succeed, `Permanent` if somebody must change something first.
        """
        if not self._opened:
            self._open()
            self._opened = True

    def read(self) -> Captured:
        """Wait for the next frame and return it.

        Raises `EndOfStream` after the last frame, `Temporary` if the source must be closed and opened again, and
        `Permanent` if that cannot help, or if the source is not open.
        """
        if not self._opened:
            raise Permanent(f"read from {self.describe()}, which is not open: open it first")
        return self._read()

    def use_ledger(self, ledger: Ledger) -> None:
        """Skip the files that the ledger contains, if this source `uses_ledger`. To be called before `open`.

        The receiver of the frames adds their files to the ledger, once everything that follows from a frame is durable.
        """
        self._ledger = ledger

    def reject(self, captured: Captured, reason: str) -> None:
        """The model cannot take this image. Raises unless the next one may fit, as in a folder of files.

        Raises `Permanent`: all images of most sources are alike.
        """
        raise Permanent(reason)

    @property
    def files(self) -> FileCounts | None:
        """Files that were not delivered; None for a source without image files. Any thread may ask."""
        return None

    @property
    def waiting(self) -> str | None:
        """Why a source without a fault has no frame at the moment, in words; else None. Any thread may ask."""
        return None

    def trigger(self, monotonic_seconds: float, frames: int = 1) -> None:  # noqa: B027
        """A part is announced: a camera with a software trigger takes so many frames of it. Any thread may call.

        monotonic_seconds: of the announcement; the frames name it.
        """

    def hold(self) -> None:  # noqa: B027
        """The camera is armed: what it adjusts by itself, such as its exposure, is to stay. Any thread may call."""

    def cancel(self) -> None:  # noqa: B027
        """Let a read that waits end soon, with `Temporary`; the source is then to be closed. Any thread may call."""

    def close(self) -> None:
        """Release everything. Safe at any time, and more than once."""
        if self._opened:
            self._opened = False
            self._close()

    @property
    def damaged(self) -> int:
        """Frames since the agent started that arrived damaged, such as JPEG images that were cut off; not delivered."""
        return 0

    @property
    def transport(self) -> TransportCounts | None:
        """What was lost and sent again on the way; None for a source that does not know. Any thread may ask."""
        return None

    @abstractmethod
    def describe(self) -> str:
        """Name the source in a log line or an error, without secrets: `camera rtsp://10.0.0.7/line1`."""

    @abstractmethod
    def _open(self) -> None:
        """Prepare to read. Releases everything if it fails."""

    @abstractmethod
    def _read(self) -> Captured:
        """Wait for the next frame."""

    @abstractmethod
    def _close(self) -> None:
        """Release everything."""

    def __enter__(self: SourceT) -> SourceT:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
