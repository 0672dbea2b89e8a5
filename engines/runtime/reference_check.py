"""Check that an engine reproduces the bundle's reference: no other engine may inspect parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Reference
from engines.errors import EngineError
from engines.runtime.engine import Engine, Scores


def check_reference(engine: Engine, thresholds: Sequence[float] = ()) -> None:
    """Raise EngineError if the engine's answers differ from the reference by more than the manifest's tolerance.

    Also raise it if a reference frame gets another verdict from the engine than from the reference at one of the
    thresholds.
    """
    tolerance = float(getattr(engine.bundle.manifest.tolerance, engine.precision))
    reference = engine.bundle.reference()
    scores = engine.score(reference.frames)
    for error, answer in zip(_errors(scores, reference), ("score", "heatmap"), strict=True):
        if not error <= tolerance:
            raise EngineError(
                f"{engine.name} engine: {answer} of the reference frames is off by {error:.2g}, "
                f"wanted at most {tolerance:g} ({engine.bundle.path})"
            )
    for threshold in thresholds:
        flipped = np.flatnonzero((scores.score > threshold) != (reference.score > threshold))
        if flipped.size > 0:
            first = int(flipped[0])
            raise EngineError(
                f"{engine.name} engine: reference frame {first} scores {scores.score[first]:.6g}, wanted the same side "
                f"of the threshold {threshold:.6g} as {reference.score[first]:.6g} ({engine.bundle.path})"
            )


def reference_errors(engine: Engine) -> tuple[float, float]:
    """Relative errors on the reference frames, as `relative_error` defines them: (score, heatmap)."""
    reference = engine.bundle.reference()
    return _errors(engine.score(reference.frames), reference)


def _errors(scores: Scores, reference: Reference) -> tuple[float, float]:
    return relative_error(scores.score, reference.score), relative_error(scores.heatmap, reference.heatmap)


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The largest difference on any frame, relative to that frame's largest wanted value.

    Takes [N] or [N, h, w]; inf if the shapes differ or a value is not finite.

    >>> relative_error(np.float32([1.0, 2.1]), np.float32([1.0, 2.0]))
    0.05
    """
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    rows = len(wanted)
    difference = np.abs(got.astype(np.float64) - wanted).reshape(rows, -1).max(axis=1)
    scale = np.abs(wanted.astype(np.float64)).reshape(rows, -1).max(axis=1)
    return float(round(np.max(difference / np.maximum(scale, np.finfo(np.float32).tiny)), 6))
