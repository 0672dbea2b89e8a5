"""One camera with everything that belongs to it, from its source to its score log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from agent.core.crop import Crop
from agent.core.durations import Durations
from agent.core.records import Part, PartVerdict
from agent.inspection.calibration_plan import CalibrationPlan, plan_of
from agent.inspection.capture import CameraState, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.outcome import Outcome
from agent.inspection.preparation import inspected_crop
from agent.inspection.recent import RecentScores
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from agent.inspection.unfinished import UnfinishedFiles
from agent.messages import ModelPayload
from agent.settings import CameraSettings
from agent.sources import Ledger
from calibration import ScoreLog
from engines.bundles import Bundle
from engines.runtime import Engine

T = TypeVar("T")

# A camera that delivers again within this time was only reopened, and raises no alarm.
LOST_AFTER_SECONDS = 0.75


@dataclass(slots=True)
class Counters:
    """Counts of one camera since the agent started."""

    frames: int = 0
    """Frames scored."""
    passed_by_rule: int = 0
    """Frames above the threshold for which the alarm rule raised no alarm."""
    parts: Counter[PartVerdict] = field(default_factory=Counter)
    """Parts by verdict."""
    verdict_durations: Durations = field(default_factory=Durations)
    """Recent durations from capture to verdict."""


class CameraLine:
    """One camera: its settings, its model, its threads and its counters.

    Any thread may read it and call its methods. The station belongs to the inspection thread: it is changed through
    `call`.
    """

    recent: RecentScores
    """The latest scores, for charts."""
    crop: Crop | None
    """The part of the image that is inspected; None: all of it."""
    _lost_monotonic: float | None = None
    _preview: dict[str, Any] | None = None

    def __init__(
        self,
        name: str,
        settings: CameraSettings,
        *,
        bundle: Bundle,
        engine: Engine,
        station: Station,
        capture: Capture,
        frames: FrameQueue,
        inspection: InspectionThread,
        score_log: ScoreLog,
        ledger: Ledger | None = None,
    ) -> None:
        """Args:
        name: of the camera.
        settings: of the camera.
        bundle: its model.
        engine: runs the model; shared by cameras with the same bundle, like `frames` and `inspection`.
        station: from scores to verdicts and alarms.
        capture: the thread that reads its source.
        frames: captured frames that wait for inspection.
        inspection: the thread that inspects its frames.
        score_log: keeps every score, for previews and reports.
        ledger: the files that need no further inspection; None keeps them in memory.
        """
        self.name = name
        self.bundle = bundle
        self.engine = engine
        self.station = station
        self.capture = capture
        self.frames = frames
        self.inspection = inspection
        self.score_log = score_log
        self.ledger = Ledger(None) if ledger is None else ledger
        self.unfinished = UnfinishedFiles(station)
        self.counters = Counters()
        self.recent = RecentScores()
        self.crop = inspected_crop(settings.crop, bundle)
        self._settings = settings

    @cached_property
    def model(self) -> ModelPayload:
        """Name and sha256 of the bundle, for messages."""
        return ModelPayload(name=self.bundle.manifest.name, sha256=self.bundle.sha256)

    @property
    def settings(self) -> CameraSettings:
        """The settings in force."""
        return self._settings

    @property
    def dropped(self) -> int:
        """Frames dropped in favour of newer ones since the agent started."""
        return self.frames.dropped(self.name)

    @property
    def preview(self) -> dict[str, Any] | None:
        """Result of the latest recalibration, as `preview_calibration` returns it; None before there is one."""
        return self._preview

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the inspection thread, between two frames. Raises its error, or Temporary on a timeout."""
        return self.inspection.call(function)

    def adopt(self, settings: CameraSettings) -> None:
        """Take over settings that can change while the camera runs. Raises Temporary where its thread hangs."""
        self.call(lambda: self.station.adopt(plan_of(settings)))
        self._settings = settings

    def recalibrate(self, plan: CalibrationPlan) -> None:
        """Begin a new window; the old threshold stays in force. Raises InspectdError while one is being filled."""
        self.call(lambda: self.station.recalibrate(plan))
        self._preview = None

    def finish_recalibration(self, preview: dict[str, Any]) -> None:
        """Keep the result of a recalibration for `status`."""
        self._preview = preview

    def count(self, outcome: Outcome) -> None:
        """Count a frame that was scored, and the time since its capture."""
        self.counters.frames += 1
        self.counters.passed_by_rule += sum(each.passed_by_rule for each in (outcome, *outcome.late))
        self.counters.verdict_durations.add(time.monotonic() - outcome.frame.captured_monotonic)
        verdict = outcome.verdict
        statistic = outcome.score if verdict is None else verdict.statistic
        self.recent.add(time.time(), outcome.score, statistic, above=verdict is not None and verdict.anomalous)

    def count_part(self, part: Part) -> None:
        """Count a part by its verdict."""
        self.counters.parts[part.verdict] += 1
        self.recent.part = part

    def lost_reason(self, now_monotonic: float) -> str | None:
        """The reason why the camera has delivered no frame for LOST_AFTER_SECONDS; None before that.

        For one thread, which calls it several times a second; `now_monotonic` in seconds.
        """
        status = self.capture.status
        if status.state not in (CameraState.LOST, CameraState.FAILED):
            self._lost_monotonic = None
            return None
        if self._lost_monotonic is None:
            self._lost_monotonic = now_monotonic
        overdue = now_monotonic - self._lost_monotonic >= LOST_AFTER_SECONDS
        return (status.reason or status.state.value) if overdue else None
