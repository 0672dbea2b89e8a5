"""Windows that a person must look at before a threshold is taken from them."""

from agent.inspection.review.hottest_images import HotImage, HottestImages
from agent.inspection.review.known_scores import training_scores
from agent.inspection.review.reasons import Reasons
from agent.inspection.review.stopped_window import StoppedWindow, Suspect, WindowStopped

__all__ = ["HotImage", "HottestImages", "Reasons", "StoppedWindow", "Suspect", "WindowStopped", "training_scores"]
