"""CPU time of a frame of the simulator, the best of several runs: `python -m benchmarks.simulator`."""

from __future__ import annotations

import time

import cv2

from agent.sources.simulator.schedule import SCENES, SimulatedLine

RUNS, FRAMES = 6, 80


def cpu_milliseconds(mode: str, size: int) -> float:
    """Measure the CPU time of a frame with four frames per part, in milliseconds."""
    line = SimulatedLine(mode, size=size)
    best = float("inf")
    for run in range(RUNS):
        started = time.process_time()
        for index in range(run * FRAMES, (run + 1) * FRAMES):
            line.image(index)
        best = min(best, (time.process_time() - started) / FRAMES)
    return best * 1000.0


def main() -> None:
    """Print a line for each mode and size."""
    cv2.setNumThreads(1)
    for mode in SCENES:
        for size in (256, 512):
            print(f"{mode:7} {size} px  {cpu_milliseconds(mode, size):5.2f} ms")


if __name__ == "__main__":
    main()
