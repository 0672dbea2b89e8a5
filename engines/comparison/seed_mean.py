"""A figure that was measured with several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeedMean:
    """Mean and standard deviation over seeds."""

    mean: float
    deviation: float | None
    """Standard deviation with n − 1 in the denominator; None for a single value."""

    @classmethod
    def of(cls, values: Sequence[float]) -> SeedMean:
        """Compute it from one value or more.

        >>> print(SeedMean.of([0.90, 0.92, 0.94]), "and", SeedMean.of([0.9]))
        0.920 ± 0.020 and 0.900
        """
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.deviation is None else f"{self.mean:.3f} ± {self.deviation:.3f}"
