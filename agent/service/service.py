"""Wires the agent together, starts it, watches its cameras and stops it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.alarms import Evidence
from agent.audit import AuditLog
from agent.commands import Control, ControlSocket, Reload
from agent.core.clock import utc_now
from agent.core.errors import Permanent
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.inspection import CameraLine, CameraState, InspectionThread
from agent.messages import StatePayload, ViewGroupPayload, engine_event
from agent.monitoring import CountPublisher, StatePublisher, WindowNotice
from agent.outputs import AlarmRecorder, build_outputs
from agent.outputs.outbox import Outbox
from agent.review import PromiseStatus
from agent.service.camera_states import hold_light, release_cameras, stop_cameras
from agent.service.cameras import Assembly, ProductChoice, Rebuilding, TakeOver
from agent.service.dispatcher import Dispatcher
from agent.service.lost_cameras import raise_lost_alarms
from agent.service.reloading import Reloading
from agent.service.results import open_results
from agent.service.review_reports import open_review
from agent.service.single_instance import DirectoryLock, SingleInstance
from agent.service.thread_crash import ThreadCrash
from agent.service.unwritten_calibrations import UnwrittenCalibrations
from agent.service.watchdog import CameraProgress, Watchdog
from agent.settings import Settings, writable

if TYPE_CHECKING:
    from agent.monitoring.metrics import Metrics

log = logging.getLogger(__name__)

# Longest time from the signal to the end. The outputs get what the earlier steps leave of it.
STOP_SECONDS = 2.0

# How often the cameras, their states and the watchdog are checked.
STATE_CHECK_SECONDS = 0.25


class Service:
    """One agent, from `start` to `shut_down`."""

    def __init__(
        self,
        settings: Settings,
        watchdog: Watchdog | None = None,
        *,
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """Build every part and open what can fail to open. Raises InspectdError, EngineError or CalibrationError.

        Args:
            settings: of the agent.
            watchdog: reports to systemd; None for an agent without a service manager.
            read_again: reads the settings from their file again, for `reload`; raises Permanent where they are broken.
                None where there is no file.
        """
        self.settings = settings
        self._watchdog = watchdog or Watchdog()
        self._reloading = Reloading(self, read_again)
        self.take_bundle = TakeOver(settings, self.reload)
        self._hangup = threading.Event()
        self._stop = threading.Event()
        self._crash = ThreadCrash(self._stop.set)
        self._problems = Problems()
        self._lock = DirectoryLock(writable(settings.state_directory))
        # For services only: an agent started by hand beside a service is at its user's own risk.
        self._instance = SingleInstance(settings) if self._watchdog.enabled else None
        self._unwritten = UnwrittenCalibrations(self._problems)
        self._report_unexplained_places()
        self._open_outputs()
        self._open_cameras()
        self._open_commands()
        self._announce()

    # Building

    def _report_unexplained_places(self) -> None:
        places = [] if self._instance is None else self._instance.unexplained
        for text in places:
            log.warning("%s", text)
        self._problems.set("site", "; ".join(places) or None)

    def _open_outputs(self) -> None:
        """Build outbox, evidence, outputs, and the thread that makes alarms durable."""
        settings, directory = self.settings, self.settings.state_directory
        self._outbox = Outbox(directory / "outbox.sqlite", max_bytes=settings.max_outbox_size)
        self.evidence = Evidence(directory / "evidence", max_bytes=settings.max_evidence_size)
        self.outputs = build_outputs(
            settings.output_sections, site=settings.site, outbox=self._outbox, problems=self._problems
        )
        if settings.page.address is not None:
            for output in self.outputs:
                output.announce_page(settings.page.address)
        self._recorder = AlarmRecorder(settings.site, self.outputs, self._outbox, self.evidence)
        self.results = open_results(settings, self.outputs, self._problems)
        self._counts = None if self.results is None else self.results.counts
        self.part_log = None if self.results is None else self.results.log

    def _open_cameras(self) -> None:
        """Build every camera, and the dispatcher that takes the judged frames."""
        self.lines: dict[str, CameraLine] = {}
        self._metrics = self._open_metrics()
        self._notice = WindowNotice()
        self._states = StatePublisher(
            self.settings.site, self.lines, self.outputs, self._promise_of, counts=self._counts
        )
        joiner = None if self.results is None else self.results.joiner
        self._count_publisher = CountPublisher(self.settings.site, self.lines, self.outputs, self._counts, joiner)
        self.review = open_review(self.settings, self.lines, self.outputs, self._outbox, self._states, self._problems)
        self._dispatcher = Dispatcher(
            self.settings.site,
            self.lines,
            self.outputs,
            self._recorder,
            self._states,
            self._problems,
            self.review,
            self._metrics,
            None if self.results is None else self.results.recorder,
        )
        self.recent = self._dispatcher.recent
        if joiner is not None:
            joiner.on_joined = self.recent.add
        self._assembly = Assembly(
            self.settings,
            active_alarms=self._outbox.state(),
            watchdog=self._watchdog,
            on_outcome=self._dispatcher.dispatch,
            on_ended=self._dispatcher.dispatch_ended,
            on_timing=None if self._metrics is None else self._metrics.observe_stage,
        )
        self.lines.update(self._assembly.build())
        self.products = ProductChoice(self.settings, self.lines, self._assembly, self._dispatcher, self._problems)
        self.products.prepare()
        self.rebuilding = Rebuilding(self._assembly, self.products, results=self.results is not None)

    @property
    def inspections(self) -> list[InspectionThread]:
        """The inspection threads, one for each engine."""
        return [shared.inspection for shared in self._assembly.engines]

    def _promise_of(self, camera: str) -> PromiseStatus | None:
        return self.review.promise(camera)

    def _open_metrics(self) -> Metrics | None:
        """Serve metrics where the settings ask for them; prometheus-client is loaded only then."""
        metrics = self.settings.metrics
        if not metrics.wanted:
            return None
        from agent.monitoring.metrics import Metrics

        return Metrics(
            self.settings.cameras,
            self.lines,
            self.outputs,
            port=metrics.port,
            socket=metrics.socket,
            counts=self._counts,
            view_groups=self.view_groups,
        )

    def _open_commands(self) -> None:
        """Take commands over the control socket and over each output that supports them."""
        self.audit = AuditLog(self.settings.state_directory / "audit")
        self.control = Control(self)
        for output in self.outputs:
            output.serve_commands(self.control.execute)
        self._control_socket = ControlSocket(self.settings.socket_path, self.control, self.settings.roles_at_socket)

    def _announce(self) -> None:
        """Announce the cameras to the outputs, and publish an event for each engine that was rejected."""
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
        """Run until SIGTERM, SIGINT or `stop`, or until every source has ended or failed. SIGHUP reloads the settings.

        Call it on the main thread. Raises Permanent where a thread ended with an error, or a camera failed for good.
        """
        self._handle_signals()
        self._crash.watch()
        self.start()
        try:
            while not self._stop.wait(STATE_CHECK_SECONDS):
                self._reload_on_hangup()
                raise_lost_alarms(self.lines.values(), self._dispatcher)
                hold_light(self.lines.values())
                self._unwritten.write(self.lines.values())
                self._notice.check(self.lines.values(), time.monotonic())
                self._states.publish_all()
                self._count_publisher.publish_all()
                self._watchdog.check(self)
                if self._ended():
                    break
        finally:
            self._watchdog.stopping()
            self.shut_down()
        self._raise_failures()
        self._watchdog.ended_well()

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        # An agent on a terminal ends with it, by SIGHUP's default. A service, which has none, reloads its settings.
        if not os.isatty(0):
            signal.signal(signal.SIGHUP, lambda *_: self._hangup.set())

    def start(self) -> None:
        """Start every thread, those that take frames before those that deliver them."""
        for output in self.outputs:
            output.start()
        self._recorder.start()
        self.review.start()
        if self.results is not None:
            self.results.start()
        self._assembly.engines.start()
        for line in self.lines.values():
            line.capture.start()
        log.info("inspectd runs with %d camera(s): %s", len(self.lines), ", ".join(self.lines))

    def stop(self) -> None:
        """Make `run` return soon; returns at once. Any thread may call."""
        self._stop.set()

    def shut_down(self) -> None:
        """Stop in the order of the flow, so that no alarm is lost. Takes STOP_SECONDS at most, even if a part hangs."""
        deadline = time.monotonic() + STOP_SECONDS
        stop_cameras(self.lines.values())
        for shared in self._assembly.engines:
            shared.frames.close()
        for shared in self._assembly.engines:
            shared.inspection.join(max(0.05, deadline - 1.0 - time.monotonic()))
        self._notice.check_ended(self.lines.values())
        self._states.publish_all(final=True)
        if not self._recorder.finish(max(0.05, deadline - 0.5 - time.monotonic())):
            log.error("alarms were lost: they could not be written to disk within %g s", STOP_SECONDS)
        if not self.review.finish(max(0.05, deadline - 0.4 - time.monotonic())):
            log.warning("the review was not written completely within %g s", STOP_SECONDS)
        if self.results is not None:
            self.results.finish(max(0.05, deadline - 0.4 - time.monotonic()))
        self._count_publisher.publish_all(final=True)
        self._control_socket.close()
        if self._metrics is not None:
            self._metrics.close()
        for output in self.outputs:
            output.stop(max(0.1, deadline - time.monotonic()))
        release_cameras(self.lines.values())
        self._close_files()
        log.info("inspectd stopped")

    def _close_files(self) -> None:
        self._unwritten.write(self.lines.values())
        for line in self.lines.values():
            for setup in line.setups.values():
                setup.score_log.close()
            line.ledger.close()
        self._outbox.close()
        if not self.review.is_alive():
            self.review.close()
        if self.results is not None:
            self.results.outbox.close()
        self._assembly.engines.close()
        if self._instance is not None:
            self._instance.release()
        self._lock.release()

    # End and errors

    def _ended(self) -> bool:
        """Whether every source has ended or failed, and every frame is inspected."""
        final = (CameraState.ENDED, CameraState.FAILED)
        return all(line.capture.status.state in final for line in self.lines.values()) and all(
            not shared.frames.busy for shared in self._assembly.engines
        )

    def _raise_failures(self) -> None:
        self._crash.raise_if_any()
        failed = [line for line in self.lines.values() if line.capture.status.state is CameraState.FAILED]
        if failed:
            raise Permanent("\n".join(f"camera {line.name}: {line.capture.status.reason}" for line in failed))

    # The `RunningAgent` of commands

    def states(self) -> dict[str, StatePayload]:
        """The current state of each camera, by name."""
        return self._states.now()

    def view_groups(self) -> dict[str, ViewGroupPayload]:
        """What becomes of the parts that several cameras see, by the name of the group."""
        return {} if self.results is None else self.results.view_groups()

    def pause(self, line: CameraLine) -> None:
        """Stop judging frames of a camera until `resume`, and clear its active alarms.

        Must run on the camera's inspection thread (`CameraLine.call`).
        """
        for alarm in line.station.pause(time.monotonic()):
            self._dispatcher.dispatch_alarm(line, alarm)

    def select_product(self, line: CameraLine, name: str) -> None:
        """Judge the next parts of a camera as this product; as `RunningAgent` says."""
        self.products.select(line, name)
        self._states.publish(line)

    def reload(self) -> Reload:
        """Read the settings again and take over what can change; as `RunningAgent` says."""
        return self._reloading.reload()

    def _reload_on_hangup(self) -> None:
        if self._hangup.is_set():
            self._hangup.clear()
            # A new model may take minutes to load, and this thread has to keep the watchdog alive.
            threading.Thread(target=self._reload_for_hangup, name="reload", daemon=True).start()

    def _reload_for_hangup(self) -> None:
        with self._watchdog.reloading():
            response = self.control.execute("reload", None, b"", by="SIGHUP")
        if not response.ok:
            log.error("settings not read again: %s", response.error)

    # The `WatchedAgent` of the watchdog, with `states`

    def progress(self) -> dict[str, CameraProgress]:
        """Counters that show whether each camera makes progress, by name."""
        return {
            line.name: CameraProgress(line.inspection.rounds, line.counters.frames, line.capture.idle)
            for line in self.lines.values()
        }
