"""One camera with everything that belongs to it, from its source to its score log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from agent.core.crop import Crop
from agent.core.durations import Durations
from agent.core.records import Part, PartVerdict
from agent.inspection.calibration_plan import CalibrationPlan, plan_of
from agent.inspection.capture import CameraState, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.outcome import Left, Outcome
from agent.inspection.recent import RecentScores
from agent.inspection.setup import Setup
from agent.inspection.station import Station
from agent.inspection.thread import POLL_SECONDS, InspectionThread
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

# How long a change of the product waits for the end of the part that is being inspected, or for the results of triggers
# that came before it; the next part is to be judged as the new product within a second.
FINISH_PART_SECONDS = 0.5


@dataclass(slots=True)
class Counters:
    """Counts of one camera since the agent started."""

    frames: int = 0
    """Frames scored."""
    without_part: int = 0
    """Frames of these in which no part was found."""
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
    _lost_monotonic: float | None = None
    _preview: dict[str, Any] | None = None

    def __init__(self, name: str, setup: Setup, capture: Capture, ledger: Ledger | None = None) -> None:
        """Args:
        name: of the camera.
        setup: everything by which it judges the product that it inspects; the others are added to `setups`.
        capture: the thread that reads its source, for this setup.
        ledger: the files that need no further inspection; None keeps them in memory.
        """
        self.name = name
        self.capture = capture
        self.ledger = Ledger(None) if ledger is None else ledger
        self.unfinished = UnfinishedFiles(setup.station)
        self.counters = Counters()
        self.recent = RecentScores()
        self.setup = setup
        """The product that is inspected now."""
        self.setups: dict[str | None, Setup] = {setup.product: setup}
        """Every product that is ready to be inspected, by its name; the one used last is at the end."""
        self._dropped_before = 0

    # What belongs to the product that is inspected now

    @property
    def product(self) -> str | None:
        """Name of the product; None for a camera without products, and while parts are not judged as any."""
        return None if self.station.refused_product is not None else self.setup.product

    @property
    def settings(self) -> CameraSettings:
        """The settings in force."""
        return self.setup.settings

    @property
    def bundle(self) -> Bundle:
        """The model."""
        return self.setup.bundle

    @property
    def model(self) -> ModelPayload:
        """Name and sha256 of the bundle, for messages."""
        return self.setup.model

    @property
    def crop(self) -> Crop | None:
        """The part of the image that is inspected; None: all of it."""
        return self.setup.crop

    @property
    def aligned(self) -> bool:
        """Whether parts are looked for in the images."""
        view = self.bundle.manifest.view
        return view is not None and view.alignment is not None

    @property
    def engine(self) -> Engine:
        """Runs the model."""
        return self.setup.engine

    @property
    def station(self) -> Station:
        """From scores to verdicts and alarms."""
        return self.setup.station

    @property
    def frames(self) -> FrameQueue:
        """Captured frames that wait for inspection."""
        return self.setup.frames

    @property
    def inspection(self) -> InspectionThread:
        """The thread that inspects the frames."""
        return self.setup.inspection

    @property
    def score_log(self) -> ScoreLog:
        """Keeps every score, for previews and reports."""
        return self.setup.score_log

    @property
    def dropped(self) -> int:
        """Frames dropped in favour of newer ones since the agent started."""
        return self._dropped_before + self.frames.dropped(self.name)

    @property
    def preview(self) -> dict[str, Any] | None:
        """Result of the latest recalibration, as `preview_calibration` returns it; None before there is one."""
        return self._preview

    def change_setup(self, setup: Setup, on_left: Callable[[Left], None]) -> None:
        """Judge the next parts with another setup; the part that is being inspected is finished before.

        `on_left` gets what this ends, on the inspection thread. Any thread but an inspection thread may call. Raises
        Temporary where an inspection thread hangs.
        """
        deadline = time.monotonic() + FINISH_PART_SECONDS
        while not self.capture.between_frames(lambda: self._change_setup(setup, on_left, deadline)):
            time.sleep(POLL_SECONDS)

    def _change_setup(self, setup: Setup, on_left: Callable[[Left], None], deadline: float) -> bool:
        """False where a part is not complete yet. No frame is handed over meanwhile, so that all stay in order."""
        old = self.setup
        old.inspection.await_judged(self.name)
        if old.inspection.call(lambda: self._leave(on_left, finish=time.monotonic() >= deadline)) is False:
            return False
        if setup.frames is not old.frames:
            setup.frames.add_camera(self.name, newest_only=self.capture.newest_only)
        setup.inspection.call(lambda: self._enter(setup))
        self.capture.redirect(setup.frames, setup.preparation)
        if setup.frames is not old.frames:
            self._dropped_before += old.frames.dropped(self.name)
            old.frames.remove_camera(self.name)
        return True

    def _leave(self, on_left: Callable[[Left], None], *, finish: bool) -> bool:
        """On the thread of the old setup; `finish`: do not wait for the end of the part."""
        station = self.setup.station
        if not (finish or station.between_parts):
            return False
        on_left(station.leave(time.monotonic()))
        self.setup.inspector.remove(self.name)
        return True

    def _enter(self, setup: Setup) -> None:
        """On the thread of the new setup."""
        setup.station.enter(self.setup.station)
        self.unfinished.station = setup.station
        self.setups.pop(setup.product, None)
        self.setups[setup.product] = self.setup = setup
        setup.inspector.add(self.name, setup.station)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the inspection thread, between two frames. Raises its error, or Temporary on a timeout."""
        return self.inspection.call(function)

    def trigger(self, part: str, monotonic_seconds: float) -> int:
        """A part is announced, and a camera with a software trigger takes its frames; call it through `call`.

        Returns how many triggers wait before it. Raises as `Station.trigger` does.
        """
        waiting = self.station.trigger(part, monotonic_seconds)
        self.capture.trigger(monotonic_seconds, self.settings.frames_per_part or 1)
        return waiting

    def adopt(self, settings: CameraSettings) -> None:
        """Take over settings of the camera for all its products. Raises Temporary where a thread hangs."""
        active = self.setup.product
        # The active product last: it sets the quiet time of the alarm, which the products share.
        for product in sorted(self.setups, key=lambda product: product == active):
            own, setup = settings.of_product(product), self.setups[product]
            setup.inspection.call(lambda station=setup.station, own=own: station.adopt(plan_of(own)))  # type: ignore[misc]
            self.setups[product] = replace(setup, settings=own)
        self.setup = self.setups[active]

    def forget_dropped(self) -> None:
        """The queue counts dropped frames from 0 again, for a new source: keep what it has counted."""
        self._dropped_before += self.frames.dropped(self.name)

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
        self.counters.without_part += outcome.frame.not_found is not None
        self.counters.passed_by_rule += sum(each.passed_by_rule for each in (outcome, *outcome.late))
        self.counters.verdict_durations.add(time.monotonic() - outcome.frame.captured_monotonic)
        verdict = outcome.verdict
        statistic = outcome.score if verdict is None else verdict.statistic
        if outcome.frame.not_found is None:
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
