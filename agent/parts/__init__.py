"""From frames to parts: which frames show the same part, and what was found about it; and shifts."""

from agent.parts.codes import CodeReader
from agent.parts.frame_rate import RateMeter
from agent.parts.grouping import ByCount, ByGap, Grouping, SingleFrames
from agent.parts.missing import MissingParts
from agent.parts.passing import ByPresence
from agent.parts.presence import PresenceMeter
from agent.parts.shifts import Shift, ShiftCalendar, read_time, read_zone, starts_of
from agent.parts.shot import Group, Shot
from agent.parts.triggers import ByTrigger
from agent.parts.views import ViewVerdict, join_views

__all__ = [
    "ByCount",
    "ByGap",
    "ByPresence",
    "ByTrigger",
    "CodeReader",
    "Group",
    "Grouping",
    "MissingParts",
    "PresenceMeter",
    "RateMeter",
    "Shift",
    "ShiftCalendar",
    "Shot",
    "SingleFrames",
    "ViewVerdict",
    "join_views",
    "read_time",
    "read_zone",
    "starts_of",
]
