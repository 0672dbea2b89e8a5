"""Where frames come from: one file or folder for each kind of camera, behind `FrameSource`."""

from agent.sources.factory import build_source
from agent.sources.source import Captured, EndOfStream, FrameSource

__all__ = ["Captured", "EndOfStream", "FrameSource", "build_source"]
