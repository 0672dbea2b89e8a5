"""What a GenICam camera can do, whatever library it is reached by."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from agent.core.errors import InspectdError, Temporary
from agent.core.records import Image
from agent.sources.source import TransportCounts

Light = Literal["exposure_time", "gain"]
"""What an automatic control adjusts."""

LIGHTS: dict[Light, str] = {"exposure_time": "exposure_microseconds", "gain": "gain"}
"""The setting of each."""

# Buffers that wait to be filled or read: enough for delays of the scheduler, and 256 MiB at most.
MOST_BUFFERS, LEAST_BUFFERS, BUFFER_BYTES = 16, 3, 256 * 2**20

# The numbers 1 to 65535 of frames in GigE Vision 1; and from how many on a gap is no loss, but another count.
FRAME_NUMBERS, MOST_LOST = 65535, 1000


class CameraError(InspectdError):
    """The library, or the camera, rejected a call; one line."""

    not_found = False
    """No camera answers at this address."""


class CameraBusy(Temporary):
    """Another program controls the camera."""


@dataclass(frozen=True, slots=True)
class Received:
    """A buffer that the camera has filled."""

    image: Image | None
    """None where the buffer is incomplete, or holds no image."""
    number: int
    """Of the frame, as the camera counts them."""
    monotonic: float
    """When its first packet arrived, monotonic seconds; where the library does not know that, when its last one did."""


def lost_between(earlier: int | None, later: int) -> int:
    """Frames that the camera took between two that arrived, by their numbers.

    >>> lost_between(None, 7), lost_between(7, 8), lost_between(7, 10), lost_between(65534, 2), lost_between(9, 1)
    (0, 0, 2, 2, 0)
    """
    if earlier is None:
        return 0
    # The numbers of GigE Vision 1 have 16 bits and leave 0 out.
    lost = later - earlier - 1 if later > earlier else later + FRAME_NUMBERS - earlier - 1
    return lost if lost < MOST_LOST else 0


def buffers_for(payload: int) -> int:
    """How many buffers of so many bytes wait."""
    return max(LEAST_BUFFERS, min(MOST_BUFFERS, BUFFER_BYTES // max(payload, 1)))


class IndustrialCamera(ABC):
    """A camera that is open and controlled by us. For one thread. All of it raises CameraError."""

    def __init__(self, name: str) -> None:
        """Args: name: as errors give it."""
        self._name = name
        self.answers = True
        """Set to False once it does not."""

    def __str__(self) -> str:
        return f"camera {self._name}"

    def close(self) -> None:
        """Stop the acquisition and give everything back. Safe at any time.

        A camera that does not answer is not waited for: that takes seconds of retries inside the library.
        """
        if self.answers:
            self._release()
        else:
            threading.Thread(target=self._release, name="camera-release", daemon=True).start()

    @abstractmethod
    def _release(self) -> None:
        """Give everything back; raises nothing."""

    @property
    @abstractmethod
    def model(self) -> str:
        """Vendor, model and serial number."""

    @property
    @abstractmethod
    def controlled(self) -> bool:
        """Whether it still obeys us; raises nothing."""

    @abstractmethod
    def probe(self) -> None:
        """Ask it for something; takes seconds where it does not answer."""

    @abstractmethod
    def start(self) -> None:
        """Make the stream and start the acquisition."""

    @abstractmethod
    def trigger(self) -> None:
        """Let it take a frame."""

    @abstractmethod
    def next(self, timeout_seconds: float) -> Received | None:
        """Wait for the next buffer; None after the timeout. Raises Permanent for pixels that are not read."""

    @property
    @abstractmethod
    def counts(self) -> TransportCounts:
        """What was lost and sent again since `start`; raises nothing."""

    @abstractmethod
    def pixel_formats(self) -> list[str]:
        """The names of those that it can send."""

    @abstractmethod
    def set_pixel_format(self, name: str) -> None:
        """Choose one of them."""

    @abstractmethod
    def set_region(self, x: int, y: int, width: int, height: int) -> None:
        """The part of the sensor that it sends, pixels. Rejects what it cannot send."""

    @abstractmethod
    def region(self) -> tuple[int, int, int, int]:
        """x, y, width and height, pixels."""

    @abstractmethod
    def run_freely(self) -> None:
        """Take frames continuously and without a trigger."""

    @abstractmethod
    def trigger_sources(self) -> list[str]:
        """What can trigger it."""

    @abstractmethod
    def set_trigger(self, source: str) -> None:
        """Take one frame for each signal of this source, continuously."""

    @abstractmethod
    def frame_rate_bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest frame rate that it keeps, frames/s; None where it cannot be given one."""

    @abstractmethod
    def set_frame_rate(self, frames_per_second: float) -> None:
        """Keep this frame rate."""

    @abstractmethod
    def adjusts(self, light: Light) -> bool:
        """Whether it can adjust this by itself."""

    @abstractmethod
    def set_adjusting(self, light: Light, on: bool) -> None:
        """Adjust it continuously, or never."""

    @abstractmethod
    def light_bounds(self, light: Light) -> tuple[float, float]:
        """The lowest and the highest value, microseconds or the camera's unit of gain."""

    @abstractmethod
    def light(self, light: Light) -> float:
        """Its present value."""

    @abstractmethod
    def set_light(self, light: Light, value: float) -> None:
        """Set it."""

    @abstractmethod
    def set_packet_size(self, size: int | None) -> None:
        """Bytes of a packet; None: the largest that gets through, or what the library takes. Without packets, None
        does nothing."""

    @abstractmethod
    def set_feature(self, name: str, value: str | bool | int | float) -> None:
        """Set a feature by its GenICam name."""
