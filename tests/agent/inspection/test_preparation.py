"""From a captured image to the model's input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.inspection.preparation import Preparation, inspected_crop
from engines.bundles import CropBox, Geometry, View
from engines.bundles.bundle import Bundle

GEOMETRY = Geometry(height=32, width=32, channels=1, bit_depth=8)
IMAGE = np.arange(60 * 80, dtype=np.uint32).reshape(60, 80, 1).astype(np.uint8)


def test_the_crop_is_what_is_inspected_and_fitted() -> None:
    inspected, pixels = Preparation(GEOMETRY, Crop(x=10, y=20, width=32, height=32))(IMAGE)[:2]
    assert (inspected == IMAGE[20:52, 10:42]).all()
    assert (pixels == inspected).all(), "it has the model's size already"


def test_the_whole_image_is_inspected_without_a_crop() -> None:
    inspected, pixels = Preparation(GEOMETRY)(IMAGE)[:2]
    assert inspected.shape == (60, 80, 1)
    assert pixels.shape == (32, 32, 1)


def test_an_engine_that_fits_images_itself_gets_the_crop() -> None:
    given: list[tuple[int, ...]] = []

    def fit(image: np.ndarray) -> np.ndarray:
        given.append(image.shape)
        return image[:32, :32]

    pixels = Preparation(GEOMETRY, Crop(x=0, y=0, width=50, height=40), fit=fit)(IMAGE).pixels
    assert given == [(40, 50, 1)]
    assert pixels.shape == (32, 32, 1)


def test_a_crop_beyond_the_image_is_rejected() -> None:
    with pytest.raises(Permanent, match="crop is 40×30 at 50,0, wanted within the image of 80×60"):
        Preparation(GEOMETRY, Crop(x=50, y=0, width=40, height=30))(IMAGE)


def test_an_image_of_another_bit_depth_is_rejected() -> None:
    with pytest.raises(Permanent, match="16"):
        Preparation(GEOMETRY)(IMAGE.astype(np.uint16))


@pytest.mark.parametrize(
    ("height", "width", "fits"), [(60, 60, True), (60, 65, True), (60, 80, False), (80, 60, False)]
)
def test_an_image_of_other_proportions_than_the_training_images_is_rejected(
    height: int, width: int, fits: bool
) -> None:
    prepare = Preparation(GEOMETRY, view=View.of(100, 100))
    image = np.zeros((height, width, 1), np.uint8)
    if fits:
        assert prepare(image)[1].shape == (32, 32, 1)
        return
    with pytest.raises(Permanent, match=f"the image is {width}×{height}, .* trained on images that are 1.00 times"):
        prepare(image)


def test_a_model_with_letterbox_takes_every_shape_and_frames_know_their_content() -> None:
    view = View(lowest_aspect=1.0, highest_aspect=1.0, padding=50)
    prepare = Preparation(GEOMETRY, view=view)
    for height, width in [(100, 100), (40, 160), (160, 40)]:
        image = np.full((height, width, 1), 200, np.uint8)
        _, pixels, content = prepare(image)[:3]
        assert pixels.shape == (32, 32, 1)
        shown = (pixels == 200).mean()
        assert (content is None) == (height == width)
        if content is not None:
            assert shown == (content.bottom - content.top) * (content.right - content.left) == 0.25


def test_a_crop_may_give_an_image_the_proportions_of_the_training_images() -> None:
    assert Preparation(GEOMETRY, Crop(x=10, y=0, width=60, height=60), view=View.of(100, 100))(IMAGE)


def test_what_a_live_camera_changes_later_is_no_error_of_the_settings() -> None:
    """The station disarms then."""
    prepare = Preparation(GEOMETRY, view=View.of(60, 80), only_first=True)
    prepare(IMAGE)
    assert prepare(IMAGE[:, :40])[1].shape == (32, 32, 1)


def test_a_bundle_without_proportions_gets_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    prepare = Preparation(GEOMETRY)
    for _ in range(3):
        prepare(IMAGE)
    assert caplog.text.count("the image is 80×60, 1.33 times as wide as high") == 1


@pytest.mark.parametrize("setting", [None, Crop(x=4, y=2, width=24, height=20)])
def test_the_crop_of_the_bundle_is_inspected(tiny_bundle: Bundle, setting: Crop | None) -> None:
    crop = inspected_crop(setting, with_crop(tiny_bundle))
    assert crop == Crop(x=4, y=2, width=24, height=20)


def test_a_crop_that_disagrees_with_the_bundle_is_rejected(tiny_bundle: Bundle) -> None:
    with pytest.raises(Permanent, match=r"crop is 9×9 at 0,0, wanted that of tiny.bundle, 24×20 at 4,2: remove crop"):
        inspected_crop(Crop(x=0, y=0, width=9, height=9), with_crop(tiny_bundle))


def test_a_bundle_without_a_crop_leaves_it_to_the_settings(tiny_bundle: Bundle) -> None:
    crop = Crop(x=0, y=0, width=9, height=9)
    assert inspected_crop(crop, tiny_bundle) == crop
    assert inspected_crop(None, tiny_bundle) is None


def with_crop(bundle: Bundle) -> Bundle:
    view = View(lowest_aspect=1.2, highest_aspect=1.2, crop=CropBox(x=4, y=2, width=24, height=20))
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"view": view}))
