"""The C interface of a GenTL producer by ctypes: the functions that are used, with their types (GenTL 1.5).

By ctypes, since the binding of GenICam (`genicam.gentl`) keeps all other threads of Python from running while it waits.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from pathlib import Path
from typing import Any

from agent.core.errors import Permanent
from agent.sources.genicam.camera import CameraError


class Code(IntEnum):
    """Of GC_ERROR: what a function returns."""

    SUCCESS = 0
    RESOURCE_IN_USE = -1004
    ACCESS_DENIED = -1005
    INVALID_ID = -1007
    TIMEOUT = -1011
    ABORT = -1012
    BUSY = -1022


class GentlError(CameraError):
    """The producer, or the camera, rejected a call."""

    def __init__(self, text: str, code: int) -> None:
        """Args: code: of GC_ERROR."""
        super().__init__(text)
        self.code = code
        self.not_found = code == Code.INVALID_ID


_HANDLE_OUT = POINTER(c_void_p)
_SIZE_OUT = POINTER(c_size_t)
_INFO = (POINTER(c_int32), c_void_p, _SIZE_OUT)

# The arguments of each function; all return a GC_ERROR. Producers since GenTL 1.4 have them all.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "GCInitLib": (),
    "GCGetLastError": (POINTER(c_int32), c_char_p, _SIZE_OUT),
    "TLOpen": (_HANDLE_OUT,),
    "TLUpdateInterfaceList": (c_void_p, POINTER(c_uint8), c_uint64),
    "TLGetNumInterfaces": (c_void_p, POINTER(c_uint32)),
    "TLGetInterfaceID": (c_void_p, c_uint32, c_char_p, _SIZE_OUT),
    "TLOpenInterface": (c_void_p, c_char_p, _HANDLE_OUT),
    "IFUpdateDeviceList": (c_void_p, POINTER(c_uint8), c_uint64),
    "IFGetNumDevices": (c_void_p, POINTER(c_uint32)),
    "IFGetDeviceID": (c_void_p, c_uint32, c_char_p, _SIZE_OUT),
    "IFGetDeviceInfo": (c_void_p, c_char_p, c_int32, *_INFO),
    "IFOpenDevice": (c_void_p, c_char_p, c_int32, _HANDLE_OUT),
    "DevClose": (c_void_p,),
    "DevGetInfo": (c_void_p, c_int32, *_INFO),
    "DevGetPort": (c_void_p, _HANDLE_OUT),
    "DevGetDataStreamID": (c_void_p, c_uint32, c_char_p, _SIZE_OUT),
    "DevOpenDataStream": (c_void_p, c_char_p, _HANDLE_OUT),
    "DSClose": (c_void_p,),
    "DSGetInfo": (c_void_p, c_int32, *_INFO),
    "DSAllocAndAnnounceBuffer": (c_void_p, c_size_t, c_void_p, _HANDLE_OUT),
    "DSQueueBuffer": (c_void_p, c_void_p),
    "DSRevokeBuffer": (c_void_p, c_void_p, _HANDLE_OUT, _HANDLE_OUT),
    "DSFlushQueue": (c_void_p, c_int32),
    "DSStartAcquisition": (c_void_p, c_int32, c_uint64),
    "DSStopAcquisition": (c_void_p, c_int32),
    "DSGetBufferInfo": (c_void_p, c_void_p, c_int32, *_INFO),
    "GCRegisterEvent": (c_void_p, c_int32, _HANDLE_OUT),
    "GCUnregisterEvent": (c_void_p, c_int32),
    "EventGetData": (c_void_p, c_void_p, _SIZE_OUT, c_uint64),
    "GCReadPort": (c_void_p, c_uint64, c_void_p, _SIZE_OUT),
    "GCWritePort": (c_void_p, c_uint64, c_void_p, _SIZE_OUT),
    "GCGetPortInfo": (c_void_p, c_int32, *_INFO),
    "GCGetPortURLInfo": (c_void_p, c_uint32, c_int32, *_INFO),
}

# Of INFO_DATATYPE: text; signed whole numbers. Of the others, only unsigned ones are asked for.
_TEXT, _SIGNED = 1, (3, 5, 7)

# The longest text of an answer that is not a list: names, paths of files.
_MOST_BYTES = 4096


class Library:
    """A loaded producer. Any thread may call; each handle is for one thread."""

    def __init__(self, path: Path) -> None:
        """Raises Permanent where the file is missing, is no producer, or misses something itself."""
        try:
            self._library = ctypes.CDLL(str(path))
        except (OSError, ValueError) as error:
            raise Permanent(f"producer {path} cannot be loaded: {_one_line(str(error))}") from None
        self._functions: dict[str, Any] = {}
        for name, arguments in _FUNCTIONS.items():
            try:
                function = getattr(self._library, name)
            except AttributeError:
                wanted = "wanted a GenTL producer, a .cti file, of 1.4 or later"
                raise Permanent(f"{path} has no {name}; {wanted}") from None
            function.restype, function.argtypes = c_int32, arguments
            self._functions[name] = function

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call a function by its name. Raises GentlError where it reports an error."""
        code = int(self._functions[name](*arguments))
        if code != Code.SUCCESS:
            raise GentlError(self._problem(name, code), code)

    def handle(self, name: str, *arguments: Any) -> int:
        """What a function opens, whose last argument takes its handle. Raises GentlError."""
        opened = c_void_p()
        self(name, *arguments, byref(opened))
        return int(opened.value or 0)

    def count(self, name: str, module: int) -> int:
        """What a function counts. Raises GentlError."""
        found = c_uint32()
        self(name, module, byref(found))
        return found.value

    def text(self, name: str, *arguments: Any) -> str:
        """What a function names. Raises GentlError."""
        text, size = ctypes.create_string_buffer(_MOST_BYTES), c_size_t(_MOST_BYTES)
        self(name, *arguments, text, byref(size))
        return text.value.decode(errors="replace")

    def info(self, name: str, *arguments: Any) -> str | int | None:
        """The answer to a question, a text or a whole number; None where the producer has none."""
        kind, answer, size = c_int32(), ctypes.create_string_buffer(_MOST_BYTES), c_size_t(_MOST_BYTES)
        try:
            self(name, *arguments, byref(kind), answer, byref(size))
        except GentlError:
            return None
        if kind.value == _TEXT:
            return answer.value.decode(errors="replace")
        return int.from_bytes(answer.raw[: size.value], "little", signed=kind.value in _SIGNED)

    def number(self, name: str, *arguments: Any) -> int:
        """The same of a number; 0 where the producer has none."""
        found = self.info(name, *arguments)
        return found if isinstance(found, int) else 0

    def read(self, port: int, address: int, length: int) -> bytes:
        """Registers of a port. Raises GentlError."""
        data, size = ctypes.create_string_buffer(length), c_size_t(length)
        self("GCReadPort", port, address, data, byref(size))
        return data.raw[: size.value]

    def write(self, port: int, address: int, data: bytes) -> None:
        """Set registers of a port. Raises GentlError."""
        self("GCWritePort", port, address, data, byref(c_size_t(len(data))))

    def _problem(self, name: str, code: int) -> str:
        """The producer's own words, which it keeps for each thread."""
        latest, text, size = c_int32(), ctypes.create_string_buffer(_MOST_BYTES), c_size_t(_MOST_BYTES)
        self._functions["GCGetLastError"](byref(latest), text, byref(size))
        known = Code(code).name if code in Code._value2member_map_ else "error"
        return f"{_one_line(text.value.decode(errors='replace')) or name} ({known} {code})"


def _one_line(text: str) -> str:
    return " ".join(text.split())
