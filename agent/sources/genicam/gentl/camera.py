"""One open camera of a producer: its port, its features and its stream."""

from __future__ import annotations

from contextlib import suppress

from agent.sources.genicam.camera import CameraBusy, CameraError, Received
from agent.sources.genicam.gentl.description import read_description
from agent.sources.genicam.gentl.features import Features
from agent.sources.genicam.gentl.library import GentlError
from agent.sources.genicam.gentl.producer import IN_USE, FoundDevice, Producer
from agent.sources.genicam.gentl.sfnc import SfncCamera
from agent.sources.genicam.gentl.stream import Stream
from agent.sources.source import TransportCounts

# DEVICE_ACCESS_EXCLUSIVE.
_EXCLUSIVE = 4

# DEVICE_INFO_ACCESS_STATUS, and its values for a camera that we do not control: read only, no access, busy, open for
# reading only.
_ACCESS_STATUS, _NOT_OURS = 5, (2, 3, 4, 6)


class GentlCamera(SfncCamera):
    """A camera of any transport that the producer has."""

    def __init__(self, producer: Producer, device: FoundDevice, name: str) -> None:
        """Open it. Raises GentlError where it does not answer, CameraBusy where another program controls it.

        Args: name: as the settings give it.
        """
        super().__init__(name)
        self._call, self._device = producer.library, device
        self._stream: Stream | None = None
        try:
            handle = self._call.handle("IFOpenDevice", device.interface, device.id.encode(), _EXCLUSIVE)
        except GentlError as error:
            if error.code in IN_USE:
                raise CameraBusy(f"camera {name} is controlled by another program: {error}") from None
            raise
        self._handle: int | None = handle
        try:
            port = self._call.handle("DevGetPort", handle)
            description, port_name = read_description(self._call, port)
            self._features = Features(
                description,
                port_name,
                lambda address, length: self._call.read(port, address, length),
                lambda address, data: self._call.write(port, address, data),
            )
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> str:
        """Vendor, model and serial number."""
        return " ".join(filter(None, (self._device.vendor, self._device.model, self._device.serial)))

    @property
    def controlled(self) -> bool:
        """Whether the producer still has access to it."""
        return self._call.info("DevGetInfo", self._handle, _ACCESS_STATUS) not in _NOT_OURS

    def start(self) -> None:
        """Make the stream and start the acquisition."""
        self._stream = Stream(self._call, self._handle or 0, str(self))
        self._stream.start(int(self._features.number("PayloadSize")))
        self._features.set_if_there("TLParamsLocked", 1)
        self._features.execute("AcquisitionStart")

    def next(self, timeout_seconds: float) -> Received | None:
        """Wait for the next buffer; None after the timeout. Raises Permanent for what is no image that is read."""
        assert self._stream is not None, "it was started"
        return self._stream.next(timeout_seconds)

    @property
    def counts(self) -> TransportCounts:
        """What was lost since `start`; how producers count packets is not standardized."""
        return TransportCounts() if self._stream is None else TransportCounts(frames_lost=self._stream.frames_lost)

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(CameraError):  # a camera that is gone cannot be stopped
                self._features.execute("AcquisitionStop")
                self._features.set_if_there("TLParamsLocked", 0)
            stream.close()
        if self._handle is not None:
            with suppress(GentlError):
                self._call("DevClose", self._handle)
            self._handle = None
