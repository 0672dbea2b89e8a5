"""A GenICam camera: runs freely, or takes one frame for each trigger."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from agent.core.clock import Pace, utc_now
from agent.core.errors import Temporary
from agent.sources.damage_count import DamageCount
from agent.sources.genicam.camera import LIGHTS, CameraBusy, CameraError, IndustrialCamera, Received, lost_between
from agent.sources.genicam.configuring import configure, hold_light
from agent.sources.genicam.connecting import connect
from agent.sources.genicam.held_light import HeldLight
from agent.sources.genicam.settings import GenicamSettings
from agent.sources.source import Captured, FrameSource, TransportCounts

log = logging.getLogger(__name__)

# Beside the camera's calibrations.
LIGHT_FILE = "light.json"

# Longest wait inside the library: so soon a read notices that it is to end.
SLICE_SECONDS = 0.1

# How often a camera that waits for a trigger is asked whether it is still there.
PROBE_SECONDS = 1.0

# How soon a camera is tried again that another program controls.
BUSY_SECONDS = 0.25


class GenicamSource(FrameSource):
    """A GenICam camera. Incomplete frames are counted, never delivered.

    settings: of the camera.
    light_file: keeps the exposure with which it was armed.
    """

    live = True

    def __init__(
        self,
        settings: GenicamSettings,
        light_file: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._settings = settings
        self.triggered = settings.trigger != "off"
        self._software = settings.trigger == "software"
        self._clock, self._now = clock, now
        self._light = HeldLight(light_file, settings)
        self._hold_wanted = False
        self._damage = DamageCount(self.describe, clock)
        self._pace = Pace(None)
        self._camera: IndustrialCamera | None = None
        self._using_camera = threading.Lock()
        """Another thread may close a source in which a read waits."""
        self._ending = threading.Event()
        self._wanted: deque[float] = deque()
        """Software triggers that were not sent yet: when each part was announced, monotonic seconds."""
        self._asked = threading.Condition()
        self._before = self._transport = TransportCounts()
        """Of earlier connections, and of all of them."""
        self._number: int | None = None
        """Of the frame that was delivered last."""
        self._probed_monotonic = self._latest_monotonic = 0.0

    @property
    def damaged(self) -> int:
        """Incomplete frames since the agent started."""
        return self._damage.count

    @property
    def transport(self) -> TransportCounts:
        """What was lost on the way and sent again, since the agent started."""
        return self._transport

    @property
    def waiting(self) -> str | None:
        """That a trigger is waited for."""
        return f"{self.describe()} waits for a trigger" if self.triggered else None

    def describe(self) -> str:
        """Name the source."""
        return f"camera {self._settings.camera}"

    def trigger(self, monotonic_seconds: float, frames: int = 1) -> None:
        """Take frames of the part that was announced at this time. Without a software trigger, nothing happens."""
        if self._software:
            with self._asked:
                self._wanted.extend([monotonic_seconds] * frames)
                self._asked.notify()

    def hold(self) -> None:
        """From the next frame on, hold exposure and gain at their present values."""
        self._hold_wanted = not self._light.complete

    def cancel(self) -> None:
        """Let a read that waits end soon."""
        self._ending.set()
        with self._asked:
            self._asked.notify()

    def _open(self) -> None:
        self._ending.clear()
        deadline = self._clock() + self._settings.open_timeout_seconds
        try:
            self._camera = self._controlled(deadline)
            configure(self._camera, self._settings, self._light.values)
            self._camera.start()
            self._prepare(self._camera)
        except CameraError as error:
            self._close()
            problem = "does not answer" if error.not_found else "cannot be opened"
            raise Temporary(f"{self.describe()} {problem}: {error}") from None
        except BaseException:
            self._close()
            raise

    def _controlled(self, deadline: float) -> IndustrialCamera:
        """The open camera. One obeys its controller for three seconds after that was killed, so this waits."""
        while True:
            try:
                return connect(self._settings)
            except CameraBusy:
                if self._clock() >= deadline or self._ending.wait(BUSY_SECONDS):
                    raise

    def _prepare(self, camera: IndustrialCamera) -> None:
        own_rate = self.triggered or camera.frame_rate_bounds() is not None
        self._pace = Pace(None if own_rate else self._settings.frames_per_second, self._clock)
        self._number = None
        with self._asked:
            # Nobody knows what is in front of the camera by now.
            self._wanted.clear()
        log.info("%s is open: %s", self.describe(), camera.model)

    def _read(self) -> Captured:
        self._pace.wait()
        while True:
            asked = self._next_trigger() if self._software else None
            received = self._receive(asked)
            if received.image is None:
                self._damage.add("it arrived incomplete")
                continue
            lost, self._number = lost_between(self._number, received.number), received.number
            self._latest_monotonic = max(self._latest_monotonic, received.monotonic)
            age = timedelta(seconds=max(0.0, self._clock() - self._latest_monotonic))
            return Captured(
                received.image,
                self._now() - age,
                self._latest_monotonic,
                triggered_monotonic=asked,
                lost_before=lost if self.triggered else 0,
            )

    def _next_trigger(self) -> float:
        """Wait until a part is announced; returns when it was. Raises Temporary where the camera is gone meanwhile."""
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._wanted or self._ending.is_set(), PROBE_SECONDS)
                if self._wanted and not self._ending.is_set():
                    return self._wanted.popleft()
            self._probe()

    def _receive(self, asked: float | None) -> Received:
        """The next buffer, complete or not; the newest one of a camera that runs freely."""
        if asked is not None:
            with self._use() as camera:
                self._hold_light(camera)
                camera.trigger()
        deadline = self._clock() + self._settings.read_timeout_seconds
        while True:
            with self._use() as camera:
                self._hold_light(camera)
                received = camera.next(SLICE_SECONDS)
                if received is not None and not self.triggered:
                    received = self._newest(camera, received)
                self._transport = self._before + camera.counts
            if received is not None:
                return received
            if self.triggered and asked is None:
                self._probe()
            elif self._clock() >= deadline:
                camera.answers = False
                after = "" if asked is None else " after its trigger"
                raise Temporary(f"{self.describe()} gave no frame for {self._settings.read_timeout_seconds:g} s{after}")

    def _newest(self, camera: IndustrialCamera, received: Received) -> Received:
        """The last complete one of those that have arrived, so that none is late."""
        while (later := camera.next(0.0)) is not None:
            if received.image is None or later.image is None:
                self._damage.add("it arrived incomplete")
            if later.image is not None:
                received = later
        return received

    def _hold_light(self, camera: IndustrialCamera) -> None:
        if self._hold_wanted:
            self._hold_wanted = False
            self._light.hold({light: hold_light(camera, light) for light in self._light.automatic})
            values = ", ".join(f"{LIGHTS[light]} {value:g}" for light, value in self._light.values.items())
            log.info("%s is armed and keeps its light: %s", self.describe(), values)

    def _probe(self) -> None:
        """Raise Temporary where the camera is gone; it is asked once in PROBE_SECONDS."""
        if self._clock() - self._probed_monotonic >= PROBE_SECONDS or self._ending.is_set():
            self._probed_monotonic = self._clock()
            with self._use() as camera:
                camera.probe()
                self._hold_light(camera)

    @contextmanager
    def _use(self) -> Iterator[IndustrialCamera]:
        """The camera, for one call or two. Raises Temporary where it is gone, was taken away, or is to be closed."""
        with self._using_camera:
            if self._ending.is_set() or self._camera is None:
                raise Temporary(f"{self.describe()} is being closed")
            if not self._camera.controlled:
                self._camera.answers = False
                raise Temporary(f"{self.describe()} is lost: it no longer answers, or obeys another program")
            try:
                yield self._camera
            except CameraError as error:
                self._camera.answers = False
                raise Temporary(f"{self.describe()} is lost: {error}") from None

    def _close(self) -> None:
        self._ending.set()
        with self._using_camera:
            camera, self._camera = self._camera, None
            if camera is not None:
                self._before = self._transport = self._before + camera.counts
                camera.close()


def from_settings(settings: GenicamSettings, *, quarantine_directory: Path) -> GenicamSource:
    """The camera that the settings name. It puts nothing into quarantine; the directory of the camera is above that."""
    return GenicamSource(settings, quarantine_directory.with_name(LIGHT_FILE))
