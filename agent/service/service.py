"""Wires the agent together, starts it, watches over it and stops it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from agent.alarms import ActiveAlarm, CameraAlarm, DefectAlarm, Evidence
from agent.commands import CommandHandlers, Control, ControlSocket, MqttRequests, Reload, plan_reload, reload_lines
from agent.core.clock import utc_now
from agent.core.errors import InspectdError, Permanent, Temporary
from agent.core.ids import new_id
from agent.core.records import AlarmKind
from agent.inspection import (
    CalibrationKey,
    CameraLine,
    CameraState,
    Capture,
    Counters,
    FrameQueue,
    InspectionThread,
    Inspector,
    Preparation,
    Station,
    calibrations_of,
    plan_of,
    thresholds_in_force,
)
from agent.messages import StatePayload, engine_event
from agent.monitoring import StatePublisher
from agent.outputs import AlarmRecorder, state_key
from agent.outputs.mqtt import Outgoing, Publisher, discovery
from agent.outputs.mqtt.settings import broker_of
from agent.outputs.outbox import Outbox
from agent.service.dispatcher import Dispatcher
from agent.service.single_instance import SingleInstance
from agent.service.watchdog import Pulse, Watchdog
from agent.settings import CameraSettings, Settings, writable
from agent.sources import build_source
from calibration import CalibrationError, ScoreLog, Store
from engines.bundles import Bundle, load_trusted_keys, read_bundle
from engines.errors import EngineError
from engines.runtime import Engine, open_engine

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)

# systemd's and a person's patience: two seconds from the signal to the end, of which the broker gets what is left.
STOP_SECONDS = 2.0

# How often the cameras and their state are looked at.
STATE_LOOK_SECONDS = 0.25

# A camera that is back by then was only opened anew.
LOST_AFTER_SECONDS = 0.75


class Service:
    """One agent, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        supervision: Watchdog | None = None,
        *,
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """Open everything that can refuse to open. Raises InspectdError, or an error of engines or calibration.

        `read_again` reads the settings where they came from, for `reload`; raises Permanent where they are broken.
        """
        self.settings = settings
        self.supervision = supervision or Watchdog()
        self._read_again = read_again
        self._reloading = threading.Lock()
        self._hung_up = threading.Event()
        self._stop = threading.Event()
        self._crashed: str | None = None
        # Only services are several on a machine; who runs an agent by hand sees what it does.
        self._claim = SingleInstance(settings) if self.supervision.supervised else None
        directory = writable(settings.state_directory)
        self.topics = settings.topics
        self.outbox = Outbox(directory / "outbox.sqlite", max_bytes=settings.max_outbox_size)
        self.publisher = Publisher(broker_of(settings.mqtt), self.topics, self.outbox)
        self.evidence = Evidence(directory / "evidence", max_bytes=settings.max_evidence_size)
        self.acceptance = AlarmRecorder(settings.site, self.topics, self.outbox, self.evidence)
        self._engines: dict[tuple[str, str], Engine] = {}
        self._intakes: dict[int, FrameQueue] = {}
        self._remembered = self.outbox.state()
        self._trusted_keys = load_trusted_keys(settings.trusted_keys)
        self.lines = {name: self._line(name, camera) for name, camera in settings.cameras.items()}
        self._metrics = self._open_metrics()
        self._states = StatePublisher(settings.site, self.lines, self.publisher)
        self._consequences = Dispatcher(
            self.topics,
            self.lines,
            self.publisher,
            self.acceptance,
            self._states,
            self._metrics,
            scores_per_second=settings.mqtt.scores_per_second,
        )
        self.inspections = self._inspections()
        commands = CommandHandlers(self)
        self.control = Control(settings.site, commands.handlers(), utc_now)
        self._requests = MqttRequests(
            self.publisher,
            self.topics,
            self.control.execute,
            allowed=settings.mqtt.commands,
            trusted=settings.mqtt.commands_trusted,
        )
        self._announce()
        self._door = ControlSocket(settings.socket_path, self.control)

    # Building

    def _line(self, name: str, camera: CameraSettings) -> CameraLine:
        bundle = read_bundle(camera.bundle, trusted=self._trusted_keys)
        if bundle.signed_by is not None:
            log.info("camera %s: bundle %s is signed by %s", name, bundle.path.name, bundle.signed_by)
        self.supervision.engine_opens(name, camera.engine)
        engine = self._engine(bundle, camera.engine, name)
        intake = self._intakes.setdefault(id(engine), FrameQueue())
        directory = writable(self.settings.state_directory / "cameras" / name)
        identity = CalibrationKey(name, bundle.sha256, engine.name)
        tracker = DefectAlarm(name, camera.alarm.clear_after_seconds, new_id, self._open_alarm(name, AlarmKind.DEFECT))
        health = CameraAlarm(name, new_id, self._open_alarm(name, AlarmKind.CAMERA))
        station = Station(
            identity, plan_of(camera), Store(calibrations_of(self.settings, name)), tracker, health, now=utc_now
        )
        source = build_source(camera.source, quarantine_directory=directory / "quarantine")
        intake.add_camera(name, live=source.live)
        capture = Capture(name, source, intake, Preparation(bundle.geometry, camera.crop, fit=engine.fit))
        score_log = ScoreLog(directory / "scores", max_bytes=self.settings.max_score_log_size)
        return CameraLine(name, camera, bundle, engine, station, capture, intake, Counters(), score_log)

    def _open_alarm(self, camera: str, kind: AlarmKind) -> ActiveAlarm | None:
        """The alarm that stood when the agent was stopped."""
        remembered = self._remembered.get(state_key(camera, kind))
        return ActiveAlarm.from_json(remembered) if remembered else None

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
                thresholds=thresholds_in_force(self.settings, bundle.sha256),
            )
            log.info("engine %s (%s): %s", engine.name, engine.detail, engine.reason)
        return self._engines[key]

    def _inspections(self) -> list[InspectionThread]:
        """One thread for each engine."""
        inspections = []
        for engine in self._engines.values():
            lines = {line.name: line for line in self.lines.values() if line.engine is engine}
            on_timing = None if self._metrics is None else self._metrics.time
            inspector = Inspector(engine, {name: line.station for name, line in lines.items()}, on_timing=on_timing)
            inspection = InspectionThread(engine.name, self._intakes[id(engine)], inspector, self._consequences.take)
            for line in lines.values():
                line.inspection = inspection
            inspections.append(inspection)
        return inspections

    def _announce(self) -> None:
        """Tell of engines that were refused, and Home Assistant of the cameras, where the settings want it."""
        for line in self.lines.values():
            if line.engine.refused:
                event = engine_event(
                    new_id(), self.settings.site, line.name, line.engine.name, line.engine.refused, utc_now()
                )
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
        from agent.monitoring.metrics import Metrics

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
                self._states.publish_all()
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
            self._consequences.scores_per_second = mqtt.scores_per_second
            self._requests.allow(mqtt.commands, trusted=mqtt.commands_trusted)
            logging.getLogger().setLevel(self.settings.log.level.upper())
        return reload

    @staticmethod
    def _adopt(line: CameraLine, settings: CameraSettings) -> None:
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
                return
            for text in reload_lines(response.result):
                log.info("%s", text)

    def shut_down(self) -> None:
        """End in the order of the flow, so that all that was accepted is kept: within STOP_SECONDS, whatever hangs."""
        deadline = time.monotonic() + STOP_SECONDS
        for line in self.lines.values():
            line.capture.stop()
        for intake in self._intakes.values():
            intake.close()
        for inspection in self.inspections:
            inspection.join(max(0.05, deadline - 1.0 - time.monotonic()))
        self._states.publish_all(final=True)
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
            self._close_engines()
        if self._claim is not None:
            self._claim.release()
        log.info("inspectd stopped")

    def _close_engines(self) -> None:
        """One that cannot let go, after an error of the GPU, keeps neither the others nor the agent's last words."""
        for engine in self._engines.values():
            try:
                engine.close()
            except EngineError as error:
                log.warning("%s", error)

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

    def _lose(self, line: CameraLine, reason: str) -> None:
        def lose() -> None:
            alarm = line.station.lose_camera(reason, time.monotonic())
            if alarm is not None:
                self._consequences.deliver(line, alarm)

        assert line.inspection is not None
        try:
            line.inspection.call(lose)
        except Temporary as error:
            log.warning("camera %s: lost, and %s", line.name, error)

    def pause(self, line: CameraLine) -> None:
        """Look away from a camera, on its inspection thread; what stands is cleared."""
        for alarm in line.station.pause(time.monotonic()):
            self._consequences.deliver(line, alarm)

    def states(self) -> dict[str, StatePayload]:
        """The state of each camera now, by name."""
        return self._states.now()

    def pulses(self) -> dict[str, Pulse]:
        """How far each camera has got, by name."""
        return {
            line.name: Pulse(line.inspection.rounds if line.inspection else 0, line.counters.frames, line.capture.idle)
            for line in self.lines.values()
        }
