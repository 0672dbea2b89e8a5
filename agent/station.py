"""One camera's place in the line: from its scores to a calibration, to verdicts, to alarms. No threads, no clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.alarm import AlarmTracker
from agent.errors import InspectdError
from agent.intake import Prepared
from agent.records import Alarm, Frame, Phase, Verdict
from calibration import AlarmRule, Budget, Calibration, CalibrationError, DriftMonitor, Rule, Store, Window

log = logging.getLogger(__name__)

# The rate of a camera is measured on its first frames, before the window starts: a new stream also needs a moment for
# its exposure to settle.
SETTLING_FRAMES = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a calibration is tied to."""

    camera: str
    bundle: str
    """sha256 of the bundle's manifest."""
    engine: str
    """Name of the engine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a calibration is to be made."""

    frames: int
    """Good frames wanted at first."""
    max_frames: int
    """Good frames after which it must do."""
    budget: Budget
    rule: Rule
    confidence: float
    require_certificate: bool
    clear_after_seconds: float
    """Quiet time that ends an alarm: false alarms closer together than this are one."""
    frames_per_second: float | None = None
    """Rate at which frames are inspected; None: measured."""
    by: str = "agent"
    """Who asked for it."""
    dry_run: bool = False
    """Keep the result, but go on with the threshold in force."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a calibration is."""

    frames: int
    """Good frames so far."""
    target: int
    """Good frames wanted now; may grow where they turn out to depend on each other."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished calibration. The first one of a camera is in force already; a later one waits to be activated."""

    calibration: Calibration
    plan: Plan
    """How it was asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame led to."""

    frame: Frame
    score: float
    """Latent distance."""
    verdict: Verdict | None = None
    """None while there is no threshold, or nobody looks."""
    alarm: Alarm | None = None
    """What was raised or cleared by this frame."""
    candidate: Candidate | None = None
    """A calibration that this frame completed."""


