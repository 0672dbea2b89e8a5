"""From frames to parts: which frames show the same part, and what was found about it."""

from agent.parts.frame_rate import RateMeter
from agent.parts.grouping import ByCount, ByGap, Grouping, SingleFrames
from agent.parts.shot import Group, Shot
from agent.parts.triggers import ByTrigger

__all__ = [
    "ByCount",
    "ByGap",
    "ByTrigger",
    "Group",
    "Grouping",
    "RateMeter",
    "Shot",
    "SingleFrames",
]
