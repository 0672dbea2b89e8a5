"""Simulated images as a folder of files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources.simulator.export import write_folder
from agent.sources.simulator.schedule import SimulatedLine
from engines.images import list_images, read_image


@pytest.mark.parametrize(("mode", "dtype"), [("camera", np.uint8), ("xray", np.uint16)])
def test_folder_has_the_images_of_the_line(tmp_path: Path, mode: str, dtype: type) -> None:
    progress: list[tuple[int, int]] = []
    written = write_folder(
        tmp_path,
        mode,
        40,
        defect_rate=0.4,
        seed=5,
        size=96,
        progress=lambda done, total: progress.append((done, total)),
    )
    assert progress == [(done, 40) for done in range(1, 41)]
    assert written == {name: len(list_images(tmp_path / name)) for name in written}
    assert written["train/good"] + written["test/good"] + written["test/defect"] == 40
    assert written["train/good"] == pytest.approx(4 * written["test/good"], abs=8)
    line = SimulatedLine(mode, seed=5, size=96, defect_rate=0.4, min_gap_parts=0, frames_per_part=1)
    for folder in ("train/good", "test/good", "test/defect"):
        for file in list_images(tmp_path / folder):
            image, truth = line.render(int(file.stem.split("-")[0]))
            stored = read_image(file)
            assert stored.dtype == dtype
            assert np.array_equal(stored, image)
            assert (truth.kind is not None) == (folder == "test/defect")


def test_masks_have_the_names_of_their_defects(tmp_path: Path) -> None:
    write_folder(tmp_path, "camera", 30, defect_rate=0.5, seed=1, size=96)
    masks = list_images(tmp_path / "test/masks")
    assert [mask.name for mask in masks] == [image.name for image in list_images(tmp_path / "test/defect")]
    for mask in masks:
        pixels = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (96, 96)
        assert set(np.unique(pixels)) == {0, 255}
        assert mask.stem.split("-")[1] in SimulatedLine("camera", size=96).kinds


def test_all_good_parts_can_go_to_training(tmp_path: Path) -> None:
    assert write_folder(tmp_path, "xray", 12, defect_rate=0.0, size=64, train_share=1.0) == {
        "train/good": 12,
        "test/good": 0,
        "test/defect": 0,
        "test/masks": 0,
    }


def test_folder_that_cannot_be_made_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Permanent, match="cannot make folder") as error:
        write_folder(tmp_path / "file" / "out", "camera", 1, size=64)
    assert "\n" not in str(error.value)
