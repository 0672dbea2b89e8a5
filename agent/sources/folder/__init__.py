"""A folder of images: which files are new and complete, which were inspected before, and which do not fit."""

from agent.sources.folder.arrivals import GIVE_UP_SECONDS
from agent.sources.folder.source import FolderSource, from_settings

__all__ = ["GIVE_UP_SECONDS", "FolderSource", "from_settings"]
