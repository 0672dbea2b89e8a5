"""Counts the frames above the threshold for which the alarm rule raised no alarm."""

from __future__ import annotations

from collections import deque


class RuleWatch:
    """Follows a rule k of n: a frame above the threshold is passed once n frames have gone by without an alarm.

    >>> watch = RuleWatch(3)
    >>> [watch.update(above, False) for above in (True, False, False, False)]
    [0, 0, 1, 0]
    >>> [watch.update(above, alarmed) for above, alarmed in ((True, False), (True, True), (False, False))]
    [0, 0, 0]
    """

    def __init__(self, n: int) -> None:
        """`n`: frames that the rule considers."""
        self._n = n
        self._above: deque[bool] = deque()

    def update(self, above: bool, alarmed: bool) -> int:
        """Take in the next frame; returns how many frames are now certain to raise no alarm.

        Args:
            above: its score is above the threshold.
            alarmed: an alarm is active, which covers all frames that the rule considers.
        """
        self._above.append(above)
        if alarmed:
            self._above = deque([False] * len(self._above))
        return int(self._above.popleft()) if len(self._above) >= self._n else 0

    def reset(self) -> int:
        """The rule starts again; returns how many frames are now certain to raise no alarm."""
        passed = sum(self._above)
        self._above.clear()
        return passed
