"""From the settings to the open camera, by Aravis or by the producer that the settings name."""

from __future__ import annotations

from agent.sources.genicam.camera import IndustrialCamera
from agent.sources.genicam.settings import GenicamSettings


def connect(settings: GenicamSettings) -> IndustrialCamera:
    """Open the camera and take control of it.

    Raises Permanent where a library is missing, CameraBusy where another program controls the camera, Temporary where
    it is not found, CameraError where it does not answer.
    """
    if settings.producer is not None:
        from agent.sources.genicam.gentl.connecting import connect_by_producer

        return connect_by_producer(settings)
    from agent.sources.genicam.aravis.camera import AravisCamera
    from agent.sources.genicam.aravis.finding import locate
    from agent.sources.genicam.aravis.library import load_aravis

    aravis = load_aravis()
    return AravisCamera(aravis, locate(aravis, settings))
