"""A correction removes what is the detector's, and is not made from images that do not show it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import ImageError
from engines.images import CorrectionMaps, calibrate, list_images, pack_correction, read_correction
from engines.images.detector.correcting import apply
from tests.support.detector import HEIGHT, WIDTH, Detector, part

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)


def make(dark: Path, flat: Path, **options: object) -> CorrectionMaps:
    return calibrate(list_images(dark), list_images(flat), NOW, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def folders(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("detector")
    return detector.folder(folder / "dark", 20, 0.0), detector.folder(folder / "flat", 20, 1.0)


@pytest.fixture(scope="module")
def maps(folders: tuple[Path, Path]) -> CorrectionMaps:
    return make(*folders)


def rejection(dark: Path, flat: Path) -> str:
    with pytest.raises(ImageError) as caught:
        make(dark, flat)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_pixels_are_found_and_no_others(maps: CorrectionMaps, detector: Detector) -> None:
    np.testing.assert_array_equal(maps.bad, detector.bad)
    assert maps.about.bad_pixels == detector.bad.sum()


def test_flat_images_become_uniform(maps: CorrectionMaps, detector: Detector) -> None:
    """16 % of beam and gain before; what is left is the noise of images that the maps were not made from."""
    raw = detector.image(1.0).astype(float)
    before = raw.std() / raw.mean()
    assert before > 0.15
    assert maps.about.non_uniformity < 0.002
    found = apply(detector.image(1.0, dose=10_000.0)[:, :, None], maps)
    assert found.dtype == np.uint16
    assert found.std() / found.mean() < 0.01


def test_part_is_seen_as_by_an_ideal_detector(maps: CorrectionMaps, detector: Detector) -> None:
    found = apply(detector.image(part())[:, :, None], maps)[:, :, 0].astype(float)
    wanted = maps.about.level * part()
    edges = cv2.dilate((np.abs(cv2.Laplacian(part(), cv2.CV_64F)) > 0).astype(np.uint8), np.ones((5, 5))) > 0
    assert np.abs(found - wanted)[~edges].max() / maps.about.level < 0.02


def test_saturated_pixels_stay_white_and_dark_ones_black(maps: CorrectionMaps) -> None:
    for value, wanted in ((0, 0), (65535, 65535)):
        found = apply(np.full((HEIGHT, WIDTH, 1), value, np.uint16), maps)[~maps.bad]
        assert np.median(found) == pytest.approx(wanted, abs=40_000 if value else 0)


def test_values_that_fall_with_the_exposure_are_corrected(detector: Detector, tmp_path: Path) -> None:
    """As those of MONOCHROME1 images, which are inverted when they are read."""
    for kind, transmission in (("dark", 0.0), ("flat", 1.0)):
        (tmp_path / kind).mkdir()
        for index in range(12):
            cv2.imwrite(str(tmp_path / kind / f"{index}.png"), 65535 - detector.image(transmission))
    found = make(tmp_path / "dark", tmp_path / "flat")
    assert found.about.non_uniformity < 0.005
    image = apply((65535 - detector.image(part()))[:, :, None], found).astype(float)
    level = found.about.level
    assert image[48, 64, 0] - image[5, 5, 0] == pytest.approx(0.5 * level, rel=0.02)


def test_file_is_read_back(maps: CorrectionMaps, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(pack_correction(maps))
    found = read_correction(tmp_path / "a.npz")
    assert found.about == maps.about
    for name in ("offset", "gain", "bad", "neighbours", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(maps, name))


def test_renewed_correction_keeps_detector_and_level(
    maps: CorrectionMaps, folders: tuple[Path, Path], detector: Detector, tmp_path: Path
) -> None:
    flat = detector.folder(tmp_path / "flat", 8, 1.0, dose=15_000.0)
    found = make(folders[0], flat, renewed=maps.about)
    assert (found.about.detector, found.about.level) == (maps.about.detector, maps.about.level)
    assert apply(detector.image(1.0, dose=15_000.0)[:, :, None], found).mean() == pytest.approx(
        found.about.level, rel=0.01
    )
    assert make(*folders).about.detector != maps.about.detector


def test_image_of_another_size_depth_or_colour_is_rejected(maps: CorrectionMaps) -> None:
    wrong = ((WIDTH + 1, 1, np.uint16), (WIDTH, 1, np.uint8), (WIDTH, 3, np.uint16))
    for width, channels, kind in wrong:
        with pytest.raises(ImageError, match="the detector correction is for 128×96, 16 bit, gray"):
            apply(np.zeros((HEIGHT, width, channels), kind), maps)


def test_images_that_do_not_show_a_detector_are_rejected(
    folders: tuple[Path, Path], detector: Detector, tmp_path: Path
) -> None:
    dark, flat = folders
    few = detector.folder(tmp_path / "few", 2, 0.0)
    assert "2 dark images, wanted at least 3" in rejection(few, flat)
    assert "2 flat images, wanted at least 4" in rejection(dark, few)
    assert "flat and dark images differ by 0." in rejection(dark, dark)
    saturated = detector.folder(tmp_path / "saturated", 4, 1.0, dose=200_000.0)
    assert "have the value 65535 in every flat image: saturated; lower the dose" in rejection(dark, saturated)
    with_part = np.where(np.arange(WIDTH) % 16 < 3, 0.05, 1.0) * np.ones((HEIGHT, 1))
    assert "is a part in the way?" in rejection(dark, detector.folder(tmp_path / "part", 4, with_part))
    other = tmp_path / "other"
    other.mkdir()
    for index in range(4):
        cv2.imwrite(str(other / f"{index}.png"), np.full((HEIGHT, WIDTH - 8), 9000, np.uint16))
    assert "0.png: the image is 120×96, 16 bit, the first dark one 128×96, 16 bit" in rejection(dark, other)
    colour = tmp_path / "colour"
    colour.mkdir()
    for index in range(4):
        cv2.imwrite(str(colour / f"{index}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint16))
    assert "a colour image" in rejection(dark, colour)


def test_one_dead_row_is_replaced_and_a_dead_band_is_rejected(tmp_path: Path) -> None:
    """Of 400 rows: a band of 18 is below the limit of bad pixels, and wider than may be replaced."""

    def write(folder: Path, value: int, dead: int) -> Path:
        folder.mkdir()
        random = np.random.default_rng(value)
        for index in range(4):
            image = random.normal(value, 5, (400, 64))
            image[191 : 191 + dead] = random.normal(500, 5, (dead, 64))
            cv2.imwrite(str(folder / f"{index}.png"), image.round().astype(np.uint16))
        return folder

    dark = write(tmp_path / "dark", 500, 0)
    assert make(dark, write(tmp_path / "row", 9000, 1)).about.bad_pixels == 64
    band = rejection(dark, write(tmp_path / "band", 9000, 18))
    assert "are further than 8 pixels from good ones: they cannot be replaced" in band


@pytest.mark.parametrize("damage", ["truncated", "text", "missing", "other"])
def test_file_that_is_no_correction_is_rejected_in_one_line(maps: CorrectionMaps, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    if damage == "truncated":
        path.write_bytes(pack_correction(maps)[:-500])
    elif damage == "text":
        path.write_text("flat")
    elif damage == "other":
        np.savez(path, offset=np.zeros(3))
    with pytest.raises(ImageError) as caught:
        read_correction(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
