"""Reading a folder of good images, whatever it contains."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from engines.bundles import CropBox, Geometry, Normalisation, View
from engines.errors import TrainingError
from engines.training.good_frames import NormalisedFrames, count_near_duplicates, in_batches, load_good_frames, split
from engines.training.view_choice import ViewChoice
from tests.support.parts import draw_part, write_parts


def test_folder_of_good_images_is_read_at_the_size_of_the_model(good_parts: Path) -> None:
    good = load_good_frames(good_parts, (32, 48))
    assert good.geometry == Geometry(32, 48, 1, 8, "GRAY")
    assert good.frames.shape == (24, 32, 48, 1)
    assert good.frames.dtype == np.uint8
    assert [path.name for path in good.paths] == sorted(path.name for path in good_parts.iterdir())
    assert good.skipped == ()


def test_unusable_files_are_skipped_counted_and_named(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "good", 6)
    (folder / "notes.txt").write_text("not an image, and not called one")
    (folder / "readme.png").write_text("not an image, but called one")
    (folder / "half.png").write_bytes((folder / "000.png").read_bytes()[:300])
    (folder / "empty.jpg").touch()
    cv2.imwrite(str(folder / "deep.png"), draw_part(np.random.default_rng(0), depth=16))
    good = load_good_frames(folder, (32, 32))
    assert len(good.frames) == 6
    assert len(good.skipped) == 4
    text = "\n".join(good.skipped)
    for name in (
        "readme.png: not a PNG",
        "half.png: truncated",
        "empty.jpg: empty",
        "deep.png: 16 bits per sample, most",
    ):
        assert name in text
    assert any(line.startswith("4 files could not be used; the first: ") for line in good.warnings)


@pytest.mark.parametrize(
    ("height", "width", "size", "line"),
    [
        (480, 640, None, "images of 640×480 are shrunk to 256×192: a defect of 10 pixels becomes 4 pixels;"),
        (480, 640, (192, 256), None),
        (512, 512, None, None),
    ],
)
def test_automatic_size_that_loses_small_defects_gives_a_warning(
    tmp_path: Path, height: int, width: int, size: tuple[int, int] | None, line: str | None
) -> None:
    for index in range(2):
        image = np.random.default_rng(index).integers(0, 255, (height, width)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    warnings = [warning for warning in load_good_frames(tmp_path, size).warnings if "shrunk" in warning]
    assert [warning.startswith(line or "") for warning in warnings] == ([] if line is None else [True])


def test_images_of_mixed_sizes_become_frames_of_one_size(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "good", 3)
    cv2.imwrite(str(folder / "wide.png"), np.zeros((50, 200), np.uint8))
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((5, 5), np.uint8))
    assert load_good_frames(folder, (16, 16)).frames.shape == (5, 16, 16, 1)


def test_automatic_size_follows_most_images_and_others_are_padded(tmp_path: Path) -> None:
    """The first file in the folder is not like the others."""
    for index, (height, width) in enumerate([(60, 240), (120, 160), (120, 160), (120, 160)]):
        image = np.random.default_rng(index).integers(0, 255, (height, width)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    good = load_good_frames(tmp_path, None)
    assert good.frames.shape == (4, 128, 160, 1)
    padding = good.view.padding
    assert padding is not None
    assert (good.frames[0, :44] == padding).all()
    assert (good.frames[0, 84:] == padding).all()
    assert (good.frames[0, 44:84] != padding).mean() > 0.9
    assert not any("stretched" in line for line in good.warnings)


def test_one_odd_image_among_many_is_left_out_and_named(tmp_path: Path) -> None:
    """It is a file that does not belong there: the model keeps rejecting other shapes."""
    for index in range(60):
        image = np.random.default_rng(index).integers(0, 255, (24, 120) if index == 7 else (48, 64)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), image)
    good = load_good_frames(tmp_path, None)
    assert len(good.frames) == 59
    assert good.view.padding is None
    assert [line.split("/")[-1] for line in good.skipped] == [
        "07.png: 5.00 times as wide as high, most images here are 1.33 times"
    ]


def test_much_padding_gives_a_warning(tmp_path: Path) -> None:
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((60, 120), 40 * index, np.uint8))
    (line,) = [line for line in load_good_frames(tmp_path, (64, 64)).warnings if "padding" in line]
    assert line.startswith("50% of the model's input of 64×64 is padding on average")


def test_the_size_follows_all_images_not_a_sample(tmp_path: Path) -> None:
    """Every second image is of another shape; so is every image of an evenly spaced sample of a half."""
    for index in range(131):
        shape = (32, 128) if index % 2 == 0 and index < 128 else (64, 64)
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), np.full(shape, index, np.uint8))
    assert load_good_frames(tmp_path, None).geometry.shape[:2] == (64, 64)


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    good = load_good_frames(write_parts(tmp_path / "good", 4, depth=16), (32, 32))
    assert good.geometry.bit_depth == 16
    assert good.frames.dtype == np.uint16
    assert good.frames.max() > 20000


def test_colour_stays_colour_and_gray_in_colour_files_becomes_gray(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("colour", "gray"):
        (tmp_path / name).mkdir()
    for index in range(4):
        cv2.imwrite(str(tmp_path / "colour" / f"{index}.png"), rng.integers(0, 255, (32, 32, 3)).astype(np.uint8))
        gray = np.repeat(rng.integers(0, 255, (32, 32, 1)), 3, axis=2).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "gray" / f"{index}.png"), gray)
    colour = load_good_frames(tmp_path / "colour", (32, 32)).geometry
    assert (colour.channels, colour.colour_order) == (3, "BGR")
    gray = load_good_frames(tmp_path / "gray", (32, 32)).geometry
    assert (gray.channels, gray.colour_order) == (1, "GRAY")


def error_of(*arguments, **keywords) -> str:
    with pytest.raises(TrainingError) as caught:
        load_good_frames(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_or_empty_folder_gives_a_one_line_error(tmp_path: Path) -> None:
    assert "no such folder, wanted a folder of images" in error_of(tmp_path / "nowhere", (32, 32))
    (tmp_path / "empty").mkdir()
    assert "no images in this folder, wanted PNG, JPEG" in error_of(tmp_path / "empty", (32, 32))


def test_folder_without_usable_images_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    text = error_of(tmp_path, (32, 32))
    assert "0 usable of 1 images, wanted at least 2" in text
    assert "a.png: not a PNG" in text


def test_images_that_exceed_the_memory_limit_are_rejected(good_parts: Path) -> None:
    assert "24 images of 64×64 need more than" in error_of(good_parts, (64, 64), max_bytes=20 * 64 * 64)


def test_list_of_files_is_read_like_a_folder(good_parts: Path) -> None:
    paths = sorted(good_parts.iterdir())[:5]
    assert load_good_frames(paths, (32, 32)).paths == tuple(paths)


def test_copies_count_as_duplicates_and_frames_of_a_steady_line_do_not(good_parts: Path) -> None:
    frames = load_good_frames(good_parts, (32, 32)).frames
    assert count_near_duplicates(frames) == 0
    assert count_near_duplicates(np.concatenate([frames, frames[:5]])) == 5
    rng = np.random.default_rng(0)
    steady = np.full((60, 32, 32, 1), 90.0) + rng.normal(0, 3, (60, 32, 32, 1))
    assert count_near_duplicates(steady.astype(np.uint8)) == 0


def test_frozen_camera_is_all_duplicates() -> None:
    assert count_near_duplicates(np.full((10, 32, 32, 1), 7, np.uint8)) == 9


@pytest.mark.parametrize("count", [2, 3, 10, 240, 10000])
def test_split_is_complete_and_holds_out_its_share(count: int) -> None:
    trained_on, held_out = split(count, seed=3)
    assert sorted([*trained_on, *held_out]) == list(range(count))
    assert 1 <= len(held_out) <= min(512, max(1, round(0.15 * count)))


def test_split_depends_on_the_seed() -> None:
    assert split(100, 1)[1].tolist() == split(100, 1)[1].tolist()
    assert split(100, 1)[1].tolist() != split(100, 2)[1].tolist()


def test_split_keeps_images_of_one_part_together() -> None:
    """As many as fit are held out; without siblings, the split is the one of before."""
    groups = np.arange(100) // 3
    trained_on, held_out = split(100, 0, groups)
    assert not set(groups[trained_on]) & set(groups[held_out])
    assert 13 <= len(held_out) <= 15
    assert [part.tolist() for part in split(100, 0, np.arange(100))] == [part.tolist() for part in split(100, 0)]


def test_split_of_a_frozen_camera_still_holds_frames_out() -> None:
    assert len(split(40, 0, np.zeros(40, np.int64))[1]) == 6


def test_batches_are_normalised_and_complete() -> None:
    frames = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2, 1)
    data = NormalisedFrames(frames, Normalisation(low=0, high=255))
    batches = list(in_batches(data, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert batches[0].shape == (3, 1, 2, 2)
    assert float(batches[0][0, 0, 0, 0]) == -1.0
    assert float(batches[2][0, 0, 1, 1]) == pytest.approx(27 / 127.5 - 1)


def test_proportions_of_the_images_are_recorded(tmp_path: Path) -> None:
    for index in range(4):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((60, 80 + 10 * index), 40 * index, np.uint8))
    good = load_good_frames(tmp_path, (48, 64), letterbox=False)
    assert (good.view.lowest_aspect, good.view.highest_aspect) == (1.3333, 1.8333)
    (line,) = [line for line in good.warnings if "stretched" in line]
    assert line.startswith("3 of 4 images have another shape than 64×48 and are stretched, by up to 1.4 times:")


@pytest.mark.parametrize(("size", "stretched"), [((48, 64), False), ((64, 64), True), ((32, 64), True)])
def test_a_size_that_deforms_the_parts_gives_a_warning(tmp_path: Path, size: tuple[int, int], stretched: bool) -> None:
    for index in range(3):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((60, 80), 40 * index, np.uint8))
    warnings = load_good_frames(tmp_path, size, letterbox=False).warnings
    assert any("stretched" in line for line in warnings) == stretched
    assert (load_good_frames(tmp_path, size).view.padding is not None) == stretched


def test_only_the_crop_is_trained_on(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    parts = [chance.integers(0, 255, (32, 48), np.uint8) for _ in range(3)]
    for index, part in enumerate(parts):
        whole = np.full((60, 80), 90 * index, np.uint8)
        whole[5:37, 20:68] = part
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), whole)
    assert cv2.imwrite(str(tmp_path / "small.png"), np.zeros((30, 30), np.uint8))
    crop = CropBox(x=20, y=5, width=48, height=32)
    good = load_good_frames(tmp_path, None, ViewChoice(crop=crop))
    assert good.view == View(lowest_aspect=1.5, highest_aspect=1.5, crop=crop)
    assert good.geometry.shape == (32, 48, 1)
    assert (good.frames[:, :, :, 0] == np.stack(parts)).all()
    (line,) = good.skipped
    assert "small.png: crop is 48×32 at 20,5, wanted within the image of 30×30" in line
