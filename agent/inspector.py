"""The loop's one pass through the stages: frames → engine → station. No I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agent.intake import Prepared
from agent.station import Outcome, Station
from engines.engine import Engine


class Inspector:
    """Scores frames with one engine, for all the cameras that share it."""

    def __init__(self, engine: Engine, stations: Mapping[str, Station]) -> None:
        """Args: engine: open and checked. stations: by camera; each has this engine and its bundle."""
        self._engine = engine
        self._stations = stations

    def inspect(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """Score a batch (at least one frame, of any of the cameras) and judge each frame, in the given order."""
        scores = self._engine.score(_stack(batch))
        return [
            self._stations[prepared.frame.camera].judge(prepared, float(scores.score[i]), scores.heatmap[i])
            for i, prepared in enumerate(batch)
        ]


def _stack(batch: Sequence[Prepared]) -> np.ndarray:
    """[N, h, w, c]; a single frame, by far the most frequent case, is not copied."""
    if len(batch) == 1:
        return batch[0].pixels[np.newaxis]
    return np.stack([prepared.pixels for prepared in batch])
