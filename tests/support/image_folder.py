"""Images in a folder, and a scanner that writes them while it is followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from agent.sources.folder import FolderSource
from agent.sources.source import Captured, EndOfStream


def gray(level: int, dtype: type = np.uint8, shape: tuple[int, ...] = (24, 32)) -> np.ndarray:
    return np.full(shape, level, dtype)


def png(level: int, dtype: type = np.uint8, shape: tuple[int, ...] = (24, 32)) -> bytes:
    return cv2.imencode(".png", gray(level, dtype, shape))[1].tobytes()


def read_all(source: FolderSource) -> list[Captured]:
    with source:
        frames = []
        while True:
            try:
                frames.append(source.read())
            except EndOfStream:
                return frames


def names(frames: list[Captured]) -> list[str | None]:
    return [frame.origin for frame in frames]


class Scanner:
    """Writes into a folder while it is followed: `sleep` advances the monotonic clock and runs the next step.

    The wall clock does not advance, so a file's modification time does not show its age.
    """

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.seconds = 50.0
        self.steps = list(steps)

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if not self.steps:
            raise EndOfStepsError
        self.steps.pop(0)()

    def follow(self, folder: Path, **options: object) -> FolderSource:
        return FolderSource(
            folder, follow=True, settle_seconds=1.0, poll_seconds=0.5, clock=self.clock, sleep=self.sleep, **options
        )  # type: ignore[arg-type]


class EndOfStepsError(Exception):
    """There are no more steps, and the source still waits."""


def nothing() -> None:
    """Half a second passes."""


def follow_to_the_end(source: FolderSource) -> list[Captured]:
    frames: list[Captured] = []
    with source:
        while True:
            try:
                frames.append(source.read())
            except EndOfStepsError:
                return frames
