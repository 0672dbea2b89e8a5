"""A lamp that brightens by 1 % an hour: alarms until the watch on the promise speaks, and until drift does.

The scores are those of the engine on images of the simulated line, each at several brightnesses. A shipped bundle, one
part in 24 seconds, a budget of 1 per 250 parts, and a threshold that keeps just this budget at the first brightness.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.sources.simulator.schedule import SimulatedLine
from calibration import DriftMonitor, find_broken_promise, score_reference
from engines.bundles import read_bundle
from engines.images import fit
from engines.runtime import open_engine

_BUNDLE = Path(__file__).parents[2] / "engines" / "bundles" / "shipped" / "simulator-camera.bundle"

PARTS = 500
BUDGET = 250
PARTS_PER_HOUR = 150
BRIGHTER = np.arange(0.0, 0.13, 0.02)
"""Brightnesses at which every image is scored, as an increase."""


@dataclass(frozen=True)
class Noticed:
    """When a change was noticed; infinite if never."""

    hours: float
    alarms: float


def scores_by_brightness() -> NDArray[np.float64]:
    """Score of each part at each brightness, [PARTS, brightnesses]."""
    bundle = read_bundle(_BUNDLE)
    engine = open_engine(bundle, "onnxruntime")
    line = SimulatedLine("camera", seed=5, defect_rate=0.0, frames_per_part=1)
    scores = np.empty((PARTS, BRIGHTER.size))
    for part in range(PARTS):
        image = line.image(part).astype(np.float32)
        lit = [np.clip(image * (1 + more) + 0.5, 0, 255).astype(np.uint8) for more in BRIGHTER]
        scores[part] = engine.score(np.stack([fit(each, bundle.geometry) for each in lit])).score
    engine.close()
    return scores


def brightening(scores: NDArray[np.float64], *, quiet_hours: float, seed: int) -> tuple[Noticed, Noticed]:
    """When the watch and when drift notices a lamp that brightens after `quiet_hours`; at most 12 hours later."""
    rng = np.random.default_rng(seed)
    threshold = float(np.sort(scores[:, 0])[-1 - PARTS // BUDGET])
    count = int((quiet_hours + 12.0) * PARTS_PER_HOUR)
    more = np.maximum(0.0, np.arange(count) / PARTS_PER_HOUR - quiet_hours) / 100.0
    parts = rng.integers(0, PARTS, count)
    place = np.minimum(more / (BRIGHTER[1] - BRIGHTER[0]), BRIGHTER.size - 1.001)
    low = place.astype(int)
    stream = scores[parts, low] + (place - low) * (scores[parts, low + 1] - scores[parts, low])
    alarms = np.flatnonzero(stream > threshold)
    begun = int(quiet_hours * PARTS_PER_HOUR)
    before = int(np.searchsorted(alarms, begun))
    found = find_broken_promise(alarms / BUDGET)
    watch = Noticed(np.inf, np.inf)
    if found is not None:
        watch = Noticed((alarms[found.shown_by] - begun) / PARTS_PER_HOUR, found.shown_by + 1 - before)
    monitor = DriftMonitor(score_reference(scores[:, 0]))
    flagged = next((index for index, score in enumerate(stream) if monitor.update(float(score))), None)
    drift = Noticed(np.inf, np.inf)
    if flagged is not None:
        drift = Noticed((flagged - begun) / PARTS_PER_HOUR, int(np.searchsorted(alarms, flagged)) - before)
    return watch, drift
