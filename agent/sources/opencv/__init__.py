"""Cameras and video files, read by OpenCV."""

from agent.sources.opencv.av_stream import sends_b_frames
from agent.sources.opencv.camera import CameraSource
from agent.sources.opencv.gst_stream import by_hardware
from agent.sources.opencv.video import VideoSource

__all__ = ["CameraSource", "VideoSource", "by_hardware", "sends_b_frames"]
