"""Whether a model still learns, by how well it tells damaged places of held-out good frames from undamaged ones.

The loss on these frames is no measure of that: it rises when a network that separates them well becomes too sure of the
few places that it gets wrong. On solar cells it was lowest after 378 of 900 steps, while the hottest place alone went
from an AUROC of 0.80 (step 504) to 0.81 (step 840).
"""

from __future__ import annotations

import torch
from torch import Tensor

# Detection is an AUROC; less than this is chance between two validations of one training.
_CHANCE = 0.002

# A trend is judged from thirds of the validations, of which there have to be this many.
_FEWEST_VALIDATIONS = 12


class LearningWatch:
    """Follows detection, an AUROC in 0 … 1, from validation to validation."""

    def __init__(self) -> None:
        self.detections: list[float] = []
        """At each validation; nan where a recipe has no synthetic damage."""

    def add(self, detection: float) -> bool:
        """Record the detection of a state; True if no earlier state was better by more than chance."""
        self.detections.append(detection)
        return not detection < max(self.detections) - _CHANCE

    @property
    def gain(self) -> float | None:
        """Mean detection of the last third less that of the third before; None while there are too few validations."""
        count = len(self.detections)
        if count < _FEWEST_VALIDATIONS or self.detections[-1] != self.detections[-1]:
            return None
        third = count // 3
        earlier, later = self.detections[-2 * third : -third], self.detections[-third:]
        return sum(later) / third - sum(earlier) / third

    @property
    def is_flat(self) -> bool:
        """Whether the last third of the training so far gained nothing but chance."""
        return self.gain is not None and self.gain < _CHANCE

    def warnings(self) -> tuple[str, ...]:
        """A line for the technician if the end came too early."""
        gain = self.gain
        if gain is None or gain < 2.0 * _CHANCE:
            return ()
        return (
            f"the model was still learning when training ended: it found {self.detections[-1]:.1%} of the damage added "
            f"to held-out good images, {gain:.1%} more than a third of the training before; more --minutes find more",
        )


def detection_of(normal: Tensor, anomalous: Tensor) -> float:
    """Share of pairs in which an anomalous place [M] is farther off than a normal one [N]: AUROC; nan without either.

    >>> detection_of(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.5, 3.0]))
    0.8333333333333334
    """
    if len(normal) == 0 or len(anomalous) == 0:
        return float("nan")
    ordered = normal.sort().values
    below, upto = (torch.searchsorted(ordered, anomalous, right=right).double() for right in (False, True))
    return float((below + upto).mean() / (2 * len(ordered)))
