"""The calibration that a model had before another one replaced it, and that a person may put in force again.

It is offered and not taken: nobody has compared the line with it since. Meanwhile the camera fills a new window.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from calibration import Calibration, CalibrationError, Store

# Lamps, lenses and parts change within a day on many lines.
OFFERED_FOR = timedelta(days=1)


def earlier_calibration(store: Store, key: CalibrationKey, plan: CalibrationPlan, now: datetime) -> str | None:
    """The offer, one line: of the calibration for this bundle and engine, rule and budget that was in force last.

    None where there is none, or where it has not been in force for a day; `now` is UTC.
    """
    for identity, until in sorted(_ended(store).items(), key=lambda item: item[1], reverse=True):
        if now - until > OFFERED_FOR:
            return None
        calibration = _load(store, identity)
        if calibration is not None and _fits(calibration, key, plan):
            command = f"inspectd calibration rollback {key.camera} --to {identity}"
            return (
                f"this model had calibration {identity} until {until:%Y-%m-%d %H:%M} UTC; if the line has not changed "
                f"since, `{command}` judges by it until the new window is full"
            )
    return None


def _ended(store: Store) -> Mapping[str, datetime]:
    """Until when each calibration was in force last, of those that another one has replaced."""
    ended: dict[str, datetime] = {}
    for switch, following in pairwise(store.history()):
        if switch.id != following.id:
            ended[switch.id] = following.at
    return ended


def _load(store: Store, identity: str) -> Calibration | None:
    try:
        return store.load(identity)
    except CalibrationError:
        return None


def _fits(calibration: Calibration, key: CalibrationKey, plan: CalibrationPlan) -> bool:
    same = (calibration.bundle_sha256, calibration.engine) == (key.bundle, key.engine)
    return same and (calibration.rule, calibration.budget) == (plan.rule, plan.budget)
