"""The warning of parts that are in two folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from engines.errors import ImageError
from engines.siblings import warn_of_siblings
from tests.engines.siblings.test_pairs import again, texture


def write(folder: Path, images: list) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder


def test_parts_in_both_folders_are_counted_and_named(tmp_path: Path) -> None:
    training = write(tmp_path / "train", [texture(seed) for seed in range(20)])
    (training / "notes.png").write_text("not an image")
    other = write(tmp_path / "test", [texture(50), again(texture(4), 0), texture(51), again(texture(9), 1)])
    line = warn_of_siblings(training, other)
    assert line is not None
    assert line.startswith(
        f"2 of 4 images of {other} show parts that training images show too, such as 001.png and 004"
    )
    assert warn_of_siblings(training, write(tmp_path / "new", [texture(60), texture(61)])) is None


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such folder"):
        warn_of_siblings(tmp_path / "nowhere", tmp_path)
