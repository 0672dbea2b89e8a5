"""From the settings to an open camera of a producer."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import Permanent
from agent.sources.genicam.camera import IndustrialCamera
from agent.sources.genicam.gentl.producer import FoundDevice, load_producer
from agent.sources.genicam.settings import GenicamSettings


def connect_by_producer(settings: GenicamSettings) -> IndustrialCamera:
    """Open the camera; raises as `connect` does."""
    assert settings.producer is not None
    _check_extra()
    from agent.sources.genicam.gentl.camera import GentlCamera

    producer = load_producer(settings.producer)
    return GentlCamera(producer, producer.locate(settings.camera), settings.camera)


def find_by_producer(path: Path) -> list[FoundDevice]:
    """Every camera that a producer finds. Raises Permanent where it cannot be used, CameraError."""
    _check_extra()
    return load_producer(path).find()


def _check_extra() -> None:
    try:
        import genicam.genapi  # noqa: F401
    except ImportError as error:
        text = f"a producer needs the extra genicam ({error}): pip install 'inspectd[genicam]'"
        raise Permanent(text) from None
