"""A GigE Vision camera whose features are set by GenApi, as those of a producer, and whose stream is that of Aravis.

No producer that can be had for tests has a trigger or an exposure. The cameras on loopback have both: GenApi reads
their description and sets their registers, by the protocol of GigE Vision.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

from agent.sources.genicam.aravis.camera import AravisCamera
from agent.sources.genicam.aravis.library import LIBRARY, load_aravis
from agent.sources.genicam.camera import CameraError, Received
from agent.sources.genicam.gentl.features import Features
from agent.sources.genicam.gentl.sfnc import SfncCamera
from agent.sources.source import TransportCounts


class RegisterCamera(SfncCamera):
    """Opened at an address."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        aravis = load_aravis()
        self._library = ctypes.CDLL(LIBRARY)
        self._library.arv_device_get_genicam_xml.restype = c_char_p
        self._library.arv_device_get_genicam_xml.argtypes = (c_void_p, c_void_p)
        for name in ("arv_device_read_memory", "arv_device_write_memory"):
            function = getattr(self._library, name)
            function.restype, function.argtypes = c_int, (c_void_p, c_uint64, c_uint32, c_void_p, c_void_p)
        self._camera = AravisCamera(aravis, address)
        self._device = self._camera._call("get_device")
        size = c_size_t()
        description = self._library.arv_device_get_genicam_xml(self._device, byref(size))[: size.value]
        self._features = Features(description.decode(), "Device", self._read, self._write)

    def _read(self, address: int, length: int) -> bytes:
        data = ctypes.create_string_buffer(length)
        if not self._library.arv_device_read_memory(self._device, address, length, data, None):
            raise CameraError(f"register {address:#x} cannot be read")
        return data.raw

    def _write(self, address: int, data: bytes) -> None:
        if not self._library.arv_device_write_memory(self._device, address, len(data), data, None):
            raise CameraError(f"register {address:#x} cannot be set")

    @property
    def model(self) -> str:
        return self._camera.model

    @property
    def controlled(self) -> bool:
        return self._camera.controlled

    def start(self) -> None:
        self._camera.start()

    def next(self, timeout_seconds: float) -> Received | None:
        return self._camera.next(timeout_seconds)

    @property
    def counts(self) -> TransportCounts:
        return self._camera.counts

    def _release(self) -> None:
        self._camera.close()
