"""The stream of one open camera: buffers that the producer fills, and what of them is an image."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from ctypes import byref, c_size_t, c_void_p

import numpy as np

from agent.core.errors import Permanent
from agent.core.records import Image
from agent.sources.genicam.camera import Received, buffers_for, lost_between
from agent.sources.genicam.gentl.library import Code, GentlError, Library
from agent.sources.genicam.pixels import image_of

# Of STREAM_INFO.
_UNDERRUNS, _PAYLOAD_SIZE, _DEFINES_SIZE, _LEAST_BUFFERS = 2, 7, 9, 12

# Of BUFFER_INFO.
_BASE, _SIZE, _INCOMPLETE, _FILLED, _WIDTH, _HEIGHT, _PADDING, _FRAME, _IMAGE_OFFSET = 0, 1, 7, 9, 10, 11, 14, 16, 18
_PAYLOAD, _PIXELS, _DELIVERED_HEIGHT, _TOO_LARGE = 19, 20, 22, 29

# Of PAYLOADTYPE: an image; unknown, as old producers have it; an image with chunks of data behind it.
_IMAGES = (1, 0, 4)

# EVENT_NEW_BUFFER; for the flags of start and stop; ACQ_QUEUE_ALL_DISCARD; as many frames as there are.
_NEW_BUFFER, _DEFAULT, _KILL, _DISCARD, _ENDLESS = 1, 0, 1, 4, 0xFFFFFFFFFFFFFFFF


class _NewBuffer(ctypes.Structure):
    """EVENT_NEW_BUFFER_DATA."""

    _fields_ = (("buffer", c_void_p), ("user", c_void_p))


class Stream:
    """Buffers of the first data stream of a camera. For one thread. All of it raises GentlError."""

    def __init__(self, library: Library, device: int, name: str) -> None:
        """Args: device: its handle. name: of the camera in errors."""
        self._call, self._name = library, name
        self._lost = 0
        self._number: int | None = None
        self._buffers: list[int] = []
        self._event: int | None = None
        self._running = False
        stream = library.text("DevGetDataStreamID", device, 0)
        self._handle = library.handle("DevOpenDataStream", device, stream.encode())

    def start(self, payload: int) -> None:
        """Announce buffers and wait for frames. payload: bytes of a frame, where the stream itself does not know it."""
        if self._info(_DEFINES_SIZE):
            payload = self._info(_PAYLOAD_SIZE)
        self._event = self._call.handle("GCRegisterEvent", self._handle, _NEW_BUFFER)
        for _ in range(max(buffers_for(payload), self._info(_LEAST_BUFFERS))):
            buffer = self._call.handle("DSAllocAndAnnounceBuffer", self._handle, payload, None)
            self._buffers.append(buffer)
            self._call("DSQueueBuffer", self._handle, buffer)
        self._call("DSStartAcquisition", self._handle, _DEFAULT, _ENDLESS)
        self._running = True

    def next(self, timeout_seconds: float) -> Received | None:
        """Wait for the next buffer; None after the timeout. Raises Permanent for what is no image that is read."""
        new = _NewBuffer()
        try:
            size, milliseconds = c_size_t(ctypes.sizeof(new)), max(0, round(timeout_seconds * 1000))
            self._call("EventGetData", self._event, byref(new), byref(size), milliseconds)
        except GentlError as error:
            if error.code in (Code.TIMEOUT, Code.ABORT):
                return None
            raise
        try:
            return self._received(new.buffer)
        finally:
            self._call("DSQueueBuffer", self._handle, new.buffer)

    @property
    def frames_lost(self) -> int:
        """Frames whose numbers are missing between two buffers, or for which no buffer was free."""
        return max(self._lost, self._info(_UNDERRUNS))

    def close(self) -> None:
        """Give everything back; raises nothing."""
        call = self._call
        with suppress(GentlError):
            if self._running:
                call("DSStopAcquisition", self._handle, _KILL)
        with suppress(GentlError):
            if self._event is not None:
                call("GCUnregisterEvent", self._handle, _NEW_BUFFER)
        with suppress(GentlError):
            call("DSFlushQueue", self._handle, _DISCARD)
        for buffer in self._buffers:
            with suppress(GentlError):
                call("DSRevokeBuffer", self._handle, buffer, byref(c_void_p()), byref(c_void_p()))
        with suppress(GentlError):
            call("DSClose", self._handle)

    def _info(self, command: int) -> int:
        return self._call.number("DSGetInfo", self._handle, command)

    def _received(self, buffer: int) -> Received:
        def info(command: int) -> int:
            return self._call.number("DSGetBufferInfo", self._handle, buffer, command)

        number, monotonic = info(_FRAME), time.monotonic()
        self._lost += lost_between(self._number, number)
        self._number = number
        if info(_INCOMPLETE) or info(_TOO_LARGE):
            return Received(None, number, monotonic)
        if (payload := info(_PAYLOAD)) not in _IMAGES:
            raise Permanent(f"{self._name} sends payloads of type {payload}, wanted images: change it by features")
        start, filled, height = (
            info(_IMAGE_OFFSET),
            info(_FILLED) or info(_SIZE),
            info(_DELIVERED_HEIGHT) or info(_HEIGHT),
        )
        data = np.ctypeslib.as_array((ctypes.c_uint8 * (filled - start)).from_address(info(_BASE) + start))
        image: Image = image_of(data, info(_PIXELS), info(_WIDTH), height, info(_PADDING), self._name)
        return Received(image, number, monotonic)
