"""What alarms and scores of production say about a calibration in force."""

from calibration.production.drift import Drift, DriftMonitor
from calibration.production.incidents import incident_sizes
from calibration.production.judged import FalseAlarmLevel, found_defects, level_of_false_alarms
from calibration.production.promise_watch import BrokenPromise, find_broken_promise
from calibration.production.ripening import worst_rate

__all__ = [
    "BrokenPromise",
    "Drift",
    "DriftMonitor",
    "FalseAlarmLevel",
    "find_broken_promise",
    "found_defects",
    "incident_sizes",
    "level_of_false_alarms",
    "worst_rate",
]
