"""One way from a source image to the model's input, in training, scoring and evaluation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles import CropBox, View
from engines.bundles.bundle import Bundle, write_bundle
from engines.errors import ImageError
from engines.evaluation.evaluate import score_images
from engines.images import cut, prepare
from engines.runtime.opening import open_engine
from tests.support.agents import inspectd

CROP = CropBox(x=10, y=20, width=32, height=32)
FILES = ("model.onnx", "model-fp16.onnx", "reference.npz")


@pytest.fixture
def cropping(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that inspects a part of its images."""
    view = View(lowest_aspect=1.0, highest_aspect=1.0, crop=CROP)
    manifest = tiny_bundle.manifest.model_copy(update={"view": view, "files": {}})
    return write_bundle(tmp_path / "crop.bundle", manifest, {name: tiny_bundle.read(name) for name in FILES})


def write_image(folder: Path, part: np.ndarray, surroundings: int) -> Path:
    """An image with the part inside the crop, and any surroundings."""
    folder.mkdir(exist_ok=True)
    whole = np.full((80, 100, 1), surroundings, np.uint8)
    whole[20:52, 10:42] = part
    assert cv2.imwrite(str(folder / f"{surroundings}.png"), whole)
    return folder / f"{surroundings}.png"


def test_only_the_crop_counts_in_an_evaluation(cropping: Bundle, tiny_bundle: Bundle, tmp_path: Path) -> None:
    """What lies outside it changes no score, and the part scores as if it were cut out already."""
    part = tiny_bundle.reference().frames[0]
    for surroundings in (0, 128, 255):
        write_image(tmp_path / "images", part, surroundings)
    with open_engine(cropping, threads=1) as engine:
        scored = score_images(engine, tmp_path / "images")
        assert scored.score == pytest.approx([float(engine.score(part[None]).score[0])] * 3)


def test_score_and_view_take_the_crop(cropping: Bundle, tiny_bundle: Bundle, tmp_path: Path) -> None:
    part = tiny_bundle.reference().frames[0]
    image = write_image(tmp_path / "images", part, 200)
    scored = inspectd("score", cropping.path, image)
    assert float(scored.stdout.split()[0]) == pytest.approx(float(tiny_bundle.reference().score[0]), rel=1e-3)
    viewed = inspectd("view", cropping.path, image, "--out", tmp_path / "view.png")
    assert viewed.returncode == 0, viewed.stderr
    assert "32×32 at 10,20" in viewed.stdout
    assert (cv2.imread(str(tmp_path / "view.png"), cv2.IMREAD_GRAYSCALE)[:, :, None] == part).all()


def test_an_image_that_the_crop_exceeds_is_one_line(cropping: Bundle, tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "small.png"), np.zeros((40, 40), np.uint8))
    for command in ("score", "view"):
        done = inspectd(command, cropping.path, tmp_path / "small.png")
        assert done.returncode == 1
        assert "crop is 32×32 at 10,20, wanted within the image of 40×40" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_cut_is_no_copy_and_ends_at_the_edge() -> None:
    image = np.zeros((60, 80, 1), np.uint8)
    assert cut(image, CropBox(x=48, y=28, width=32, height=32)).base is image
    assert cut(image, None) is image
    with pytest.raises(ImageError, match="crop is 32×32 at 49,28"):
        cut(image, CropBox(x=49, y=28, width=32, height=32))


def test_proportions_are_those_after_the_crop(tiny_bundle: Bundle) -> None:
    image = np.zeros((60, 80, 1), np.uint8)
    square = View(lowest_aspect=1.0, highest_aspect=1.0)
    manifest = tiny_bundle.manifest.model_copy(update={"view": square})
    with pytest.raises(ImageError, match=r"80×60, 1.33 times as wide as high"):
        prepare(image, manifest)
    cropped = manifest.model_copy(update={"view": square.model_copy(update={"crop": CROP})})
    assert prepare(image, cropped).pixels.shape == tiny_bundle.geometry.shape
