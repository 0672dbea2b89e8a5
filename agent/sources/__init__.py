"""Where frames come from: one file or folder for each kind of source, behind `FrameSource`."""

from agent.sources.factory import SourceSettings, build_source
from agent.sources.ledger import Ledger
from agent.sources.source import Captured, EndOfStream, FileCounts, FrameSource, TransportCounts

__all__ = [
    "Captured",
    "EndOfStream",
    "FileCounts",
    "FrameSource",
    "Ledger",
    "SourceSettings",
    "TransportCounts",
    "build_source",
]
