"""From the frames of a source to verdicts and alarms: capture, engine, calibration, judging."""

from agent.inspection.calibrating import WindowFile, preview_calibration, shape_of
from agent.inspection.calibration_plan import (
    CalibrationKey,
    CalibrationPlan,
    calibrations_of,
    plan_of,
    setup_directory,
    thresholds_in_force,
)
from agent.inspection.camera_line import CameraLine, Counters
from agent.inspection.capture import CameraState, CameraStatus, Capture
from agent.inspection.frame_queue import FrameQueue
from agent.inspection.groups import code_reader_of, grouping_of, presence_meter_of
from agent.inspection.inspector import Inspector, OnTiming
from agent.inspection.outcome import Candidate, LastFrame, Left, Outcome
from agent.inspection.preparation import Preparation, PreparedImage, check_mask_setting, inspected_view
from agent.inspection.review import WindowToReview, training_scores
from agent.inspection.setup import Setup
from agent.inspection.station import Station
from agent.inspection.thread import InspectionThread
from agent.inspection.view import FACTORS, DrawnView, aligned_image, load_drawn_view, save_drawn_view

__all__ = [
    "FACTORS",
    "CalibrationKey",
    "CalibrationPlan",
    "CameraLine",
    "CameraState",
    "CameraStatus",
    "Candidate",
    "Capture",
    "Counters",
    "DrawnView",
    "FrameQueue",
    "InspectionThread",
    "Inspector",
    "LastFrame",
    "Left",
    "OnTiming",
    "Outcome",
    "Preparation",
    "PreparedImage",
    "Setup",
    "Station",
    "WindowFile",
    "WindowToReview",
    "aligned_image",
    "calibrations_of",
    "check_mask_setting",
    "code_reader_of",
    "grouping_of",
    "inspected_view",
    "load_drawn_view",
    "plan_of",
    "presence_meter_of",
    "preview_calibration",
    "save_drawn_view",
    "setup_directory",
    "shape_of",
    "thresholds_in_force",
    "training_scores",
]
