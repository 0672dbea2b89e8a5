"""Dispatches each judged frame: log, metrics, alarms, events, telemetry."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core.durable_file import disk_reason
from agent.core.errors import InspectdError
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.core.records import Alarm, FileVersion, Frame, Part, Verdict
from agent.inspection import CameraLine, Candidate, Outcome, preview_calibration
from agent.messages import RulePayload, ScorePayload, drift_event
from agent.monitoring import RecentEvents, StatePublisher
from agent.outputs import AlarmContext, AlarmJob, AlarmRecorder, Output, ResultRecorder
from agent.review import AlarmBasis, Review, ScoreBasis
from calibration import Calibration, Drift

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)


class Dispatcher:
    """Dispatches each outcome. The inspection threads call it: it must return within a frame interval."""

    def __init__(
        self,
        site: str,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        recorder: AlarmRecorder,
        states: StatePublisher,
        problems: Problems,
        review: Review | None = None,
        metrics: Metrics | None = None,
        results: ResultRecorder | None = None,
    ) -> None:
        """Args:
        site: for events.
        lines: every camera, by name; may be filled later.
        outputs: get events and scores, which are not stored.
        recorder: gets alarms, which must not be lost.
        states: publishes a camera's state as soon as its scores drift.
        problems: takes the problem of a score log that cannot be written.
        review: takes in judged frames and alarms; None: nobody reviews them.
        metrics: counts frames and alarms; None where the settings ask for no metrics.
        results: gets the result of each part; None where no camera has parts.
        """
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._recorder = recorder
        self._states = states
        self._problems = problems
        self._review = review
        self._metrics = metrics
        self._results = results
        self.recent = RecentEvents()
        """The latest results and alarms, for those who ask."""

    def dispatch(self, outcome: Outcome) -> None:
        """Dispatch one frame, and earlier ones that were held back and are now judged."""
        line = self._lines[outcome.frame.camera]
        line.count(outcome)
        for each in outcome.before:
            self.dispatch_ended(each)
        self._dispatch_judged(line, outcome)
        if outcome.frame.not_found is None:
            self._publish_score(line, outcome)
        self._record_finished(line, outcome)

    def dispatch_ended(self, ended: Outcome | Part) -> None:
        """Dispatch a part, or a frame that was held back, which ended without a new frame or before it."""
        if isinstance(ended, Part):
            self._dispatch_part(self._lines[ended.camera], ended)
        else:
            self._dispatch_judged(self._lines[ended.frame.camera], ended)

    def _dispatch_judged(self, line: CameraLine, outcome: Outcome) -> None:
        """Dispatch a frame, or a part by the frame that stands for it."""
        if outcome.single and not outcome.blind and outcome.frame.not_found is None:
            self._log_score(line, outcome)
            if self._metrics is not None:
                self._metrics.observe_outcome(outcome)
        self._review_frame(line, outcome)
        for alarm in outcome.alarms:
            self.dispatch_alarm(line, alarm, outcome.verdict, outcome.frame)
        if outcome.part is not None:
            self._dispatch_part(line, outcome.part, outcome.verdict)
        if outcome.candidate is not None:
            self._dispatch_candidate(line, outcome.candidate)
        if outcome.drift is not None:
            self._dispatch_drift(line, outcome, outcome.drift)

    def _review_frame(self, line: CameraLine, outcome: Outcome) -> None:
        """Count a judged frame as running time, and as a candidate for the sample of good ones."""
        calibration = line.station.calibration
        if self._review is not None and outcome.verdict is not None and calibration is not None:
            alarmed = line.station.active_alarm_id is not None
            self._review.judged(line.name, calibration, outcome.verdict, alarmed=alarmed)

    def _record_finished(self, line: CameraLine, outcome: Outcome) -> None:
        """Add files to the ledger once the results and alarms that follow from them are stored."""
        files = line.unfinished.take_finished(outcome)
        if files:
            self._when_stored(lambda: self._add_to_ledger(line, files))

    def _when_stored(self, callback: Callable[[], None]) -> None:
        results = self._results
        if results is None:
            self._recorder.when_stored(callback)
        else:
            self._recorder.when_stored(lambda: results.when_stored(callback))

    def _add_to_ledger(self, line: CameraLine, files: Sequence[FileVersion]) -> None:
        line.ledger.add(files)
        self._problems.set(f"ledger {line.name}", line.ledger.problem)

    def _dispatch_part(self, line: CameraLine, part: Part, verdict: Verdict | None = None) -> None:
        """Count a part, show its result, and record it. `verdict`: of the frame that stands for it, if any."""
        line.count_part(part)
        part = replace(part, product=line.product)
        for output in self._outputs:
            output.show_result(part)
        identity = part.id or new_id()
        self.recent.add(part, identity)
        if self._results is not None:
            every = line.settings.parts.ok_heatmap_every
            self._results.put(part, line.model, line.engine.name, identity, verdict, every)

    def _log_score(self, line: CameraLine, outcome: Outcome) -> None:
        """Keep the score for previews and reports. On a full disk scores are lost, never an alarm."""
        frame, statistic = outcome.frame, _statistic(outcome)
        # A preview counts the alarms of the last day: of a file, its inspection counts, not its age.
        seconds = frame.captured_at.timestamp() if frame.file is None else time.time()
        self._store_scores(line, lambda: line.score_log.append(seconds, frame.index, outcome.score, statistic))

    def _store_scores(self, line: CameraLine, store: Callable[[], None]) -> None:
        try:
            store()
        except OSError as error:
            directory = line.score_log.directory
            problem = f"{directory}: {disk_reason(error, directory)}; scores are not logged"
            self._problems.set("score log", problem)
        else:
            self._problems.set("score log", None)

    def _dispatch_candidate(self, line: CameraLine, candidate: Candidate) -> None:
        """Log a new calibration. The first is in force already; a later one is previewed, then put in force."""
        calibration = candidate.calibration
        fields = {"camera": line.name, "calibration": calibration.id, "threshold": calibration.threshold.value}
        if calibration.threshold.certified:
            log.info("camera %s: calibrated: %s", line.name, calibration.promise, extra=fields)
        else:
            log.warning("camera %s: calibrated, not certified: %s", line.name, calibration.promise, extra=fields)
        if line.station.calibration is not calibration:
            self._store_scores(line, line.score_log.flush)
            # On a thread of its own, since it reads a day of scores.
            threading.Thread(
                target=self._preview, args=(line, candidate), name=f"preview-{line.name}", daemon=True
            ).start()

    def _preview(self, line: CameraLine, candidate: Candidate) -> None:
        """Publish how many alarms the new threshold would have raised; put it in force unless this is a dry run."""
        defects = self._confirmed_defects(line, candidate.calibration)
        current, now = line.station.calibration, time.time()
        preview = preview_calibration(line.score_log.directory, current, candidate, now, defects)
        line.finish_recalibration(preview)
        log.info("camera %s: %s", line.name, preview["sentence"])
        if not candidate.plan.dry_run:
            line.call(lambda: line.station.activate(candidate.calibration, candidate.plan.by))

    def _confirmed_defects(self, line: CameraLine, calibration: Calibration) -> Sequence[float]:
        """Peaks of the defects that people have confirmed, by which recall is measured; empty if unreadable."""
        basis = ScoreBasis(calibration.bundle_sha256, calibration.engine, str(calibration.rule))
        try:
            return () if self._review is None else self._review.judged_scores(line.name, basis).defects
        except InspectdError as error:
            log.warning("camera %s: the preview lacks the confirmed defects: %s", line.name, error)
            return ()

    def _dispatch_drift(self, line: CameraLine, outcome: Outcome, drift: Drift) -> None:
        """Publish the state at once where the drift flag changed, and an event where it was set."""
        self._states.publish(line)
        if not drift.flag:
            log.info("camera %s: good parts have the scores of the calibration again", line.name)
            return
        calibration = line.station.calibration
        assert calibration is not None
        event = drift_event(new_id(), self._site, line.name, drift.shift, calibration.id, outcome.frame.captured_at)
        log.warning("camera %s: %s", line.name, event.text)
        for output in self._outputs:
            output.publish_event(event)

    def dispatch_alarm(
        self, line: CameraLine, alarm: Alarm, verdict: Verdict | None = None, frame: Frame | None = None
    ) -> None:
        """Log, count and record an alarm; waits while the recorder's queue is full.

        Args:
            line: its camera.
            alarm: raised or cleared.
            verdict: the verdict of an alarm about a part; None for an alarm about the camera.
            frame: the frame that shows it; None for a camera that delivers none.
        """
        calibration = line.station.calibration
        log.info(
            "camera %s: %s alarm %s %s, score %.4g, threshold %s%s",
            line.name,
            alarm.kind.value,
            alarm.id,
            alarm.event.value,
            alarm.score,
            "none" if alarm.threshold is None else f"{alarm.threshold:.4g}",
            "" if alarm.origin is None else f", file {ascii(alarm.origin)[1:-1]}",
            extra={"camera": line.name, "alarm": alarm.id, "event": alarm.event.value, "frame": alarm.frame},
        )
        self.recent.add(alarm, alarm.id)
        if self._metrics is not None:
            self._metrics.count_alarm(alarm)
        context = AlarmContext(
            rule=None if calibration is None else RulePayload(k=calibration.rule.k, n=calibration.rule.n),
            calibration=None if calibration is None else calibration.id,
            model=line.model,
            engine=line.engine.name,
            crop=None if line.aligned else line.crop,
            product=line.product,
            window=None if calibration is None else calibration.display_window,
        )
        if self._review is not None:
            basis = AlarmBasis(calibration, line.model.sha256, line.engine.name, line.settings.crop, line.product)
            self._review.alarm(alarm, basis, verdict, frame)
        self._recorder.put(AlarmJob(alarm, verdict, context, frame))

    def _publish_score(self, line: CameraLine, outcome: Outcome) -> None:
        def payload() -> ScorePayload:
            calibration = line.station.calibration
            return ScorePayload(
                camera=line.name,
                captured_at=outcome.frame.captured_at,
                frame=outcome.frame.index,
                score=outcome.score,
                statistic=_statistic(outcome),
                threshold=None if calibration is None else calibration.threshold.value,
            )

        for output in self._outputs:
            output.publish_score(line.name, outcome.frame.captured_monotonic, payload)


def _statistic(outcome: Outcome) -> float:
    """The value compared with the threshold; the score where the frame was not judged."""
    return outcome.score if outcome.verdict is None else outcome.verdict.statistic
