"""Where alarms go, and how none is lost.

`output.py` is the interface of every destination; `recorder.py` makes alarms durable in `outbox/`, from which each
output delivers them. Each output has a folder: `mqtt/`. The table of the kinds of output is in `settings.py`.
"""

from agent.outputs.factory import build_outputs
from agent.outputs.output import AlarmContext, Output, PublishedImages, RecordedAlarm
from agent.outputs.recorder import AlarmJob, AlarmRecorder, state_key
from agent.outputs.settings import KINDS, OutputKind, OutputSection

__all__ = [
    "KINDS",
    "AlarmContext",
    "AlarmJob",
    "AlarmRecorder",
    "Output",
    "OutputKind",
    "OutputSection",
    "PublishedImages",
    "RecordedAlarm",
    "build_outputs",
    "state_key",
]
