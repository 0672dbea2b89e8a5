"""The images of a window: faulty cameras are rejected, good ones are measured."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.camera.camera_history import CameraHistory
from tests.calibration.lines import heat, image, origin, scores, window


def faulty_image(kind: str, index: int) -> np.ndarray:
    if kind == "frozen":
        return image(0)
    if kind == "frozen but for a pixel":
        shown = image(0)
        shown[0, 0, 0] = index % 256
        return shown
    if kind == "frozen halfway":
        return image(min(index, 20))
    return np.zeros_like(image(0)) if kind == "black" else image(index, level=1.5)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("frozen", "camera frozen? 99 of 100 images repeat the previous one, wanted moving parts"),
        ("frozen but for a pixel", "camera frozen? 99 of 100 images repeat the previous one, wanted moving parts"),
        ("frozen halfway", "camera frozen? 79 of 100 images repeat the previous one, wanted moving parts"),
        ("black", "camera black? 100% of the images show no light, wanted good parts"),
        ("saturated", "camera saturated? 100% of the pixels are at full scale; reduce the light or the exposure time"),
    ],
)
def test_history_of_a_faulty_camera_is_rejected(kind: str, words: str) -> None:
    collected = window(frames=100)
    for index, value in enumerate(scores(100)):
        collected.add(float(value), heat(index), faulty_image(kind, index))
    with pytest.raises(CalibrationError) as error:
        collected.finish(**origin())
    assert str(error.value) == words
    assert error.value.images


def test_history_rejects_floating_point_images() -> None:
    with pytest.raises(CalibrationError, match=r"image: got float32 \(48, 64, 1\), wanted uint8 or uint16"):
        CameraHistory().add(image(0).astype(np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(("bits", "channels", "level"), [(16, 1, 0.03), (8, 3, 0.4), (16, 1, 0.5)])
def test_history_of_any_depth_and_channels_is_measured(bits: int, channels: int, level: float) -> None:
    """A 12-bit sensor uses a sixteenth of the range of sixteen bits; that is not black."""
    collected = window(frames=100)
    for index, value in enumerate(scores(100)):
        collected.add(float(value), heat(index), image(index, bits=bits, channels=channels, level=level))
    reference = collected.finish(**origin()).camera_reference
    assert (reference.height, reference.width, reference.channels) == (48, 64, channels)
    assert reference.mean_level.low <= reference.mean_level.middle <= reference.mean_level.high
    assert reference.mean_level.middle == pytest.approx(level, abs=0.02)
    assert reference.sharpness.middle > 0
    assert reference.moved_share.low > 0.1
