"""The commands of people who watch: the latest image with its heatmap, scores, images of alarms, the device.

`live.py`: the latest image; `scores.py`: scores and the last verdict; `alarm_images.py`: images of an alarm;
`device.py`: the health of the device and the commands that the agent accepts; `drawn.py`: crop, mask and
code region, in force and as drawn; `recent.py`: the latest results and alarms.
"""

from agent.commands.view.alarm_images import (
    MEDIA_TYPES,
    AlarmImageRequest,
    ImageSide,
    alarm_image,
    image_document,
    small_jpeg,
)
from agent.commands.view.device import CommandsRequest, DeviceRequest, read_device
from agent.commands.view.drawn import DrawViewRequest, DrawViewResult, ViewRequest, ViewResult, draw_view, show_view
from agent.commands.view.live import LiveRequest, LiveResult, live_image
from agent.commands.view.recent import RecentRequest, read_recent
from agent.commands.view.scores import ScoresRequest, read_scores

__all__ = [
    "MEDIA_TYPES",
    "AlarmImageRequest",
    "CommandsRequest",
    "DeviceRequest",
    "DrawViewRequest",
    "DrawViewResult",
    "ImageSide",
    "LiveRequest",
    "LiveResult",
    "RecentRequest",
    "ScoresRequest",
    "ViewRequest",
    "ViewResult",
    "alarm_image",
    "draw_view",
    "image_document",
    "live_image",
    "read_device",
    "read_recent",
    "read_scores",
    "show_view",
    "small_jpeg",
]
