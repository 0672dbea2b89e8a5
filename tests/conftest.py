"""What several suites share: pictures of a small part, and a real model that was trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.broker import MOSQUITTO, Mosquitto

if TYPE_CHECKING:
    from engines.bundle import Bundle


def draw_part(rng: np.random.Generator, *, depth: int = 8, scratch: bool = False, side: int = 40) -> NDArray[Any]:
    """Draw a disc on a plate, jittered and noisy, [side, side] in 8 or 16 bits; with a bright scratch if asked for."""
    picture = np.full((side, side), 90.0, np.float32)
    centre = (side // 2 + int(rng.integers(-2, 3)), side // 2 + int(rng.integers(-2, 3)))
    cv2.circle(picture, centre, side // 4, 170.0, -1)
    if scratch:
        cv2.line(picture, (4, int(rng.integers(6, side - 6))), (side - 5, int(rng.integers(6, side - 6))), 250.0, 2)
    picture += rng.normal(0, 4, picture.shape)
    if depth == 16:
        return (picture.clip(0, 255) * 100 + 4000).astype(np.uint16)
    return picture.clip(0, 255).astype(np.uint8)


def write_parts(folder: Path, count: int, *, seed: int = 0, depth: int = 8, scratch: bool = False) -> Path:
    """Write `count` pictures of the part as PNG files into a new folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), draw_part(rng, depth=depth, scratch=scratch))
    return folder


@pytest.fixture(scope="session")
def good_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 good pictures, 40×40 gray, 8 bit."""
    return write_parts(tmp_path_factory.mktemp("parts") / "good", 24)


@pytest.fixture(scope="session")
def tiny_bundle(good_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle, 32×32 gray, 8 bit: the published networks, narrow, after 12 steps. Nobody may write to it."""
    pytest.importorskip("torch", reason="training needs the train extra")
    from engines.training import train

    out = tmp_path_factory.mktemp("bundle") / "tiny.bundle"
    options = {"filters": 8, "latent": 16}
    return train(good_parts, out=out, size=32, steps=12, minutes=None, options=options, accelerator="cpu").bundle


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts a real Mosquitto: `mosquitto(persistence=True, lines=["max_packet_size 5000"])`; all are ended afterwards."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    brokers: list[Mosquitto] = []

    def start(**options: Any) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path / f"broker-{len(brokers)}", **options))
        return brokers[-1].start()

    yield start
    for broker in brokers:
        broker.stop()
