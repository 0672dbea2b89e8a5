"""Where frames come from: one file for each kind of camera, behind `FrameSource`."""

from agent.sources.source import Captured, EndOfStream, FrameSource

__all__ = ["Captured", "EndOfStream", "FrameSource"]
