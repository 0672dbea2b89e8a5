"""The alignment that a person asks for, and what it becomes in the bundle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from engines.bundles import Alignment, CropBox, View
from engines.errors import ImageError
from engines.images import AlignmentChoice, LimitChanges, learned_limits
from tests.support.loose_parts import HEIGHT, PLATE, WIDTH, taught


def test_defaults_are_a_tenth_of_the_image_and_fifteen_degrees(tmp_path: Path) -> None:
    file = taught(tmp_path / "reference.png").file
    limits = AlignmentChoice(file, PLATE).for_size(HEIGHT, WIDTH).limits
    assert str(limits) == "up to 16 px and 15°, match at least 0.4"


@pytest.mark.parametrize(("side", "shrunk"), [(100, 1), (128, 1), (129, 2), (512, 4), (700, 6)])
def test_large_regions_are_stored_small_and_cover_all_but_a_few_pixels(side: int, shrunk: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 255, (40, 40)).astype(np.uint8), (800, 800), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(tmp_path / "large.png"), image)
    region = CropBox(x=17, y=33, width=side, height=side - 11)
    alignment = AlignmentChoice(tmp_path / "large.png", region).for_size(800, 800)
    assert alignment.shrunk == shrunk
    assert max(alignment.reference_shape) <= 128
    kept = alignment.region
    assert region.x <= kept.x
    assert kept.x + kept.width <= region.x + region.width
    assert region.width - kept.width < shrunk
    assert region.height - kept.height < shrunk
    assert len(alignment.model_dump_json()) < 25_000


def test_the_least_match_follows_from_the_training_unless_it_is_given(tmp_path: Path) -> None:
    choice = taught(tmp_path / "reference.png")
    alignment = choice.for_size(HEIGHT, WIDTH)
    assert learned_limits(alignment, choice, [0.9, 0.95, 0.2]).limits.least_match == 0.54
    assert learned_limits(alignment, choice, [0.5, 0.5]).limits.least_match == 0.4
    assert learned_limits(alignment, choice, []).limits.least_match == 0.4
    given = taught(tmp_path / "reference.png", least_match=0.8)
    assert learned_limits(given.for_size(HEIGHT, WIDTH), given, [0.95]).limits.least_match == 0.8


@pytest.mark.parametrize(
    ("region", "wanted"),
    [
        (
            CropBox(x=100, y=0, width=100, height=100),
            "the region is 100×100 at 100,0, wanted within the image of 160×120",
        ),
        (CropBox(x=0, y=0, width=160, height=8), "80×4 where it is looked for, wanted at least 16 along each side"),
        (CropBox(x=0, y=0, width=30, height=30), "is of one gray value, wanted something that a part is known by"),
    ],
)
def test_a_region_that_cannot_be_found_again_is_one_line(region: CropBox, wanted: str, tmp_path: Path) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[60:, 80:] = np.arange(80, dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "reference.png"), image)
    with pytest.raises(ImageError, match=wanted) as caught:
        AlignmentChoice(tmp_path / "reference.png", region).for_size(HEIGHT, WIDTH)
    assert "\n" not in str(caught.value)


def test_a_taught_image_of_another_size_is_one_line(tmp_path: Path) -> None:
    choice = taught(tmp_path / "reference.png")
    with pytest.raises(ImageError, match="the image to align with is 160×120, the images are 640×480"):
        choice.for_size(480, 640)
    with pytest.raises(ImageError, match=r"none\.png: cannot be read"):
        AlignmentChoice(tmp_path / "none.png").for_size(480, 640)


def test_a_damaged_or_impossible_alignment_is_no_manifest(tmp_path: Path) -> None:
    alignment = taught(tmp_path / "reference.png").for_size(HEIGHT, WIDTH)
    view = View(lowest_aspect=1.0, highest_aspect=1.0, crop=PLATE, alignment=alignment)
    assert View.model_validate_json(view.model_dump_json()) == view
    document = alignment.model_dump()
    for change, wanted in (
        ({"reference": "AAAA"}, "the reference of the alignment is damaged, wanted 3072 bytes"),
        ({"width": 60}, "wanted within the image of 60×120"),
        ({"shrunk": 5}, "wanted a multiple of 5"),
        ({"limits": {**document["limits"], "least_match": 1.5}}, "less than 1"),
        ({"limits": {**document["limits"], "max_angle_degrees": float("nan")}}, "max_angle_degrees"),
    ):
        with pytest.raises(ValidationError, match=wanted):
            Alignment.model_validate({**document, **change})
    for crop, wanted in ((None, "alignment is given without crop"), (CropBox(x=99, y=0, width=99, height=9), "within")):
        with pytest.raises(ValidationError, match=wanted):
            View(lowest_aspect=1.0, highest_aspect=1.0, crop=crop, alignment=alignment)


def test_limits_change_alone(tmp_path: Path) -> None:
    alignment = taught(tmp_path / "reference.png").for_size(HEIGHT, WIDTH)
    changed = LimitChanges(max_angle_degrees=3.0).applied_to(alignment)
    assert changed.limits.max_angle_degrees == 3.0
    assert changed.limits.max_shift_pixels == alignment.limits.max_shift_pixels
    assert changed.reference == alignment.reference
