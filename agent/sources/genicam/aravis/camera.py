"""One open camera of Aravis: its stream of buffers, its counters, its features, and its control channel."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from ctypes import byref, c_double, c_int, c_size_t
from typing import Any

import numpy as np

from agent.core.records import Image
from agent.sources.genicam.aravis.library import Aravis, AravisError
from agent.sources.genicam.camera import CameraBusy, CameraError, IndustrialCamera, Light, Received, buffers_for
from agent.sources.genicam.pixels import image_of
from agent.sources.source import TransportCounts

# ArvBufferStatus: the buffer is complete.
_SUCCESS = 0

# ArvBufferPayloadType: an image, or one with chunks of data behind it.
_IMAGES = (1, 4)

# ArvGvPacketSizeAdjustment: test packets find the largest size once, when the stream is made; or never.
_ADJUST_NEVER, _ADJUST_ONCE = 0, 3

# ArvGvStreamOption. Where it may, as root, Aravis receives by a packet socket, which takes packets of other connections
# until its filter is set: their first bytes are read as the number of a frame, and all frames of the camera are then
# too late (2 of 300 connections on a busy machine; none of 800 without). The service may not.
_NO_PACKET_SOCKET = 1

# ArvAuto, ArvAcquisitionMode and ArvRangeCheckPolicy.
_AUTO_OFF, _AUTO_CONTINUOUS, _CONTINUOUS, _UNCHECKED, _CHECKED = 0, 2, 0, 0, 1


class AravisCamera(IndustrialCamera):
    """A GigE Vision or USB3 Vision camera."""

    def __init__(self, aravis: Aravis, address: str) -> None:
        """Open it. Raises AravisError where it does not answer, CameraBusy where another program controls it."""
        super().__init__(address)
        self._aravis = aravis
        self._stream: int | None = None
        self._counters: dict[str, int] = {}
        self._handle: int | None = aravis("arv_camera_new", address.encode())
        self._is_gige = bool(aravis("arv_camera_is_gv_device", self._handle))
        if not self.controlled:
            self.close()
            raise CameraBusy(f"camera {address} is controlled by another program")

    @property
    def model(self) -> str:
        """Vendor, model and serial number."""
        names = ("vendor_name", "model_name", "device_serial_number")
        values = (self._call(f"get_{name}") or b"" for name in names)
        return " ".join(value.decode(errors="replace") for value in values if value)

    @property
    def controlled(self) -> bool:
        """Whether it still obeys us: a GigE Vision camera whose heartbeat is not answered is lost."""
        if not self._is_gige:
            return True
        device = self._call("get_device")
        return bool(self._aravis("arv_gv_device_is_controller", device))

    def probe(self) -> None:
        """Ask it for something; takes up to 2.5 s where it does not answer."""
        self._call("get_payload")

    def start(self) -> None:
        """Make the stream and start the acquisition."""
        if self._is_gige:
            self._call("gv_set_stream_options", _NO_PACKET_SOCKET)
        self._stream = self._call("create_stream", None, None)
        payload = int(self._call("get_payload"))
        for _ in range(buffers_for(payload)):
            self._aravis("arv_stream_push_buffer", self._stream, self._aravis("arv_buffer_new_allocate", payload))
        for index in range(self._aravis("arv_stream_get_n_infos", self._stream)):
            name = self._aravis("arv_stream_get_info_name", self._stream, index)
            self._counters[(name or b"").decode()] = index
        self._call("start_acquisition")

    def trigger(self) -> None:
        """Let it take a frame."""
        self._call("software_trigger")

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

    def pixel_formats(self) -> list[str]:
        """The names of those that it can send."""
        return self._aravis.names("arv_camera_dup_available_pixel_formats_as_strings", self._handle or 0)

    def set_pixel_format(self, name: str) -> None:
        """Choose one of them."""
        self._call("set_pixel_format_from_string", name.encode())

    def set_region(self, x: int, y: int, width: int, height: int) -> None:
        """The part of the sensor that it sends, pixels."""
        # Cameras cut a region that is too large, or take it and send nothing.
        self._call("set_range_check_policy", _CHECKED)
        self._call("set_region", x, y, width, height)
        self._call("set_range_check_policy", _UNCHECKED)

    def region(self) -> tuple[int, int, int, int]:
        """x, y, width and height, pixels."""
        x, y, width, height = found = tuple(c_int() for _ in range(4))
        self._call("get_region", *map(byref, found))
        return x.value, y.value, width.value, height.value

    def run_freely(self) -> None:
        """Take frames continuously and without a trigger."""
        self._call("clear_triggers")
        self._call("set_acquisition_mode", _CONTINUOUS)

    def trigger_sources(self) -> list[str]:
        """What can trigger it."""
        return self._aravis.names("arv_camera_dup_available_trigger_sources", self._handle or 0)

    def set_trigger(self, source: str) -> None:
        """Take one frame for each signal of this source."""
        self._call("set_trigger", source.encode())

    def frame_rate_bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest frame rate, frames/s; None where it cannot be given one."""
        return self._bounds("frame_rate") if self._call("is_frame_rate_available") else None

    def set_frame_rate(self, frames_per_second: float) -> None:
        """Keep this frame rate."""
        self._call("set_frame_rate", frames_per_second)

    def adjusts(self, light: Light) -> bool:
        """Whether it can adjust this by itself."""
        return bool(self._call(f"is_{light.removesuffix('_time')}_auto_available"))

    def set_adjusting(self, light: Light, on: bool) -> None:
        """Adjust it continuously, or never."""
        self._call(f"set_{light}_auto", _AUTO_CONTINUOUS if on else _AUTO_OFF)

    def light_bounds(self, light: Light) -> tuple[float, float]:
        """The lowest and the highest value, microseconds or the camera's unit of gain."""
        return self._bounds(light)

    def light(self, light: Light) -> float:
        """Its present value."""
        return float(self._call(f"get_{light}"))

    def set_light(self, light: Light, value: float) -> None:
        """Set it."""
        self._call(f"set_{light}", value)

    def set_packet_size(self, size: int | None) -> None:
        """Bytes of a GigE Vision packet; None: the largest that gets through."""
        if not self._is_gige:
            return
        self._call("gv_set_packet_size_adjustment", _ADJUST_ONCE if size is None else _ADJUST_NEVER)
        if size is not None:
            self._call("gv_set_packet_size", size)

    def set_feature(self, name: str, value: str | bool | int | float) -> None:
        """Set a feature by its GenICam name."""
        feature = name.encode()
        if isinstance(value, str):
            self._call("set_string", feature, value.encode())
        elif isinstance(value, bool):
            self._call("set_boolean", feature, int(value))
        elif isinstance(value, float):
            self._call("set_float", feature, value)
        else:
            try:
                self._call("set_integer", feature, value)
            except CameraError:  # a float that was given without a point
                self._call("set_float", feature, float(value))

    def _call(self, function: str, *arguments: Any) -> Any:
        return self._aravis(f"arv_camera_{function}", self._handle, *arguments)

    def _bounds(self, what: str) -> tuple[float, float]:
        lowest, highest = c_double(), c_double()
        self._call(f"get_{what}_bounds", byref(lowest), byref(highest))
        return lowest.value, highest.value

    def _release(self) -> None:
        if self._stream is not None:
            with suppress(AravisError):  # a camera that is gone cannot be stopped
                self._call("stop_acquisition")
            self._aravis.release(self._stream)
            self._stream = None
        if self._handle is not None:
            self._aravis.release(self._handle)
            self._handle = None

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
