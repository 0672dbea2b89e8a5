"""People's judgements of alarms, the promise in production, and the images kept for training.

- `review.py`: the thread of a running agent that takes everything in; `camera_feed.py`: what it notes per frame;
- `journal.py`: alarms and judgements, in the file that `database.py` opens; `records.py`: their records;
- `folders.py`: where the files are; `archive.py`: the same of an agent that does not run; `documents.py`: as JSON;
- `promise.py`: certificate and watch of one calibration; `lives.py`: of all cameras; `sentences.py`: in words;
- `judged_scores.py`: what judged alarms say about a threshold;
- `images.py`, `reservoir.py`: the images kept; `export.py`: as folders for training;
  `kept_for_training.py`: one by one.
"""

from agent.review.archive import open_archive
from agent.review.documents import alarm_document, export_document, list_document, show_document, verdict_payload
from agent.review.export import export_images
from agent.review.folders import ReviewFolders
from agent.review.judged_scores import JudgedScores, ScoreBasis
from agent.review.kept_for_training import TrainingImage, training_images
from agent.review.lives import PromiseStatus
from agent.review.records import AlarmFilter, Judged, JudgedAlarm
from agent.review.review import AlarmBasis, Review

__all__ = [
    "AlarmBasis",
    "AlarmFilter",
    "Judged",
    "JudgedAlarm",
    "JudgedScores",
    "PromiseStatus",
    "Review",
    "ReviewFolders",
    "ScoreBasis",
    "TrainingImage",
    "alarm_document",
    "export_document",
    "export_images",
    "list_document",
    "open_archive",
    "show_document",
    "training_images",
    "verdict_payload",
]
