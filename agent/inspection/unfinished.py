"""The files of one camera whose frames still wait for their outcome."""

from __future__ import annotations

from collections import deque

from agent.core.records import FileVersion, Phase
from agent.inspection.outcome import Outcome
from agent.inspection.station import Station

# A window takes 3,000 frames at most by default. Windows that are rejected one after the other must not fill memory.
MAX_WAITING = 10_000


class UnfinishedFiles:
    """Decides when a file needs no further inspection. One thread drives it.

    The frames of a first window wait until it is complete: an agent that is stopped before that starts a new window and
    needs them again. Frames that are held back because they might show a camera fault wait until that is decided.
    """

    def __init__(self, station: Station) -> None:
        """Args: station: the camera's."""
        self.station = station
        """The camera's; another one after a change of the product."""
        self._waiting: deque[FileVersion] = deque()

    def take_finished(self, outcome: Outcome) -> list[FileVersion]:
        """The files that are finished with this outcome, which the station has just returned; oldest first."""
        file = outcome.frame.file
        if file is None:
            return []
        if self.station.phase in (Phase.PAUSED, Phase.NO_PRODUCT):
            return [file]
        self._waiting.append(file)
        finished = len(self._waiting) if self._is_final(outcome) else len(self._waiting) - MAX_WAITING
        return [self._waiting.popleft() for _ in range(finished)]

    def _is_final(self, outcome: Outcome) -> bool:
        station = self.station
        if not outcome.single and not outcome.late:
            return False  # the part is not complete yet
        if station.calibration is None and outcome.candidate is None:
            return False
        return not outcome.blind or bool(outcome.alarms) or station.blind_reason is not None
