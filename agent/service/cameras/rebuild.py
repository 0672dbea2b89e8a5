"""Takes over changed settings of one camera, such as its bundle or its source, while the others go on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agent.core.errors import Permanent, Temporary
from agent.core.expected import error_text
from agent.inspection import CameraLine, Capture, Setup, code_reader_of, presence_meter_of
from agent.service.cameras.assembly import NOT_USABLE, Assembly
from agent.service.cameras.product_choice import ProductChoice
from agent.settings import CameraSettings

# The thread of a source may be within a read.
_STOP_SECONDS = 10.0


def changed_bundles(line: CameraLine) -> list[str]:
    """The settings whose bundles are no longer those that were loaded: a model may be trained to the same path."""
    changed = []
    for product, setup in list(line.setups.items()):
        try:
            manifest = (setup.bundle.path / "manifest.json").read_bytes()
        except OSError:
            manifest = b""
        if hashlib.sha256(manifest).hexdigest() != setup.bundle.sha256:
            place = "" if product is None else f"products.{product}."
            changed.append(f"cameras.{line.name}.{place}bundle")
    return changed


@dataclass(frozen=True)
class _Plan:
    """Everything that a camera needs under its new settings; nothing has changed yet."""

    line: CameraLine
    camera: CameraSettings
    setups: dict[str | None, Setup]
    active: Setup
    source_changed: bool


class Rebuilding:
    """Plans the new cameras first, all of them, and then changes one after the other."""

    def __init__(self, assembly: Assembly, products: ProductChoice, *, results: bool) -> None:
        """Args:
        assembly: builds setups and sources.
        products: has the settings in force, and takes what a change ends.
        results: the agent records the results of parts.
        """
        self._assembly = assembly
        self._products = products
        self._results = results

    def plan(self, line: CameraLine, camera: CameraSettings) -> _Plan:
        """Load the models of a camera and try its source, before anything is changed.

        Raises InspectdError, EngineError or CalibrationError where one of them cannot be used.
        """
        if camera.parts_known and not self._results:
            raise Permanent(f"camera {line.name}: parts need a restart, since this agent records no results yet")
        code_reader_of(camera)
        presence_meter_of(camera)
        old = self._products.settings.cameras[line.name]
        source_changed = camera.source != old.source
        live = line.capture.live
        if source_changed:
            source = self._assembly.source(line.name, camera)
            live = source.live
            if not _same_device(old, camera):
                with source:
                    pass
        wanted = {name: self._setup(line, camera, name, live=live) for name in camera.products or [None]}
        named = self._products.named(line)
        product = next(name for name in (named, line.setup.product, camera.first_product) if name in wanted)
        return _Plan(line, camera, wanted, wanted[product], source_changed)

    def _setup(self, line: CameraLine, camera: CameraSettings, product: str | None, *, live: bool) -> Setup:
        known = line.setups.get(product)
        setup = self._assembly.setup(line.name, camera, product, live=live)
        same = known is not None and live == line.capture.live and known.bundle.sha256 == setup.bundle.sha256
        return known if known is not None and same and known.settings == setup.settings else setup

    def carry_out(self, plan: _Plan) -> None:
        """Change the camera. Raises Permanent where its new source cannot be opened: then the old one goes on."""
        line, before = plan.line, dict(plan.line.setups)
        with self._products.lock:
            if plan.source_changed:
                self._replace_source(plan)
            elif plan.active is not line.setup:
                line.change_setup(plan.active, lambda left: self._products.dispatch_left(line, left))
            line.capture.read_code = code_reader_of(plan.camera)
            line.capture.measure_presence = presence_meter_of(plan.camera)
            line.setups = {**{name: each for name, each in plan.setups.items() if each is not plan.active}}
            line.setups[plan.active.product] = plan.active
            self._products.refuse(line, self._products.unknown(line, plan.camera))
            for setup in before.values():
                if setup not in line.setups.values():
                    setup.score_log.close()
            self._products.close_unused()
            self._products.free_memory()

    def _replace_source(self, plan: _Plan) -> None:
        line, name = plan.line, plan.line.name
        old = self._products.settings.cameras[name]
        line.capture.stop()
        line.capture.join(_STOP_SECONDS)
        if line.capture.is_alive():
            raise Temporary(f"camera {name}: its source did not end within {_STOP_SECONDS:g} s; see the log")
        if _same_device(old, plan.camera):
            try:
                with self._assembly.source(name, plan.camera):
                    pass
            except NOT_USABLE as error:
                self._start(line, self._capture(line, old, line.setup))
                raise Permanent(f"camera {name}: {error_text(error)}; the source before it goes on") from None
        line.change_setup(plan.active, lambda left: self._products.dispatch_left(line, left))
        self._start(line, self._capture(line, plan.camera, plan.active))

    def _capture(self, line: CameraLine, camera: CameraSettings, setup: Setup) -> Capture:
        line.forget_dropped()
        return self._assembly.capture(line.name, camera, setup, line.ledger, line.capture.frames_captured)

    @staticmethod
    def _start(line: CameraLine, capture: Capture) -> None:
        line.capture = capture
        capture.start()


def _same_device(old: CameraSettings, new: CameraSettings) -> bool:
    """Whether both sources may need the same device, which only one of them can open."""
    return old.source.exclusive and old.source.kind == new.source.kind
