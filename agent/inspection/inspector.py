"""One pass of the inspection loop: frames → engine → station. No I/O of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import numpy as np

from agent.core.records import Part
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Outcome
from agent.inspection.station import Station
from engines.runtime import Engine

OnTiming = Callable[[str, str, float], None]
"""Takes the camera, the stage, and its duration in seconds."""


class Inspector:
    """Scores frames with one engine, for all cameras that share it, and has each judged by its camera's station."""

    def __init__(self, engine: Engine, stations: dict[str, Station], *, on_timing: OnTiming | None = None) -> None:
        """Args:
        engine: open and checked.
        stations: by camera; each is for this engine and its bundle. Changed on the inspection thread only.
        on_timing: called for each frame and stage: `queue`, `engine`, `station`, and `verdict` (capture to verdict).
        """
        self._engine = engine
        self._stations = stations
        self._on_timing = on_timing

    def add(self, camera: str, station: Station) -> None:
        """Judge the frames of this camera with this station from now on."""
        self._stations[camera] = station

    def remove(self, camera: str) -> None:
        """No more frames of this camera follow here."""
        self._stations.pop(camera, None)

    def inspect(self, batch: Sequence[PreparedFrame]) -> list[Outcome]:
        """Score a batch of one or more frames, of any of the cameras, and judge each, in the given order."""
        started = time.monotonic()
        scores = self._engine.score(_stack(batch))
        scored = time.monotonic()
        outcomes = [
            self._stations[prepared.frame.camera].judge(prepared, float(scores.score[i]), scores.heatmap[i])
            for i, prepared in enumerate(batch)
        ]
        if self._on_timing is not None:
            self._report_timing(batch, started, scored, time.monotonic())
        return outcomes

    def tick(self, now_monotonic: float, waiting: Collection[str] = ()) -> list[Outcome | Part]:
        """Time has passed, in seconds: returns the outcomes of parts that ended without a new frame.

        `waiting`: the cameras of which a frame waits to be inspected.
        """
        stations = self._stations.items()
        return [
            ended for name, station in stations for ended in station.tick(now_monotonic, frame_waits=name in waiting)
        ]

    def finish(self) -> list[Outcome | Part]:
        """No more frames follow: returns the outcomes of the last parts."""
        return [ended for station in self._stations.values() for ended in station.finish()]

    def _report_timing(self, batch: Sequence[PreparedFrame], started: float, scored: float, judged: float) -> None:
        """The frames of a batch are scored together: each counts the duration of the whole batch."""
        assert self._on_timing is not None
        for prepared in batch:
            camera = prepared.frame.camera
            self._on_timing(camera, "queue", started - prepared.frame.captured_monotonic)
            self._on_timing(camera, "engine", scored - started)
            self._on_timing(camera, "station", judged - scored)
            self._on_timing(camera, "verdict", judged - prepared.frame.captured_monotonic)


def _stack(batch: Sequence[PreparedFrame]) -> np.ndarray:
    """The model's input [N, h, w, c]; a single frame, by far the most frequent case, is not copied."""
    if len(batch) == 1:
        return batch[0].pixels[np.newaxis]
    return np.stack([prepared.pixels for prepared in batch])
