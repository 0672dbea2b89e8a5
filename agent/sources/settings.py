"""The settings section of each kind of source. `agent.sources.factory` has the table that they are entered in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from agent.core.section import ConnectedSection, Host, Section
from engines.images import FileReading, RawFormat

# The schemes of network cameras, with the port that each has where the URL names none.
NETWORK_CAMERA_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class SourceSection(ConnectedSection):
    """The settings of one source. A kind of source adds its own fields."""

    frame_is_part: ClassVar[bool] = False
    """Each frame shows another part, so that one frame decides about it."""
    exclusive: ClassVar[bool] = False
    """What it reads can be opened once at a time."""
    address_families: ClassVar[tuple[str, ...]] = ()
    """Kinds of sockets that it needs beyond IP and Unix, as socket(2) names them."""

    kind: str
    """Its name in the table of `agent.sources.factory`; a section narrows it to one `Literal`."""
    frames_per_second: PositiveFloat | None = None
    """Frame rate that the source is paced to or asked for; None takes frames as fast as they come."""

    @property
    def keeps_time(self) -> bool:
        """Whether the time between two frames is that of the line; False where it only shows how fast a disk is."""
        return True

    @property
    def wants_parts_announced(self) -> bool:
        """Whether it gives frames only of parts that the command `inspect` announces."""
        return False

    @property
    def reading(self) -> FileReading | None:
        """How its image files are read; None for a source without image files."""
        return None

    def files(self) -> list[Path]:
        """Files and folders that this source reads; `doctor` checks that the service can see them."""
        return []

    def problem(self) -> str | None:
        """Why it cannot work on this machine, as far as only its library can tell; None: nothing is known."""
        return None

    def remedy(self) -> str:
        """The command that a technician runs first if this source gives no frames."""
        commands = [f"ping -c 3 {host.name}; nc -vz {host.name} {host.port}" for host in self.hosts()]
        commands += [f"ls -ld {place}" for place in (*self.devices(), *self.files())]
        return "; ".join([*commands, f"check the source (kind = {self.kind}) in the settings"])


class FaultSettings(Section):
    """A fault of the simulated camera. It starts at a time or at a frame."""

    kind: Literal["black", "saturated", "frozen", "defocused", "shifted", "lost"]
    duration_seconds: PositiveFloat
    start_seconds: Annotated[float, Field(ge=0.0)] | None = None
    """Seconds after the first frame."""
    start_frame: NonNegativeInt | None = None
    """Index of the first faulty frame, from 0."""

    @model_validator(mode="after")
    def _one_start(self) -> FaultSettings:
        if (self.start_seconds is None) == (self.start_frame is None):
            raise ValueError("wanted either start_seconds or start_frame")
        return self


class SimulatorSettings(SourceSection):
    """The built-in production line."""

    kind: Literal["simulator"]
    mode: Literal["camera", "xray"] = "camera"
    """8-bit images of a milled plate, or 16-bit X-ray images of a casting."""
    frames_per_second: PositiveFloat = 20.0
    seed: NonNegativeInt = 0
    # Above this, the alarms of two bad parts could not be distinguished.
    defect_rate: Annotated[float, Field(ge=0.0, le=0.2)] = 0.05
    """Share of the parts that are bad."""
    frames_per_part: PositiveInt = 4
    gap_frames: NonNegativeInt = 0
    """Frames of the empty view between two parts."""
    good_frames: NonNegativeInt = 400
    """No part is bad before this frame, so that the agent can calibrate."""
    loose: bool = False
    """Parts lie up to 5 % of the frame and 10 degrees away, instead of in a fixture."""
    max_frames: PositiveInt | None = None
    """The stream ends after so many frames; None: never."""
    faults: tuple[FaultSettings, ...] = ()


class ImageFileSettings(SourceSection):
    """Image files, which may not themselves say what their values mean."""

    value_range: tuple[float, float] | None = None
    """Values that become black and white, of float images and DICOM files with a rescale slope."""

    @property
    def reading(self) -> FileReading:
        """How the files are read."""
        return FileReading(value_range=self.value_range)

    @model_validator(mode="after")
    def _readable(self) -> ImageFileSettings:
        _ = self.reading
        return self


class FolderSettings(ImageFileSettings):
    """Images in a folder, in the order of their names."""

    frame_is_part: ClassVar[bool] = True

    kind: Literal["folder"]
    path: Path
    follow: bool = False
    """Wait for new images after the last one."""
    recursive: bool = False
    """Also read the folders below; links to folders are not followed."""
    raw: RawFormat | None = None
    """Format of .raw files; None: they are skipped."""

    @property
    def reading(self) -> FileReading:
        """How the files are read."""
        return FileReading(raw=self.raw, value_range=self.value_range)

    @property
    def keeps_time(self) -> bool:
        """Only where images arrive while the folder is followed, or are read at a rate of the settings."""
        return self.follow or self.frames_per_second is not None

    def files(self) -> list[Path]:
        """The folder."""
        return [self.path]


class VideoSettings(SourceSection):
    """A video file."""

    kind: Literal["video"]
    path: Path

    @property
    def keeps_time(self) -> bool:
        """Only where it is read at a rate of the settings."""
        return self.frames_per_second is not None

    def files(self) -> list[Path]:
        """The video file."""
        return [self.path]


class LiveSettings(SourceSection):
    """A source of which frames may be averaged."""

    average: Annotated[int, Field(ge=1, le=256)] = 1
    """So many frames in a row become one, their mean: the noise of X-ray detectors falls by its square root."""


class CameraSourceSettings(LiveSettings):
    """A V4L2 or USB camera (`device`) or a network camera (`url`)."""

    exclusive: ClassVar[bool] = True

    kind: Literal["camera"]
    device: str | int | None = None
    """Device file such as /dev/video0 or a link to one, or its number."""
    url: str | None = None
    """URL such as rtsp://camera/stream; may hold a user and a password."""
    width: PositiveInt | None = None
    """Pixels; None takes the size that the camera gives."""
    height: PositiveInt | None = None
    """Pixels; None takes the size that the camera gives."""
    open_timeout_seconds: PositiveFloat = 5.0
    read_timeout_seconds: PositiveFloat = 2.0
    capture_time: Literal["arrival", "sender"] = "arrival"
    """When a frame was taken: when it arrived here, or by the clock of the RTSP camera, which needs the extra rtsp."""
    decoder: Literal["ffmpeg", "gstreamer"] = "ffmpeg"
    """What reads an RTSP camera; GStreamer of the distribution decodes by the hardware of a Jetson."""

    @model_validator(mode="after")
    def _one_address(self) -> CameraSourceSettings:
        if (self.device is None) == (self.url is None) or "" in (self.device, self.url):
            raise ValueError("wanted either device (such as /dev/video0) or url (such as rtsp://camera/stream)")
        if self.capture_time == "sender" and self.url is None:
            raise ValueError('got capture_time = "sender" with a device, wanted the url of an RTSP camera')
        if self.decoder == "gstreamer" and (self.url is None or self.capture_time == "sender"):
            given = "a device" if self.url is None else 'capture_time = "sender"'
            raise ValueError(f'got decoder = "gstreamer" with {given}, wanted the url of an RTSP camera, without it')
        return self

    def hosts(self) -> list[Host]:
        """The network camera; none if its URL cannot be parsed, which opening the camera reports."""
        try:
            parts = urlsplit(self.url or "")
            host, port = parts.hostname, parts.port or NETWORK_CAMERA_PORTS.get(parts.scheme)
        except ValueError:
            return []
        return [] if host is None or port is None else [Host(host, port)]

    def devices(self) -> list[str]:
        """The camera's device file."""
        return [] if self.device is None else [video_device(self.device)]

    def remedy(self) -> str:
        """For a URL, another program that plays it; for a device, which cameras there are and who may open them."""
        if self.url is not None:
            pings = "".join(f"ping -c 3 {host.name}; then " for host in self.hosts())
            return f"{pings}open the same address in VLC"
        return "sudo apt install v4l-utils; v4l2-ctl --list-devices; ls -l /dev/v4l/by-id; sudo usermod -aG video $USER"


def video_device(device: str | int) -> str:
    """The device file of a camera that is given by number or by path.

    >>> video_device(0), video_device("1"), video_device("/dev/v4l/by-id/usb-cam")
    ('/dev/video0', '/dev/video1', '/dev/v4l/by-id/usb-cam')
    """
    return f"/dev/video{device}" if isinstance(device, int) or device.isdigit() else device
