"""The images of alarms, as bytes and on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms.evidence import Evidence
from agent.alarms.heat_regions import regions
from tests.agent.alarms.heatmaps import heatmap_with, verdict

HEATMAP = heatmap_with((4, 4, 3.0))
SMALL_VERDICT = verdict(np.zeros((64, 64, 1), np.uint8), HEATMAP)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (700, 1900)])
def test_saved_images_decode_and_match_their_digest_for_any_frame(
    tmp_path: Path, depth: type, channels: int, size: tuple[int, int]
) -> None:
    frame = np.zeros((*size, channels), depth)
    saved = Evidence(tmp_path).save("a1", verdict(frame, HEATMAP), regions(HEATMAP, frame.shape))
    images = {image.name: image for image in saved}
    assert set(images) == {"heatmap", "overlay", "frame"}
    decoded = {}
    for name, image in images.items():
        decoded[name] = cv2.imdecode(np.frombuffer(image.payload, np.uint8), cv2.IMREAD_COLOR)
        assert decoded[name] is not None
        assert image.sha256 == hashlib.sha256(image.payload).hexdigest()
        assert (tmp_path / "cam" / "a1" / image.file_name).read_bytes() == image.payload
    assert decoded["frame"].shape[:2] == size, "the frame keeps its size"


def test_oldest_alarms_are_deleted_at_the_byte_limit(tmp_path: Path) -> None:
    unlimited = Evidence(tmp_path)
    unlimited.save("a0", SMALL_VERDICT, [])
    size = unlimited.bytes_on_disk()
    evidence = Evidence(tmp_path, max_bytes=3 * size)
    for number in range(1, 6):
        evidence.save(f"a{number}", SMALL_VERDICT, [])
    assert sorted(folder.name for folder in (tmp_path / "cam").iterdir()) == ["a3", "a4", "a5"]
    assert evidence.bytes_on_disk() == sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())


def test_an_alarm_above_the_byte_limit_is_returned_but_not_kept(tmp_path: Path) -> None:
    assert len(Evidence(tmp_path, max_bytes=10).save("a1", SMALL_VERDICT, [])) == 3
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_disk_error_costs_only_the_copy_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cam").write_text("in the way")
    evidence = Evidence(tmp_path)
    assert len(evidence.save("a1", SMALL_VERDICT, [])) == 3
    evidence.save("a2", SMALL_VERDICT, [])
    assert caplog.text.count("evidence not kept") == 1, "a repeated failure is logged at DEBUG"


@pytest.mark.parametrize("window", [None, (500, 3300)])
def test_twelve_bits_in_sixteen_are_visible(tmp_path: Path, window: tuple[int, int] | None) -> None:
    """Detectors of 12 bits used to give black images: their highest value is a 16th of the range."""
    image = np.full((64, 64, 1), 600, np.uint16)
    image[16:48, 16:48] = 3000
    saved = {image.name: image for image in Evidence(tmp_path).save("a1", verdict(image, HEATMAP), [], window)}
    shown = cv2.imdecode(np.frombuffer(saved["frame"].payload, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown[32, 32] > 180
    assert shown[4, 4] < 60
    overlay = cv2.imdecode(np.frombuffer(saved["overlay"].payload, np.uint8), cv2.IMREAD_COLOR)
    assert overlay[200, 200].max() > 150


def test_one_window_shows_the_same_value_alike_in_every_image(tmp_path: Path) -> None:
    evidence, shades = Evidence(tmp_path), []
    for other in (500, 4000):
        image = np.full((64, 64, 1), other, np.uint16)
        image[:32] = 1500
        (saved,) = evidence.save_frame("a1", verdict(image, HEATMAP).frame, (500, 3300))
        shades.append(cv2.imdecode(np.frombuffer(saved.payload, np.uint8), cv2.IMREAD_GRAYSCALE)[8, 8])
    assert abs(int(shades[0]) - int(shades[1])) <= 1
