"""GStreamer of the distribution by ctypes: a pipeline whose images are taken one by one.

By ctypes, since its binding is outside of a virtual environment. No callback is passed to it, which would need memory
that is writable and executable.
"""

from __future__ import annotations

import ctypes
import functools
from contextlib import suppress
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent, Temporary

PACKAGES = "libgstreamer1.0-0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"

# GstState and GstMessageType; the flag of a buffer of which data are missing.
_NULL, _PLAYING, _ENDED, _ERROR, _CORRUPTED = 1, 4, 1 << 0, 1 << 1, 1 << 8

_NANOSECONDS = 1_000_000_000


class _GError(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


class _MapInfo(ctypes.Structure):
    """GstMapInfo."""

    _fields_ = (
        ("memory", c_void_p),
        ("flags", c_int),
        ("data", c_void_p),
        ("size", c_size_t),
        ("most", c_size_t),
        ("private", c_void_p * 8),
    )


_ERROR_OUT = POINTER(POINTER(_GError))

# The result and the arguments of each function, all of GStreamer 1.16 and later.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "gst_init_check": (c_int, c_void_p, c_void_p, _ERROR_OUT),
    "gst_element_factory_find": (c_void_p, c_char_p),
    "gst_parse_launch": (c_void_p, c_char_p, _ERROR_OUT),
    "gst_bin_get_by_name": (c_void_p, c_void_p, c_char_p),
    "gst_util_set_object_arg": (None, c_void_p, c_char_p, c_char_p),
    "gst_element_set_state": (c_int, c_void_p, c_int),
    "gst_element_get_bus": (c_void_p, c_void_p),
    "gst_bus_pop_filtered": (c_void_p, c_void_p, c_int),
    "gst_message_parse_error": (None, c_void_p, _ERROR_OUT, c_void_p),
    "gst_object_unref": (None, c_void_p),
    "gst_mini_object_unref": (None, c_void_p),
    "gst_sample_get_buffer": (c_void_p, c_void_p),
    "gst_sample_get_caps": (c_void_p, c_void_p),
    "gst_caps_get_structure": (c_void_p, c_void_p, c_uint),
    "gst_structure_get_int": (c_int, c_void_p, c_char_p, POINTER(c_int)),
    "gst_buffer_get_flags": (c_int, c_void_p),
    "gst_buffer_map": (c_int, c_void_p, POINTER(_MapInfo), c_int),
    "gst_buffer_unmap": (None, c_void_p, POINTER(_MapInfo)),
}


class GstImage(NamedTuple):
    """One image that came out of a pipeline."""

    pixels: NDArray[np.uint8]
    """[H, W, 3] BGR; shares no memory."""
    intact: bool
    """False where the decoder missed data."""


