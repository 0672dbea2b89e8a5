"""Where alarms go, and how none is lost."""

from agent.outputs.recorder import AlarmContext, AlarmJob, AlarmRecorder, state_key

__all__ = ["AlarmContext", "AlarmJob", "AlarmRecorder", "state_key"]
