"""The alarm rule, k of n frames: offline over a whole window and online frame by frame, with equal results.

At least k of the last n scores are above a threshold exactly if the k-th largest of them is. That number, the
*statistic*, is calibrated and compared with the threshold, so an alarm is one comparison, whatever the rule.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError

# A longer rule would delay alarms too much: this many frames take over ten seconds at 20 frames per second.
MAX_FRAMES = 250

# Statistics are computed in chunks: 10 million frames of a rule with n = 250 need less than 64 MB of scratch memory.
_CHUNK_VALUES = 8_000_000

_SHAPE = re.compile(r"\s*(\d+)\s*(?:of|/|in)\s*(\d+)\s*", re.I)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alarm takes at least k of the last n frames above the threshold.

    >>> Rule.parse("3 of 5")
    Rule(k=3, n=5)
    >>> str(Rule(k=3, n=5))
    '3 of 5'
    """

    k: int
    """Frames above the threshold that raise an alarm, 1 to n."""
    n: int
    """Frames considered, including the newest, 1 to 250."""

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= MAX_FRAMES:
            raise CalibrationError(
                f"alarm rule: got {self.k} of {self.n}, wanted k of n with 1 <= k <= n <= {MAX_FRAMES}"
            )

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read "3 of 5". Raises CalibrationError if the text has another form."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            raise CalibrationError(f"alarm rule: got {text!r}, wanted 'k of n' such as '3 of 5'")
        return cls(k=int(found[1]), n=int(found[2]))

    def statistic(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the k-th largest of each n successive scores [N]: float64 [N - n + 1], empty if N < n.

        It equals the results of `AlarmRule.update` from the n-th score on.

        >>> Rule(k=2, n=3).statistic([1.0, 9.0, 2.0, 8.0, 0.0])
        array([2., 8., 2.])
        """
        values = np.asarray(scores, dtype=np.float64)
        if self.n == 1 or values.size < self.n:
            return values.copy() if self.n == 1 else np.empty(0)
        out = np.empty(values.size - self.n + 1)
        step = max(1, _CHUNK_VALUES // self.n)
        for start in range(0, out.size, step):
            part = values[start : start + step + self.n - 1]
            windows = np.lib.stride_tricks.sliding_window_view(part, self.n)
            out[start : start + step] = np.partition(windows, self.n - self.k, axis=1)[:, self.n - self.k]
        return out

    def __str__(self) -> str:
        return f"{self.k} of {self.n}"


class AlarmRule:
    """The rule frame by frame, in about a microsecond each.

    >>> rule = AlarmRule(Rule(k=2, n=3))
    >>> [rule.update(score) for score in (1.0, 9.0, 2.0, 8.0, 0.0)]
    [0.0, 1.0, 2.0, 8.0, 2.0]
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def update(self, score: float) -> float:
        """Add the next score and return the statistic: the k-th largest of the last n scores.

        With fewer than k scores so far the rule cannot raise an alarm; the statistic is then 0.0, the lowest possible
        score. The caller compares: alarm if `statistic > threshold`.

        Raises:
            CalibrationError: the score is not a number. The rule does not change.
        """
        score = float(score)
        if score != score:
            raise CalibrationError("alarm rule: got a score that is not a number (nan), wanted a number")
        k, n = self.rule.k, self.rule.n
        if len(self._recent) == n:
            self._sorted.remove(self._recent.popleft())
        self._recent.append(score)
        insort(self._sorted, score)
        return self._sorted[-k] if len(self._sorted) >= k else 0.0

    def reset(self) -> None:
        """Discard all scores: after a gap in the stream they do not belong to the next frames."""
        self._recent.clear()
        self._sorted.clear()
