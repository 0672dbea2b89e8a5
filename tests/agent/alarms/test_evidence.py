"""Pictures of alarms, and the boxes around what is hot."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alarms.drawing import draw_heatmap, to_8_bit
from agent.alarms.evidence import Evidence
from agent.alarms.heat_colours import colour_of
from agent.alarms.heat_regions import regions
from agent.core.image_bytes import encode, shrink_encoded
from agent.core.records import Frame, Verdict
from tests.support.delivery import AT


def verdict(image: NDArray[np.uint8] | NDArray[np.uint16], heat: NDArray[np.float32]) -> Verdict:
    return Verdict(Frame("cam", 7, AT, 0.0, image), 3.5, 3.5, 2.0, heat)


def heat_with(*spots: tuple[int, int, float]) -> NDArray[np.float32]:
    heat = np.full((8, 16), 0.25, np.float32)
    for row, column, value in spots:
        heat[row, column] = value
    return heat


def test_regions_are_boxes_in_source_pixels_hottest_first() -> None:
    heat = heat_with((1, 2, 1.5), (1, 3, 2.5), (2, 3, 1.1), (6, 15, 9.0))
    hottest, second = regions(heat, (80, 320, 1))
    assert (hottest.x, hottest.y, hottest.width, hottest.height, hottest.peak) == (300, 60, 20, 10, 9.0)
    assert (second.x, second.y, second.width, second.height, second.peak) == (40, 10, 40, 20, 2.5)


def test_regions_are_eight_at_most() -> None:
    spots = [(row, column, 1.5 + 0.1 * row + 0.01 * column) for row in range(0, 8, 2) for column in range(0, 16, 2)]
    found = regions(heat_with(*spots), (8, 16, 1))
    assert len(found) == 8
    assert [region.peak for region in found] == sorted((region.peak for region in found), reverse=True)
    assert found[0].peak == pytest.approx(2.24)


def test_nothing_above_one_gives_the_hottest_spot() -> None:
    (only,) = regions(heat_with((3, 5, 0.75)), (8, 16, 1))
    assert (only.x, only.y, only.width, only.height, only.peak) == (5, 3, 1, 1, 0.75)


@pytest.mark.parametrize("shape", [(9, 17, 1), (5, 7, 3), (1000, 333, 1)])
def test_region_lies_within_the_image(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        for region in regions(rng.gamma(2, 0.5, (8, 16)).astype(np.float32), shape):
            assert 0 <= region.x < region.x + region.width <= shape[1]
            assert 0 <= region.y < region.y + region.height <= shape[0]


def test_heat_that_is_no_number_is_survived() -> None:
    heat = heat_with((0, 0, np.nan), (2, 2, np.inf))
    assert regions(heat, (8, 16, 1))[0].x == 2
    assert draw_heatmap(heat, 80, 160).shape == (80, 160, 3)


def test_colour_of_a_heat_does_not_depend_on_the_picture() -> None:
    alone = colour_of(np.array([[0.9, 3.0]], np.float32))
    beside = colour_of(np.array([[0.9, 3.0, 50.0]], np.float32))
    assert (alone[0] == beside[0, :2]).all()


def test_colour_tells_good_from_hot() -> None:
    """Blue up to 1.0, red or brighter above."""
    below, above = colour_of(np.array([[0.99, 1.01]], np.float32))[0].astype(int)
    assert below[0] > below[2]
    assert above[2] > above[0]


def test_sixteen_bits_are_shown_through_one_window() -> None:
    image = np.array([[[0], [32_768], [65_535]]], np.uint16)
    assert to_8_bit(image)[0, :, 0].tolist() == [0, 128, 255]
    assert to_8_bit(image, (0, 32_768))[0, :, 0].tolist() == [0, 255, 255]
    dim = (np.full((4, 4, 1), 300, np.uint16), np.full((4, 4, 1), 65_000, np.uint16))
    assert to_8_bit(dim[0]).max() < to_8_bit(dim[1]).min()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (700, 1900)])
def test_pictures_can_be_read_and_have_their_digest(
    tmp_path: Path, depth: type, channels: int, size: tuple[int, int]
) -> None:
    image = np.zeros((*size, channels), depth)
    heat = heat_with((4, 4, 3.0))
    evidence = Evidence(tmp_path, max_bytes=10**8)
    pictures = {p.name: p for p in evidence.save("a1", verdict(image, heat), regions(heat, image.shape))}
    assert set(pictures) == {"heatmap", "overlay", "frame"}
    for picture in pictures.values():
        decoded = cv2.imdecode(np.frombuffer(picture.payload, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert picture.sha256 == hashlib.sha256(picture.payload).hexdigest()
        assert (tmp_path / "cam" / "a1" / picture.file_name).read_bytes() == picture.payload
    frame = cv2.imdecode(np.frombuffer(pictures["frame"].payload, np.uint8), cv2.IMREAD_COLOR)
    assert frame.shape[:2] == size


def test_overlay_leaves_good_parts_as_the_camera_saw_them(tmp_path: Path) -> None:
    image = np.full((400, 800, 1), 120, np.uint8)
    heat = heat_with((4, 4, 6.0))
    (overlay,) = [p for p in Evidence(tmp_path).draw(verdict(image, heat), []) if p.name == "overlay"]
    drawn = cv2.imdecode(np.frombuffer(overlay.payload, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert drawn.shape[0] > 400, "the strip with score and scale"
    assert abs(drawn[:100, 600:] - 120).max() <= 3
    assert abs(drawn[225, 225] - 120).max() > 30


def test_oldest_alarms_leave_when_the_cap_is_reached(tmp_path: Path) -> None:
    image, heat = np.zeros((64, 64, 1), np.uint8), heat_with((4, 4, 3.0))
    one = Evidence(tmp_path, max_bytes=10**8)
    one.save("a0", verdict(image, heat), [])
    size = one.bytes_on_disk()
    evidence = Evidence(tmp_path, max_bytes=3 * size)
    for number in range(1, 6):
        evidence.save(f"a{number}", verdict(image, heat), [])
    assert sorted(folder.name for folder in (tmp_path / "cam").iterdir()) == ["a3", "a4", "a5"]
    assert evidence.bytes_on_disk() == sum(file.stat().st_size for file in tmp_path.rglob("*.*g") if file.is_file())


def test_disk_that_refuses_costs_the_copy_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cam").write_text("in the way")
    image, heat = np.zeros((64, 64, 1), np.uint8), heat_with((4, 4, 3.0))
    evidence = Evidence(tmp_path)
    assert len(evidence.save("a1", verdict(image, heat), [])) == 3
    evidence.save("a2", verdict(image, heat), [])
    assert caplog.text.count("evidence not kept") == 1


def test_shrink_halves_until_it_fits_and_gives_up_in_the_end() -> None:
    noise = encode(np.random.default_rng(0).integers(0, 256, (200, 100, 3), np.uint8), "image/png")
    small = shrink_encoded(noise, "image/png", len(noise) // 8)
    assert small is not None
    assert (len(small.payload) <= len(noise) // 8, small.scale) == (True, 0.25)
    assert cv2.imdecode(np.frombuffer(small.payload, np.uint8), cv2.IMREAD_COLOR).shape == (50, 25, 3)
    assert shrink_encoded(noise, "image/png", 100) is None
    assert shrink_encoded(b"no picture", "image/png", 100) is None
    assert shrink_encoded(b"{}", "application/json", 100) is None
