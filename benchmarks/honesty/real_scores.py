"""Scores of real frames: a model of few steps per set, kept as arrays outside the repository."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

# Images to train on, of each set; the other good ones are scored. 15 % of them are held out by the training.
_TRAINED_ON = {"mnist-0": 1_000, "mnist-4": 1_000, "solar": 200, "fishbones": 140, "baggage": 300, "deeppcb": 150}
_STEPS = 60

REAL_SETS = ("mnist-0", "solar", "mnist-4", "fishbones", "baggage", "deeppcb")
"""Constants of `calibration` were chosen on the first two; the others were looked at afterwards."""


@dataclass(frozen=True, slots=True)
class RealScores:
    """Scores of a set's images, none of which the model was trained on."""

    name: str
    good: Scores
    """Of good parts [N]."""
    bad: Scores
    """Of bad parts [M]."""


def real_scores(name: str, data: Path, work: Path) -> RealScores:
    """Return the scores of a set; the first call trains a model, which takes minutes.

    Args:
        name: mnist-<digit that counts as bad>, solar, fishbones, baggage or deeppcb (printed circuit boards).
        data: folder of the public sets.
        work: folder for images, models and scores.
    """
    kept = work / f"{name}.npz"
    if not kept.exists():
        folder = work / name
        bundle = folder / "model.bundle"
        if not bundle.exists():
            _write_images(name, data, folder)
            _inspectd("train", "--normal", str(folder / "train"), "--out", str(bundle), "--steps", str(_STEPS))
        good, bad = (_scores_of(bundle, folder / kind) for kind in ("good", "bad"))
        np.savez(kept, good=good, bad=bad)
    arrays = np.load(kept)
    return RealScores(name, arrays["good"], arrays["bad"])


def _inspectd(*arguments: str) -> str:
    command = [sys.executable, "-m", "agent.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _scores_of(bundle: Path, folder: Path) -> Scores:
    lines = _inspectd("score", str(bundle), str(folder), "--json").splitlines()
    return np.array([json.loads(line)["score"] for line in lines])


def _write_images(name: str, data: Path, folder: Path) -> None:
    good, bad = _mnist(name, data) if name.startswith("mnist-") else _folders(name, data)
    order = np.random.default_rng(0).permutation(len(good))
    first = _TRAINED_ON[name]
    split = {"train": [good[i] for i in order[:first]], "good": [good[i] for i in order[first:]], "bad": bad}
    for kind, images in split.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            cv2.imwrite(str(folder / kind / f"{index:05d}.png"), image)


def _folders(name: str, data: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    files = [[*(data / name / part).iterdir()] for part in ("train/good", "test/good", "test/defect")]
    train, test, bad = ([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in sorted(part)] for part in files)
    return train + test, bad  # type: ignore[return-value]


def _mnist(name: str, data: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    with gzip.open(data / "mnist/t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(data / "mnist/t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    digit = int(name.removeprefix("mnist-"))
    return list(images[labels != digit]), list(images[labels == digit])
