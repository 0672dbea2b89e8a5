"""The last days of scores on disk, bounded in bytes: the basis of previews of a new threshold.

Fixed-size records in segment files, appended through a buffer. There is no sync per frame: a killed process loses only
the records still in its buffer, a second or so; a power cut also loses what the system had not written. An incomplete
last record is ignored on reading. The oldest segment is deleted when the log would exceed its limit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.statistics import Rule, episode_starts

_RECORD = struct.Struct("<dqff")
_FIELDS = np.dtype([("time", "<f8"), ("frame", "<i8"), ("score", "<f4"), ("statistic", "<f4")])

# Enough segments that deleting one loses little, few enough to list quickly.
_SEGMENTS = 16

# Records in the buffer: a second or so of a fast line, 3 kB.
_BUFFERED = 128

# Frames further apart than this are not successive: the camera or the agent was down in between.
_GAP_SECONDS = 60.0


class ScoreLog:
    """Records time, frame, score and statistic of one camera, and returns them as arrays. One writer at a time."""

    def __init__(self, directory: Path | str, *, max_bytes: int = 64 * 2**20) -> None:
        """Open the log, and create its directory if it does not exist.

        Args:
            directory: of this camera's log, with no other files.
            max_bytes: limit on the files, at least 128 kB; with 24 bytes per frame, 64 MB hold 38 hours at 20 frames
                per second.

        Raises:
            CalibrationError: `max_bytes` is too small, or the directory cannot be created.
        """
        if max_bytes < 2**17:
            raise CalibrationError(f"score log: got max_bytes {max_bytes}, wanted at least {2**17}")
        self.directory = Path(directory)
        self._segment_bytes = max_bytes // _SEGMENTS // _RECORD.size * _RECORD.size
        self._pending = bytearray()
        self._file: BinaryIO | None = None
        self._size = 0
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CalibrationError(f"score log: cannot create {self.directory}: {error.strerror}") from error

    def append(self, time: float, frame: int, score: float, statistic: float) -> None:
        """Add one frame.

        Args:
            time: of capture, Unix seconds.
            frame: the camera's index of it.
            score: its score.
            statistic: the statistic of the alarm rule after it.

        Raises:
            OSError: a full buffer cannot be written. It is dropped, so memory stays bounded.
        """
        self._pending += _RECORD.pack(time, frame, score, statistic)
        if len(self._pending) >= _BUFFERED * _RECORD.size:
            self.flush()

    def flush(self) -> None:
        """Write the buffer to the system. Raises OSError if that fails; the buffer is then dropped."""
        data, self._pending = self._pending, bytearray()
        if not data:
            return
        if self._file is None or self._size + len(data) > self._segment_bytes:
            self._open_segment()
        assert self._file is not None
        end = self._size + len(data)
        try:
            # Where the disk becomes full, the system writes a part of it, and fails at the next attempt.
            while self._size < end:
                self._size += self._file.write(data[self._size - end :])
        except OSError:
            self._size -= self._size % _RECORD.size
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise

    def read(self, *, since: float | None = None) -> NDArray[np.void]:
        """Return the frames since a Unix time (None: all), oldest first; on a full disk, without the latest.

        Returns:
            A structured array [N] with fields `time` (Unix seconds), `frame`, `score`, `statistic`.
        """
        with suppress(OSError):
            self.flush()
        parts = []
        for path in reversed(self._segments()):
            part = _records(path)
            parts.append(part if since is None else part[part["time"] >= since])
            if since is not None and part.size and part["time"][0] < since:
                break
        return np.concatenate(parts[::-1]) if parts else np.empty(0, dtype=_FIELDS)

    def alarms_at(
        self, threshold: float, rule: Rule, *, quiet_frames: int = 1, since: float | None = None
    ) -> NDArray[np.float64]:
        """Return when a threshold and a rule would have raised alarms: Unix times, float64 [episodes], rising.

        Alarms are episodes (`calibration.statistics.episodes`). After a gap of a minute the rule starts again.
        """
        frames = self.read(since=since)
        return np.concatenate([np.empty(0), *(_alarms(run, threshold, rule, quiet_frames) for run in _runs(frames))])

    def close(self) -> None:
        """Close the log; what the disk does not take any more is dropped, as `append` does it."""
        with suppress(OSError):
            self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.scores"))

    def _open_segment(self) -> None:
        """Start a new file, never an old one: its last record may be incomplete after a crash."""
        if self._file is not None:
            self._file.close()
        segments = self._segments()
        for old in segments[: max(0, len(segments) - _SEGMENTS + 2)]:
            old.unlink(missing_ok=True)
        number = int(segments[-1].stem) + 1 if segments else 1
        self._file = (self.directory / f"{number:012d}.scores").open("xb", buffering=0)
        self._size = 0


def _records(path: Path) -> NDArray[np.void]:
    data = path.read_bytes()
    return np.frombuffer(data, dtype=_FIELDS, count=len(data) // _RECORD.size)


def _runs(frames: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
    """Split the frames at gaps and where the clock was set back."""
    steps = np.diff(frames["time"])
    breaks = np.flatnonzero((steps > _GAP_SECONDS) | (steps < 0)) + 1
    return iter(np.split(frames, breaks)) if frames.size else iter(())


def _alarms(run: NDArray[np.void], threshold: float, rule: Rule, quiet_frames: int) -> NDArray[np.float64]:
    statistic = rule.statistic(run["score"])
    return np.asarray(run["time"][rule.n - 1 :][episode_starts(statistic, threshold, quiet_frames=quiet_frames)])
