"""From the settings of a source to the source. A new kind of camera is added here and in `agent.settings.settings`."""

from __future__ import annotations

from pathlib import Path

from agent.sources.settings import (
    CameraSourceSettings,
    FolderSettings,
    SimulatorSettings,
    SourceSettings,
    VideoSettings,
)
from agent.sources.source import FrameSource


def build_source(settings: SourceSettings, *, quarantine_directory: Path) -> FrameSource:
    """The source that the settings describe, not opened yet.

    Only the module of this kind is imported. `quarantine_directory` takes copies of files that cannot be read.
    """
    if isinstance(settings, SimulatorSettings):
        return _simulator(settings)
    if isinstance(settings, FolderSettings):
        from agent.sources.folder import FolderSource

        return FolderSource(
            settings.path,
            follow=settings.follow,
            frames_per_second=settings.frames_per_second,
            quarantine_directory=quarantine_directory,
        )
    if isinstance(settings, VideoSettings):
        from agent.sources.opencv import VideoSource

        return VideoSource(settings.path, frames_per_second=settings.frames_per_second)
    return _camera(settings)


def _simulator(settings: SimulatorSettings) -> FrameSource:
    from agent.sources.simulator import Fault, FaultKind, SimulatedLine, SimulatorSource

    line = SimulatedLine(
        settings.mode,
        seed=settings.seed,
        defect_rate=settings.defect_rate,
        frames_per_part=settings.frames_per_part,
        good_frames=settings.good_frames,
    )
    faults = [
        Fault(FaultKind(fault.kind), fault.duration_seconds, fault.start_seconds, fault.start_frame)
        for fault in settings.faults
    ]
    return SimulatorSource(
        line, frames_per_second=settings.frames_per_second, frame_count=settings.max_frames, faults=faults
    )


def _camera(settings: CameraSourceSettings) -> FrameSource:
    from agent.sources.opencv import CameraSource

    address = settings.url if settings.url is not None else settings.device
    assert address is not None, "the settings have exactly one of the two"
    return CameraSource(
        address,
        width=settings.width,
        height=settings.height,
        frames_per_second=settings.frames_per_second,
        open_timeout_seconds=settings.open_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
    )
