"""Detection at one threshold: shares with exact intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Judge = Callable[[NDArray[np.float32], NDArray[np.float32]], "AtThreshold | None"]
"""Finds the threshold and the detection from the scores of normal [N] and of abnormal images [M], in the order of their
names; None if they do not suffice for a threshold."""


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """Detection at one threshold."""

    threshold: float
    recall: float
    """Share of the abnormal ones that raise an alarm."""
    false_alarm_rate: float
    """Share of the normal ones that raise an alarm, without those that the threshold was calibrated on."""
    normal: int
    """Number of normal ones behind this share."""
    abnormal: int
    """Number of abnormal ones behind the recall."""
    recall_interval: tuple[float, float]
    """Exact 95 % interval (Clopper & Pearson 1934) of the recall."""
    false_alarm_interval: tuple[float, float]
    """The same of the rate of false alarms."""
    counted: str = "images"
    """What is counted, in words: "images", "parts" or "groups of 3 successive images"."""
    how: str = ""
    """Rule and budget of a calibrated threshold, in words; empty for a given one."""
    certificate: str = ""
    """Whether so many normal images could certify the budget, in words; empty for a given threshold."""

    @classmethod
    def of(
        cls,
        threshold: float,
        normal: NDArray[np.bool_],
        abnormal: NDArray[np.bool_],
        *,
        counted: str = "images",
        how: str = "",
        certificate: str = "",
    ) -> AtThreshold:
        """Count the alarms: `normal` [N] and `abnormal` [M] say which raise one, N and M ≥ 1."""
        return cls(
            threshold=threshold,
            recall=float(abnormal.mean()),
            false_alarm_rate=float(normal.mean()),
            normal=normal.size,
            abnormal=abnormal.size,
            recall_interval=exact_interval(int(abnormal.sum()), abnormal.size),
            false_alarm_interval=exact_interval(int(normal.sum()), normal.size),
            counted=counted,
            how=how,
            certificate=certificate,
        )

    @property
    def recall_text(self) -> str:
        """The recall in words, with its interval."""
        return self._share(self.recall, self.recall_interval, self.abnormal, "abnormal")

    @property
    def false_alarm_text(self) -> str:
        """The rate of false alarms in words, with its interval."""
        return self._share(self.false_alarm_rate, self.false_alarm_interval, self.normal, "normal")

    def _share(self, share: float, interval: tuple[float, float], total: int, kind: str) -> str:
        low, high = interval
        return f"{share:.1%} ({low:.1%}–{high:.1%}) of {total:,} {kind} {self.counted}"


def at_given(threshold: float) -> Judge:
    """Return the judge by a given threshold: a score above it is an alarm."""
    return lambda normal, abnormal: AtThreshold.of(threshold, normal > threshold, abnormal > threshold)


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share of which `count` of `total` ≥ 1 were seen (Clopper & Pearson 1934).

    >>> low, high = exact_interval(0, 100)
    >>> low, round(high, 6)
    (0.0, 0.036217)
    """
    found = binomtest(count, total).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)
