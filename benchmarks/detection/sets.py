"""The data sets: good images for training, good and bad ones for testing, and masks."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.sources.simulator import write_folder
from engines.images import Image, list_images, read_image

# Sides of the model's input are multiples of this.
_STEP = 16

# Parts of the simulated line, one image each; a fifth of them is bad, a fifth of the good ones is for testing.
_SIMULATED_PARTS = 500

_PUBLIC = ("baggage", "deeppcb", "fishbones", "mnist", "solar")

# What the last digit of a baggage image's name says.
_THREATS = {"0": "gun", "1": "star", "2": "blade"}

_DIGITS = 10

# Sides of the crops of boards, pixels, how many of each kind there are at most, and how far inside a whole defect lies.
_CROP_SIDES, _CROPS, _MARGIN = (64, 128), {"train/good": 470, "test/good": 250, "test/defect": 250}, 3
_TRAIN_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Task:
    """One task: images to train on, and images to distinguish."""

    name: str
    """The name in the table; the ten digits are ten tasks of one set."""
    train: tuple[Path, ...]
    good: tuple[Path, ...]
    bad: tuple[Path, ...]
    masks: Path | None
    """Folder with a mask for each bad image, under the same stem."""
    kinds: tuple[str, ...] = ()
    """The kind of defect of each bad image; empty where there is only one."""
    groups: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """For the good and the bad images the part or series that each shows; None where every image stands for itself."""
    full_size: bool = False
    """At the images' own size, as with `train --size`, even if that is above the automatic size."""

    @property
    def size(self) -> int | None:
        """Side of the model's input, pixels; None for the automatic size."""
        if not self.full_size:
            return None
        return -(-int(max(read_image(self.train[0]).shape[:2])) // _STEP) * _STEP


def data_folder() -> Path:
    """Folder of the public sets: $INSPECTD_DATA, or `../shared/data` next to the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    return Path(os.environ.get("INSPECTD_DATA", beside))


def set_names() -> list[str]:
    """Names of the available sets; the simulated ones always are."""
    public = [name for name in _PUBLIC if (data_folder() / name).is_dir()]
    return ["camera", "xray", *(["crops"] if "deeppcb" in public else []), *public]


def find_set(name: str, work: Path) -> list[Task]:
    """The tasks of a set of `set_names()`; images that have to be generated first are written to `work`."""
    if name == "mnist":
        return [_digit(digit, work / "mnist", data_folder() / "mnist") for digit in range(_DIGITS)]
    if name == "crops":
        return [_crops(side, work / f"crops-{side}", data_folder() / "deeppcb" / "test") for side in _CROP_SIDES]
    task = _simulated(name, work) if name in ("camera", "xray") else _folder(name, data_folder() / name)
    if name == "baggage":
        return [_with_threats(task)]
    if name != "deeppcb":
        return [task]
    # Its defects have ten pixels in 640, but only four at the automatic size.
    return [task, dataclasses.replace(task, name=f"{name}-640", full_size=True)]


def _folder(name: str, root: Path) -> Task:
    masks = root / "test" / "masks"
    return Task(
        name,
        train=tuple(list_images(root / "train" / "good")),
        good=tuple(list_images(root / "test" / "good")),
        bad=tuple(list_images(root / "test" / "defect")),
        masks=masks if masks.is_dir() else None,
    )


def _with_threats(task: Task) -> Task:
    """Baggage images are named SERIES_NUMBER_THREAT, and those of a series show few pieces from many sides."""
    series = tuple(tuple(path.stem.split("_")[0] for path in paths) for paths in (task.good, task.bad))
    kinds = tuple(_THREATS[path.stem.rsplit("_", 1)[-1]] for path in task.bad)
    return dataclasses.replace(task, kinds=kinds, groups=(series[0], series[1]))


def _simulated(mode: str, work: Path) -> Task:
    root = work / mode
    if not root.is_dir():
        unfinished = work / f"{mode}.unfinished"
        write_folder(unfinished, mode, _SIMULATED_PARTS, 0.2, seed=1)
        unfinished.rename(root)
    return _folder(mode, root)


def _crops(side: int, folder: Path, boards: Path) -> Task:
    """Crops of the bad boards: those without a defect are good ones. Boards of the training are not in the test."""
    if not folder.is_dir():
        unfinished = folder.with_suffix(".unfinished")
        _write_crops(side, unfinished, boards)
        unfinished.rename(folder)
    return _folder(folder.name, folder)


def _write_crops(side: int, folder: Path, boards: Path) -> None:
    rng = np.random.default_rng(0)
    paths = list_images(boards / "defect")
    found: dict[str, list[Image]] = {part: [] for part in _CROPS}
    for place_in_order, index in enumerate(rng.permutation(len(paths))):
        path, purpose = paths[index], "train" if place_in_order < len(paths) / 2 else "test"
        image, mask = read_image(path), read_image(boards / "masks" / f"{path.stem}.png").max(axis=2) > 0
        for top, left in itertools.product(range(0, len(image) - side + 1, side), repeat=2):
            place = slice(top, top + side), slice(left, left + side)
            if not mask[place].any():
                found[f"{purpose}/good"].append(image[place])
            elif purpose == "test" and _shows_whole_defect(mask[place]):
                found["test/defect"].append(image[place])
    for part, crops in found.items():
        (folder / part).mkdir(parents=True)
        for index, chosen in enumerate(rng.permutation(len(crops))[: _CROPS[part]]):
            cv2.imwrite(str(folder / part / f"{index:05d}.png"), crops[chosen])


def _shows_whole_defect(mask: NDArray[np.bool_]) -> bool:
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    inside = len(mask) - _MARGIN
    return any(
        min(left, top) >= _MARGIN and max(left + width, top + height) <= inside
        for left, top, width, height, _ in boxes[1:]
    )


def _digit(digit: int, folder: Path, data: Path) -> Task:
    """The GANomaly paper's setting: one digit is the anomaly, 80 % of the others are for training (section 4.1)."""
    labels = _idx(data / "t10k-labels-idx1-ubyte.gz", header=8)
    if not folder.is_dir():
        _write_digits(folder, data)
    paths = np.array([folder / f"{index:05d}.png" for index in range(len(labels))])
    others = np.random.default_rng(0).permutation(np.flatnonzero(labels != digit))
    count = int(_TRAIN_SHARE * len(others))
    train, good = paths[np.sort(others[:count])], paths[np.sort(others[count:])]
    return Task(f"mnist-{digit}", tuple(train), tuple(good), tuple(paths[labels == digit]), masks=None)


def _write_digits(folder: Path, data: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    digits = _idx(data / "t10k-images-idx3-ubyte.gz", header=16).reshape(-1, 28, 28)
    for index, digit in enumerate(digits):
        cv2.imwrite(str(unfinished / f"{index:05d}.png"), digit)
    unfinished.rename(folder)


def _idx(path: Path, header: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
