"""The window of good frames that a calibration is computed from."""

from calibration.window.fit import FitFinding, Misfit, TrainingScores, check_fit, noticed_from
from calibration.window.window import Window

__all__ = ["FitFinding", "Misfit", "TrainingScores", "Window", "check_fit", "noticed_from"]
