"""One open camera: its stream of buffers, its counters, and its control channel."""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import suppress
from ctypes import byref, c_int, c_size_t
from dataclasses import dataclass

import numpy as np

from agent.core.errors import Temporary
from agent.core.records import Image
from agent.sources.genicam.aravis import Aravis, AravisError
from agent.sources.genicam.pixels import image_of
from agent.sources.source import TransportCounts

# Buffers that wait to be filled or read: enough for delays of the scheduler, and 256 MiB at most.
MOST_BUFFERS, LEAST_BUFFERS, BUFFER_BYTES = 16, 3, 256 * 2**20

# ArvBufferStatus: the buffer is complete.
_SUCCESS = 0

# ArvBufferPayloadType: an image, or one with chunks of data behind it.
_IMAGES = (1, 4)

# ArvGvPacketSizeAdjustment: test packets find the largest size once, when the stream is made; or never.
ADJUST_NEVER, ADJUST_ONCE = 0, 3


@dataclass(frozen=True, slots=True)
class Received:
    """A buffer that the camera has filled."""

    image: Image | None
    """None where the buffer is incomplete, or holds no image."""
    number: int
    """Of the frame, as the camera counts them."""
    monotonic: float
    """When its first packet arrived, monotonic seconds."""


class Camera:
    """A camera that is open and controlled by us. For one thread."""

    def __init__(self, aravis: Aravis, address: str) -> None:
        """Open it. Raises AravisError where it does not answer, Temporary where another program controls it."""
        self._aravis, self._address = aravis, address
        self.answers = True
        """Set to False once it does not."""
        self._stream: int | None = None
        self._counters: dict[str, int] = {}
        self.handle: int | None = aravis("arv_camera_new", address.encode())
        self._is_gige = bool(aravis("arv_camera_is_gv_device", self.handle))
        if not self.controlled:
            self.close()
            raise Temporary(f"camera {address} is controlled by another program")

    def __str__(self) -> str:
        return f"camera {self._address}"

    @property
    def model(self) -> str:
        """Vendor, model and serial number. Raises AravisError."""
        names = ("vendor_name", "model_name", "device_serial_number")
        values = (self._aravis(f"arv_camera_get_{name}", self.handle) or b"" for name in names)
        return " ".join(value.decode(errors="replace") for value in values if value)

    @property
    def is_gige(self) -> bool:
        """Whether it is a GigE Vision camera."""
        return self._is_gige

    @property
    def controlled(self) -> bool:
        """Whether it still obeys us: a GigE Vision camera whose heartbeat is not answered is lost."""
        if not self._is_gige:
            return True
        device = self._aravis("arv_camera_get_device", self.handle)
        return bool(self._aravis("arv_gv_device_is_controller", device))

    def probe(self) -> None:
        """Ask it for something. Raises AravisError, after up to 2.5 s, where it does not answer."""
        self._aravis("arv_camera_get_payload", self.handle)

    def start(self) -> None:
        """Make the stream and start the acquisition. Raises AravisError."""
        self._stream = self._aravis("arv_camera_create_stream", self.handle, None, None)
        payload = int(self._aravis("arv_camera_get_payload", self.handle))
        for _ in range(max(LEAST_BUFFERS, min(MOST_BUFFERS, BUFFER_BYTES // max(payload, 1)))):
            self._aravis("arv_stream_push_buffer", self._stream, self._aravis("arv_buffer_new_allocate", payload))
        for index in range(self._aravis("arv_stream_get_n_infos", self._stream)):
            name = self._aravis("arv_stream_get_info_name", self._stream, index)
            self._counters[(name or b"").decode()] = index
        self._aravis("arv_camera_start_acquisition", self.handle)

    def trigger(self) -> None:
        """Let it take a frame. Raises AravisError."""
        self._aravis("arv_camera_software_trigger", self.handle)

    def next(self, timeout_seconds: float) -> Received | None:
        """Wait for the next buffer; None after the timeout. Raises Permanent for pixels that are not read."""
        buffer = self._aravis("arv_stream_timeout_pop_buffer", self._stream, max(0, round(timeout_seconds * 1e6)))
        if not buffer:
            return None
        try:
            return self._received(buffer)
        finally:
            self._aravis("arv_stream_push_buffer", self._stream, buffer)

    @property
    def counts(self) -> TransportCounts:
        """What was lost and sent again since `start`."""
        return TransportCounts(
            frames_lost=self._count("n_missing_frames") + self._count("n_underruns"),
            packets_resent=self._count("n_resent_packets"),
            packets_missing=self._count("n_missing_packets"),
        )

    def close(self) -> None:
        """Stop the acquisition and give everything back. Safe at any time.

        A camera that does not answer is not waited for: that takes twelve seconds of retries inside the library.
        """
        if self.answers:
            self._release()
        else:
            threading.Thread(target=self._release, name="camera-release", daemon=True).start()

    def _release(self) -> None:
        if self._stream is not None:
            with suppress(AravisError):  # a camera that is gone cannot be stopped
                self._aravis("arv_camera_stop_acquisition", self.handle)
            self._aravis.release(self._stream)
            self._stream = None
        if self.handle is not None:
            self._aravis.release(self.handle)
            self.handle = None

    def _count(self, name: str) -> int:
        index = self._counters.get(name)
        return 0 if index is None else int(self._aravis("arv_stream_get_info_uint64", self._stream, index))

    def _received(self, buffer: int) -> Received:
        call = self._aravis
        # The time of the wall clock, nanoseconds; the difference to now is that of any clock.
        age_seconds = (time.time_ns() - int(call("arv_buffer_get_system_timestamp", buffer))) / 1e9
        monotonic = time.monotonic() - min(max(age_seconds, 0.0), 10.0)
        number = int(call("arv_buffer_get_frame_id", buffer))
        complete = call("arv_buffer_get_status", buffer) == _SUCCESS
        if not complete or call("arv_buffer_get_payload_type", buffer) not in _IMAGES:
            return Received(None, number, monotonic)
        return Received(self._image(buffer), number, monotonic)

    def _image(self, buffer: int) -> Image:
        call, size, across, below = self._aravis, c_size_t(), c_int(), c_int()
        address = call("arv_buffer_get_data", buffer, byref(size))
        if call.has("arv_buffer_get_image_padding"):
            call("arv_buffer_get_image_padding", buffer, byref(across), byref(below))
        data = np.ctypeslib.as_array((ctypes.c_uint8 * size.value).from_address(address))
        return image_of(
            data,
            int(call("arv_buffer_get_image_pixel_format", buffer)),
            int(call("arv_buffer_get_image_width", buffer)),
            int(call("arv_buffer_get_image_height", buffer)),
            across.value,
            str(self),
        )
