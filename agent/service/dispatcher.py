"""Dispatches each judged frame: log, metrics, alarms, events, telemetry."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.core.records import Alarm, Frame, Verdict
from agent.inspection import CameraLine, Candidate, Outcome, preview_calibration
from agent.messages import RulePayload, ScorePayload, drift_event
from agent.monitoring import StatePublisher
from agent.outputs import AlarmContext, AlarmJob, AlarmRecorder, Output
from calibration import Drift

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)


class Dispatcher:
    """Takes the outcome of each frame, on the inspection threads."""

    def __init__(
        self,
        site: str,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        recorder: AlarmRecorder,
        states: StatePublisher,
        problems: Problems,
        metrics: Metrics | None = None,
    ) -> None:
        """Args:
        site: for the messages.
        lines: by camera; may be filled after this.
        outputs: for events and scores, which are not stored.
        recorder: for alarms, which must arrive.
        states: publishes a camera's state at once where it drifts.
        problems: where a score log that cannot be written is reported.
        metrics: counts frames and alarms; None where nobody asked for metrics.
        """
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._recorder = recorder
        self._states = states
        self._problems = problems
        self._metrics = metrics

    def take(self, outcome: Outcome) -> None:
        """Dispatch one frame."""
        line = self._lines[outcome.frame.camera]
        line.count(outcome)
        statistic = outcome.verdict.statistic if outcome.verdict else outcome.score
        if not outcome.blind:
            self._log_score(line, outcome, statistic)
        if self._metrics is not None:
            self._metrics.take(outcome)
        for each in (outcome.late, outcome):
            if each is not None and each.alarm is not None:
                self.deliver(line, each.alarm, each.verdict, each.frame)
        if outcome.candidate is not None:
            self._take_candidate(line, outcome.candidate)
        if outcome.drift is not None:
            self._report_drift(line, outcome, outcome.drift)
        self._publish_score(line, outcome, statistic)

    def _log_score(self, line: CameraLine, outcome: Outcome, statistic: float) -> None:
        """For previews and reports; a full disk costs some scores, never an alarm."""
        frame = outcome.frame
        try:
            line.score_log.append(frame.captured_at.timestamp(), frame.index, outcome.score, statistic)
        except OSError as error:
            self._problems.set("score log", f"{line.score_log.directory}: {error.strerror}; scores are not kept")
        else:
            self._problems.set("score log", None)

    def _take_candidate(self, line: CameraLine, candidate: Candidate) -> None:
        """A first calibration is in force already. A later one is previewed, on a thread: it reads a day of scores."""
        calibration = candidate.calibration
        fields = {"camera": line.name, "calibration": calibration.id, "threshold": calibration.threshold.value}
        log.info("camera %s: calibrated: %s", line.name, calibration.promise, extra=fields)
        if line.station.calibration is not calibration:
            line.score_log.flush()
            threading.Thread(
                target=self._preview, args=(line, candidate), name=f"preview-{line.name}", daemon=True
            ).start()

    def _preview(self, line: CameraLine, candidate: Candidate) -> None:
        """Report what the new threshold would have done; then, unless it was a dry run, put it in force."""
        preview = preview_calibration(line.score_log.directory, line.station.calibration, candidate, time.time())
        line.finish_recalibration(preview)
        log.info("camera %s: %s", line.name, preview["sentence"])
        if not candidate.plan.dry_run:
            line.call(lambda: line.station.activate(candidate.calibration, candidate.plan.by))

    def _report_drift(self, line: CameraLine, outcome: Outcome, drift: Drift) -> None:
        """Publish the state at once, whichever way the flag turned; one event where it was raised."""
        self._states.publish(line)
        if not drift.flag:
            log.info("camera %s: good parts score as they did at calibration again", line.name)
            return
        calibration = line.station.calibration
        assert calibration is not None
        event = drift_event(new_id(), self._site, line.name, drift, calibration.id, outcome.frame.captured_at)
        log.warning("camera %s: %s", line.name, event.text)
        for output in self._outputs:
            output.publish_event(event)

    def deliver(
        self, line: CameraLine, alarm: Alarm, verdict: Verdict | None = None, frame: Frame | None = None
    ) -> None:
        """Have an alarm recorded: with its verdict, or with the frame that shows the camera's fault, if any."""
        calibration = line.station.calibration
        log.info(
            "camera %s: %s alarm %s %s, score %.4g, threshold %s%s",
            line.name,
            alarm.kind.value,
            alarm.id,
            alarm.event.value,
            alarm.score,
            "none yet" if alarm.threshold is None else f"{alarm.threshold:.4g}",
            "" if alarm.origin is None else f", file {ascii(alarm.origin)[1:-1]}",
            extra={"camera": line.name, "alarm": alarm.id, "event": alarm.event.value, "frame": alarm.frame},
        )
        if self._metrics is not None:
            self._metrics.count(alarm)
        context = AlarmContext(
            rule=None if calibration is None else RulePayload(k=calibration.rule.k, n=calibration.rule.n),
            calibration=None if calibration is None else calibration.id,
            model=line.model,
            engine=line.engine.name,
            crop=line.settings.crop,
        )
        self._recorder.put(AlarmJob(alarm, verdict, context, frame))

    def _publish_score(self, line: CameraLine, outcome: Outcome, statistic: float) -> None:
        def payload() -> ScorePayload:
            calibration = line.station.calibration
            return ScorePayload(
                camera=line.name,
                captured_at=outcome.frame.captured_at,
                frame=outcome.frame.index,
                score=outcome.score,
                statistic=statistic,
                threshold=None if calibration is None else calibration.threshold.value,
            )

        for output in self._outputs:
            output.publish_score(line.name, outcome.frame.captured_monotonic, payload)
