"""What is kept of a window's images themselves: the hottest ones, their levels, and their size."""

from __future__ import annotations

from agent.core.records import Frame
from agent.inspection.review import HottestImages
from calibration import Arrays, CalibrationError, SizeMonitor, SourceImages, SourceReference, of_prefix, with_prefix


class WindowImages:
    """Belongs to one window."""

    def __init__(self) -> None:
        self.hottest = HottestImages()
        """For a person to look at."""
        self._source, self._size = SourceImages(), SizeMonitor(None)

    def check_size(self, frame: Frame) -> None:
        """Raise CalibrationError where a live camera changes its size within a window; files may have several."""
        finding = self._size.check(*frame.source_image.shape[:2]) if frame.file is None else None
        if finding is not None:
            raise CalibrationError(f"window: {finding.reason}")

    def add(self, place: int, score: float, frame: Frame) -> None:
        """Take in the image at a place of the window, with its score."""
        self._source.add(frame.source_image.shape[:2], frame.image)
        self.hottest.offer(place, score, frame)

    def reference(self) -> SourceReference | None:
        """Size and levels of the source images; None before there is one."""
        return self._source.reference()

    def arrays(self) -> Arrays:
        """Return everything, for `restore`."""
        return {**with_prefix("source", self._source.arrays()), **with_prefix("hottest", self.hottest.arrays())}

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one was when it returned these `arrays`."""
        self._source.restore(of_prefix("source", arrays))
        self.hottest.restore(of_prefix("hottest", arrays))
        if self._source.size is not None:
            self._size.check(*self._source.size)
