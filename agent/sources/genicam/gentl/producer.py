"""A producer that is open, and the cameras that it finds."""

from __future__ import annotations

import threading
from ctypes import byref, c_uint8
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import Permanent, Temporary
from agent.sources.genicam.gentl.library import Code, GentlError, Library

# Of DEVICE_INFO: what identifies a camera. Its user-defined name is often none.
_VENDOR, _MODEL, _USER_NAME, _SERIAL = 1, 2, 6, 7

# How long a producer looks for cameras on each interface; most answer at once.
_SEARCH_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A camera that a producer has found."""

    interface: int
    """The handle of the interface that it is at."""
    id: str
    """As the producer names it; the only one of its kind."""
    vendor: str
    model: str
    serial: str
    user_name: str
    """Kept in the camera by its user; empty where it has none."""

    def __str__(self) -> str:
        return f"{self.vendor} {self.model}, serial {self.serial}, {self.user_name or self.id}"

    def is_meant_by(self, name: str) -> bool:
        """Whether a setting means this camera."""
        return name in {self.id, self.serial, self.user_name}


class Producer:
    """A producer, opened once in a process and kept. Any thread may call."""

    def __init__(self, path: Path) -> None:
        """Raises Permanent where it cannot be loaded or does not start."""
        self.library = Library(path)
        self._interfaces: dict[str, int] = {}
        self._searching = threading.Lock()
        try:
            self.library("GCInitLib")
            self._system = self.library.handle("TLOpen")
        except GentlError as error:
            raise Permanent(f"producer {path} does not start: {error}") from None

    def find(self) -> list[FoundDevice]:
        """Look for cameras. Raises GentlError."""
        call, changed = self.library, c_uint8()
        with self._searching:
            call("TLUpdateInterfaceList", self._system, byref(changed), _SEARCH_MILLISECONDS)
            found = []
            for index in range(call.count("TLGetNumInterfaces", self._system)):
                interface = self._interface(call.text("TLGetInterfaceID", self._system, index))
                call("IFUpdateDeviceList", interface, byref(changed), _SEARCH_MILLISECONDS)
                for number in range(call.count("IFGetNumDevices", interface)):
                    found.append(self._device(interface, call.text("IFGetDeviceID", interface, number)))
            return found

    def locate(self, name: str) -> FoundDevice:
        """The camera that a setting means. Raises Temporary, with those there are, where it is none or several."""
        found = self.find()
        meant = [device for device in found if device.is_meant_by(name)]
        if len(meant) == 1:
            return meant[0]
        several = "; ".join(map(str, meant or found)) or "none"
        problem = "is the name of several cameras" if meant else "was not found"
        raise Temporary(f"camera {name} {problem}: {several}")

    def _interface(self, name: str) -> int:
        if name not in self._interfaces:
            self._interfaces[name] = self.library.handle("TLOpenInterface", self._system, name.encode())
        return self._interfaces[name]

    def _device(self, interface: int, name: str) -> FoundDevice:
        asked = (_VENDOR, _MODEL, _SERIAL, _USER_NAME)
        answers = (self.library.info("IFGetDeviceInfo", interface, name.encode(), each) for each in asked)
        return FoundDevice(interface, name, *(str(answer or "") for answer in answers))


IN_USE = (Code.RESOURCE_IN_USE, Code.ACCESS_DENIED, Code.BUSY)
"""How producers put it that another program, or our own connection of before, has the camera."""

_producers: dict[Path, Producer] = {}
_loading = threading.Lock()


def load_producer(path: Path) -> Producer:
    """The producer, loaded once. Raises Permanent where it cannot be used."""
    with _loading:
        if path not in _producers:
            _producers[path] = Producer(path)
        return _producers[path]
