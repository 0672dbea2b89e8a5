"""Training from the page: `uploads.py` keeps the images that people send, `runs.py` starts the process that trains."""

from agent.page.training.runs import IS_SERVICE, Training
from agent.page.training.uploads import MAX_FILE_BYTES, TooMuch, Uploads

__all__ = ["IS_SERVICE", "MAX_FILE_BYTES", "TooMuch", "Training", "Uploads"]
