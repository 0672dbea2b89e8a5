"""The time of capture of alarms that were recorded before the clock of the device was set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from agent.core.clock import clock_synchronised, utc_now
from agent.messages import UNSYNCHRONISED, AlarmPayload
from agent.outputs.outbox import Row

# Present in the document of every alarm that may have to be corrected: others need not be parsed.
_MARK = f'"clock":"{UNSYNCHRONISED}"'.encode()


class CaptureTime:
    """Corrects `captured_at` once the clock is set, by the monotonic clock, which no time server changes."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        now: Callable[[], datetime] = utc_now,
        synchronised: Callable[[], bool | None] = clock_synchronised,
    ) -> None:
        """`monotonic`: the clock of `Row.captured_monotonic`; `synchronised`: None if that is not known."""
        self._monotonic = monotonic
        self._now = now
        self._synchronised = synchronised

    def corrected(self, row: Row) -> Row:
        """The row to deliver. Rows of an earlier run, which had another monotonic clock, keep their mark."""
        if _MARK not in row.payload or row.captured_monotonic is None or self._synchronised() is False:
            return row
        alarm = AlarmPayload.model_validate_json(row.payload)
        captured_at = self._now() - timedelta(seconds=self._monotonic() - row.captured_monotonic)
        payload = alarm.model_copy(update={"captured_at": captured_at, "clock": "corrected"}).to_bytes()
        return replace(row, payload=payload)