class Gstreamer:
    """The loaded library. Any thread may call."""

    def __init__(self) -> None:
        """Raises Permanent, with what to install, where it is missing."""
        try:
            self._library, self._sink = ctypes.CDLL("libgstreamer-1.0.so.0"), ctypes.CDLL("libgstapp-1.0.so.0")
            self._glib = ctypes.CDLL("libglib-2.0.so.0")
        except OSError as missing:
            text = f'decoder = "gstreamer" needs GStreamer ({missing}): sudo apt install {PACKAGES}'
            raise Permanent(text) from None
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._sink.gst_app_sink_try_pull_sample.restype = c_void_p
        self._sink.gst_app_sink_try_pull_sample.argtypes = (c_void_p, c_uint64)
        self._glib.g_error_free.argtypes = (c_void_p,)
        error = POINTER(_GError)()
        if not self("gst_init_check", None, None, byref(error)):
            raise Permanent(f"GStreamer does not start: {self.text(error)}")

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call a function by its name."""
        return getattr(self._library, name)(*arguments)

    def pull(self, sink: int, timeout_seconds: float) -> int | None:
        """Wait for a sample of an appsink; None after the timeout, and at the end of the stream."""
        found = self._sink.gst_app_sink_try_pull_sample(sink, round(timeout_seconds * _NANOSECONDS))
        return None if found is None else int(found)

    def has(self, element: str) -> bool:
        """Whether a kind of element is installed."""
        factory = self("gst_element_factory_find", element.encode())
        if factory:
            self("gst_object_unref", factory)
        return bool(factory)

    def text(self, error: Any) -> str:
        """The words of a GError, one line; it is freed."""
        if not error:
            return "unknown"
        text = (error.contents.message or b"").decode(errors="replace")
        self._glib.g_error_free(error)
        return " ".join(text.split())


@functools.cache
def load_gstreamer() -> Gstreamer:
    """The library, loaded once. Raises Permanent where it cannot be used."""
    return Gstreamer()


class Pipeline:
    """A running pipeline with an appsink `frames` behind BGR or BGRx. For one thread."""

    def __init__(self, description: str, properties: dict[str, str]) -> None:
        """Args: properties: of its element `source`. Raises Permanent where an element is missing."""
        self._gst = gst = load_gstreamer()
        error = POINTER(_GError)()
        self._pipeline: int | None = gst("gst_parse_launch", description.encode(), byref(error))
        if error:
            self.stop()
            raise Permanent(f"GStreamer: {gst.text(error)}; wanted {PACKAGES}")
        self._sink = gst("gst_bin_get_by_name", self._pipeline, b"frames")
        source = gst("gst_bin_get_by_name", self._pipeline, b"source")
        for name, value in properties.items():
            gst("gst_util_set_object_arg", source, name.encode(), value.encode())
        gst("gst_object_unref", source)
        self._bus = gst("gst_element_get_bus", self._pipeline)
        gst("gst_element_set_state", self._pipeline, _PLAYING)

    def next(self, timeout_seconds: float) -> GstImage | None:
        """Wait for the next image; None after the timeout. Raises Temporary where the pipeline has failed or ended."""
        sample = self._gst.pull(self._sink, timeout_seconds)
        if sample is None:
            self._check()
            return None
        try:
            return self._image(sample)
        finally:
            self._gst("gst_mini_object_unref", sample)

    def stop(self) -> None:
        """End it; safe more than once."""
        if self._pipeline is None:
            return
        gst, pipeline, self._pipeline = self._gst, self._pipeline, None
        gst("gst_element_set_state", pipeline, _NULL)
        for held in ("_sink", "_bus"):
            with suppress(AttributeError):
                gst("gst_object_unref", getattr(self, held))
        gst("gst_object_unref", pipeline)

    def _check(self) -> None:
        message = self._gst("gst_bus_pop_filtered", self._bus, _ERROR | _ENDED)
        if not message:
            return
        error = POINTER(_GError)()
        # Of the end of a stream, there is no error to parse.
        self._gst("gst_message_parse_error", message, byref(error), None)
        text = self._gst.text(error)
        self._gst("gst_mini_object_unref", message)
        raise Temporary(text)

    def _image(self, sample: int) -> GstImage:
        gst, width, height, mapped = self._gst, c_int(), c_int(), _MapInfo()
        structure = gst("gst_caps_get_structure", gst("gst_sample_get_caps", sample), 0)
        gst("gst_structure_get_int", structure, b"width", byref(width))
        gst("gst_structure_get_int", structure, b"height", byref(height))
        buffer = gst("gst_sample_get_buffer", sample)
        if not gst("gst_buffer_map", buffer, byref(mapped), 1):
            raise Temporary("an image cannot be read from memory")
        try:
            data = np.ctypeslib.as_array((ctypes.c_uint8 * mapped.size).from_address(mapped.data))
            # Rows of BGR are padded to whole groups of four bytes.
            row = mapped.size // height.value
            channels = 4 if row == 4 * width.value else 3
            rows = data[: row * height.value].reshape(height.value, row)[:, : channels * width.value]
            pixels = rows.reshape(height.value, width.value, channels)[:, :, :3].copy()
        finally:
            gst("gst_buffer_unmap", buffer, byref(mapped))
        return GstImage(pixels, not gst("gst_buffer_get_flags", buffer) & _CORRUPTED)
