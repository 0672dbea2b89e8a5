"""`inspectd simulate`, and a demo that cannot start."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.support.command_line import assert_one_line, inspectd


def test_simulate_writes_folders_to_train_on(tmp_path: Path) -> None:
    done = inspectd("simulate", tmp_path / "parts", "--mode", "xray", "--count", "12", "--defect-rate", "0.3")
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(next((tmp_path / "parts" / "train" / "good").iterdir())), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16


def test_demo_rejects_a_folder_with_other_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert_one_line(inspectd("demo", "--out", tmp_path), "not empty and not from a demo")
    assert (tmp_path / "thesis.txt").read_text() == "precious"
