"""The scores that a bundle is known to give, with which a window is compared."""

from __future__ import annotations

import numpy as np

from calibration import TrainingScores
from engines.bundles import Manifest


def training_scores(manifest: Manifest) -> TrainingScores | None:
    """The scores in a bundle's manifest; None where nothing was trained, or nothing was held out.

    Earlier bundles have five figures instead of all scores, and none of damaged images.
    """
    training = manifest.training
    if training is None or training.held_out.count == 0:
        return None
    held_out, damage = training.held_out, training.damage
    if not held_out.quantiles:
        return TrainingScores.of_summary(
            held_out.count, held_out.minimum, held_out.median, held_out.p95, held_out.maximum
        )
    good = np.sort(np.asarray(held_out.quantiles, np.float64))
    return TrainingScores(good, None if damage is None else damage.median)
