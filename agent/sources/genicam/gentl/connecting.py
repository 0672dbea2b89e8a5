"""From the settings to an open camera of a producer."""

from __future__ import annotations

import re
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


class ExtraMissing(Permanent):
    """The extra cannot be loaded."""

    def __init__(self, problem: str, fix: str) -> None:
        """Args: fix: the command that installs what is missing."""
        super().__init__(f"{problem}: {fix}")
        self.fix = fix


def _check_extra() -> None:
    try:
        import genicam.genapi  # noqa: F401
    except ModuleNotFoundError:
        raise ExtraMissing("a producer needs the extra genicam", "pip install 'inspectd[genicam]'") from None
    except ImportError as error:
        # Debian and Ubuntu have the library of Python in a package of its own.
        library = re.match(r"(libpython[\d.]+)\.so", str(error))
        fix = "pip install --force-reinstall genicam" if library is None else f"sudo apt install {library[1]}"
        raise ExtraMissing(f"the extra genicam cannot be loaded ({error})", fix) from None