class Station:
    """Takes the scores of one camera's frames, in order, and says what follows."""

    def __init__(
        self,
        identity: Identity,
        plan: Plan,
        store: Store,
        tracker: AlarmTracker,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Args:
        identity: camera, bundle and engine; a stored calibration is used only where it is for exactly these.
        plan: how to calibrate where none is stored.
        store: where this camera's calibrations are kept.
        tracker: raises and clears the alarms.
        now: wall clock, for the calibration's record.
        """
        self.identity = identity
        self.plan = plan
        self.reason: str | None = None
        """Why the last calibration was refused, or is not certified; None where all is well."""
        self._store = store
        self._tracker = tracker
        self._now = now
        self._rule = AlarmRule(plan.rule)
        self._rate = RateMeter()
        self._window: Window | None = None
        self._window_plan = plan
        self._paused = False
        self._drift: DriftMonitor | None = None
        self._calibration: Calibration | None = None
        self._phase = Phase.STARTING
        stored = store.active(bundle_sha256=identity.bundle, engine=identity.engine)
        if stored is not None:
            self._arm(stored)

    @property
    def store(self) -> Store:
        """Where this camera's calibrations are kept."""
        return self._store

    @property
    def phase(self) -> Phase:
        """What the station is doing."""
        return Phase.PAUSED if self._paused else self._phase

    @property
    def calibration(self) -> Calibration | None:
        """The calibration in force."""
        return self._calibration

    @property
    def progress(self) -> Progress | None:
        """How far the running calibration is; None where none runs."""
        if self._window is not None:
            return Progress(self._window.count, self._window.target)
        return Progress(0, self.plan.frames) if self._phase is Phase.STARTING else None

    @property
    def frames_per_second(self) -> float | None:
        """Rate at which frames arrive, as measured; None before it is known."""
        return self._rate.frames_per_second

    @property
    def drifted(self) -> bool:
        """True while the scores of good parts lie off those that the calibration saw."""
        return self._drift is not None and self._drift.flag

    @property
    def tracker(self) -> AlarmTracker:
        """The alarm's state."""
        return self._tracker

    def pause(self) -> None:
        """Look away: frames are scored, but not judged. What was seen before says nothing about what comes after."""
        self._paused = True
        self._rule.reset()

    def resume(self) -> None:
        """Look again."""
        self._paused = False

    def recalibrate(self, plan: Plan) -> None:
        """Begin a new window under the old threshold. Raises InspectdError while one is being filled."""
        if self._window is not None or self._phase is Phase.STARTING:
            raise InspectdError(f"camera {self.identity.camera} is being calibrated already; wait, or cancel it first")
        self._begin(plan)

    def cancel(self) -> None:
        """Give up the new window. Raises InspectdError where none is being filled, or nothing else is in force."""
        if self._window is None or self._calibration is None:
            raise InspectdError(f"camera {self.identity.camera} has no recalibration to cancel")
        self._window = None

    def activate(self, calibration: Calibration, by: str) -> None:
        """Put another calibration in force, at once and for good."""
        self._store.activate(calibration.id, who=by, at=self._now())
        self._arm(calibration)

    def roll_back(self, to: str | None, by: str) -> Calibration:
        """Go back to the calibration that was in force before, or to the one of this id.

        Raises CalibrationError where there is none, InspectdError where it is for another bundle or engine.
        """
        at = self._now()
        if to is None:
            calibration = self._store.rollback(who=by, at=at)
        else:
            self._require_fit(self._store.load(to))
            calibration = self._store.activate(to, who=by, at=at)
        self._arm(calibration)
        return calibration

    def _require_fit(self, calibration: Calibration) -> None:
        if (calibration.bundle_sha256, calibration.engine) != (self.identity.bundle, self.identity.engine):
            raise InspectdError(
                f"calibration {calibration.id} is for bundle {calibration.bundle_sha256[:8]} on {calibration.engine}; "
                f"wanted one for {self.identity.bundle[:8]} on {self.identity.engine}"
            )

    def judge(self, prepared: Prepared, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        """Take in the next frame's score and raw heatmap [h, w]: what follows from them."""
        frame = prepared.frame
        self._rate.update(frame.captured_monotonic)
        if self._paused:
            return Outcome(frame, score)
        if self._phase is Phase.STARTING:
            self._settle()
            return Outcome(frame, score)
        outcome = self._inspect(frame, score, heatmap)
        if self._window is not None and not (outcome.verdict and outcome.verdict.anomalous):
            outcome = replace(outcome, candidate=self._learn(prepared, score, heatmap))
        return outcome

    def _settle(self) -> None:
        if self._rate.count >= SETTLING_FRAMES:
            self._begin(self.plan)
            self._phase = Phase.CALIBRATING

    def _inspect(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        calibration = self._calibration
        if calibration is None or self._phase is not Phase.ARMED:
            return Outcome(frame, score)
        drifted_before = self.drifted
        statistic = self._rule.update(score)
        if self._drift is not None and self._drift.update(score) and not drifted_before:
            log.warning("camera %s: the scores of good parts have drifted; recalibrate soon", self.identity.camera)
        verdict = Verdict(frame, score, statistic, calibration.threshold.value, calibration.heat(heatmap))
        return Outcome(frame, score, verdict, self._tracker.update(verdict))

    def _begin(self, plan: Plan) -> None:
        rate = plan.frames_per_second or self._rate.frames_per_second
        self._window_plan = replace(plan, frames_per_second=rate)
        self._window = Window(
            frames=plan.frames,
            max_frames=plan.max_frames,
            rule=plan.rule,
            budget=plan.budget,
            frames_per_second=rate or 1.0,
            confidence=plan.confidence,
            quiet_frames=max(1, round(plan.clear_after_seconds * (rate or 1.0))),
        )

    def _learn(self, prepared: Prepared, score: float, heatmap: NDArray[np.float32]) -> Candidate | None:
        window = self._window
        assert window is not None
        try:
            window.add(score, heatmap, prepared.pixels, frame=prepared.frame.index)
            if not window.complete:
                return None
            self._window = None
            return self._finish(window)
        except CalibrationError as error:
            self._window = None
            self._refuse(error)
            return None

    def _finish(self, window: Window) -> Candidate:
        identity, plan = self.identity, self._window_plan
        calibration = window.finish(
            camera=identity.camera,
            bundle_sha256=identity.bundle,
            engine=identity.engine,
            created_at=self._now(),
            who=plan.by,
        )
        self._store.save(calibration)
        if self._calibration is None and not plan.dry_run:
            self.activate(calibration, plan.by)
        return Candidate(calibration, plan)

    def _refuse(self, error: CalibrationError) -> None:
        """A window that cannot be used: say why, and try again with the next frames unless an older one is in force."""
        self.reason = str(error)
        camera = self.identity.camera
        log.warning("camera %s: calibration refused: %s", camera, error, extra={"camera": camera})
        if self._calibration is None:
            self._begin(self._window_plan)

    def _arm(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._rule = AlarmRule(calibration.rule)
        self._drift = DriftMonitor(calibration.score_reference)
        certified = calibration.threshold.certified
        self._phase = Phase.ARMED if certified or not self.plan.require_certificate else Phase.REFUSED
        self.reason = None if certified else calibration.threshold.reason


class RateMeter:
    """Frames a second, smoothed over about the last hundred frames.

    >>> meter = RateMeter()
    >>> for i in range(50): meter.update(i * 0.05)
    >>> round(meter.frames_per_second, 3)
    20.0
    """

    # A hundredth of the new interval each time: a single late frame moves the rate by a percent.
    _WEIGHT = 0.01

    def __init__(self) -> None:
        self.count = 0
        self._last: float | None = None
        self._interval: float | None = None

    @property
    def frames_per_second(self) -> float | None:
        """None before the second frame."""
        return None if not self._interval else 1.0 / self._interval

    def update(self, monotonic_seconds: float) -> None:
        """Take in the time of the next frame, seconds."""
        self.count += 1
        if self._last is not None:
            interval = max(monotonic_seconds - self._last, 1e-6)
            weight = max(self._WEIGHT, 1.0 / (self.count - 1))
            self._interval = (
                interval if self._interval is None else self._interval + weight * (interval - self._interval)
            )
        self._last = monotonic_seconds
