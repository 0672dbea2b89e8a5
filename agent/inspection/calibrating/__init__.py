"""A camera's calibration: the window that is being filled, the one in force, and what a new one would have done."""

from agent.inspection.calibrating.camera_calibration import CameraCalibration
from agent.inspection.calibrating.kept_window import WindowFile, shape_of
from agent.inspection.calibrating.preview import preview_calibration
from agent.inspection.calibrating.window_calibrator import WindowCalibrator
from agent.inspection.calibrating.window_progress import WindowProgress

__all__ = ["CameraCalibration", "WindowCalibrator", "WindowFile", "WindowProgress", "preview_calibration", "shape_of"]
