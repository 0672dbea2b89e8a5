"""Builds the cameras of an agent: bundle, engine, station, source, threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from agent.alarms import ActiveAlarm, CameraAlarm, DefectAlarm
from agent.core.clock import utc_now
from agent.core.ids import new_id
from agent.core.records import AlarmKind, Part
from agent.inspection import (
    CalibrationKey,
    CameraLine,
    Capture,
    FrameQueue,
    InspectionThread,
    Inspector,
    OnTiming,
    Outcome,
    Preparation,
    Station,
    calibrations_of,
    check_mask_setting,
    grouping_of,
    inspected_crop,
    plan_of,
    thresholds_in_force,
    training_scores,
)
from agent.outputs import state_key
from agent.service.watchdog import Watchdog
from agent.settings import CameraSettings, Settings, writable
from agent.sources import Ledger, build_source
from calibration import DeferredStore, ScoreLog
from engines.bundles import Bundle, load_trusted_keys, read_bundle
from engines.runtime import Engine, open_engine

log = logging.getLogger(__name__)

LEDGER = "inspected-files.sqlite"
"""Name of a camera's ledger, in the directory of the camera."""


class _SharedEngine:
    """An engine with its queue, its thread, and the stations of the cameras that share it."""

    def __init__(
        self,
        engine: Engine,
        on_outcome: Callable[[Outcome], None],
        on_ended: Callable[[Outcome | Part], None],
        on_timing: OnTiming | None,
    ) -> None:
        self.engine = engine
        self.frames = FrameQueue()
        self.stations: dict[str, Station] = {}
        inspector = Inspector(engine, self.stations, on_timing=on_timing)
        self.inspection = InspectionThread(engine.name, self.frames, inspector, on_outcome, on_ended)


class Assembly:
    """Builds camera lines from settings. Cameras with one bundle and one engine setting share an engine."""

    def __init__(
        self,
        settings: Settings,
        *,
        active_alarms: Mapping[str, bytes],
        watchdog: Watchdog,
        on_outcome: Callable[[Outcome], None],
        on_ended: Callable[[Outcome | Part], None] = lambda ended: None,
        on_timing: OnTiming | None = None,
    ) -> None:
        """Args:
        settings: of the whole agent.
        active_alarms: the alarms that were active when the agent stopped, from the outbox's state, by `state_key`.
        watchdog: extends the timeout of the start while an engine is opened or built, which may take minutes.
        on_outcome: takes the outcome of each frame, on the inspection thread.
        on_ended: takes what becomes of a part that ended without a new frame, on the inspection thread.
        on_timing: takes the time of each frame in each stage; None: not measured.
        """
        self._settings = settings
        self._active_alarms = active_alarms
        self._watchdog = watchdog
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._on_timing = on_timing
        self._trusted_keys = load_trusted_keys(settings.trusted_keys)
        self._shared: dict[tuple[str, str], _SharedEngine] = {}

    def build(self) -> dict[str, CameraLine]:
        """Every camera by name, in the order of the settings; no thread runs yet.

        Raises InspectdError, EngineError or CalibrationError.
        """
        return {name: self._line(name, camera) for name, camera in self._settings.cameras.items()}

    def _line(self, name: str, camera: CameraSettings) -> CameraLine:
        bundle = read_bundle(camera.bundle, trusted=self._trusted_keys)
        if bundle.signed_by is not None:
            log.info("camera %s: bundle %s is signed by %s", name, bundle.path.name, bundle.signed_by)
        crop = inspected_crop(camera.crop, bundle)
        check_mask_setting(camera.mask, bundle)
        self._watchdog.engine_opens(name, camera.engine)
        shared = self._engine(bundle, camera.engine, name)
        directory = writable(self._settings.state_directory / "cameras" / name)
        station = shared.stations[name] = self._station(name, camera, bundle, shared.engine)
        ledger = Ledger(directory / LEDGER, model=f"{bundle.sha256} {crop}")
        source = build_source(camera.source, quarantine_directory=directory / "quarantine", ledger=ledger)
        shared.frames.add_camera(name, live=source.live)
        view, fit = bundle.manifest.view, shared.engine.fit
        prepare = Preparation(bundle.geometry, crop, view=view, only_first=source.live, fit=fit)
        return CameraLine(
            name,
            camera,
            bundle=bundle,
            engine=shared.engine,
            station=station,
            capture=Capture(
                name,
                source,
                shared.frames,
                prepare,
                content=prepare.content,
                excluded=prepare.excluded,
                site=self._settings.site,
            ),
            frames=shared.frames,
            inspection=shared.inspection,
            score_log=ScoreLog(directory / "scores", max_bytes=self._settings.max_score_log_size),
            ledger=ledger,
        )

    def _engine(self, bundle: Bundle, name: str, camera: str) -> _SharedEngine:
        key = (bundle.sha256, name)
        if key not in self._shared:
            engine = open_engine(
                bundle,
                name,
                threads=self._settings.inference_threads,
                directory=self._settings.state_directory,
                progress=lambda fraction, step: self._watchdog.engine_builds(camera, fraction, step),
                thresholds=thresholds_in_force(self._settings, bundle.sha256),
            )
            self._shared[key] = _SharedEngine(engine, self._on_outcome, self._on_ended, self._on_timing)
            log.info("engine %s (%s): %s", engine.name, engine.detail, engine.reason)
        return self._shared[key]

    def _station(self, name: str, camera: CameraSettings, bundle: Bundle, engine: Engine) -> Station:
        return Station(
            CalibrationKey(name, bundle.sha256, engine.name),
            plan_of(camera),
            DeferredStore(calibrations_of(self._settings, name)),
            DefectAlarm(name, camera.clear_after_seconds, new_id, self._active_alarm(name, AlarmKind.DEFECT)),
            CameraAlarm(name, new_id, self._active_alarm(name, AlarmKind.CAMERA)),
            training=training_scores(bundle.manifest),
            now=utc_now,
            grouping=grouping_of(camera),
        )

    def _active_alarm(self, camera: str, kind: AlarmKind) -> ActiveAlarm | None:
        """The alarm of this kind that was active when the agent stopped."""
        stored = self._active_alarms.get(state_key(camera, kind))
        return ActiveAlarm.from_json(stored) if stored else None
