"""What follows from a frame once it is judged: it is logged and counted, and whoever has to know is told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.core.ids import new_id
from agent.core.records import Alarm, Frame, Verdict
from agent.inspection import CameraLine, Candidate, Outcome, preview_calibration
from agent.messages import RulePayload, ScorePayload, drift_event
from agent.monitoring import StatePublisher
from agent.outputs import AlarmContext, AlarmJob, AlarmRecorder
from agent.outputs.mqtt import Outgoing, Publisher, Topics
from calibration import Drift

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)


class Dispatcher:
    """Takes what frames led to, on the inspection threads."""

    def __init__(
        self,
        topics: Topics,
        lines: Mapping[str, CameraLine],
        publisher: Publisher,
        acceptance: AlarmRecorder,
        states: StatePublisher,
        metrics: Metrics | None = None,
        *,
        scores_per_second: float,
    ) -> None:
        """Args:
        topics: where alarms, events and scores go.
        lines: by camera.
        publisher: for what is only told: events, scores.
        acceptance: for what must arrive: alarms.
        states: told at once of a drift.
        metrics: counts, where somebody asked for them.
        scores_per_second: telemetry of each camera; 0 for none.
        """
        self.scores_per_second = scores_per_second
        self._topics = topics
        self._lines = lines
        self._publisher = publisher
        self._acceptance = acceptance
        self._states = states
        self._metrics = metrics

    def take(self, outcome: Outcome) -> None:
        """What one frame led to."""
        line = self._lines[outcome.frame.camera]
        line.counters.frames += 1
        line.counters.verdict_durations.add(time.monotonic() - outcome.frame.captured_monotonic)
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
            self._tell_drift(line, outcome, outcome.drift)
        self._publish_score(line, outcome, statistic)

    def _log_score(self, line: CameraLine, outcome: Outcome, statistic: float) -> None:
        """For previews and reports; a full disk costs them some frames, never an alarm."""
        frame = outcome.frame
        try:
            line.score_log.append(frame.captured_at.timestamp(), frame.index, outcome.score, statistic)
        except OSError as error:
            self._publisher.problem("score log", f"{line.score_log.directory}: {error.strerror}; scores are not kept")
        else:
            self._publisher.problem("score log", None)

    def _take_candidate(self, line: CameraLine, candidate: Candidate) -> None:
        """A first calibration is in force; a later one is previewed, elsewhere, since that reads a day of scores."""
        calibration = candidate.calibration
        fields = {"camera": line.name, "calibration": calibration.id, "threshold": calibration.threshold.value}
        log.info("camera %s: calibrated: %s", line.name, calibration.promise, extra=fields)
        if line.station.calibration is not calibration:
            line.score_log.flush()
            threading.Thread(
                target=self._preview, args=(line, candidate), name=f"preview-{line.name}", daemon=True
            ).start()

    def _tell_drift(self, line: CameraLine, outcome: Outcome, drift: Drift) -> None:
        """The retained state at once, whichever way the flag turned; one event where it was raised."""
        self._states.publish(line)
        if not drift.flag:
            log.info("camera %s: good parts score as when calibrated on again", line.name)
            return
        calibration = line.station.calibration
        assert calibration is not None
        at = outcome.frame.captured_at
        event = drift_event(new_id(), self._topics.site, line.name, drift, calibration.id, at)
        log.warning("camera %s: %s", line.name, event.text)
        topic = self._topics.event(line.name)
        self._publisher.notify(Outgoing(topic, event.to_bytes(), media_type="application/json"))

    def _preview(self, line: CameraLine, candidate: Candidate) -> None:
        """Say what the new threshold would have done; then, unless it was a dry run, put it in force."""
        line.preview = preview_calibration(line.score_log.directory, line.station.calibration, candidate, time.time())
        log.info("camera %s: %s", line.name, line.preview["sentence"])
        if not candidate.plan.dry_run and line.inspection is not None:
            line.inspection.call(lambda: line.station.activate(candidate.calibration, candidate.plan.by))

    def deliver(
        self, line: CameraLine, alarm: Alarm, verdict: Verdict | None = None, frame: Frame | None = None
    ) -> None:
        """Have an alarm accepted: by its verdict, or by the frame that shows the camera at fault, if one came."""
        calibration = line.station.calibration
        log.info(
            "camera %s: %s alarm %s %s, score %.4g, threshold %s",
            line.name,
            alarm.kind.value,
            alarm.id,
            alarm.event.value,
            alarm.score,
            "none yet" if alarm.threshold is None else f"{alarm.threshold:.4g}",
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
        self._acceptance.put(AlarmJob(alarm, verdict, context, frame))

    def _publish_score(self, line: CameraLine, outcome: Outcome, statistic: float) -> None:
        """Telemetry, a few times a second at most."""
        rate, now = self.scores_per_second, outcome.frame.captured_monotonic
        if rate == 0 or now < line.next_score_monotonic:
            return
        line.next_score_monotonic = now + 1.0 / rate
        calibration = line.station.calibration
        payload = ScorePayload(
            camera=line.name,
            captured_at=outcome.frame.captured_at,
            frame=outcome.frame.index,
            score=outcome.score,
            statistic=statistic,
            threshold=None if calibration is None else calibration.threshold.value,
        )
        self._publisher.publish_telemetry(self._topics.score(line.name), payload.to_bytes())
