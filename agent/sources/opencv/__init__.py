"""Cameras and video files that OpenCV reads."""

from agent.sources.opencv.camera import CameraSource
from agent.sources.opencv.video import VideoSource

__all__ = ["CameraSource", "VideoSource"]
