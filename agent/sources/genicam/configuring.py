"""Sets an open camera as the settings want it, and names what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_double, c_int
from typing import Any, Literal

from agent.core.errors import Permanent
from agent.sources.genicam.aravis import Aravis, AravisError
from agent.sources.genicam.camera import ADJUST_NEVER, ADJUST_ONCE, Camera
from agent.sources.genicam.settings import GenicamSettings

# ArvAuto, ArvAcquisitionMode and ArvRangeCheckPolicy.
_AUTO_OFF, _AUTO_CONTINUOUS, _CONTINUOUS, _UNCHECKED, _CHECKED = 0, 2, 0, 0, 1

Light = Literal["exposure_time", "gain"]
"""What an automatic control adjusts, as the library names it."""

LIGHTS: dict[Light, str] = {"exposure_time": "exposure_microseconds", "gain": "gain"}
"""The setting of each."""


def configure(aravis: Aravis, camera: Camera, settings: GenicamSettings, held: dict[Light, float]) -> None:
    """Set the camera. `held`: what was adjusted before and is to stay, instead of an automatic control.

    Raises Permanent, with the setting and what the camera has, where it cannot be set so; AravisError where the camera
    does not answer.
    """
    handle = camera.handle
    if settings.pixel_format is not None:
        formats = aravis.names("arv_camera_dup_available_pixel_formats_as_strings", handle or 0)
        _check(camera, "pixel_format", settings.pixel_format, formats)
        aravis("arv_camera_set_pixel_format_from_string", handle, settings.pixel_format.encode())
    _set_region(aravis, camera, settings)
    _set_trigger(aravis, camera, settings)
    for light, setting in LIGHTS.items():
        _set_light(aravis, camera, light, held.get(light, getattr(settings, setting)))
    if camera.is_gige:
        _set_packet_size(aravis, camera, settings.packet_size)
    for feature, value in settings.features.items():
        with _naming(camera, f"features.{feature}", value):
            _set_feature(aravis, handle, feature, value)


def hold_light(aravis: Aravis, camera: Camera, light: Light) -> float:
    """End its automatic control; returns the exposure in microseconds, or the gain, that stays. Raises AravisError."""
    aravis(f"arv_camera_set_{light}_auto", camera.handle, _AUTO_OFF)
    return float(aravis(f"arv_camera_get_{light}", camera.handle))


def has_frame_rate(aravis: Aravis, camera: Camera) -> bool:
    """Whether the camera keeps a frame rate that it is given. Raises AravisError."""
    return bool(aravis("arv_camera_is_frame_rate_available", camera.handle))


def _check(camera: Camera, setting: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise Permanent(f"{camera}: got {setting} = {value!r}, the camera has {', '.join(known) or 'none'}")


@contextmanager
def _naming(camera: Camera, setting: str, value: Any) -> Iterator[None]:
    """An error of the library is one about this setting, unless the camera is gone."""
    try:
        yield
    except AravisError as error:
        camera.probe()
        raise Permanent(f"{camera}: got {setting} = {value!r}, which it rejects: {error}") from None


def _set_region(aravis: Aravis, camera: Camera, settings: GenicamSettings) -> None:
    region = settings.region
    if region is None:
        return
    wanted = (region.x, region.y, region.width, region.height)
    found = tuple(c_int() for _ in wanted)
    # Cameras cut a region that is too large, or take it and send nothing.
    aravis("arv_camera_set_range_check_policy", camera.handle, _CHECKED)
    with _naming(camera, "region", region.model_dump()):
        aravis("arv_camera_set_region", camera.handle, *wanted)
    aravis("arv_camera_set_range_check_policy", camera.handle, _UNCHECKED)
    aravis("arv_camera_get_region", camera.handle, *map(byref, found))
    got = tuple(each.value for each in found)
    if got != wanted:
        text = "x = {}, y = {}, width = {}, height = {}"
        raise Permanent(f"{camera}: got region {text.format(*wanted)}; the camera makes it {text.format(*got)}")


def _set_trigger(aravis: Aravis, camera: Camera, settings: GenicamSettings) -> None:
    aravis("arv_camera_clear_triggers", camera.handle)
    aravis("arv_camera_set_acquisition_mode", camera.handle, _CONTINUOUS)
    if settings.trigger == "off":
        if settings.frames_per_second is not None and has_frame_rate(aravis, camera):
            bounds = _bounds(aravis, camera, "frame_rate")
            _check_range(camera, "frames_per_second", settings.frames_per_second, bounds)
            aravis("arv_camera_set_frame_rate", camera.handle, settings.frames_per_second)
        return
    known = aravis.names("arv_camera_dup_available_trigger_sources", camera.handle or 0)
    source = "Software" if settings.trigger == "software" else settings.trigger
    _check(camera, "trigger", source, known)
    with _naming(camera, "trigger", settings.trigger):
        aravis("arv_camera_set_trigger", camera.handle, source.encode())


def _set_light(aravis: Aravis, camera: Camera, light: Light, value: float | str | None) -> None:
    if value is None:
        return
    feature = light.removesuffix("_time")
    automatic = bool(aravis(f"arv_camera_is_{feature}_auto_available", camera.handle))
    if value == "auto":
        if not automatic:
            raise Permanent(f"{camera}: got {LIGHTS[light]} = 'auto', which it has not: wanted a number")
        aravis(f"arv_camera_set_{light}_auto", camera.handle, _AUTO_CONTINUOUS)
        return
    assert isinstance(value, float)
    _check_range(camera, LIGHTS[light], value, _bounds(aravis, camera, light))
    if automatic:
        aravis(f"arv_camera_set_{light}_auto", camera.handle, _AUTO_OFF)
    aravis(f"arv_camera_set_{light}", camera.handle, value)


def _bounds(aravis: Aravis, camera: Camera, what: str) -> tuple[float, float]:
    lowest, highest = c_double(), c_double()
    aravis(f"arv_camera_get_{what}_bounds", camera.handle, byref(lowest), byref(highest))
    return lowest.value, highest.value


def _check_range(camera: Camera, setting: str, value: float, bounds: tuple[float, float]) -> None:
    lowest, highest = bounds
    # A camera without limits reports the ends of the numbers.
    if lowest <= highest and not lowest <= value <= highest:
        raise Permanent(f"{camera}: got {setting} = {value:g}, wanted {lowest:g} to {highest:g}")


def _set_packet_size(aravis: Aravis, camera: Camera, size: int | None) -> None:
    adjustment = ADJUST_ONCE if size is None else ADJUST_NEVER
    aravis("arv_camera_gv_set_packet_size_adjustment", camera.handle, adjustment)
    if size is not None:
        with _naming(camera, "packet_size", size):
            aravis("arv_camera_gv_set_packet_size", camera.handle, size)


def _set_feature(aravis: Aravis, handle: int | None, feature: str, value: str | bool | int | float) -> None:
    name = feature.encode()
    if isinstance(value, str):
        aravis("arv_camera_set_string", handle, name, value.encode())
    elif isinstance(value, bool):
        aravis("arv_camera_set_boolean", handle, name, int(value))
    elif isinstance(value, float):
        aravis("arv_camera_set_float", handle, name, value)
    else:
        try:
            aravis("arv_camera_set_integer", handle, name, value)
        except AravisError:  # a float that was given without a point
            aravis("arv_camera_set_float", handle, name, float(value))
