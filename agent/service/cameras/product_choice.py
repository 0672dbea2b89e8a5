"""Which product each camera inspects: models kept ready in memory, and the change from one to another."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from agent.core.errors import Permanent
from agent.core.expected import error_text
from agent.core.problems import Problems
from agent.inspection import CameraLine, Left, Setup, setup_directory
from agent.service.cameras.active_product import store_product, stored_product
from agent.service.cameras.assembly import NOT_USABLE, Assembly
from agent.service.dispatcher import Dispatcher
from agent.settings import CameraSettings, Settings
from engines.runtime import Engine

log = logging.getLogger(__name__)


class ProductChoice:
    """Changes the product of a camera between two parts. Any thread may call, but no inspection thread."""

    def __init__(
        self,
        settings: Settings,
        lines: Mapping[str, CameraLine],
        assembly: Assembly,
        dispatcher: Dispatcher,
        problems: Problems,
    ) -> None:
        """Args:
        settings: of the whole agent.
        lines: every camera, by name.
        assembly: loads the models of further products.
        dispatcher: takes what a change ends.
        problems: takes those of products that cannot be inspected.
        """
        self.settings = settings
        """The settings in force."""
        self.lock = threading.RLock()
        """Held while a camera is changed."""
        self._lines = lines
        self._assembly = assembly
        self._dispatcher = dispatcher
        self._problems = problems

    # At the start

    def prepare(self) -> None:
        """Load the models of the other products, up to the limit; cameras that cannot inspect theirs judge no part.

        To be called before the threads start.
        """
        for line in self._lines.values():
            camera = self.settings.cameras[line.name]
            for product in camera.products:
                if product not in line.setups:
                    self._keep_ready(line, camera, product)
            wanted = self.named(line) or camera.first_product
            if camera.products and wanted != line.setup.product:
                line.station.refused_product = self.unknown(line, camera) or self._problem(line, wanted)
                log.error("camera %s: %s", line.name, line.station.refused_product)

    def _keep_ready(self, line: CameraLine, camera: CameraSettings, product: str) -> None:
        used = self._memory_of_others()
        if used >= self.settings.max_model_memory:
            log.warning(
                "camera %s: product %s is loaded when it is wanted: the models of other products take %d MiB already",
                line.name,
                product,
                used >> 20,
            )
            return
        try:
            line.setups = {product: self._load(line, camera, product), **line.setups}
        except NOT_USABLE as error:
            self._report(line, product, error_text(error))

    def _report(self, line: CameraLine, product: str, problem: str | None) -> None:
        text = None if problem is None else f"camera {line.name}: product {product} cannot be inspected: {problem}"
        if text is not None:
            log.error("%s", text)
        self._problems.set(f"product {line.name} {product}", text)

    def _problem(self, line: CameraLine, product: str | None) -> str:
        return f"product {product} cannot be inspected, see the log; parts of {line.name} are not judged"

    # The command

    def select(self, line: CameraLine, name: str) -> None:
        """Judge the next parts of a camera as this product, now and after a restart.

        Where the product is not known or cannot be inspected, no part is judged from now on, and Permanent is raised.
        Raises Temporary where the disk or an inspection thread fails.
        """
        camera = self.settings.cameras[line.name]
        if not camera.products:
            raise Permanent(
                f"camera {line.name} has no products; wanted a section [cameras.{line.name}.products.{name}]"
            )
        with self.lock:
            store_product(self._directory(line), name)
            unknown = self.unknown(line, camera)
            if unknown is not None:
                self.refuse(line, unknown)
                raise Permanent(unknown)
            self._change(line, self._ready(line, camera, name))
            self.free_memory()
        log.info("camera %s: parts are judged as product %s", line.name, name, extra={"camera": line.name})

    def named(self, line: CameraLine) -> str | None:
        """The product that was named last; None where none was."""
        return stored_product(self._directory(line))

    def unknown(self, line: CameraLine, camera: CameraSettings) -> str | None:
        """That the product that was named last is not among those of these settings, one line; None where it is."""
        name = self.named(line)
        if name is None or name in camera.products or not camera.products:
            return None
        known = ", ".join(camera.products)
        return f"unknown product {name!r}, wanted one of {known}; parts of {line.name} are not judged"

    def _ready(self, line: CameraLine, camera: CameraSettings, name: str) -> Setup:
        """The setup of a product, loaded if it is not ready: meanwhile no part is judged as another one."""
        setup = line.setups.get(name)
        try:
            if setup is None:
                self.refuse(line, f"product {name} is being loaded")
                setup = self._load(line, camera, name)
            self._check_view(line, setup)
        except NOT_USABLE as error:
            reason = error_text(error)
            self._report(line, name, reason)
            text = f"product {name} cannot be inspected: {reason}; parts of {line.name} are not judged"
            self.refuse(line, text)
            raise Permanent(text) from None
        self._report(line, name, None)
        return setup

    def _load(self, line: CameraLine, camera: CameraSettings, name: str) -> Setup:
        return self._assembly.setup(line.name, camera, name, live=line.capture.live)

    @staticmethod
    def _check_view(line: CameraLine, setup: Setup) -> None:
        """Raise Permanent where the images of the camera do not fit the model."""
        last = line.station.last_frame
        if last is not None and setup is not line.setup:
            setup.preparation(last.frame.source_image)

    def _change(self, line: CameraLine, setup: Setup) -> None:
        if setup is not line.setup:
            line.change_setup(setup, lambda left: self.dispatch_left(line, left))
        elif line.station.refused_product is not None:
            self.refuse(line, None)

    def dispatch_left(self, line: CameraLine, left: Left) -> None:
        """Record what the end of inspection with a setup leads to; on the inspection thread."""
        for ended in left.ended:
            self._dispatcher.dispatch_ended(ended)
        for alarm in left.alarms:
            self._dispatcher.dispatch_alarm(line, alarm)

    def refuse(self, line: CameraLine, reason: str | None) -> None:
        """Judge no part of a camera; None: judge them again. Raises Temporary where its inspection thread hangs."""

        def refuse() -> None:
            for alarm in line.station.refuse_product(reason, time.monotonic()):
                self._dispatcher.dispatch_alarm(line, alarm)

        line.call(refuse)

    # Memory

    def _memory_of_others(self) -> int:
        """Memory of the models that no camera inspects with now, bytes."""
        active = self._active_engines()
        others = {setup.engine for line in self._lines.values() for setup in line.setups.values()} - active
        return self._assembly.engines.memory_of(others)

    def _active_engines(self) -> set[Engine]:
        return {line.engine for line in self._lines.values()}

    def free_memory(self) -> None:
        """Close the models of the products that were not inspected for the longest time, until the rest fits."""
        for line in self._lines.values():
            for product in [name for name in line.setups if name != line.setup.product]:
                if self._memory_of_others() <= self.settings.max_model_memory:
                    return
                log.info("camera %s: the model of product %s is closed to free memory", line.name, product)
                line.setups.pop(product).score_log.close()
                self.close_unused()

    def close_unused(self) -> None:
        """Close the engines that no setup needs any more."""
        used = {setup.engine for line in self._lines.values() for setup in line.setups.values()}
        self._assembly.engines.close_unused(used)

    def _directory(self, line: CameraLine) -> Path:
        return setup_directory(self.settings, line.name)
