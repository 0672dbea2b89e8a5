"""Wires the agent together, starts it, watches over it and stops it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uuid_utils

from agent.acceptance import Acceptance, Context, Judged, state_key
from agent.alarm import AlarmTracker, OpenAlarm
from agent.broker import Broker
from agent.camera_health import CameraHealth
from agent.capture import CameraState, Capture
from agent.commands import Commands
from agent.control import Control
from agent.door import Door
from agent.errors import InspectdError, Permanent, Temporary
from agent.events import drift_event, engine_event
from agent.evidence import Evidence
from agent.home_assistant import discovery
from agent.inspection import Inspection
from agent.inspector import Inspector
from agent.intake import Intake
from agent.outbox import Outbox
from agent.packets import Outgoing
from agent.payloads import ModelPayload, RulePayload, ScorePayload, StatePayload
from agent.preparation import Preparation
from agent.preview import preview
from agent.publisher import Publisher
from agent.records import Alarm, Frame, Kind, Verdict
from agent.reload import Reload, plan_reload
from agent.settings import CameraSettings, MqttSettings, Settings
from agent.sources.factory import build_source
from agent.state import Counters, state_payload
from agent.station import Candidate, Identity, Outcome, Plan, Station
from agent.supervision import Pulse, Supervision
from calibration import Budget, CalibrationError, Drift, Rule, ScoreLog, Store
from engines.bundle import Bundle, read_bundle
from engines.engine import Engine, open_engine
from engines.errors import EngineError

if TYPE_CHECKING:
    from agent.metrics import Metrics

log = logging.getLogger(__name__)

# systemd's and a person's patience: two seconds from the signal to the end, of which the broker gets what is left.
STOP_SECONDS = 2.0

# How often the state of the cameras is looked at, and how often it is published though nothing but counters changed.
STATE_LOOK_SECONDS = 0.25
STATE_REPEAT_SECONDS = 5.0

# A camera that is back by then was only opened anew.
LOST_AFTER_SECONDS = 0.75

# Fields of the state that change with every frame: alone they are no reason to publish before the repeat.
COUNTING_FIELDS = frozenset({"at", "frames", "dropped", "frames_per_second", "latency_ms"})


def utc_now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(timezone.utc)


def new_id() -> str:
    """A UUIDv7: unique, and in the order of time."""
    return str(uuid_utils.uuid7())


@dataclass(slots=True)
class Line:
    """One camera with all that belongs to it."""

    name: str
    settings: CameraSettings
    bundle: Bundle
    engine: Engine
    station: Station
    capture: Capture
    intake: Intake
    counters: Counters
    score_log: ScoreLog
    inspection: Inspection | None = None
    next_score_monotonic: float = 0.0
    lost_monotonic: float | None = None
    """Since when the camera gives no frames, seconds; None while it does."""
    preview: dict[str, Any] | None = None
    """What the last recalibration found, once it is finished."""

    @property
    def model(self) -> ModelPayload:
        """For the payloads."""
        return ModelPayload(name=self.bundle.manifest.name, sha256=self.bundle.sha256)


class Service:
    """One agent, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        supervision: Supervision | None = None,
        *,
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """Open everything that can refuse to open. Raises InspectdError, or an error of engines or calibration.

        `read_again` reads the settings where they came from, for `reload`; raises Permanent where they are broken.
        """
        self.settings = settings
        self.supervision = supervision or Supervision()
        self._read_again = read_again
        self._reloading = threading.Lock()
        self._hung_up = threading.Event()
        self._stop = threading.Event()
        self._crashed: str | None = None
        directory = _writable(settings.state_directory)
        self.topics = settings.topics
        self.outbox = Outbox(directory / "outbox.sqlite", max_bytes=settings.max_outbox_size)
        self.publisher = Publisher(broker_of(settings.mqtt), self.topics, self.outbox)
        self.evidence = Evidence(directory / "evidence", max_bytes=settings.max_evidence_size)
        self.acceptance = Acceptance(settings.site, self.topics, self.outbox, self.evidence)
        self._engines: dict[tuple[str, str], Engine] = {}
        self._intakes: dict[int, Intake] = {}
        self._remembered = self.outbox.state()
        self.lines = {name: self._line(name, camera) for name, camera in settings.cameras.items()}
        self._metrics = self._open_metrics()
        self.inspections = self._inspections()
        commands = Commands(self)
        self.control = Control(settings.site, commands.handlers(), utc_now)
        self._requests = self.publisher.on_command(
            self.control.execute, allowed=settings.mqtt.commands, trusted=settings.mqtt.commands_trusted
        )
        self._announce()
        self._door = Door(settings.socket_path, self.control)
        self._published: dict[str, tuple[float, dict[str, Any]]] = {}
        self._publishing = threading.Lock()

    # Building

    def _line(self, name: str, camera: CameraSettings) -> Line:
        bundle = read_bundle(camera.bundle)
        self.supervision.engine_opens(name, camera.engine)
        engine = self._engine(bundle, camera.engine, name)
        intake = self._intakes.setdefault(id(engine), Intake())
        directory = _writable(self.settings.state_directory / "cameras" / name)
        identity = Identity(name, bundle.sha256, engine.name)
        tracker = AlarmTracker(name, camera.alarm.clear_after_seconds, new_id, self._open_alarm(name, Kind.DEFECT))
        health = CameraHealth(name, new_id, self._open_alarm(name, Kind.CAMERA))
        station = Station(identity, plan_of(camera), Store(directory / "calibrations"), tracker, health, now=utc_now)
        source = build_source(camera.source, quarantine_directory=directory / "quarantine")
        intake.add_camera(name, live=source.live)
        capture = Capture(name, source, intake, Preparation(bundle.geometry, camera.crop, fit=engine.fit))
        score_log = ScoreLog(directory / "scores", max_bytes=self.settings.max_score_log_size)
        return Line(name, camera, bundle, engine, station, capture, intake, Counters(), score_log)

    def _open_alarm(self, camera: str, kind: Kind) -> OpenAlarm | None:
        """The alarm that stood when the agent was stopped."""
        remembered = self._remembered.get(state_key(camera, kind))
        return OpenAlarm.from_json(remembered) if remembered else None

    def _engine(self, bundle: Bundle, name: str, camera: str) -> Engine:
        """One engine for all cameras that have the same bundle."""
        key = (bundle.sha256, name)
        if key not in self._engines:
            engine = self._engines[key] = open_engine(
                bundle,
                name,
                threads=self.settings.inference_threads,
                directory=self.settings.state_directory,
                progress=lambda fraction, step: self.supervision.engine_builds(camera, fraction, step),
            )
            log.info("engine %s (%s): %s", engine.name, engine.detail, engine.reason)
        return self._engines[key]

    def _inspections(self) -> list[Inspection]:
        """One thread for each engine."""
        inspections = []
        for engine in self._engines.values():
            lines = {line.name: line for line in self.lines.values() if line.engine is engine}
            on_timing = None if self._metrics is None else self._metrics.time
            inspector = Inspector(engine, {name: line.station for name, line in lines.items()}, on_timing=on_timing)
            inspection = Inspection(engine.name, self._intakes[id(engine)], inspector, self._take_outcome)
            for line in lines.values():
                line.inspection = inspection
            inspections.append(inspection)
        return inspections

    def _announce(self) -> None:
        """Tell of engines that were refused, and Home Assistant of the cameras, where the settings want it."""
        for line in self.lines.values():
            if line.engine.refused:
                event = engine_event(new_id(), self.settings.site, line.name, line.engine, utc_now())
                log.warning("camera %s: %s", line.name, event.text)
                self.publisher.notify(
                    Outgoing(self.topics.event(line.name), event.to_bytes(), media_type="application/json")
                )
        if self.topics.home_assistant is not None:
            for line in self.lines.values():
                model, installed = line.bundle.manifest.name, version("inspectd")
                self.publisher.publish_document(*discovery(self.topics, line.name, version=installed, model=model))

    def _open_metrics(self) -> Metrics | None:
        """Where the settings want them; prometheus-client is loaded only then."""
        if not self.settings.metrics.wanted:
            return None
        from agent.metrics import Metrics

        return Metrics(self.lines, self.publisher, port=self.settings.metrics.port, socket=self.settings.metrics.socket)

    # Running

    def run(self) -> None:
        """Run until told to stop by SIGTERM, SIGINT or `stop`, or until every source has ended; SIGHUP reloads.

        Raises Permanent where a thread died of a bug, or every camera failed for good.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        # On a terminal SIGHUP says that the terminal has gone, and ends the agent; a service is asked to reload.
        if not os.isatty(0):
            signal.signal(signal.SIGHUP, lambda *_: self._hung_up.set())
        threading.excepthook = self._on_crash
        self.start()
        try:
            while not self._stop.wait(STATE_LOOK_SECONDS):
                self._heed_hang_up()
                self._watch_cameras()
                self._publish_states()
                self.supervision.look(self)
                if self._ended():
                    break
        finally:
            self.supervision.stopping()
            self.shut_down()
        self._raise_failures()
        self.supervision.ended_well()

    def start(self) -> None:
        """Start every thread; the last ones are the cameras."""
        self.publisher.start()
        self.acceptance.start()
        for inspection in self.inspections:
            inspection.start()
        for line in self.lines.values():
            line.capture.start()
        log.info("inspectd runs with %d camera(s): %s", len(self.lines), ", ".join(self.lines))

    def stop(self) -> None:
        """Ask the agent to end; returns at once."""
        self._stop.set()

    def reload(self) -> Reload:
        """Read the settings again and take over what can change live.

        Raises Permanent, and changes nothing, where they are broken, and Temporary where a camera does not listen.
        """
        if self._read_again is None:
            raise Permanent("this agent was started without a settings file; wanted one to read again")
        with self._reloading:
            reload = plan_reload(self.settings, self._read_again())
            for name in reload.cameras:
                self._adopt(self.lines[name], reload.settings.cameras[name])
            self.settings = reload.settings
            mqtt = self.settings.mqtt
            self._requests.allow(mqtt.commands, trusted=mqtt.commands_trusted)
            logging.getLogger().setLevel(self.settings.log.level.upper())
        return reload

    @staticmethod
    def _adopt(line: Line, settings: CameraSettings) -> None:
        assert line.inspection is not None
        line.inspection.call(lambda: line.station.adopt(plan_of(settings)))
        line.settings = settings

    def _heed_hang_up(self) -> None:
        if self._hung_up.is_set():
            self._hung_up.clear()
            with self.supervision.reloading():
                response = self.control.execute("reload", None, b"", by="SIGHUP")
            if not response.ok:
                log.error("settings not read again: %s", response.error)

    def shut_down(self) -> None:
        """End in the order of the flow, so that all that was accepted is kept: within STOP_SECONDS, whatever hangs."""
        deadline = time.monotonic() + STOP_SECONDS
        for line in self.lines.values():
            line.capture.stop()
        for intake in self._intakes.values():
            intake.close()
        for inspection in self.inspections:
            inspection.join(max(0.05, deadline - 1.0 - time.monotonic()))
        self._publish_states(final=True)
        if not self.acceptance.finish(max(0.05, deadline - 0.5 - time.monotonic())):
            log.error("alarms were lost: the disk did not take them within %g s", STOP_SECONDS)
        self._door.close()
        if self._metrics is not None:
            self._metrics.close()
        self.publisher.stop(max(0.1, deadline - time.monotonic()))
        for line in self.lines.values():
            line.score_log.close()
        self.outbox.close()
        if all(not inspection.is_alive() for inspection in self.inspections):
            for engine in self._engines.values():
                engine.close()
        log.info("inspectd stopped")

    def _on_crash(self, crash: threading.ExceptHookArgs) -> None:
        """A thread that cannot go on takes the agent with it: systemd starts a whole one again."""
        name = crash.thread.name if crash.thread else "a thread"
        expected = isinstance(crash.exc_value, InspectdError | EngineError | CalibrationError)
        self._crashed = f"{name}: {crash.exc_value if expected else repr(crash.exc_value)}"
        log.critical("%s", self._crashed, exc_info=None if expected else crash.exc_value)
        self._stop.set()

    def _ended(self) -> bool:
        """Every source is at its end, and all of it is inspected."""
        over = (CameraState.ENDED, CameraState.FAILED)
        return all(line.capture.status.state in over for line in self.lines.values()) and all(
            not intake.busy for intake in self._intakes.values()
        )

    def _raise_failures(self) -> None:
        if self._crashed is not None:
            raise Permanent(self._crashed)
        failed = [line for line in self.lines.values() if line.capture.status.state is CameraState.FAILED]
        if failed:
            raise Permanent("\n".join(f"camera {line.name}: {line.capture.status.reason}" for line in failed))

    # What follows from a frame

    def _take_outcome(self, outcome: Outcome) -> None:
        """On the inspection thread, for each frame."""
        line = self.lines[outcome.frame.camera]
        line.counters.frames += 1
        line.counters.verdict_durations.add(time.monotonic() - outcome.frame.captured_monotonic)
        statistic = outcome.verdict.statistic if outcome.verdict else outcome.score
        if not outcome.blind:
            self._log_score(line, outcome, statistic)
        if self._metrics is not None:
            self._metrics.take(outcome)
        for each in (outcome.late, outcome):
            if each is not None and each.alarm is not None:
                self._deliver(line, each.alarm, each.verdict, each.frame)
        if outcome.candidate is not None:
            self._take_candidate(line, outcome.candidate)
        if outcome.drift is not None:
            self._tell_drift(line, outcome, outcome.drift)
        self._publish_score(line, outcome, statistic)

    def _log_score(self, line: Line, outcome: Outcome, statistic: float) -> None:
        """For previews and reports; a full disk costs them some frames, never an alarm."""
        frame = outcome.frame
        try:
            line.score_log.append(frame.captured_at.timestamp(), frame.index, outcome.score, statistic)
        except OSError as error:
            self.publisher.problem("score log", f"{line.score_log.directory}: {error.strerror}; scores are not kept")
        else:
            self.publisher.problem("score log", None)

    def _take_candidate(self, line: Line, candidate: Candidate) -> None:
        """A first calibration is in force; a later one is previewed, elsewhere, since that reads a day of scores."""
        calibration = candidate.calibration
        fields = {"camera": line.name, "calibration": calibration.id, "threshold": calibration.threshold.value}
        log.info("camera %s: calibrated: %s", line.name, calibration.promise, extra=fields)
        if line.station.calibration is not calibration:
            line.score_log.flush()
            threading.Thread(
                target=self._preview, args=(line, candidate), name=f"preview-{line.name}", daemon=True
            ).start()

    def _tell_drift(self, line: Line, outcome: Outcome, drift: Drift) -> None:
        """The retained state at once, whichever way the flag turned; one event where it was raised."""
        self._publish_state(line)
        if not drift.flag:
            log.info("camera %s: good parts score as when calibrated on again", line.name)
            return
        calibration = line.station.calibration
        assert calibration is not None
        at = outcome.frame.captured_at
        event = drift_event(new_id(), self.settings.site, line.name, drift, calibration.id, at)
        log.warning("camera %s: %s", line.name, event.text)
        topic = self.topics.event(line.name)
        self.publisher.notify(Outgoing(topic, event.to_bytes(), media_type="application/json"))

    def _preview(self, line: Line, candidate: Candidate) -> None:
        """Say what the new threshold would have done; then, unless it was a dry run, put it in force."""
        line.preview = preview(line.score_log.directory, line.station.calibration, candidate, time.time())
        log.info("camera %s: %s", line.name, line.preview["sentence"])
        if not candidate.plan.dry_run and line.inspection is not None:
            line.inspection.call(lambda: line.station.activate(candidate.calibration, candidate.plan.by))

    def _watch_cameras(self) -> None:
        """A camera that gives no frames reaches no station by itself."""
        now = time.monotonic()
        for line in self.lines.values():
            status = line.capture.status
            if status.state not in (CameraState.LOST, CameraState.FAILED):
                line.lost_monotonic = None
                continue
            line.lost_monotonic = now if line.lost_monotonic is None else line.lost_monotonic
            if now - line.lost_monotonic >= LOST_AFTER_SECONDS and line.station.blindness is None:
                self._lose(line, status.reason or status.state.value)

    def _lose(self, line: Line, reason: str) -> None:
        def lose() -> None:
            alarm = line.station.lose_camera(reason, time.monotonic())
            if alarm is not None:
                self._deliver(line, alarm)

        assert line.inspection is not None
        try:
            line.inspection.call(lose)
        except Temporary as error:
            log.warning("camera %s: lost, and %s", line.name, error)

    def _deliver(self, line: Line, alarm: Alarm, verdict: Verdict | None = None, frame: Frame | None = None) -> None:
        calibration = line.station.calibration
        assert calibration is not None
        log.info(
            "camera %s: %s alarm %s %s, score %.4g, threshold %.4g",
            line.name,
            alarm.kind.value,
            alarm.id,
            alarm.event.value,
            alarm.score,
            alarm.threshold,
            extra={"camera": line.name, "alarm": alarm.id, "event": alarm.event.value, "frame": alarm.frame},
        )
        if self._metrics is not None:
            self._metrics.count(alarm)
        context = Context(
            rule=RulePayload(k=calibration.rule.k, n=calibration.rule.n),
            calibration=calibration.id,
            model=line.model,
            engine=line.engine.name,
            crop=line.settings.crop,
        )
        self.acceptance.put(Judged(alarm, verdict, context, frame))

    def _publish_score(self, line: Line, outcome: Outcome, statistic: float) -> None:
        """Telemetry, a few times a second at most."""
        rate, now = self.settings.mqtt.scores_per_second, outcome.frame.captured_monotonic
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
        self.publisher.publish_telemetry(self.topics.score(line.name), payload.to_bytes())

    def _publish_states(self, *, final: bool = False) -> None:
        """The retained state of each camera."""
        for line in self.lines.values():
            self._publish_state(line, final=final)

    def _publish_state(self, line: Line, *, final: bool = False) -> None:
        """At once where it changed, else every few seconds."""
        # Two threads come here: without the lock, the one that looked first could publish last.
        with self._publishing:
            payload, now = self._state(line), time.monotonic()
            document = payload.model_dump(exclude=set(COUNTING_FIELDS))
            since, known = self._published.get(line.name, (0.0, {}))
            if final or document != known or now - since >= STATE_REPEAT_SECONDS:
                self._published[line.name] = (now, document)
                self.publisher.publish_state(line.name, payload)

    def states(self) -> dict[str, StatePayload]:
        """The state of each camera now, by name."""
        return {line.name: self._state(line) for line in self.lines.values()}

    def _state(self, line: Line) -> StatePayload:
        return state_payload(
            self.settings.site, line.station, line.capture, line.intake, line.counters, line.model, utc_now()
        ).model_copy(update={"engine_reason": line.engine.reason})

    def pulses(self) -> dict[str, Pulse]:
        """How far each camera has got, by name."""
        return {
            line.name: Pulse(line.inspection.rounds if line.inspection else 0, line.counters.frames, line.capture.idle)
            for line in self.lines.values()
        }


def plan_of(camera: CameraSettings) -> Plan:
    """How the settings want a camera calibrated."""
    return Plan(
        frames=camera.calibration.frames,
        max_frames=camera.calibration.max_frames,
        budget=Budget.parse(camera.calibration.false_alarms),
        rule=Rule.parse(camera.alarm.rule),
        confidence=camera.calibration.confidence,
        require_certificate=camera.calibration.require_certificate,
        clear_after_seconds=camera.alarm.clear_after_seconds,
        frames_per_second=camera.source.frames_per_second,
    )


def broker_of(mqtt: MqttSettings) -> Broker:
    """How the settings want the broker reached."""
    return Broker(
        url=mqtt.url,
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        certificate_file=mqtt.certificate_file,
        key_file=mqtt.key_file,
    )


def _writable(directory: Path) -> Path:
    """The directory, made where it was missing. Raises Permanent where nothing can be written to it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Permanent(f"{directory}: {error.strerror}; wanted a directory that this user can write to") from None
    return directory


__all__ = ["Line", "Service", "broker_of", "plan_of", "utc_now"]
