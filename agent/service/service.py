"""Wires the agent together, starts it, watches over it and stops it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.alarms import Evidence
from agent.commands import Control, ControlSocket, Reload, plan_reload
from agent.core.clock import utc_now
from agent.core.errors import Permanent, Temporary
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.inspection import CameraLine, CameraState
from agent.messages import StatePayload, engine_event
from agent.monitoring import StatePublisher
from agent.outputs import AlarmRecorder, build_outputs
from agent.outputs.outbox import Outbox
from agent.service.assembly import Assembly
from agent.service.dispatcher import Dispatcher
from agent.service.single_instance import SingleInstance
from agent.service.thread_crash import ThreadCrash
from agent.service.watchdog import Pulse, Watchdog
from agent.settings import Settings, writable
from engines.errors import EngineError

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)

# From the signal to the end, of which the outputs get what is left: systemd and people wait no longer.
STOP_SECONDS = 2.0

# How often cameras and their states are checked.
STATE_CHECK_SECONDS = 0.25


class Service:
    """One agent, from `start` to `shut_down`."""

    def __init__(
        self,
        settings: Settings,
        supervision: Watchdog | None = None,
        *,
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """Open everything that can fail to open. Raises InspectdError, EngineError or CalibrationError.

        `supervision` reports to systemd. `read_again` reads the settings from where they came, for `reload`; it raises
        Permanent where they are broken.
        """
        self.settings = settings
        self.supervision = supervision or Watchdog()
        self._read_again = read_again
        self._reloading = threading.Lock()
        self._hung_up = threading.Event()
        self._stop = threading.Event()
        self._crash = ThreadCrash(self._stop.set)
        # Several services may share a machine; an agent started by hand runs beside them at its user's own risk.
        self._claim = SingleInstance(settings) if self.supervision.supervised else None
        self._open_outputs()
        self._open_cameras()
        self._open_commands()
        self._announce()

    # Building

    def _open_outputs(self) -> None:
        """Outbox, evidence, outputs, and the thread that makes alarms durable."""
        settings, directory = self.settings, writable(self.settings.state_directory)
        self._problems = Problems()
        self._outbox = Outbox(directory / "outbox.sqlite", max_bytes=settings.max_outbox_size)
        self.evidence = Evidence(directory / "evidence", max_bytes=settings.max_evidence_size)
        self.outputs = build_outputs(
            settings.output_sections, site=settings.site, outbox=self._outbox, problems=self._problems
        )
        self._recorder = AlarmRecorder(settings.site, self.outputs, self._outbox, self.evidence)

    def _open_cameras(self) -> None:
        """Every camera's line, and the dispatcher that takes its judged frames."""
        self.lines: dict[str, CameraLine] = {}
        self._metrics = self._open_metrics()
        self._states = StatePublisher(self.settings.site, self.lines, self.outputs)
        self._dispatcher = Dispatcher(
            self.settings.site, self.lines, self.outputs, self._recorder, self._states, self._problems, self._metrics
        )
        assembly = Assembly(
            self.settings,
            active_alarms=self._outbox.state(),
            watchdog=self.supervision,
            on_outcome=self._dispatcher.take,
            on_timing=None if self._metrics is None else self._metrics.time,
        )
        self.lines.update(assembly.build())
        # In order, each once: cameras may share them.
        self.inspections = list(dict.fromkeys(line.inspection for line in self.lines.values()))
        self._queues = list(dict.fromkeys(line.frames for line in self.lines.values()))
        self._engines = list(dict.fromkeys(line.engine for line in self.lines.values()))

    def _open_metrics(self) -> Metrics | None:
        """Where the settings want them; prometheus-client is loaded only then."""
        metrics = self.settings.metrics
        if not metrics.wanted:
            return None
        from agent.monitoring.metrics import Metrics

        return Metrics(self.settings.cameras, self.lines, self.outputs, port=metrics.port, socket=metrics.socket)

    def _open_commands(self) -> None:
        """Commands, over the control socket and over each output that takes them."""
        self.control = Control(self)
        for output in self.outputs:
            output.serve_commands(self.control.execute)
        self._control_socket = ControlSocket(self.settings.socket_path, self.control)

    def _announce(self) -> None:
        """Tell the outputs which cameras there are, and which engines were rejected."""
        for output in self.outputs:
            output.announce({line.name: line.model.name for line in self.lines.values()})
        for line in self.lines.values():
            if line.engine.rejected:
                event = engine_event(
                    new_id(), self.settings.site, line.name, line.engine.name, line.engine.rejected, utc_now()
                )
                log.warning("camera %s: %s", line.name, event.text)
                for output in self.outputs:
                    output.publish_event(event)

    # Running

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or `stop`, or until every source has ended; SIGHUP reloads the settings.

        Raises Permanent where a thread ended with an error, or every camera failed for good.
        """
        self._handle_signals()
        self._crash.watch()
        self.start()
        try:
            while not self._stop.wait(STATE_CHECK_SECONDS):
                self._reload_on_hang_up()
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

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        # On a terminal, SIGHUP means that the terminal is gone, and ends the agent. A service reloads its settings.
        if not os.isatty(0):
            signal.signal(signal.SIGHUP, lambda *_: self._hung_up.set())

    def start(self) -> None:
        """Start every thread; the cameras last."""
        for output in self.outputs:
            output.start()
        self._recorder.start()
        for inspection in self.inspections:
            inspection.start()
        for line in self.lines.values():
            line.capture.start()
        log.info("inspectd runs with %d camera(s): %s", len(self.lines), ", ".join(self.lines))

    def stop(self) -> None:
        """Ask the agent to end; returns at once."""
        self._stop.set()

    def shut_down(self) -> None:
        """End in the order of the flow, so that every recorded alarm is kept; takes STOP_SECONDS, whatever hangs."""
        deadline = time.monotonic() + STOP_SECONDS
        for line in self.lines.values():
            line.capture.stop()
        for queue in self._queues:
            queue.close()
        for inspection in self.inspections:
            inspection.join(max(0.05, deadline - 1.0 - time.monotonic()))
        self._states.publish_all(final=True)
        if not self._recorder.finish(max(0.05, deadline - 0.5 - time.monotonic())):
            log.error("alarms were lost: the disk did not take them within %g s", STOP_SECONDS)
        self._control_socket.close()
        if self._metrics is not None:
            self._metrics.close()
        for output in self.outputs:
            output.stop(max(0.1, deadline - time.monotonic()))
        self._close_files()
        log.info("inspectd stopped")

    def _close_files(self) -> None:
        for line in self.lines.values():
            line.score_log.close()
        self._outbox.close()
        if all(not inspection.is_alive() for inspection in self.inspections):
            self._close_engines()
        if self._claim is not None:
            self._claim.release()

    def _close_engines(self) -> None:
        """An engine that cannot be closed, after an error of the GPU, must not keep the others open."""
        for engine in self._engines:
            try:
                engine.close()
            except EngineError as error:
                log.warning("%s", error)

    # Ends and errors

    def _ended(self) -> bool:
        """Every source is at its end, and every frame is inspected."""
        over = (CameraState.ENDED, CameraState.FAILED)
        return all(line.capture.status.state in over for line in self.lines.values()) and all(
            not queue.busy for queue in self._queues
        )

    def _raise_failures(self) -> None:
        self._crash.raise_if_any()
        failed = [line for line in self.lines.values() if line.capture.status.state is CameraState.FAILED]
        if failed:
            raise Permanent("\n".join(f"camera {line.name}: {line.capture.status.reason}" for line in failed))

    def _watch_cameras(self) -> None:
        """Raise the alarm for a camera that delivers no frames: its station cannot notice."""
        now = time.monotonic()
        for line in self.lines.values():
            reason = line.lost_reason(now)
            if reason is not None and line.station.blind_reason is None:
                try:
                    line.call(lambda line=line, reason=reason: self._lose(line, reason))  # type: ignore[misc]
                except Temporary as error:
                    log.warning("camera %s: lost, and %s", line.name, error)

    def _lose(self, line: CameraLine, reason: str) -> None:
        alarm = line.station.mark_camera_lost(reason, time.monotonic())
        if alarm is not None:
            self._dispatcher.deliver(line, alarm)

    # For commands: what `RunningAgent` asks for

    def states(self) -> dict[str, StatePayload]:
        """The state of each camera now, by name."""
        return self._states.now()

    def pause(self, line: CameraLine) -> None:
        """Stop judging frames of a camera until `resume`, and clear its active alarms; on its inspection thread."""
        for alarm in line.station.pause(time.monotonic()):
            self._dispatcher.deliver(line, alarm)

    def reload(self) -> Reload:
        """Read the settings again and take over those that can change while the agent runs.

        Raises Permanent, and changes nothing, where they are broken; Temporary where a camera's inspection hangs.
        """
        if self._read_again is None:
            raise Permanent("this agent was started without a settings file; wanted one to read again")
        with self._reloading:
            reload = plan_reload(self.settings, self._read_again())
            for name in reload.cameras:
                self.lines[name].adopt(reload.settings.cameras[name])
            self.settings = reload.settings
            for output in self.outputs:
                output.adopt(self.settings.output_sections[output.name])
            logging.getLogger().setLevel(self.settings.log.level.upper())
        return reload

    def _reload_on_hang_up(self) -> None:
        if self._hung_up.is_set():
            self._hung_up.clear()
            with self.supervision.reloading():
                response = self.control.execute("reload", None, b"", by="SIGHUP")
            if not response.ok:
                log.error("settings not read again: %s", response.error)

    # For the watchdog

    def pulses(self) -> dict[str, Pulse]:
        """How far each camera has got, by name."""
        return {
            line.name: Pulse(line.inspection.rounds, line.counters.frames, line.capture.idle)
            for line in self.lines.values()
        }
