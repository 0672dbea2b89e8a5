"""When a reject gate is open. No hardware and no clock: places are seconds, or pulses of an encoder.

A part is rejected only where it is known to be before the gate. If its result comes later, the gate stays closed: it
would take another part.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# Parts between camera and gate; more are an error of the settings.
MOST_WAITING = 1000


@dataclass(slots=True)
class Gate:
    """Opens for each rejected part once the place has come, and closes after a time."""

    pulse_seconds: float
    distance: float | None
    """From where a part starts to the gate; None: the gate opens with the result."""
    _due: deque[float] = field(default_factory=deque)
    _open_until: float | None = None

    def reject(self, start: float, place: float) -> bool:
        """Reject a part; False if it has passed the gate already.

        Args:
            start: where it was at its trigger or first frame.
            place: where the line is now.
        """
        due = place if self.distance is None else start + self.distance
        if due < place or len(self._due) >= MOST_WAITING:
            return False
        self._due.append(due)
        # Results come in the order of parts, but for those that are late.
        self._due = deque(sorted(self._due))
        return True

    def is_open(self, place: float, now: float) -> bool:
        """Whether the gate is open now; `now`: monotonic seconds, which is `place` too without an encoder."""
        while self._due and self._due[0] <= place:
            self._due.popleft()
            self._open_until = now + self.pulse_seconds
        if self._open_until is not None and now >= self._open_until:
            self._open_until = None
        return self._open_until is not None

    def wait_seconds(self, now: float, *, timed: bool) -> float | None:
        """Until the gate may change; None: only when the place changes, or a part is rejected.

        `timed`: places are seconds.
        """
        times = [] if self._open_until is None else [self._open_until]
        if timed and self._due:
            times.append(self._due[0])
        return max(0.0, min(times) - now) if times else None
