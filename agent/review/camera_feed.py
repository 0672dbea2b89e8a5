"""What the inspection thread notes about one camera, frame by frame; no I/O."""

from __future__ import annotations

from dataclasses import replace

from agent.core.records import Frame, Verdict
from agent.review.promise import PromiseLife
from agent.review.records import Exposure
from agent.review.reservoir import Reservoir, Slot
from calibration import Calibration

# Frames further apart than this many usual intervals, and than a second, are not successive: the line stood still, the
# camera was paused or faulty.
_GAP_INTERVALS = 10.0
_GAP_SECONDS = 1.0


class CameraFeed:
    """Running time, the sample of good frames, and the peak of the active alarm. One thread calls its methods."""

    def __init__(self, reservoir: Reservoir) -> None:
        self.reservoir = reservoir
        """Chooses the sample; its counts may be read by any thread."""
        self.life: PromiseLife | None = None
        """The calibration in force in production; None before the first judged frame."""
        self._last_monotonic: float | None = None
        self._peak: float | None = None

    def begin(self, calibration: Calibration) -> PromiseLife | None:
        """Note the calibration in force; returns its life if it has just begun."""
        if self.life is not None and self.life.calibration is calibration:
            return None
        self.life = PromiseLife(calibration)
        return self.life

    def judged(self, verdict: Verdict, *, alarmed: bool) -> Slot | None:
        """Count a judged frame; returns its place in the sample of frames without an alarm, if it is kept.

        `begin` must have been called. `alarmed`: an alarm is active.
        """
        assert self.life is not None
        seconds = self._interval(verdict.frame, self.life.calibration.frames_per_second)
        run = self.life.run
        self.life.run = replace(run, seconds=run.seconds + seconds, frames=run.frames + 1)
        if self._peak is not None:
            self._peak = max(self._peak, verdict.statistic)
        if alarmed or verdict.anomalous:
            return None
        return self.reservoir.offer(verdict.frame.captured_at.timestamp())

    def raised(self, verdict: Verdict) -> Exposure:
        """An alarm was raised: watch its peak. Returns the exposure of this run until now."""
        self._peak = verdict.statistic
        return Exposure() if self.life is None else self.life.run

    def cleared(self) -> float | None:
        """The alarm was cleared: returns its peak; None if it was raised before this run."""
        peak, self._peak = self._peak, None
        return peak

    def _interval(self, frame: Frame, frames_per_second: float) -> float:
        """Running time since the previous judged frame, seconds; 0 after a stop."""
        last, self._last_monotonic = self._last_monotonic, frame.captured_monotonic
        if last is None:
            return 0.0
        interval = frame.captured_monotonic - last
        return interval if 0.0 <= interval <= max(_GAP_SECONDS, _GAP_INTERVALS / frames_per_second) else 0.0
