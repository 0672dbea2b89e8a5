"""The image of all alarms."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.tools.demo.contact_sheet import MAX_ALARMS, ContactSheetEntry, write_contact_sheet

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def image_file(path: Path, colour: tuple[int, int, int], height: int = 60, width: int = 60) -> Path:
    assert cv2.imwrite(str(path), np.full((height, width, 3), colour, np.uint8))
    return path


def sheet_of(tmp_path: Path, entries: list[ContactSheetEntry], heading: str = "") -> NDArray[np.uint8]:
    write_contact_sheet(tmp_path / "sheet.png", heading, entries)
    return np.asarray(cv2.imread(str(tmp_path / "sheet.png")), np.uint8)


def pixels_of(sheet: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((np.abs(sheet.astype(int) - colour).max(axis=2) < 60).sum())


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    return image_file(tmp_path / "overlay.png", RED)


@pytest.fixture
def heatmap(tmp_path: Path) -> Path:
    return image_file(tmp_path / "heatmap.png", GREEN)


def test_every_alarm_has_its_frame_left_of_its_heatmap(tmp_path: Path, frame: Path, heatmap: Path) -> None:
    sheet = sheet_of(tmp_path, [ContactSheetEntry("dent", "score 2", frame, heatmap)] * 4)
    assert pixels_of(sheet, RED) == pixels_of(sheet, GREEN) == 4 * 256 * 256
    red, green = (np.flatnonzero((sheet == colour).all(axis=2).any(axis=0)) for colour in (RED, GREEN))
    assert red[0] < green[0]
    assert red[-1] < green[-1]


def test_missing_image_is_a_gray_field(tmp_path: Path, frame: Path) -> None:
    sheet = sheet_of(tmp_path, [ContactSheetEntry("dent", "score 2", frame, tmp_path / "missing.png")])
    assert pixels_of(sheet, RED) == 256 * 256
    assert (sheet == 40).all(axis=2).sum() == 256 * 256


def test_damaged_image_is_a_gray_field(tmp_path: Path, heatmap: Path) -> None:
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff")
    sheet = sheet_of(tmp_path, [ContactSheetEntry("dent", "score 2", tmp_path / "half.jpg", heatmap)])
    assert (sheet == 40).all(axis=2).sum() == 256 * 256


def test_strip_of_an_overlay_is_cut_off(tmp_path: Path) -> None:
    """Frame and heatmap then have the same size, and the same place is at the same height in both."""
    overlay = np.full((200, 320, 3), RED, np.uint8)
    overlay[160:] = BLUE
    assert cv2.imwrite(str(tmp_path / "overlay.png"), overlay)
    heatmap = image_file(tmp_path / "heatmap.png", GREEN, height=160, width=320)
    sheet = sheet_of(tmp_path, [ContactSheetEntry("dent", "score 2", tmp_path / "overlay.png", heatmap)])
    assert pixels_of(sheet, RED) == pixels_of(sheet, GREEN) == 256 * 128
    assert pixels_of(sheet, BLUE) == 0


def test_text_is_drawn(tmp_path: Path, frame: Path, heatmap: Path) -> None:
    plain = sheet_of(tmp_path, [ContactSheetEntry("", "", frame, heatmap)])
    for heading, title, caption in (("9 of 9 defects", "", ""), ("", "dent", ""), ("", "", "score 2")):
        sheet = sheet_of(tmp_path, [ContactSheetEntry(title, caption, frame, heatmap)], heading)
        changed = (sheet != plain).any(axis=2)
        assert changed.any()
        assert pixels_of(sheet, RED) == 256 * 256, "no text over a frame"


def test_sheet_without_alarms_is_its_header(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, [], "no alarm")
    assert sheet.shape[0] < 100
    assert sheet.max() > 200


def test_long_sheet_ends_after_the_first_alarms(tmp_path: Path, frame: Path, heatmap: Path) -> None:
    entry = ContactSheetEntry("dent", "score 2", frame, heatmap)
    assert pixels_of(sheet_of(tmp_path, [entry] * (MAX_ALARMS + 5)), RED) == MAX_ALARMS * 256 * 256


def test_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"sheet.png: cannot be written"):
        write_contact_sheet(tmp_path / "none" / "sheet.png", "", [])
