"""Parts that lie elsewhere or turned in the image: found by a taught reference, and cut out upright."""

from engines.images.alignment.choice import (
    AlignmentChoice,
    LimitChanges,
    learned_limits,
)
from engines.images.alignment.finder import check_aligned_size, find_part
from engines.images.alignment.pose import Pose, cut_upright

__all__ = [
    "AlignmentChoice",
    "LimitChanges",
    "Pose",
    "check_aligned_size",
    "cut_upright",
    "find_part",
    "learned_limits",
]
