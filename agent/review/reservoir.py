"""A small random sample of the frames of each shift, every frame with the same chance."""

from __future__ import annotations

import random
from dataclasses import dataclass

# A shift is eight hours of the clock, counted from the beginning of Unix time: whichever shifts the plant has, each of
# them is sampled.
SHIFT_SECONDS = 8 * 3600


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a frame in the sample of its shift; a later frame may take it over."""

    shift: int
    """Number of the shift."""
    index: int
    """From 0 to the size of the sample."""


class Reservoir:
    """Decides which frames are kept (Vitter, "Random sampling with a reservoir", 1985, algorithm R).

    Of a shift with n frames, each is in the final sample with probability size/n. On the way, size·(1 + ln(n/size))
    frames are kept for a while: 100 of the 576,000 that eight hours at 20 frames per second have.

    >>> reservoir = Reservoir(2, random.Random(0))
    >>> [slot.index if (slot := reservoir.offer(1e9)) else None for _ in range(8)]
    [0, 1, 1, None, 0, None, None, None]
    """

    def __init__(self, size: int, chance: random.Random, *, shift: int = 0, seen: int = 0) -> None:
        """Args:
        size: frames kept of a shift; 0: none.
        chance: decides.
        shift, seen: of a reservoir that continues after a restart.
        """
        self._size = size
        self._chance = chance
        self.shift = shift
        """Number of the current shift."""
        self.seen = seen
        """Frames of the current shift so far."""

    def offer(self, unix_seconds: float) -> Slot | None:
        """Count a frame; returns its place, or None if it is not kept."""
        shift = int(unix_seconds // SHIFT_SECONDS)
        if shift != self.shift:
            self.shift, self.seen = shift, 0
        self.seen += 1
        if self._size == 0:
            return None
        index = self.seen - 1 if self.seen <= self._size else self._chance.randrange(self.seen)
        return Slot(shift, index) if index < self._size else None
