"""Where alarms and results go, and how none is lost.

`output.py` is the interface of every destination. `recorder.py` makes alarms durable in `outbox/`, `result_recorder.py`
the results of parts in another one, and each output delivers from both. `views/` joins results of cameras that see the
same part. Each output has a folder: `mqtt/`. The table of the kinds of output is in `settings.py`.
"""

from agent.outputs.factory import build_outputs
from agent.outputs.ok_heatmaps import OK_HEATMAPS, OkHeatmaps
from agent.outputs.output import AlarmContext, Output, PublishedImages, RecordedAlarm, RecordedResult
from agent.outputs.part_counts import PartCounts, PartNumbers, ShiftNumbers
from agent.outputs.part_log import PartFilter, PartLog
from agent.outputs.recorder import AlarmJob, AlarmRecorder, state_key
from agent.outputs.result_recorder import ResultRecorder
from agent.outputs.settings import KINDS, OutputKind, OutputSection
from agent.outputs.views import JoinCounts, ViewGroup, ViewJoiner

__all__ = [
    "KINDS",
    "OK_HEATMAPS",
    "AlarmContext",
    "AlarmJob",
    "AlarmRecorder",
    "JoinCounts",
    "OkHeatmaps",
    "Output",
    "OutputKind",
    "OutputSection",
    "PartCounts",
    "PartFilter",
    "PartLog",
    "PartNumbers",
    "PublishedImages",
    "RecordedAlarm",
    "RecordedResult",
    "ResultRecorder",
    "ShiftNumbers",
    "ViewGroup",
    "ViewJoiner",
    "build_outputs",
    "state_key",
]
