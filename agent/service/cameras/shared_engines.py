"""The engines of an agent: opened once for all cameras that run the same model in the same way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core.records import Part
from agent.inspection import FrameQueue, InspectionThread, Inspector, OnTiming, Outcome, Station, thresholds_in_force
from agent.service.watchdog import Watchdog
from agent.settings import Settings
from engines.bundles import Bundle
from engines.errors import EngineError
from engines.runtime import Engine, open_engine

log = logging.getLogger(__name__)

# How long the thread of an engine that is no longer needed may take to end.
_END_SECONDS = 5.0

Key = tuple[str, str]
"""SHA-256 of the bundle, and the engine's name in the settings."""


@dataclass(frozen=True, slots=True)
class SharedEngine:
    """An engine with its queue, its thread, and the stations of the cameras that use it."""

    engine: Engine
    frames: FrameQueue
    stations: dict[str, Station]
    inspector: Inspector
    inspection: InspectionThread
    memory_bytes: int
    """By how much the memory of this process grew when it was opened; at least the size of the bundle."""


class SharedEngines:
    """Opens engines and their threads, and closes those that are no longer needed."""

    def __init__(
        self,
        watchdog: Watchdog,
        on_outcome: Callable[[Outcome], None],
        on_ended: Callable[[Outcome | Part], None],
        on_timing: OnTiming | None,
    ) -> None:
        """Arguments as for `Assembly`."""
        self._watchdog = watchdog
        self._on_outcome = on_outcome
        self._on_ended = on_ended
        self._on_timing = on_timing
        self._shared: dict[Key, SharedEngine] = {}
        self._lock = threading.Lock()
        self._running = False

    def open(self, bundle: Bundle, name: str, camera: str, settings: Settings) -> SharedEngine:
        """The engine of a bundle, opened where no camera has it yet. Raises EngineError.

        Args:
            bundle: the model.
            name: of the engine, as in the settings.
            camera: for which it is opened.
            settings: of the whole agent.
        """
        with self._lock:
            key = (bundle.sha256, name)
            if key not in self._shared:
                self._shared[key] = self._open(bundle, name, camera, settings)
            return self._shared[key]

    def _open(self, bundle: Bundle, name: str, camera: str, settings: Settings) -> SharedEngine:
        if not self._running:
            self._watchdog.engine_opens(camera, name)
        before = _resident_bytes()
        engine = open_engine(
            bundle,
            name,
            threads=settings.inference_threads,
            directory=settings.state_directory,
            progress=lambda fraction, step: self._watchdog.engine_builds(camera, fraction, step),
            thresholds=thresholds_in_force(settings, bundle.sha256),
        )
        log.info("engine %s (%s): %s", engine.name, engine.detail, engine.reason)
        frames, stations = FrameQueue(), dict[str, Station]()
        inspector = Inspector(engine, stations, on_timing=self._on_timing)
        inspection = InspectionThread(engine.name, frames, inspector, self._on_outcome, self._on_ended)
        memory = max(_resident_bytes() - before, sum(file.stat().st_size for file in _files(bundle.path)))
        if self._running:
            inspection.start()
        return SharedEngine(engine, frames, stations, inspector, inspection, memory)

    def __iter__(self) -> Iterator[SharedEngine]:
        """Every open engine, once, in the order of their opening."""
        return iter(list(self._shared.values()))

    def memory_of(self, engines: Collection[Engine]) -> int:
        """Memory of these engines, bytes."""
        return sum(shared.memory_bytes for shared in self if shared.engine in engines)

    def start(self) -> None:
        """Start the thread of each engine; those that are opened later start at once."""
        with self._lock:
            self._running = True
            for shared in self:
                shared.inspection.start()

    def close_unused(self, used: Collection[Engine]) -> None:
        """Close the engines that are not among `used`, with their threads."""
        with self._lock:
            unused = {key: shared for key, shared in self._shared.items() if shared.engine not in used}
            for key in unused:
                del self._shared[key]
        for shared in unused.values():
            shared.frames.close()
            if self._running:
                shared.inspection.join(_END_SECONDS)
            if not shared.inspection.is_alive():
                _close(shared.engine)

    def close(self) -> None:
        """Close each engine, unless a thread still uses one."""
        if all(not shared.inspection.is_alive() for shared in self):
            for shared in self:
                _close(shared.engine)


def _close(engine: Engine) -> None:
    """Close an engine; another one has to be closed even if this one cannot be, after an error of the GPU."""
    try:
        engine.close()
    except EngineError as error:
        log.warning("%s", error)


def _files(bundle: Path) -> list[Path]:
    return [file for file in bundle.rglob("*") if file.is_file()]


def _resident_bytes() -> int:
    """Memory of this process, bytes; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


_PAGE_BYTES = 4096
