"""Alarms for cameras that deliver no frames: a station is driven by frames and cannot notice."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from agent.core.errors import Temporary
from agent.inspection import CameraLine
from agent.service.dispatcher import Dispatcher

log = logging.getLogger(__name__)


def raise_lost_alarms(lines: Iterable[CameraLine], dispatcher: Dispatcher) -> None:
    """Raise an alarm for each camera that delivers no frames and has none yet."""
    now = time.monotonic()
    for line in lines:
        reason = line.lost_reason(now)
        if reason is not None and line.station.blind_reason is None:
            try:
                line.call(lambda line=line, reason=reason: _mark_lost(line, reason, dispatcher))  # type: ignore[misc]
            except Temporary as error:
                log.warning("camera %s: lost, but no alarm was raised: %s", line.name, error)


def _mark_lost(line: CameraLine, reason: str, dispatcher: Dispatcher) -> None:
    alarm = line.station.mark_camera_lost(reason, time.monotonic())
    if alarm is not None:
        dispatcher.dispatch_alarm(line, alarm)
