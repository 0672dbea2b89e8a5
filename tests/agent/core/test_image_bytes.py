"""Encoded images, and shrinking them to a byte limit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.core.image_bytes import encode, shrink_encoded

NOISE = np.random.default_rng(0).integers(0, 256, (200, 100, 3), np.uint8)


def test_encoded_png_decodes_to_the_same_pixels() -> None:
    decoded = cv2.imdecode(np.frombuffer(encode(NOISE, "image/png"), np.uint8), cv2.IMREAD_COLOR)
    assert (decoded == NOISE).all()


def test_shrinking_halves_the_side_until_the_image_fits() -> None:
    noise = encode(NOISE, "image/png")
    small = shrink_encoded(noise, "image/png", len(noise) // 8)
    assert small is not None
    assert len(small.payload) <= len(noise) // 8
    assert small.scale == 0.25
    assert cv2.imdecode(np.frombuffer(small.payload, np.uint8), cv2.IMREAD_COLOR).shape == (50, 25, 3)


@pytest.mark.parametrize(
    ("payload", "media_type"),
    [(encode(NOISE, "image/png"), "image/png"), (b"no image", "image/png"), (b"{}", "application/json")],
    ids=["too small a limit", "not an image", "another media type"],
)
def test_shrinking_gives_up_where_no_image_would_fit(payload: bytes, media_type: str) -> None:
    assert shrink_encoded(payload, media_type, 100) is None


def test_an_image_without_pixels_is_rejected_in_words() -> None:
    with pytest.raises(ValueError, match=r"cannot encode \(0, 4, 1\) uint8"):
        encode(np.zeros((0, 4, 1), np.uint8), "image/png")
