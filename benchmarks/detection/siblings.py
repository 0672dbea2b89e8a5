"""Training images that show the same part as a test image: the test would ask for what was learned by heart.

`without_siblings` leaves them out of training, so that the test stays whole and becomes harder. `python -m
benchmarks.detection.siblings DIR` writes what is left of every set as folders of links, for `inspectd compare` and
others. Nobody has drawn a digit twice, and in the simulated sets every image shows a part of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.detection.sets import Task, find_set, set_names
from engines.images import read_image
from engines.siblings import Thumbnails, siblings_across, thumbnails

# Sets of photographs, in which siblings were found.
_PHOTOGRAPHED = ("baggage", "deeppcb", "fishbones", "solar")

# Of more training images than this, `siblings_across` would look at a part only.
_AT_ONCE = 400


def without_siblings(task: Task) -> Task:
    """The task without the training images that show a part of a test image, good or bad."""
    if task.name.split("-")[0] not in _PHOTOGRAPHED:
        return task
    known, found = _thumbnails(task.train), set[int]()
    parts = -(-len(known) // _AT_ONCE)
    for tested in (_thumbnails(task.good), _thumbnails(task.bad)):
        for part in range(parts):
            pairs = siblings_across(Thumbnails(known.pixels[part::parts]), tested)
            found |= {part + parts * pair.first for pair in pairs}
    kept = tuple(path for index, path in enumerate(task.train) if index not in found)
    return dataclasses.replace(task, train=kept)


def _thumbnails(paths: Sequence[Path]) -> Thumbnails:
    return thumbnails(map(read_image, paths))


def main() -> int:
    """Write the folders `SET/train/good`, `SET/test/good` and `SET/test/defect` of every photographed set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.siblings", description=__doc__)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    for name in set_names():
        task = find_set(name, out)[0]
        if name not in _PHOTOGRAPHED:
            continue
        kept = without_siblings(task)
        print(f"{name}: {len(task.train) - len(kept.train)} of {len(task.train)} training images left out")
        for folder, paths in (("train/good", kept.train), ("test/good", kept.good), ("test/defect", kept.bad)):
            _link(out / name / folder, paths)
    return 0


def _link(folder: Path, paths: Sequence[Path]) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())


if __name__ == "__main__":
    sys.exit(main())
