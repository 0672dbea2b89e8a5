"""Does an engine reproduce the reference of the bundle?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Reference
from engines.errors import EngineError
from engines.runtime.engine import Engine, Scores


def check_reference(engine: Engine, thresholds: Sequence[float] = ()) -> None:
    """Raise EngineError where the engine is further from the reference frames than the manifest allows.

    So it does where it has one of them on the other side of one of the thresholds than the reference has.
    """
    tolerance = float(getattr(engine.bundle.manifest.tolerance, engine.precision))
    reference = engine.bundle.reference()
    scores = engine.score(reference.frames)
    for error, what in zip(_errors(scores, reference), ("score", "heatmap"), strict=True):
        if not error <= tolerance:
            raise EngineError(
                f"{engine.name} engine: {what} of the reference frames is off by {error:.2g}, "
                f"wanted at most {tolerance:g} ({engine.bundle.path})"
            )
    for threshold in thresholds:
        flipped = np.flatnonzero((scores.score > threshold) != (reference.score > threshold))
        if flipped.size > 0:
            first = int(flipped[0])
            raise EngineError(
                f"{engine.name} engine: reference frame {first} scores {scores.score[first]:.6g}, wanted the side of "
                f"the threshold {threshold:.6g} on which {reference.score[first]:.6g} is ({engine.bundle.path})"
            )


def reference_errors(engine: Engine) -> tuple[float, float]:
    """How far the engine is from the reference frames, relative, as `relative_error` says: score, heatmap."""
    reference = engine.bundle.reference()
    return _errors(engine.score(reference.frames), reference)


def _errors(scores: Scores, reference: Reference) -> tuple[float, float]:
    return relative_error(scores.score, reference.score), relative_error(scores.heatmap, reference.heatmap)


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Largest difference on any frame, relative to that frame's largest wanted value; inf where anything is not finite.

    >>> relative_error(np.float32([1.0, 2.1]), np.float32([1.0, 2.0]))
    0.05
    """
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    rows = len(wanted)
    difference = np.abs(got.astype(np.float64) - wanted).reshape(rows, -1).max(axis=1)
    scale = np.abs(wanted.astype(np.float64)).reshape(rows, -1).max(axis=1)
    return float(round(np.max(difference / np.maximum(scale, np.finfo(np.float32).tiny)), 6))
