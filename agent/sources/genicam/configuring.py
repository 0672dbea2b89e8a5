"""Sets an open camera as the settings want it, and names what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.core.errors import Permanent
from agent.sources.genicam.camera import LIGHTS, CameraError, IndustrialCamera, Light
from agent.sources.genicam.settings import GenicamSettings


def configure(camera: IndustrialCamera, settings: GenicamSettings, held: dict[Light, float]) -> None:
    """Set the camera. `held`: what was adjusted before and is to stay, instead of an automatic control.

    Raises Permanent, with the setting and what the camera has, where it cannot be set so; CameraError where the camera
    does not answer.
    """
    if settings.pixel_format is not None:
        _check(camera, "pixel_format", settings.pixel_format, camera.pixel_formats())
        camera.set_pixel_format(settings.pixel_format)
    _set_region(camera, settings)
    _set_trigger(camera, settings)
    for light, setting in LIGHTS.items():
        value = held.get(light, getattr(settings, setting))
        if value is not None:
            with _naming(camera, setting, value):
                _set_light(camera, light, value)
    with _naming(camera, "packet_size", settings.packet_size):
        camera.set_packet_size(settings.packet_size)
    for feature, value in settings.features.items():
        with _naming(camera, f"features.{feature}", value):
            camera.set_feature(feature, value)


def hold_light(camera: IndustrialCamera, light: Light) -> float:
    """End its automatic control; returns the exposure in microseconds, or the gain, that stays. Raises CameraError."""
    camera.set_adjusting(light, False)
    return camera.light(light)


def _check(camera: IndustrialCamera, setting: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise Permanent(f"{camera}: got {setting} = {value!r}, the camera has {', '.join(known) or 'none'}")


@contextmanager
def _naming(camera: IndustrialCamera, setting: str, value: Any) -> Iterator[None]:
    """An error of the library is one about this setting, unless the camera is gone."""
    try:
        yield
    except CameraError as error:
        camera.probe()
        raise Permanent(f"{camera}: got {setting} = {value!r}, which it rejects: {error}") from None


def _set_region(camera: IndustrialCamera, settings: GenicamSettings) -> None:
    region = settings.region
    if region is None:
        return
    wanted = (region.x, region.y, region.width, region.height)
    with _naming(camera, "region", region.model_dump()):
        camera.set_region(*wanted)
    got = camera.region()
    if got != wanted:
        text = "x = {}, y = {}, width = {}, height = {}"
        raise Permanent(f"{camera}: got region {text.format(*wanted)}; the camera makes it {text.format(*got)}")


def _set_trigger(camera: IndustrialCamera, settings: GenicamSettings) -> None:
    camera.run_freely()
    if settings.trigger == "off":
        bounds = camera.frame_rate_bounds()
        if settings.frames_per_second is not None and bounds is not None:
            _check_range(camera, "frames_per_second", settings.frames_per_second, bounds)
            camera.set_frame_rate(settings.frames_per_second)
        return
    source = "Software" if settings.trigger == "software" else settings.trigger
    _check(camera, "trigger", source, camera.trigger_sources())
    with _naming(camera, "trigger", settings.trigger):
        camera.set_trigger(source)


def _set_light(camera: IndustrialCamera, light: Light, value: float | str) -> None:
    automatic = camera.adjusts(light)
    if value == "auto":
        if not automatic:
            raise Permanent(f"{camera}: got {LIGHTS[light]} = 'auto', which it has not: wanted a number")
        camera.set_adjusting(light, True)
        return
    assert isinstance(value, float)
    _check_range(camera, LIGHTS[light], value, camera.light_bounds(light))
    if automatic:
        camera.set_adjusting(light, False)
    camera.set_light(light, value)


def _check_range(camera: IndustrialCamera, setting: str, value: float, bounds: tuple[float, float]) -> None:
    lowest, highest = bounds
    # A camera without limits reports the ends of the numbers.
    if lowest <= highest and not lowest <= value <= highest:
        raise Permanent(f"{camera}: got {setting} = {value:g}, wanted {lowest:g} to {highest:g}")
