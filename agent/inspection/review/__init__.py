"""Windows that a person must look at before a threshold is taken from them."""

from agent.inspection.review.hottest_images import HotImage, HottestImages
from agent.inspection.review.known_scores import training_scores
from agent.inspection.review.reasons import Reasons, doubt_about, question_of_left_out
from agent.inspection.review.window_to_review import Suspect, WindowStopped, WindowToReview

__all__ = [
    "HotImage",
    "HottestImages",
    "Reasons",
    "Suspect",
    "WindowStopped",
    "WindowToReview",
    "doubt_about",
    "question_of_left_out",
    "training_scores",
]
