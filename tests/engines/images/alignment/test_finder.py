"""Parts are found where they lie, to a fraction of a pixel; what is no part is not found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles import Alignment, CropBox
from engines.errors import ImageError, PartNotFoundError
from engines.images import AlignmentChoice, LimitChanges, cut_upright, find_part
from tests.support.loose_parts import HEIGHT, PLATE, WIDTH, Lies, anyhow, draw, empty, taught

CORNERS = [(PLATE.x + dx, PLATE.y + dy) for dx in (0, PLATE.width) for dy in (0, PLATE.height)]
WHOLE = CropBox(x=0, y=0, width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def alignment(tmp_path_factory: pytest.TempPathFactory) -> Alignment:
    return taught(tmp_path_factory.mktemp("taught") / "reference.png").for_size(HEIGHT, WIDTH)


def error_pixels(image: np.ndarray, alignment: Alignment, lies: Lies) -> float:
    """Mean distance of the corners of the plate from where they are."""
    to_source = find_part(image, alignment).to_source(WHOLE)
    return float(np.mean([np.hypot(*(to_source @ (x, y, 1.0) - np.array(lies.place(x, y)))) for x, y in CORNERS]))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_parts_are_found_to_a_fraction_of_a_pixel(
    alignment: Alignment, kind: type[np.unsignedinteger], channels: int
) -> None:
    rng, errors = np.random.default_rng(5), []
    for _ in range(20):
        lies = anyhow(rng, 16.0, 15.0)
        image = np.repeat(draw(lies, rng, kind=kind), channels, axis=2)
        errors.append(error_pixels(image, alignment, lies))
    assert np.median(errors) < 0.3
    assert max(errors) < 0.6


def test_light_and_contrast_do_not_matter(alignment: Alignment) -> None:
    lies, rng = Lies(9.0, -7.0, 12.0), np.random.default_rng(2)
    image = draw(lies, rng)
    slope = np.linspace(0.3, 0.9, WIDTH)[None, :, None]
    assert error_pixels((image * slope + 20).astype(np.uint8), alignment, lies) < 0.8


def test_the_whole_turn_is_searched_if_the_limits_say_so(alignment: Alignment) -> None:
    wide, rng = LimitChanges(max_angle_degrees=180.0).applied_to(alignment), np.random.default_rng(3)
    for degrees in (-170.0, -90.0, 44.0, 179.0):
        lies = Lies(3.0, 4.0, degrees)
        assert error_pixels(draw(lies, rng), wide, lies) < 0.6


def test_a_limit_beyond_the_image_is_the_image(alignment: Alignment) -> None:
    far, lies = LimitChanges(max_shift_pixels=65_000.0).applied_to(alignment), Lies(30.0, -20.0, 5.0)
    assert error_pixels(draw(lies, np.random.default_rng(3)), far, lies) < 0.6


def test_what_is_no_part_is_not_found(alignment: Alignment) -> None:
    rng = np.random.default_rng(1)
    blank = [np.full((HEIGHT, WIDTH, 1), level, np.uint8) for level in (0, 128, 255)]
    noise = [rng.integers(0, 256, (HEIGHT, WIDTH, 1)).astype(np.uint8) for _ in range(5)]
    slope = [np.broadcast_to(np.linspace(0, 255, WIDTH)[None, :, None], (HEIGHT, WIDTH, 1)).astype(np.uint8)]
    for image in (*blank, *noise, *slope, *(empty(rng) for _ in range(5))):
        with pytest.raises(
            PartNotFoundError, match=r"no part was found: the best match is 0\.\d\d, wanted 0.4 or more"
        ):
            find_part(image, alignment)


def test_a_saturated_image_has_no_part_and_a_glare_hides_none(alignment: Alignment) -> None:
    lies, rng = Lies(4.0, 3.0, -6.0), np.random.default_rng(4)
    image = draw(lies, rng)
    with pytest.raises(PartNotFoundError):
        find_part(np.clip(image.astype(int) + 240, 0, 255).astype(np.uint8), alignment)
    glare = image.copy()
    cv2.circle(glare, (70, 50), 7, 255, cv2.FILLED)
    assert error_pixels(glare, alignment, lies) < 1.0


@pytest.mark.parametrize("lies", [Lies(26.0), Lies(0.0, -24.0), Lies(0.0, 0.0, 28.0)])
def test_a_part_beyond_the_limits_is_not_found(alignment: Alignment, lies: Lies) -> None:
    with pytest.raises(PartNotFoundError, match="no part was found"):
        find_part(draw(lies, np.random.default_rng(6)), alignment)


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH + 1), (HEIGHT // 2, WIDTH // 2), (20, 20), (1, 1)])
def test_an_image_of_another_size_is_one_line(alignment: Alignment, shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"the image is {shape[1]}×{shape[0]}, wanted {WIDTH}×{HEIGHT}") as caught:
        find_part(np.zeros((*shape, 1), np.uint8), alignment)
    assert not isinstance(caught.value, PartNotFoundError)


def test_parts_lie_alike_once_they_are_cut_out(alignment: Alignment) -> None:
    rng = np.random.default_rng(8)
    upright = draw(Lies(), rng)[PLATE.y : PLATE.y + PLATE.height, PLATE.x : PLATE.x + PLATE.width].astype(int)
    for _ in range(5):
        image = draw(anyhow(rng), rng)
        cut = cut_upright(image, find_part(image, alignment), PLATE)
        assert cut.shape == (PLATE.height, PLATE.width, 1)
        assert cut.dtype == np.uint8
        assert np.abs(cut.astype(int) - upright)[2:-2, 2:-2].mean() < 8
        as_it_lies = image[PLATE.y : PLATE.y + PLATE.height, PLATE.x : PLATE.x + PLATE.width].astype(int)
        assert np.abs(as_it_lies - upright).mean() > 12


def test_a_region_at_the_edge_of_the_image_is_found(tmp_path: Path) -> None:
    """The plate reaches the border of images that are no larger than it."""
    rng = np.random.default_rng(9)
    large = cv2.resize(draw(Lies(), rng), (320, 240), interpolation=cv2.INTER_CUBIC)
    edge = large[72:168, 96:224]
    assert cv2.imwrite(str(tmp_path / "edge.png"), edge)
    alignment = AlignmentChoice(tmp_path / "edge.png").for_size(*edge.shape)
    moved = cv2.warpAffine(edge, np.array([[1.0, 0, 5.0], [0, 1.0, -3.0]]), (128, 96), borderMode=cv2.BORDER_REPLICATE)
    pose = find_part(moved[:, :, None], alignment)
    assert (pose.right, pose.down) == (pytest.approx(5.0, abs=0.3), pytest.approx(-3.0, abs=0.3))
