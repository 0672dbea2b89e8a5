"""The commands of people who watch: the latest image with its heatmap, scores, images of alarms, the device.

`live.py`: the latest image; `scores.py`: scores and the last verdict; `alarm_images.py`: images of an alarm;
`device.py`: the health of the device and the commands that the agent accepts.
"""

from agent.commands.view.alarm_images import AlarmImageRequest, alarm_image
from agent.commands.view.device import CommandsRequest, DeviceRequest, read_device
from agent.commands.view.live import LiveRequest, LiveResult, live_image
from agent.commands.view.scores import ScoresRequest, read_scores

__all__ = [
    "AlarmImageRequest",
    "CommandsRequest",
    "DeviceRequest",
    "LiveRequest",
    "LiveResult",
    "ScoresRequest",
    "alarm_image",
    "live_image",
    "read_device",
    "read_scores",
]
