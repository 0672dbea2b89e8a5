"""Measure the search for parts, and detection with and without alignment: `python -m benchmarks.alignment`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.alignment.search import REGIONS, measure, simulated, solar
from benchmarks.detection.sets import data_folder
from engines.bundles import CropBox

VIEWS = ("aligned", "the same crop", "whole image")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60, help="images of each set of the search")
    parser.add_argument("--parts", type=int, default=300, help="parts for detection; 0: the search alone")
    parser.add_argument("--size", type=int, default=160, help="side of the model's input, pixels")
    parser.add_argument("--modes", nargs="+", default=list(REGIONS))
    parser.add_argument("--views", nargs="+", default=list(VIEWS), choices=VIEWS)
    parser.add_argument("--work", type=Path, help="folder to keep the images in")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        search(chosen.images, work)
        if chosen.parts:
            detect(chosen.modes, chosen.views, work, chosen.parts, chosen.size)


def search(count: int, work: Path) -> None:
    """Accuracy and time."""
    print("| set | found | error, px: median | highest | ms: median | least | lowest match |")
    print("|---|---|---|---|---|---|---|")
    for mode, region in REGIONS.items():
        print(measure(f"{mode} loose", simulated(mode, count, loose=True), region, work).row(), flush=True)
        print(measure(f"{mode} in a fixture", simulated(mode, count, loose=False), region, work).row(), flush=True)
    folder = data_folder() / "solar" / "train" / "good"
    if folder.is_dir():
        cell = CropBox(x=40, y=40, width=340, height=340)
        print(measure("solar cells moved", solar(folder, count), cell, work).row(), flush=True)


def detect(modes: list[str], views: list[str], work: Path, count: int, size: int) -> None:
    """AUROC with and without alignment."""
    from benchmarks.alignment.detection import detection

    print("\n| parts | AUROC of the most unfamiliar places | AUROC of the mean over all places | not found |")
    print("|---|---|---|---|")
    for mode in modes:
        for view in views:
            print(detection(mode, view, work, count=count, size=(size, size)).row(), flush=True)


if __name__ == "__main__":
    main()
