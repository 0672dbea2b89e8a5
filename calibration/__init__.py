"""From a window of good frames to a threshold with a stated false-alarm budget. Needs numpy and scipy only."""

from calibration.budget import Budget
from calibration.budget_text import read_duration
from calibration.deferred_store import DeferredStore
from calibration.drift import Drift, DriftMonitor
from calibration.errors import CalibrationError
from calibration.fit import FitFinding, Misfit, TrainingScores, check_fit
from calibration.image_measures import ImageMeasures, measure_image
from calibration.judged import FalseAlarmLevel, found_defects, level_of_false_alarms
from calibration.monitor import CameraMonitor, Finding, SizeMonitor, Symptom
from calibration.promise_watch import BrokenPromise, find_broken_promise
from calibration.record import (
    Calibration,
    CameraReference,
    LeftOut,
    Range,
    ScoreReference,
    SourceReference,
    ViewReference,
    score_reference,
)
from calibration.report import report_html
from calibration.ripening import worst_rate
from calibration.rule import AlarmRule, Rule
from calibration.score_log import ScoreLog
from calibration.source_images import SourceImages
from calibration.store import Store, Switch
from calibration.suspects import MOST_BAD
from calibration.threshold import LEAST_FRAMES, Threshold, calibrate
from calibration.view import Glance, glance
from calibration.window import Window

__all__ = [
    "LEAST_FRAMES",
    "MOST_BAD",
    "AlarmRule",
    "BrokenPromise",
    "Budget",
    "Calibration",
    "CalibrationError",
    "CameraMonitor",
    "CameraReference",
    "DeferredStore",
    "Drift",
    "DriftMonitor",
    "FalseAlarmLevel",
    "Finding",
    "FitFinding",
    "Glance",
    "ImageMeasures",
    "LeftOut",
    "Misfit",
    "Range",
    "Rule",
    "ScoreLog",
    "ScoreReference",
    "SizeMonitor",
    "SourceImages",
    "SourceReference",
    "Store",
    "Switch",
    "Symptom",
    "Threshold",
    "TrainingScores",
    "ViewReference",
    "Window",
    "calibrate",
    "check_fit",
    "find_broken_promise",
    "found_defects",
    "glance",
    "level_of_false_alarms",
    "measure_image",
    "read_duration",
    "report_html",
    "score_reference",
    "worst_rate",
]
