"""FFmpeg's options for one stream. OpenCV takes them from the environment of the process while it opens the stream."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_OPTIONS, _THREADS = "OPENCV_FFMPEG_CAPTURE_OPTIONS", "OPENCV_FFMPEG_THREADS"

# By default FFmpeg keeps the frames of the second in which it examines a stream, and one more for each decoder thread:
# the first frame of an H.264 stream was 1.2 s old, and the next thirty came at once. Without: no frame waits.
LOW_DELAY = {
    _OPTIONS: "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|probesize;32|analyzeduration;0",
    _THREADS: "1",
}

# Files, and streams over HTTP, whose format is only known after a look at their first bytes.
DEFAULT = {_OPTIONS: "", _THREADS: str(len(os.sched_getaffinity(0)))}


class OptionSwitch:
    """Lets streams with equal options open at the same time, and others wait for them."""

    def __init__(self) -> None:
        # A technician's own options win.
        self._names = {_OPTIONS, _THREADS} - os.environ.keys()
        self._changed = threading.Condition()
        self._in_force: dict[str, str] | None = None
        self._openings = 0
        self._waiting: deque[object] = deque()

    @contextmanager
    def use(self, options: dict[str, str]) -> Iterator[None]:
        """Keep these options in force while a stream is opened.

        Streams open in the order in which they ask, so that one that opens again and again keeps none out.
        """
        with self._changed:
            turn = object()
            self._waiting.append(turn)
            self._changed.wait_for(
                lambda: self._waiting[0] is turn and (self._openings == 0 or options is self._in_force)
            )
            self._waiting.popleft()
            self._in_force = options
            self._openings += 1
            self._changed.notify_all()
            # Values only change: adding and removing variables would move the environment under other threads.
            os.environ.update({name: options[name] for name in self._names})
        try:
            yield
        finally:
            with self._changed:
                self._openings -= 1
                if self._openings == 0:
                    os.environ.update({name: DEFAULT[name] for name in self._names})
                    self._changed.notify_all()


ffmpeg_options = OptionSwitch()
