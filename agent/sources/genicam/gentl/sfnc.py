"""What a camera can do, by the names of SFNC (GenICam Standard Features Naming Convention)."""

from __future__ import annotations

from agent.sources.genicam.camera import IndustrialCamera, Light
from agent.sources.genicam.gentl.features import Features

# Names of SFNC, then those of cameras before SFNC 2.0.
_RATES = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
_VALUES: dict[Light, tuple[str, ...]] = {
    "exposure_time": ("ExposureTime", "ExposureTimeAbs", "ExposureTimeRaw"),
    "gain": ("Gain", "GainAbs", "GainRaw"),
}
_AUTOMATIC: dict[Light, str] = {"exposure_time": "ExposureAuto", "gain": "GainAuto"}


class SfncCamera(IndustrialCamera):
    """A camera whose features are set by their names. A subclass opens it and has its stream."""

    _features: Features

    def probe(self) -> None:
        """Ask it for something; how long that takes where it does not answer is up to the producer."""
        self._features.number("Width", fresh=True)

    def trigger(self) -> None:
        """Let it take a frame."""
        self._features.execute("TriggerSoftware")

    def pixel_formats(self) -> list[str]:
        """The names of those that it can send."""
        return self._features.choices("PixelFormat")

    def set_pixel_format(self, name: str) -> None:
        """Choose one of them."""
        self._features.set("PixelFormat", name)

    def set_region(self, x: int, y: int, width: int, height: int) -> None:
        """The part of the sensor that it sends, pixels."""
        for offset in ("OffsetX", "OffsetY"):
            self._features.set_if_there(offset, 0)
        self._features.set("Width", width)
        self._features.set("Height", height)
        for offset, value in (("OffsetX", x), ("OffsetY", y)):
            if value:
                self._features.set(offset, value)

    def region(self) -> tuple[int, int, int, int]:
        """x, y, width and height, pixels."""
        x, y = (int(self._features.number(name)) if self._features.has(name) else 0 for name in ("OffsetX", "OffsetY"))
        return x, y, int(self._features.number("Width")), int(self._features.number("Height"))

    def run_freely(self) -> None:
        """Take frames continuously and without a trigger."""
        for selector in self._features.choices("TriggerSelector"):
            self._features.set("TriggerSelector", selector)
            self._features.set_if_there("TriggerMode", "Off")
        self._features.set_if_there("AcquisitionMode", "Continuous")

    def trigger_sources(self) -> list[str]:
        """What can trigger it."""
        return self._features.choices("TriggerSource")

    def set_trigger(self, source: str) -> None:
        """Take one frame for each signal of this source."""
        self._features.set_if_there("TriggerSelector", "FrameStart")
        self._features.set("TriggerMode", "On")
        self._features.set("TriggerSource", source)
        self._features.set_if_there("TriggerActivation", "RisingEdge")

    def frame_rate_bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest frame rate, frames/s; None where it cannot be given one."""
        self._features.set_if_there("AcquisitionFrameRateEnable", 1)
        rate = self._features.first_of(*_RATES)
        return self._features.bounds(rate) if self._features.has(rate) else None

    def set_frame_rate(self, frames_per_second: float) -> None:
        """Keep this frame rate."""
        self._features.set(self._features.first_of(*_RATES), frames_per_second)

    def adjusts(self, light: Light) -> bool:
        """Whether it can adjust this by itself."""
        return "Continuous" in self._features.choices(_AUTOMATIC[light])

    def set_adjusting(self, light: Light, on: bool) -> None:
        """Adjust it continuously, or never."""
        self._features.set(_AUTOMATIC[light], "Continuous" if on else "Off")

    def light_bounds(self, light: Light) -> tuple[float, float]:
        """The lowest and the highest value, microseconds or the camera's unit of gain."""
        return self._features.bounds(self._features.first_of(*_VALUES[light]))

    def light(self, light: Light) -> float:
        """Its present value."""
        return self._features.number(self._features.first_of(*_VALUES[light]), fresh=True)

    def set_light(self, light: Light, value: float) -> None:
        """Set it."""
        self._features.set(self._features.first_of(*_VALUES[light]), value)

    def set_packet_size(self, size: int | None) -> None:
        """Bytes of a GigE Vision packet; None: as the producer chooses it."""
        if size is not None:
            self._features.set("GevSCPSPacketSize", size)

    def set_feature(self, name: str, value: str | bool | int | float) -> None:
        """Set a feature by its GenICam name."""
        self._features.set(name, value)
