"""libaravis by ctypes: the functions that are used, with their types, checked when the library is loaded.

By ctypes, since the binding of the distribution (PyGObject) is outside of a virtual environment. No callback is passed
to the library: one needs memory that is writable and executable, which the sandbox of the service forbids.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from typing import Any

from agent.core.errors import Permanent
from agent.sources.genicam.camera import CameraError

LIBRARY = "libaravis-0.8.so.0"

PACKAGE = "libaravis-0.8-0"


class _GError(ctypes.Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


# Of ArvDeviceError (arvdevice.h): no camera answers at this address.
_NOT_FOUND = 6


class AravisError(CameraError):
    """The library, or the camera, rejected a call."""

    def __init__(self, text: str, code: int) -> None:
        """Args: code: one of `ArvDeviceError` where the device rejected it."""
        super().__init__(text)
        self.not_found = code == _NOT_FOUND


_INT_OUT = POINTER(c_int)
_DOUBLE_OUT = POINTER(c_double)
_NAMES = POINTER(c_char_p)

# The result and the arguments of each function. Pointers to objects of the library are plain addresses. All are in
# 0.8.11; Ubuntu 22.04, and with it JetPack 6, has 0.8.20, Debian 12 has 0.8.26, Ubuntu 24.04 has 0.8.30.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "arv_update_device_list": (None,),
    "arv_get_n_devices": (c_uint,),
    "arv_get_device_id": (c_char_p, c_uint),
    "arv_get_device_physical_id": (c_char_p, c_uint),
    "arv_get_device_address": (c_char_p, c_uint),
    "arv_get_device_vendor": (c_char_p, c_uint),
    "arv_get_device_model": (c_char_p, c_uint),
    "arv_get_device_serial_nbr": (c_char_p, c_uint),
    "arv_get_device_protocol": (c_char_p, c_uint),
    "arv_camera_get_device": (c_void_p, c_void_p),
    "arv_camera_is_gv_device": (c_int, c_void_p),
    "arv_camera_set_range_check_policy": (None, c_void_p, c_int),
    "arv_camera_gv_set_packet_size_adjustment": (None, c_void_p, c_int),
    "arv_camera_gv_set_stream_options": (None, c_void_p, c_int),
    "arv_gv_device_is_controller": (c_int, c_void_p),
    "arv_stream_push_buffer": (None, c_void_p, c_void_p),
    "arv_stream_timeout_pop_buffer": (c_void_p, c_void_p, c_uint64),
    "arv_stream_try_pop_buffer": (c_void_p, c_void_p),
    "arv_stream_get_n_infos": (c_uint, c_void_p),
    "arv_stream_get_info_name": (c_char_p, c_void_p, c_uint),
    "arv_stream_get_info_uint64": (c_uint64, c_void_p, c_uint),
    "arv_buffer_new_allocate": (c_void_p, c_size_t),
    "arv_buffer_get_status": (c_int, c_void_p),
    "arv_buffer_get_payload_type": (c_int, c_void_p),
    "arv_buffer_get_frame_id": (c_uint64, c_void_p),
    "arv_buffer_get_system_timestamp": (c_uint64, c_void_p),
    "arv_buffer_get_data": (c_void_p, c_void_p, POINTER(c_size_t)),
    "arv_buffer_get_image_pixel_format": (c_uint32, c_void_p),
    "arv_buffer_get_image_width": (c_int, c_void_p),
    "arv_buffer_get_image_height": (c_int, c_void_p),
}

# Newer functions that are used where the library has them.
_OPTIONAL: dict[str, tuple[Any, ...]] = {"arv_buffer_get_image_padding": (None, c_void_p, _INT_OUT, _INT_OUT)}

# These have a GError as their last argument.
_RAISING: dict[str, tuple[Any, ...]] = {
    "arv_camera_new": (c_void_p, c_char_p),
    "arv_camera_create_stream": (c_void_p, c_void_p, c_void_p, c_void_p),
    "arv_camera_get_vendor_name": (c_char_p, c_void_p),
    "arv_camera_get_model_name": (c_char_p, c_void_p),
    "arv_camera_get_device_serial_number": (c_char_p, c_void_p),
    "arv_camera_set_region": (None, c_void_p, c_int, c_int, c_int, c_int),
    "arv_camera_get_region": (None, c_void_p, _INT_OUT, _INT_OUT, _INT_OUT, _INT_OUT),
    "arv_camera_set_pixel_format_from_string": (None, c_void_p, c_char_p),
    "arv_camera_dup_available_pixel_formats_as_strings": (_NAMES, c_void_p, POINTER(c_uint)),
    "arv_camera_start_acquisition": (None, c_void_p),
    "arv_camera_stop_acquisition": (None, c_void_p),
    "arv_camera_set_acquisition_mode": (None, c_void_p, c_int),
    "arv_camera_is_frame_rate_available": (c_int, c_void_p),
    "arv_camera_set_frame_rate": (None, c_void_p, c_double),
    "arv_camera_get_frame_rate_bounds": (None, c_void_p, _DOUBLE_OUT, _DOUBLE_OUT),
    "arv_camera_set_trigger": (None, c_void_p, c_char_p),
    "arv_camera_dup_available_trigger_sources": (_NAMES, c_void_p, POINTER(c_uint)),
    "arv_camera_clear_triggers": (None, c_void_p),
    "arv_camera_software_trigger": (None, c_void_p),
    "arv_camera_is_exposure_time_available": (c_int, c_void_p),
    "arv_camera_is_exposure_auto_available": (c_int, c_void_p),
    "arv_camera_set_exposure_time": (None, c_void_p, c_double),
    "arv_camera_get_exposure_time": (c_double, c_void_p),
    "arv_camera_get_exposure_time_bounds": (None, c_void_p, _DOUBLE_OUT, _DOUBLE_OUT),
    "arv_camera_set_exposure_time_auto": (None, c_void_p, c_int),
    "arv_camera_is_gain_available": (c_int, c_void_p),
    "arv_camera_is_gain_auto_available": (c_int, c_void_p),
    "arv_camera_set_gain": (None, c_void_p, c_double),
    "arv_camera_get_gain": (c_double, c_void_p),
    "arv_camera_get_gain_bounds": (None, c_void_p, _DOUBLE_OUT, _DOUBLE_OUT),
    "arv_camera_set_gain_auto": (None, c_void_p, c_int),
    "arv_camera_get_payload": (c_uint, c_void_p),
    "arv_camera_set_string": (None, c_void_p, c_char_p, c_char_p),
    "arv_camera_set_integer": (None, c_void_p, c_char_p, c_int64),
    "arv_camera_set_float": (None, c_void_p, c_char_p, c_double),
    "arv_camera_set_boolean": (None, c_void_p, c_char_p, c_int),
    "arv_camera_gv_set_packet_size": (None, c_void_p, c_int),
    "arv_camera_gv_get_packet_size": (c_uint, c_void_p),
}


class Aravis:
    """The loaded library. Any thread may call."""

    def __init__(self, name: str = LIBRARY) -> None:
        """Raises Permanent, with what to install, where the library is missing or another one."""
        try:
            self._library = ctypes.CDLL(name)
            self._glib, self._gobject = ctypes.CDLL("libglib-2.0.so.0"), ctypes.CDLL("libgobject-2.0.so.0")
        except OSError as error:
            raise Permanent(f"cameras of kind genicam need Aravis ({error}): sudo apt install {PACKAGE}") from None
        self._functions: dict[str, Any] = {}
        self._declare(name, _PLAIN, ())
        self._declare(name, _RAISING, (POINTER(POINTER(_GError)),))
        self._declare(name, {each: types for each, types in _OPTIONAL.items() if hasattr(self._library, each)}, ())
        self._glib.g_error_free.argtypes = self._glib.g_free.argtypes = (c_void_p,)
        self._gobject.g_object_unref.argtypes = (c_void_p,)

    def _declare(self, name: str, functions: dict[str, tuple[Any, ...]], more: tuple[Any, ...]) -> None:
        for function, (result, *arguments) in functions.items():
            try:
                declared = getattr(self._library, function)
            except AttributeError:
                raise Permanent(f"{name} has no {function}; wanted Aravis 0.8.11 or later: {PACKAGE}") from None
            declared.restype, declared.argtypes = result, (*arguments, *more)
            self._functions[function] = declared

    def has(self, function: str) -> bool:
        """Whether a newer function is there."""
        return function in self._functions

    def __call__(self, function: str, *arguments: Any) -> Any:
        """Call a function by its name. Raises AravisError where it reports an error."""
        if function not in _RAISING:
            return self._functions[function](*arguments)
        error = POINTER(_GError)()
        result = self._functions[function](*arguments, byref(error))
        if error:
            text, code = (error.contents.message or b"").decode(errors="replace"), int(error.contents.code)
            self._glib.g_error_free(error)
            raise AravisError(" ".join(text.split()), code)
        return result

    def names(self, function: str, camera: int) -> list[str]:
        """What one of the functions `arv_camera_dup_available_…` lists. Raises AravisError."""
        count = c_uint()
        found = self(function, camera, byref(count))
        names = [(found[index] or b"").decode(errors="replace") for index in range(count.value)]
        self._glib.g_free(found)
        return names

    def release(self, thing: int) -> None:
        """Give an object of the library back; its threads end and its sockets are closed."""
        self._gobject.g_object_unref(thing)


@functools.cache
def load_aravis() -> Aravis:
    """The library, loaded once. Raises Permanent where it cannot be used."""
    return Aravis()
