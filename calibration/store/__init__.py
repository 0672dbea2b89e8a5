"""Calibrations and scores on disk."""

from calibration.store.deferred_store import DeferredStore
from calibration.store.record import Calibration, LeftOut, Origin, ScoreReference, among, score_reference
from calibration.store.score_log import ScoreLog
from calibration.store.store import Store, Switch

__all__ = [
    "Calibration",
    "DeferredStore",
    "LeftOut",
    "Origin",
    "ScoreLog",
    "ScoreReference",
    "Store",
    "Switch",
    "among",
    "score_reference",
]
