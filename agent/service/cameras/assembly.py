"""Builds the cameras of an agent: bundle, engine, station, source, threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from agent.alarms import ActiveAlarm, CameraAlarm, DefectAlarm
from agent.core.clock import utc_now
from agent.core.errors import InspectdError
from agent.core.ids import new_id
from agent.core.records import AlarmKind, Part
from agent.inspection import (
    CalibrationKey,
    CameraLine,
    Capture,
    OnTiming,
    Outcome,
    Preparation,
    Setup,
    Station,
    WindowFile,
    calibrations_of,
    code_reader_of,
    grouping_of,
    inspected_view,
    plan_of,
    presence_meter_of,
    setup_directory,
    shape_of,
    training_scores,
)
from agent.outputs import state_key
from agent.service.cameras.active_product import stored_product
from agent.service.cameras.shared_engines import SharedEngines
from agent.service.watchdog import Watchdog
from agent.settings import CameraSettings, Settings, writable
from agent.sources import FrameSource, Ledger, build_source
from calibration import CalibrationError, DeferredStore, ScoreLog
from engines.bundles import Bundle, load_trusted_keys, read_bundle
from engines.errors import EngineError
from engines.runtime import Engine

log = logging.getLogger(__name__)

LEDGER = "inspected-files.sqlite"
"""Name of a camera's ledger, in the directory of the camera."""

WINDOW = "window.npz"
"""Name of the file that keeps a calibration window over a restart, in the directory of the camera or the product."""

NOT_USABLE = (InspectdError, EngineError, CalibrationError, OSError)
"""A product cannot be inspected, for a reason that its user can act on."""


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
        self._trusted_keys = load_trusted_keys(settings.trusted_keys)
        self._alarms: dict[str, tuple[DefectAlarm, CameraAlarm]] = {}
        self.engines = SharedEngines(watchdog, on_outcome, on_ended, on_timing)
        """The engines of all cameras."""

    def build(self) -> dict[str, CameraLine]:
        """Every camera by name, in the order of the settings; no thread runs yet.

        Of a camera with products, only the one that is inspected now is built. Raises InspectdError, EngineError or
        CalibrationError.
        """
        return {name: self._line(name, camera) for name, camera in self._settings.cameras.items()}

    def setup(self, name: str, camera: CameraSettings, product: str | None, *, live: bool) -> Setup:
        """What a camera needs to inspect a product; None: a camera without products. `live`: as its source is.

        Raises InspectdError, EngineError or CalibrationError.
        """
        own = camera.of_product(product)
        bundle = read_bundle(own.bundle, trusted=self._trusted_keys)
        if bundle.signed_by is not None:
            log.info("camera %s: bundle %s is signed by %s", name, bundle.path.name, bundle.signed_by)
        crop, view = inspected_view(own, bundle)
        shared = self.engines.open(bundle, own.engine, name, self._settings)
        directory = writable(setup_directory(self._settings, name, product))
        fit = shared.engine.fit
        return Setup(
            product,
            own,
            bundle=bundle,
            engine=shared.engine,
            station=self._station(name, own, product, bundle, shared.engine),
            preparation=Preparation(bundle.geometry, crop, view=view, only_first=live, fit=fit),
            frames=shared.frames,
            inspector=shared.inspector,
            inspection=shared.inspection,
            score_log=ScoreLog(directory / "scores", max_bytes=self._settings.max_score_log_size),
        )

    def capture(self, name: str, camera: CameraSettings, setup: Setup, ledger: Ledger, first_frame: int = 0) -> Capture:
        """The thread that reads a camera's source, for frames of this setup; the first has the index `first_frame`."""
        source = self.source(name, camera)
        source.use_ledger(ledger)
        setup.frames.add_camera(name, newest_only=source.live and not source.triggered)
        site = self._settings.site
        capture = Capture(name, source, setup.frames, setup.preparation, site=site, first_frame=first_frame)
        capture.read_code = code_reader_of(camera)
        capture.measure_presence = presence_meter_of(camera)
        return capture

    def source(self, name: str, camera: CameraSettings) -> FrameSource:
        """The source of a camera, not opened yet. Raises InspectdError."""
        quarantine = setup_directory(self._settings, name) / "quarantine"
        return build_source(camera.source, quarantine_directory=quarantine)

    def _line(self, name: str, camera: CameraSettings) -> CameraLine:
        directory = writable(setup_directory(self._settings, name))
        live = self.source(name, camera).live
        setup = self._first_setup(name, camera, stored_product(directory), live=live)
        setup.inspector.add(name, setup.station)
        ledger = Ledger(directory / LEDGER, model=f"{setup.bundle.sha256} {setup.crop}")
        capture = self.capture(name, camera, setup, ledger)
        return CameraLine(name, setup, capture, ledger)

    def _first_setup(self, name: str, camera: CameraSettings, product: str | None, *, live: bool) -> Setup:
        """That of the product that was inspected last; another one where that cannot be: its parts are not judged."""
        if not camera.products:
            return self.setup(name, camera, None, live=live)
        wanted = product if product in camera.products else camera.first_product
        failure: Exception | None = None
        for each in dict.fromkeys((wanted, *camera.products)):
            try:
                return self.setup(name, camera, each, live=live)
            except NOT_USABLE as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _station(
        self, name: str, camera: CameraSettings, product: str | None, bundle: Bundle, engine: Engine
    ) -> Station:
        if name not in self._alarms:
            defect = DefectAlarm(name, camera.clear_after_seconds, new_id, self._active_alarm(name, AlarmKind.DEFECT))
            self._alarms[name] = defect, CameraAlarm(name, new_id, self._active_alarm(name, AlarmKind.CAMERA))
        defect_alarm, camera_alarm = self._alarms[name]
        return Station(
            CalibrationKey(name, bundle.sha256, engine.name),
            plan_of(camera),
            DeferredStore(calibrations_of(self._settings, name, product)),
            defect_alarm,
            camera_alarm,
            training=training_scores(bundle.manifest),
            now=utc_now,
            grouping=grouping_of(camera),
            window_file=self._window_file(name, camera, product, bundle, engine),
        )

    def _window_file(
        self, name: str, camera: CameraSettings, product: str | None, bundle: Bundle, engine: Engine
    ) -> WindowFile:
        source = self.source(name, camera)
        path = setup_directory(self._settings, name, product) / WINDOW
        shape = shape_of(camera, bundle.sha256, engine.name)
        return WindowFile(path, name, shape, all_frames=source.live or source.uses_ledger)

    def _active_alarm(self, camera: str, kind: AlarmKind) -> ActiveAlarm | None:
        """The alarm of this kind that was active when the agent stopped."""
        stored = self._active_alarms.get(state_key(camera, kind))
        return ActiveAlarm.from_json(stored) if stored else None
