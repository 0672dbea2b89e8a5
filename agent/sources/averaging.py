"""The mean of several frames of a camera as one frame: noise falls by the square root of their number."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from agent.core.records import Image
from agent.sources.source import Captured, FileCounts, FrameSource, TransportCounts


class AveragingSource(FrameSource):
    """A live source whose frames are means of `count` frames in a row, taken while the part rests.

    Frames of another trigger or another size never go into a mean. If a frame is lost on the way, so is its mean, and
    the next mean begins with the next trigger.
    """

    def __init__(self, source: FrameSource, count: int) -> None:
        super().__init__()
        self._source, self._count = source, count
        self.live, self.triggered = source.live, source.triggered
        self._sum: NDArray[np.uint32] | None = None
        self._first: Captured | None = None
        self._frames = 0
        self._position = 0
        """Of the next frame since the source was opened, those that were lost included."""
        self._finished = -1
        """The latest group of frames that became a mean."""

    @property
    def files(self) -> FileCounts | None:
        """Of the source."""
        return self._source.files

    @property
    def waiting(self) -> str | None:
        """Of the source."""
        return self._source.waiting

    @property
    def damaged(self) -> int:
        """Of the source."""
        return self._source.damaged

    @property
    def transport(self) -> TransportCounts | None:
        """Of the source."""
        return self._source.transport

    def describe(self) -> str:
        """Name the source."""
        return self._source.describe()

    def trigger(self, monotonic_seconds: float, frames: int = 1) -> None:
        """A part is announced: each of its frames is the mean of several."""
        self._source.trigger(monotonic_seconds, frames * self._count)

    def hold(self) -> None:
        """What the camera adjusts by itself is to stay."""
        self._source.hold()

    def cancel(self) -> None:
        """Let a read that waits end soon."""
        self._source.cancel()

    def _open(self) -> None:
        self._source.open()
        self._forget()
        self._position, self._finished = 0, -1

    def _close(self) -> None:
        self._source.close()

    def _read(self) -> Captured:
        while True:
            captured = self._source.read()
            self._position += captured.lost_before
            if self._first is not None and not _alike(captured, self._first):
                self._position = -(-self._position // self._count) * self._count
            group, place = divmod(self._position, self._count)
            self._position += 1
            if place == 0 or self._frames != place:
                self._forget()
            if place == 0 or self._frames == place:
                self._add(captured)
            if self._frames == self._count:
                lost, self._finished = group - self._finished - 1, group
                return self._mean(lost)

    def _add(self, captured: Captured) -> None:
        if self._first is None or self._sum is None:
            self._first, self._sum = captured, captured.image.astype(np.uint32)
        else:
            self._sum += captured.image
        self._frames += 1

    def _mean(self, lost: int) -> Captured:
        """The mean, rounded, with the time of its first frame."""
        assert self._first is not None
        assert self._sum is not None
        pixels = ((self._sum + self._count // 2) // self._count).astype(self._first.image.dtype)
        mean = replace(self._first, image=cast(Image, pixels), lost_before=lost if self.triggered else 0)
        self._forget()
        return mean

    def _forget(self) -> None:
        self._sum, self._first, self._frames = None, None, 0


def _alike(captured: Captured, first: Captured) -> bool:
    """Whether a frame shows what another one shows."""
    images = captured.image, first.image
    same = captured.triggered_monotonic == first.triggered_monotonic
    return same and images[0].shape == images[1].shape and images[0].dtype == images[1].dtype
